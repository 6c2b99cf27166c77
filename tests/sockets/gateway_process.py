"""`python -m gateway …` as a process of its own, as an operator starts it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import trio

from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount

AUTH_TOKEN = "the-token-of-the-fake-account"

_ROOT = Path(__file__).parents[2]
_OURS = ("GATEWAY_", "TWILIO_")
_LONGEST_S = 18  # of one test; a start takes one second
_OPENING_LINES = 4
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Served:
    """`lines`: what it printed when it took calls."""

    process: trio.Process
    lines: list[str]
    public_port: int
    private_url: str

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    async def dial(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.public_port)

    def twilio(self) -> FakeTwilio:
        """An account that has this gateway's auth token."""
        account_sid = "AC" + "1" * 32
        return FakeTwilio(
            TwilioAccount(
                account_sid=account_sid, auth_token=AUTH_TOKEN, public_url=self.public_url, dial=self.dial
            )
        )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's, without settings; free ports, a voice that needs nothing, and what `variables` say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    defaults = {
        "PYTHONPATH": str(_ROOT),
        "GATEWAY_HTTP__PORT": "0",
        "GATEWAY_PRIVATE__PORT": "0",
        "GATEWAY_VOICE__BACKEND": "echo",
        "GATEWAY_DIALPLAN__PATH": str(_ROOT / "dialplans" / "reception.toml"),
    }
    return {**kept, **defaults, **variables}


async def run_gateway(
    *arguments: str, folder: Path, variables: Mapping[str, str] = _NOTHING, longest_s: float = _LONGEST_S
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, in `folder`. What it printed is text."""
    with trio.fail_after(longest_s):
        done = await trio.run_process(
            [sys.executable, "-m", "gateway", *arguments],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=folder,
            env=environment(variables),
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def serving(folder: Path, variables: Mapping[str, str] = _NOTHING) -> AsyncIterator[Served]:
    """A gateway that takes calls, run in `folder`; killed when the block is left and it still runs."""
    with trio.fail_after(_LONGEST_S), (folder / "stderr").open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "gateway", "serve"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env=environment(variables),
        )
        assert process.stdout is not None
        async with process.stdout:
            try:
                lines = await _read_lines(process.stdout, _OPENING_LINES)
                opened = "\n".join(lines)
                assert len(lines) == _OPENING_LINES, opened + (folder / "stderr").read_text()
                public = re.search(r"^public door +127\.0\.0\.1:(\d+)", opened, re.MULTILINE)
                private = re.search(r"^private door +(http://\S+)", opened, re.MULTILINE)
                assert public is not None
                assert private is not None
                yield Served(process, lines, int(public[1]), private[1])
            finally:
                if process.returncode is None:
                    process.kill()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await process.wait()


async def _read_lines(stream: trio.abc.ReceiveStream, count: int) -> list[str]:
    """Fewer when the process ends first."""
    text = b""
    while text.count(b"\n") < count and (more := await stream.receive_some()):
        text += more
    return text.decode().splitlines()

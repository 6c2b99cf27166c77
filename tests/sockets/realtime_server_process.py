"""`python -m gateway realtime-server` as a process of its own, and clients of it that are processes too."""

import re
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import trio

from tests.sockets.gateway_process import environment

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class ServedRealtime:
    """`line`: what it printed when it was ready. `folder`: where it runs."""

    process: trio.Process
    line: str
    folder: Path

    @property
    def url(self) -> str:
        found = re.search(r"ws://\S+", self.line)
        assert found is not None, self.line
        return found[0]

    @property
    def base_url(self) -> str:
        """What OpenAI's client calls its `websocket_base_url`."""
        return self.url.removesuffix("/realtime")

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    async def logged(self, event: str, count: int) -> None:
        """Wait until it has logged an event so often."""
        with trio.fail_after(5):
            while self.log.count(event) < count:  # noqa: ASYNC110 - another process writes it
                await trio.sleep(0.05)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, and return its exit status."""
        self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def serving_realtime(
    folder: Path, *arguments: str, variables: Mapping[str, str] = _NOTHING, longest_s: float = 18
) -> AsyncIterator[ServedRealtime]:
    """A server on a free port, run in `folder`; killed when the block is left and it still runs."""
    command = [sys.executable, "-m", "gateway", "realtime-server", "--port", "0", *arguments]
    with trio.fail_after(longest_s), (folder / "stderr").open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            command, stdout=subprocess.PIPE, stderr=stderr, cwd=folder, env=environment(variables)
        )
        assert process.stdout is not None
        async with process.stdout:
            try:
                line = b""
                while b"\n" not in line and (more := await process.stdout.receive_some()):
                    line += more
                assert line, (folder / "stderr").read_text()
                yield ServedRealtime(process, line.decode(), folder)
            finally:
                if process.returncode is None:
                    process.kill()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await process.wait()


async def run_python(
    *arguments: str, folder: Path, longest_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a Python program that ends by itself, in `folder`. What it printed is text."""
    variables = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  # this machine is reached without one
    with trio.fail_after(longest_s):
        done = await trio.run_process(
            [sys.executable, *arguments],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=folder,
            env=environment(variables),
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def write_wav(path: Path, pcm: bytes) -> Path:
    """PCM16 at 24 000 Hz as a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)
    return path

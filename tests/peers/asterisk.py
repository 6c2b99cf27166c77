"""Asterisk: a telephone exchange with a trunk to the gateway. It calls, is called, and is registered at."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import trio

from tests.peers.certificates import Certificates
from tests.peers.listening import read_channels
from tests.peers.ports import free_ports, is_bound
from tests.peers.processes import Program, running

__all__ = ["PASSWORD", "Exchange", "exchange", "missing"]

PASSWORD = "a secret of two"
_MODULES = Path("/usr/lib/asterisk/modules")
_SOUNDS = Path("/usr/share/asterisk")
_START_S = 20


def missing() -> str:
    """Why it cannot be used here; empty: it can."""
    if shutil.which("asterisk") and _MODULES.exists():
        return ""
    return "asterisk is not installed (tests/peers/install_asterisk)"


@dataclass(frozen=True)
class Exchange:
    """`sip`: its port for UDP and TCP."""

    program: Program
    home: Path
    sip: int
    tls: int

    async def command(self, words: str) -> str:
        """What its command line answers."""
        done = await trio.run_process(
            ["asterisk", "-C", str(self.home / "asterisk.conf"), "-rx", words],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=b"",
        )
        return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")

    async def call(self, channel: str, extension: str) -> None:
        """Call somebody, and do what an extension says once he answers."""
        await self.command(f"channel originate {channel} extension {extension}@calling")

    async def shows(self, words: str, pattern: str, longest_s: float = 10) -> str:
        """Wait until its command line answers with what matches."""
        with trio.move_on_after(longest_s):
            while not re.search(pattern, shown := await self.command(words)):  # noqa: ASYNC110 - another process does it
                await trio.sleep(0.2)
            return shown
        raise self.program.failed(f"{words!r} does not show {pattern!r}: {await self.command(words)}")

    async def ended(self, name: str, longest_s: float = 15) -> None:
        """Wait until the call of this name is over, and what it recorded is whole."""
        await self.program.until(lambda: bool(self.told(name, "ended")), longest_s, f"{name} is over")
        await trio.sleep(0.3)  # the recorder is another thread of it

    def told(self, name: str, word: str) -> list[str]:
        """What its dialplan said in the call of this name."""
        return re.findall(rf"^ PEER {name} {word} (.*)$", self.program.text, re.MULTILINE)

    def heard(self, name: str) -> bytes:
        """What it recorded of the other side in the call of this name."""
        return read_channels(self.home / f"{name}-heard.wav")[0]


@asynccontextmanager
async def exchange(
    *, folder: Path, certificates: Certificates, gateway_sip: int, gateway_tls: int
) -> AsyncIterator[Exchange]:
    """An exchange on free ports while the block lasts, whose trunks lead to a gateway on these ports."""
    home = folder / "asterisk"
    home.mkdir(parents=True)
    sip, tls, rtp = free_ports(), free_ports(), free_ports(60, step=2)
    words = {
        "home": home,
        "modules": _MODULES,
        "sounds": _SOUNDS,
        "sip": sip,
        "tls": tls,
        "rtp": rtp,
        "last_rtp": rtp + 59,
        "gateway_sip": gateway_sip,
        "gateway_tls": gateway_tls,
        "certificate": certificates.certificate,
        "key": certificates.key,
        "ca": certificates.ca,
        "password": PASSWORD,
    }
    for template in Path(__file__).with_name("asterisk_settings").glob("*.conf"):
        (home / template.name).write_text(_Template(template.read_text()).substitute(words))
    for unused in _EMPTY:
        (home / f"{unused}.conf").touch()
    command = ["asterisk", "-f", "-n", "-v", "-C", str(home / "asterisk.conf")]
    async with running("asterisk", command, folder=home) as program:
        await program.until(lambda: is_bound(sip) and is_bound(tls), _START_S, "its ports are open")
        await program.says("Asterisk Ready", _START_S)
        yield Exchange(program, home, sip, tls)


# It complains about each of these that is not there.
_EMPTY = (
    "acl",
    "ccss",
    "cdr",
    "cel",
    "features",
    "http",
    "manager",
    "musiconhold",
    "pjproject",
    "stasis",
    "udptl",
)


class _Template(Template):
    """`@name`: Asterisk's own variables have a dollar."""

    delimiter = "@"

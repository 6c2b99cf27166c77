"""The gateway as an operator starts it, with settings of a test's own, and what its calls leave behind."""

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Template
from types import MappingProxyType

import msgspec

from gateway.calls.record import CallRecord
from gateway.traces.reader import Trace
from tests.peers.certificates import Certificates
from tests.peers.listening import read_channels
from tests.peers.ports import free_ports, is_bound
from tests.peers.processes import Program, running

__all__ = ["CallFolder", "Gateway", "gateway_command", "serving"]

_ROOT = Path(__file__).parents[2]
_OURS = ("GATEWAY_", "TRUNK_", "TWILIO_")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_RTP_PORTS = 200
_START_S = 15
_RECORDED_S = 5

# Each test adds its trunks. A number stays what was dialled, so that a call can be found by it.
_SETTINGS = Template("""
[http]
port = 0
[private]
port = 0
[voice]
backend = "$voice"
[calls]
folder = "calls"
[traces]
keep_numbers = true
[dialplan]
path = "plan.toml"
[sip]
listen = ["udp:127.0.0.1:$sip", "tcp:127.0.0.1:$sip", "tls:127.0.0.1:$tls"]
rtp_ports = "$first_rtp-$last_rtp"
certificate = "$certificate"
key = "$key"
ca = "$ca"
""")


@dataclass(frozen=True)
class CallFolder:
    """What stays of one call."""

    path: Path

    @cached_property
    def record(self) -> CallRecord:
        return msgspec.json.decode((self.path / "call.json").read_bytes(), type=CallRecord)

    @property
    def caller(self) -> bytes:
        """The caller's side of the recording."""
        return read_channels(self.path / "recording.wav")[0]

    @property
    def agent(self) -> bytes:
        """The agent's side of the recording."""
        return read_channels(self.path / "recording.wav")[1]

    @property
    def facts(self) -> list[str]:
        return [line.what for line in self.record.lines]

    @property
    def digits(self) -> str:
        return "".join(line.fields["digit"] for line in self.record.lines if line.what == "digit.pressed")

    @property
    def traced(self) -> list[str]:
        """The texts of the trace's carrier port, in order."""
        with Trace(self.path) as trace:
            return [data for entry, data in trace.entries() if entry.port == "carrier" and isinstance(data, str)]

    def __str__(self) -> str:
        return f"{self.path.name}: {self.record.totals()}\n" + "\n".join(
            f"{line.at_ms:7} {line.what} {line.fields}" for line in self.record.lines
        )


@dataclass
class Gateway:
    """`sip`, `tls`: its ports. `statuses`: that it ended with, once it has."""

    program: Program
    folder: Path
    sip: int
    tls: int
    statuses: list[int] = field(default_factory=list)

    @property
    def log(self) -> str:
        return self.program.text

    def folders(self) -> list[CallFolder]:
        """Of all calls that are over."""
        return [CallFolder(path.parent) for path in sorted((self.folder / "calls").glob("*/call.json"))]

    def calls_to(self, number: str) -> list[CallFolder]:
        return [call for call in self.folders() if call.record.called == number]

    async def recorded(self, number: str, count: int = 1) -> list[CallFolder]:
        """Wait until so many calls to this number are over and written down."""

        def are_there() -> bool:
            with contextlib.suppress(msgspec.DecodeError):  # one is being written
                return len(self.calls_to(number)) >= count
            return False

        await self.program.until(are_there, _RECORDED_S, f"{count} calls to {number} are recorded")
        return self.calls_to(number)

    async def end(self) -> int:
        """Have it end at once, whatever goes on; its exit status."""
        self.program.signal(signal.SIGTERM)
        await self.program.says("draining", 3)
        self.program.signal(signal.SIGTERM)
        return await self.program.ends(8)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    trunks: str,
    plan: str,
    certificates: Certificates,
    voice: str = "echo",
    secrets: Mapping[str, str] = _NOTHING,
    name: str = "gateway",
) -> AsyncIterator[Gateway]:
    """A gateway that takes calls on free ports while the block lasts. `trunks`: TOML; so is `plan`.

    `secrets`: for its environment. In `trunks`, `$sip` is its own port.
    """
    sip, tls = free_ports(), free_ports()
    rtp = free_ports(_RTP_PORTS, step=2)
    settings = _SETTINGS.substitute(
        voice=voice,
        sip=sip,
        tls=tls,
        first_rtp=rtp,
        last_rtp=rtp + _RTP_PORTS - 1,
        certificate=certificates.certificate,
        key=certificates.key,
        ca=certificates.ca,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.toml").write_text(settings + Template(trunks).safe_substitute(sip=sip))
    (folder / "plan.toml").write_text(plan)
    variables = {**environment(), **secrets}
    async with running(name, gateway_command("serve"), folder=folder, variables=variables) as program:
        await program.until(lambda: all(map(is_bound, (sip, tls))), _START_S, "the SIP door is open")
        gateway = Gateway(program, folder, sip, tls)
        yield gateway
        if program.process.poll() is None:
            gateway.statuses.append(await gateway.end())


def gateway_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments]


def environment() -> dict[str, str]:
    """This process's, without what sets a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"}



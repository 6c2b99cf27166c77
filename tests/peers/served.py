"""The gateway as an operator starts it, with settings of a test's own, and what its calls leave behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from types import MappingProxyType

import msgspec
import trio

from gateway.calls.record import CallRecord
from gateway.traces.reader import Trace
from tests.peers.certificates import Certificates
from tests.peers.listening import read_channels
from tests.peers.ports import bound_of, free_ports, is_bound
from tests.peers.processes import Program, running

__all__ = [
    "CallFolder",
    "Gateway",
    "Outbound",
    "call_folders",
    "calling",
    "gateway_command",
    "run_gateway",
    "serving",
]

_ROOT = Path(__file__).parents[2]
_OURS = ("GATEWAY_", "TRUNK_", "TWILIO_")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_RTP_PORTS = 200
_ECHO = 'backend = "echo"'
_START_S = 15
_UNFELT_MS = 10  # within a tenth of a second: half of what a packet takes
_RECORDED_S = 5
_METRONOME = (sys.executable, "-m", "tests.peers.metronome")

# Each test adds its trunks. A number stays what was dialled, so that a call can be found by it.
_SETTINGS = Template("""
[http]
port = 0
[private]
port = 0
[voice]
$voice
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
        """The keys that the voice was told of."""
        return "".join(re.findall(r"\[DTMF\] (.)", (self.path / "outputs.jsonl").read_text()))

    @property
    def traced(self) -> list[str]:
        """The texts of the trace's carrier port, in order."""
        with Trace(self.path) as trace:
            return [
                data for entry, data in trace.entries() if entry.port == "carrier" and isinstance(data, str)
            ]

    def __str__(self) -> str:
        return f"{self.path.name}: {self.record.totals()}\n" + "\n".join(
            f"{line.at_ms:7} {line.what} {line.fields}" for line in self.record.lines
        )


@dataclass
class Gateway:
    """`sip`, `tls`, `rtp`: its ports. `status`: that it ended with, once it has.

    `ports_kept`: those for RTP that it had when its calls were over, if somebody has asked.
    `waited_ms`: how long it was ready and had no processor, when that was for long. `metronome`: runs beside it.
    """

    program: Program
    folder: Path
    sip: int
    tls: int
    rtp: range
    status: int | None = None
    ports_kept: list[int] | None = None
    waited_ms: float = 0.0
    metronome: Program | None = None

    @property
    def withheld_ms(self) -> float:
        """How long the machine was not there for it: no call of it can sound better.

        It may have waited for a processor that another process had, or the whole machine may have stood still, which
        only a clock tells.
        """
        late_ms = self.metronome.text.split() if self.metronome is not None else ()
        return max(self.waited_ms, sum(map(float, late_ms)))

    @property
    def log(self) -> str:
        return self.program.text

    def folders(self) -> list[CallFolder]:
        """Of all calls that are over."""
        return call_folders(self.folder / "calls")

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

    async def give_up_ports(self, longest_s: float = 3) -> None:
        """Wait until it has no port for RTP any more, and no longer than that; then see which it has."""
        with trio.move_on_after(longest_s):
            while bound_of(self.rtp):  # noqa: ASYNC110 - another process has them
                await trio.sleep(0.05)
        self.ports_kept = bound_of(self.rtp)

    def replayed(self) -> subprocess.CompletedProcess[str]:
        """All its calls fed to new cores, by the command that an operator has for it."""
        return run_gateway("replay", *(str(call.path) for call in self.folders()), folder=self.folder)

    async def watch(self) -> None:
        """Keep `waited_ms` until cancelled."""
        before_s = self.program.withheld_s
        while True:
            await trio.sleep(0.1)
            now_s = self.program.withheld_s
            self.waited_ms += max(0.0, 1000 * (now_s - before_s) - _UNFELT_MS)
            before_s = now_s

    async def end(self) -> int:
        """Have it end at once, whatever goes on; its exit status."""
        self.program.signal(signal.SIGTERM)
        await self.program.says("gateway.draining", 5)
        with trio.move_on_after(0.5):  # without calls it has gone before a second signal comes
            return await self.program.process.wait()
        self.program.signal(signal.SIGTERM)
        return await self.program.ends(8)

    def drain(self) -> None:
        """Have it end once its calls are over."""
        self.program.signal(signal.SIGTERM)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    trunks: str,
    plan: str,
    certificates: Certificates,
    secrets: Mapping[str, str] = _NOTHING,
    voice: str = _ECHO,
    name: str = "gateway",
    sip: int = 0,
    tls: int = 0,
) -> AsyncIterator[Gateway]:
    """A gateway that takes calls while the block lasts. `trunks`: TOML; so are `plan` and `voice`.

    `secrets`: for its environment. `sip`, `tls`: its ports, if it matters.
    """
    sip, tls = sip or free_ports(), tls or free_ports()
    rtp = _rtp_ports()
    _write(folder, _settings(sip, tls, rtp, certificates, voice) + trunks, plan)
    variables = {**environment(), **secrets}
    async with running(name, gateway_command("serve"), folder=folder, variables=variables) as program:
        await program.until(lambda: all(map(is_bound, (sip, tls))), _START_S, "the SIP door is open")
        async with running(
            f"{name}-metronome", _METRONOME, folder=folder, variables=environment()
        ) as metronome:
            gateway = Gateway(program, folder, sip, tls, rtp, metronome=metronome)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gateway.watch)
                yield gateway
                nursery.cancel_scope.cancel()
        if program.process.poll() is None:
            gateway.status = await gateway.end()


@dataclass(frozen=True)
class Outbound:
    """One `gateway call`. `folder`: with the calls folder in it."""

    program: Program
    folder: Path

    @property
    def call(self) -> CallFolder:
        """Of its one call, once that is over."""
        (call,) = call_folders(self.folder / "calls")
        return call


@asynccontextmanager
async def calling(
    folder: Path,
    callee: str,
    *options: str,
    trunks: str,
    plan: str,
    certificates: Certificates,
    secrets: Mapping[str, str] = _NOTHING,
) -> AsyncIterator[Outbound]:
    """The command that places one call, run in `folder`; stopped when the block is left."""
    _write(folder, _settings(free_ports(), free_ports(), _rtp_ports(), certificates) + trunks, plan)
    variables = {**environment(), **secrets}
    command = gateway_command("call", callee, *options)
    async with running("gateway", command, folder=folder, variables=variables) as program:
        yield Outbound(program, folder)


def _rtp_ports() -> range:
    first = free_ports(_RTP_PORTS, step=2)
    return range(first, first + _RTP_PORTS)


def _settings(sip: int, tls: int, rtp: range, certificates: Certificates, voice: str = _ECHO) -> str:
    return _SETTINGS.substitute(
        voice=voice,
        sip=sip,
        tls=tls,
        first_rtp=rtp[0],
        last_rtp=rtp[-1],
        certificate=certificates.certificate,
        key=certificates.key,
        ca=certificates.ca,
    )


def _write(folder: Path, settings: str, plan: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.toml").write_text(settings)
    (folder / "plan.toml").write_text(plan)


def run_gateway(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, in `folder`, with the settings there."""
    return subprocess.run(
        gateway_command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment(),
    )


def call_folders(folder: Path) -> list[CallFolder]:
    return [CallFolder(path.parent) for path in sorted(folder.glob("*/call.json"))]


def gateway_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments]


def environment() -> dict[str, str]:
    """This process's, without what sets a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"}

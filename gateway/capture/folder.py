"""One captured call, as the call folder that our gateway would have written: its core is fed, and what comes is kept."""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from gateway.building import TraceSettings, build_core
from gateway.calls.record import CallRecord
from gateway.calls.recording import Recording
from gateway.calls.settings import CallSettings
from gateway.capture.agreements import Agreement
from gateway.capture.calls import CapturedCall, Told
from gateway.capture.links import Packet
from gateway.capture.media import Way
from gateway.capture.other_side import OtherSide
from gateway.carriers.sip.media_gate import MediaGate
from gateway.carriers.sip.numbers import shown_call_id
from gateway.contracts import CarrierClosed, EndReason, Fact, Port, RunBlocking, VoiceTraits
from gateway.dialplan.actions.say import Say
from gateway.dialplan.plan import Plan
from gateway.media.stereo import StereoMix
from gateway.traces.files import create
from gateway.traces.format import Header
from gateway.traces.recorder import Recorder

__all__ = ["CallFolder", "header_of"]

# Nobody talks with this caller: what the other side said is in the recording, and no voice is asked for anything.
_VOICE: Final = "none"
_PLAN: Final = Plan(
    name="imported",
    steps=(Say(text="What the other side said in this call is on the right side of its recording."),),
)
_TICK_US: Final = 20_000
# 5 s of a call: what is kept in memory meanwhile, of each call that is on.
_TICKS_A_FLUSH: Final = 250
_RECORD: Final = "call.json"
_LATEST_S: Final = 253_402_300_799.0  # of the year 9999


def header_of(call: CapturedCall, call_id: str, *, caller: str, called: str, version: str) -> Header:
    """`caller` and `called`: as they may be written down."""
    settings = TraceSettings(
        carrier_call=shown_call_id(call.call_id), call=CallSettings(voices=(VoiceTraits(name=_VOICE),))
    )
    return Header(
        call_id=call_id,
        carrier="sip",
        backend=_VOICE,
        caller=caller,
        called=called,
        plan=msgspec.to_builtins(_PLAN),
        agents={},
        settings=msgspec.to_builtins(settings),
        seed=0,
        wall_time=_time(call.at_ns),
        gateway_version=version,
    )


class CallFolder:
    """Takes what our side was told and the packets of both, in the order of the capture, then is closed.

    `packets`: how many to our side were of its call; without any, nothing is written before `close`. `record`: complete
    when it is closed.
    """

    def __init__(self, folder: Path, header: Header, at_ns: int) -> None:
        self.folder = folder
        self.packets = 0
        self.record = CallRecord(
            call=header.call_id,
            carrier=header.carrier,
            carrier_call=header.settings["carrier_call"],
            caller=header.caller,
            called=header.called,
            plan=_PLAN.name,
            backend=header.backend,
            started_at=header.wall_time,
        )
        self._at_ns = at_ns
        self._mix = StereoMix()
        self._core = build_core(header, self._mix)
        self._trace = Recorder(folder, header)
        self._recording = Recording(folder, self._mix)
        self._gate = MediaGate()
        self._other = OtherSide(self._mix)
        self._seq = 0
        self._t_us = 0
        self._ticks = 0
        self._reason: EndReason | None = None
        self._ended_us = 0

    def silent_s(self, at_ns: int) -> float:
        """How long nothing has come by `at_ns` that is of this call; 0 once it has ended."""
        return 0.0 if self._core.ended is not None else (at_ns - self._at_ns) / 1e9 - self._t_us / 1e6

    async def tell(self, told: Told, run_blocking: RunBlocking) -> None:
        await self._advance(told.at_ns, run_blocking)
        if told.media is not None:
            self._agree(told.media)
        self._feed(told.port, told.text)

    async def carry(self, packet: Packet, way: Way, run_blocking: RunBlocking) -> None:
        """A datagram of RTP or RTCP, of either side."""
        await self._advance(packet.at_ns, run_blocking)
        if self._core.ended is not None:
            return
        now = self._t_us / 1e6
        if way.by_us:
            if not way.rtcp:
                self._other.take(packet.data, now)
            return
        framed = self._gate.admit(packet.data, packet.source, now, rtcp=way.rtcp)
        if framed is not None:
            self.packets += 1
            self._feed("carrier", framed)

    async def close(self, run_blocking: RunBlocking) -> None:
        """The capture has no more of this call. Raises `OSError`."""
        if self._core.ended is None:
            self._feed("command", msgspec.json.encode(CarrierClosed(detail="the capture ends")).decode())
        await self._trace.close(run_blocking)
        await self._recording.close(self._ended_us / 1e6, run_blocking)
        self.record.trace = f"failed: {self._trace.failed}" if self._trace.failed else "complete"
        self.record.recording = self._recording.state
        await run_blocking(self._write_record)

    def _agree(self, media: Agreement) -> None:
        self._gate.agree(media.agreed)
        self._other.agree(media.agreed)

    def _feed(self, port: Port, data: str | bytes = "") -> None:
        """Behind the end nothing has an effect; what is told then is kept, as a live call keeps it."""
        self._seq += 1
        self._trace.input(self._seq, self._t_us, port, data)
        now = self._t_us / 1e6
        self._core.feed(port, data, now)
        for output in self._core.drain():
            self._trace.output(self._seq, output)
            if isinstance(output, Fact):
                self.record.note(output, now)
        if self._core.ended is not None and self._reason is None:
            self._reason, self._ended_us = self._core.ended, self._t_us
            self.record.end(self._reason, now)
            self.record.ended_at = _time(self._at_ns + self._ended_us * 1000)

    async def _advance(self, at_ns: int, run_blocking: RunBlocking) -> None:
        """Tick up to `at_ns`. A capture of several interfaces may go back a little: the call does not."""
        t_us = max(self._t_us, (at_ns - self._at_ns) // 1000)
        while self._core.ended is None and (self._ticks + 1) * _TICK_US < t_us:
            self._ticks += 1
            self._t_us = self._ticks * _TICK_US
            self._feed("tick")
            self._other.advance(self._t_us / 1e6)
            if self.packets and self._ticks % _TICKS_A_FLUSH == 0:  # without any there will be no folder
                await self._trace.flush(run_blocking)
                await self._recording.flush(self._t_us / 1e6, run_blocking)
        self._t_us = t_us

    def _write_record(self) -> None:
        with create(self.folder / _RECORD) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.record), indent=1))


def _time(at_ns: int) -> str:
    at = dt.datetime.fromtimestamp(min(at_ns / 1e9, _LATEST_S), dt.UTC)
    return at.isoformat(timespec="milliseconds")

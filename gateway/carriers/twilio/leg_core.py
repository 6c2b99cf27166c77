"""One Media Stream as frames, digits and `Heard`, and the reverse. A core.

WAITING --start--> LIVE --stop, silence--> OVER
   +--------no start, another call---------^
"""

import enum
from collections.abc import Sequence
from typing import assert_never

from gateway.audio.g711 import CODECS
from gateway.carriers.twilio.far_playout import FarPlayout
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    EndReason,
    Heard,
    LegEnded,
    LegEvent,
    LegStarted,
    LegTraits,
    LegTrouble,
)
from gateway.wire import twilio as wire
from gateway.wire.errors import RemoteProtocolError

__all__ = ["TRAITS", "TwilioLegCore"]

TRAITS = LegTraits(
    carrier="twilio",
    lead_ms=200,
    queue_ms=600_000,  # Twilio discards what is beyond ten minutes (warning 31931)
    sends_digits=False,  # Media Streams has no such message, and <Play digits> by REST would end the stream
)

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
# A gap is filled with silence, so that the recording stays in time; past a minute it is no gap but another clock.
LONGEST_GAP_MS = 60_000
# A WebSocket keeps its order: what lies further back than this is not late, the clock was set back.
LATEST_MS = 1_000
DIGITS = frozenset("0123456789*#ABCD")
DETAIL_CHARS = 120


class _State(enum.Enum):
    WAITING = enum.auto()
    LIVE = enum.auto()
    OVER = enum.auto()


class TwilioLegCore:
    """The `LegCore` of Twilio Media Streams.

    `expected_call_sid`: the call that the stream was made for; a stream of another call ends at once.
    `start_s`: how long `start` may take. `silence_s`: without audio, marks and digits for so long, the
    caller is gone and nobody told us.
    """

    def __init__(self, expected_call_sid: str, *, start_s: float = 5.0, silence_s: float = 30.0) -> None:
        self._call_sid = expected_call_sid
        self._start_s = start_s
        self._silence_s = silence_s
        self._state = _State.WAITING
        self._stream_sid = ""
        self._silence = b""
        self._alive_at_s = 0.0
        self._origin_ms: int | None = None
        self._chunk: int | None = None
        self._caller_bytes = 0
        self._far = FarPlayout()
        self._heard = self._far.heard
        self._events: list[LegEvent] = []
        self._outgoing: list[str] = []

    @property
    def traits(self) -> LegTraits:
        return TRAITS

    def events(self) -> Sequence[LegEvent]:
        events, self._events = self._events, []
        return events

    def outgoing(self) -> Sequence[str]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    # -- from Twilio

    def receive(self, data: str | bytes, now: float) -> None:
        if self._state is _State.OVER:
            return
        if isinstance(data, bytes):
            self._trouble("binary_frame")
            return
        try:
            message = wire.decode(data)
        except RemoteProtocolError as error:
            self._trouble("bad_message", str(error))
            return
        match message:
            case wire.Connected():
                pass
            case wire.Unknown():
                self._trouble("unknown_event", message.event)
            case wire.Start():
                self._started(message.start, now)
            case wire.Stop():
                if self._state is _State.WAITING or self._is_ours(message.stream_sid):
                    self._end(EndReason.CALLER_HUNG_UP)
            case wire.Media() | wire.Mark() | wire.Dtmf():
                self._of_stream(message, now)
            case _:
                assert_never(message)

    def _started(self, start: wire.StartBody, now: float) -> None:
        if self._state is _State.LIVE:
            self._trouble("second_start", start.stream_sid)
            return
        if start.call_sid != self._call_sid:
            self._end(EndReason.CARRIER_INVALID, "the stream is of another call")
            return
        try:
            codec = wire.codec_of(start.media_format)
        except RemoteProtocolError as error:
            self._end(EndReason.CARRIER_INVALID, str(error))
            return
        self._state = _State.LIVE
        self._stream_sid = start.stream_sid
        self._silence = CODECS[codec].silence
        self._alive_at_s = now
        self._events.append(LegStarted(codec=codec, carrier_call_id=start.call_sid))

    def _of_stream(self, message: wire.Media | wire.Mark | wire.Dtmf, now: float) -> None:
        if self._state is _State.WAITING:
            self._trouble("early_message")
            return
        if not self._is_ours(message.stream_sid):
            return
        self._alive_at_s = now
        match message:
            case wire.Media():
                self._heard_caller(message.media)
                self._far.advance(self._caller_ms, now)
            case wire.Mark():
                if not self._far.returned(message.mark.name, self._caller_ms, now):
                    self._trouble("stray_mark", message.mark.name)
            case wire.Dtmf():
                if message.dtmf.digit in DIGITS:
                    self._events.append(DigitPressed(message.dtmf.digit))
                else:
                    self._trouble("odd_digit")
            case _:
                assert_never(message)
        self._report()

    def _is_ours(self, stream_sid: str) -> bool:
        if stream_sid == self._stream_sid:
            return True
        self._trouble("wrong_stream", stream_sid)
        return False

    # -- the caller's clock: `timestamp`, never the time of arrival

    @property
    def _caller_ms(self) -> int:
        return self._caller_bytes // BYTES_PER_MS

    def _heard_caller(self, media: wire.MediaBody) -> None:
        if media.track != "inbound":  # our own voice, which <Connect><Stream> never sends back
            self._trouble("wrong_track", media.track)
            return
        discarded = self._chunk is not None and media.chunk is not None and media.chunk > self._chunk + 1
        self._chunk = media.chunk
        if self._origin_ms is None:
            self._origin_ms = media.timestamp
        ahead_ms = media.timestamp - self._origin_ms - self._caller_ms
        if not -LATEST_MS <= ahead_ms <= LONGEST_GAP_MS:
            self._trouble("clock_jumped", f"{ahead_ms} ms")
            self._origin_ms += ahead_ms
        elif ahead_ms <= -FRAME_MS:
            self._trouble("late_media", f"{-ahead_ms} ms")
            return
        elif ahead_ms >= FRAME_MS:
            # A step in `chunk` too: Twilio threw audio away because we read too slowly (warning 31930).
            self._trouble("media_discarded" if discarded else "media_gap", f"{ahead_ms} ms")
            self._hand_on(self._silence * (ahead_ms * BYTES_PER_MS))
        self._hand_on(media.payload)

    def _hand_on(self, payload: bytes) -> None:
        if payload:
            self._events.append(CallerAudio(payload, self._caller_ms))
            self._caller_bytes += len(payload)

    # -- to Twilio

    def play(self, payload: bytes, now: float) -> None:
        if not payload or len(payload) % FRAME_BYTES:
            raise ValueError(f"{len(payload)} bytes are not whole frames of {FRAME_BYTES}")
        if self._state is _State.WAITING:
            raise ValueError("nothing can be played before the stream has started")
        if self._state is _State.OVER:
            return
        at = 0
        while at < len(payload):
            piece = payload[at : at + self._far.next_piece_ms * BYTES_PER_MS]
            at += len(piece)
            self._send(wire.Play(self._stream_sid, wire.PlayBody(piece)))
            self._far.sent(len(piece) // BYTES_PER_MS, now)
            self._mark(now)
        self._report()

    def clear(self, now: float) -> None:
        if self._state is _State.LIVE:
            self._far.clear(self._caller_ms, now)
            self._send(wire.Clear(self._stream_sid))
            self._report()

    def send_digits(self, digits: str) -> None:
        """They are lost: `traits` says so."""
        if not DIGITS.issuperset(digits):
            raise ValueError(f"no digits: {digits!r}")
        self._trouble("digits_lost")

    def leave(self, now: float) -> None:  # noqa: ARG002 - the stream is closed by whoever holds its connection
        self._state = _State.OVER

    def _mark(self, now: float) -> None:
        name = self._far.mark(now)
        if name is not None:
            self._send(wire.SendMark(self._stream_sid, wire.MarkBody(name)))

    def _send(self, message: wire.ToTwilio) -> None:
        self._outgoing.append(wire.encode(message))

    # -- time

    def advance(self, now: float) -> None:
        match self._state:
            case _State.WAITING:
                if now >= self._start_s:
                    self._end(EndReason.NEVER_STARTED)
            case _State.LIVE:
                self._mark(now)
                self._far.advance(self._caller_ms, now)
                self._report()
                if now - self._alive_at_s >= self._silence_s:
                    self._end(EndReason.CARRIER_SILENT)
            case _State.OVER:
                pass
            case _:
                assert_never(self._state)

    # -- what happened

    def _report(self) -> None:
        heard: Heard = self._far.heard
        if heard != self._heard:
            self._heard = heard
            self._events.append(heard)

    def _trouble(self, what: str, detail: str = "") -> None:
        self._events.append(LegTrouble(what, detail[:DETAIL_CHARS]))

    def _end(self, reason: EndReason, detail: str = "") -> None:
        self._state = _State.OVER
        self._events.append(LegEnded(reason, detail[:DETAIL_CHARS]))

"""One SIP call's media and what its signalling says, as frames, digits and `Heard`, and the reverse. A core.

WAITING --media agreed, not early--> LIVE --over, silence, media failed--> OVER
   +------------over, no media in time----------------------------------------^

What comes in and goes out is on the page of leg_messages.py.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from gateway.carriers.sip import leg_messages as wire
from gateway.carriers.sip.leg_keys import Keys, Way
from gateway.carriers.sip.leg_media import LegMedia
from gateway.carriers.sip.leg_quality import MediaQuality
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    EndReason,
    Heard,
    LegDelayed,
    LegEnded,
    LegEvent,
    LegFact,
    LegHeld,
    LegPreviewed,
    LegStarted,
    LegTraits,
    LegTrouble,
)
from gateway.media.playout import FRAME_BYTES
from gateway.wire import telephone_event
from gateway.wire.errors import RemoteProtocolError

if TYPE_CHECKING:
    from random import Random

__all__ = ["TRAITS", "SipLegCore"]

TRAITS = LegTraits(
    carrier="sip",
    # What is sent leaves here at the next tick, whatever waits behind it; more than one group of frames has to wait
    # so that no tick finds nothing: Playout fills up by 60 ms.
    lead_ms=80,
    queue_ms=300_000,  # frames wait while we are on hold; as many as Playout itself would keep
    sends_digits=False,  # until events are agreed on
)

BYTES_PER_MS: Final = 8
DIGITS: Final = frozenset(telephone_event.DIGITS)
DETAIL_CHARS: Final = 120
# A phone may ring for as long as that: proxies give up after three minutes at the least (RFC 3261 §16.6, timer C).
RINGING_S: Final = 300.0

_ENDINGS: Final[Mapping[wire.Why, EndReason]] = {
    "hung up": EndReason.CALLER_HUNG_UP,
    "cancelled": EndReason.CALLER_HUNG_UP,
    "refused": EndReason.REFUSED,
    "unacknowledged": EndReason.CARRIER_LOST,
    "expired": EndReason.CARRIER_SILENT,
    "lost": EndReason.CARRIER_LOST,
    "no answer": EndReason.CARRIER_INVALID,
}
# What a refusal means that nobody meant. RFC 3261 §21.4.9, §21.4.18, §21.4.24, §21.6.1.
_REFUSALS: Final[Mapping[int | None, EndReason]] = {
    408: EndReason.NO_ANSWER,
    480: EndReason.NO_ANSWER,
    486: EndReason.BUSY,
    600: EndReason.BUSY,
}


class _State(enum.Enum):
    WAITING = enum.auto()
    LIVE = enum.auto()
    OVER = enum.auto()


class SipLegCore:
    """The `LegCore` of a SIP call.

    `call_id`: names it in logs and records. `rng`: for the values that an RTP stream begins with. `wall_s`: the time
    of `now` 0 in seconds since 1970, which reports carry (RFC 3550 §6.4.1 takes any clock). `start_s`: how long media
    may take to be agreed on where nobody says that it rings. `silence_s`: without RTP or RTCP for so long, while some
    should come, the caller is gone and nobody told us.
    """

    def __init__(
        self,
        call_id: str,
        *,
        rng: "Random",
        wall_s: float = 0.0,
        start_s: float = 5.0,
        silence_s: float = 30.0,
    ) -> None:
        self._call_id = call_id
        self._rng = rng
        self._wall_s = wall_s
        self._start_by_s = start_s
        self._rings = False
        self._progress = 100
        self._silence_s = silence_s
        self._state = _State.WAITING
        self._traits = TRAITS
        self._media: LegMedia | None = None
        self._keys = Keys()
        self._caller_bytes = 0
        self._heard = Heard(0, 0)
        self._held = False
        self._is_transferred = False
        self._troubled: set[str] = set()
        self._events: list[LegEvent] = []
        self._outgoing: list[bytes] = []

    @property
    def traits(self) -> LegTraits:
        """`sends_digits` is as the far end has it."""
        return self._traits

    @property
    def held(self) -> bool:
        """They want to hear nothing: what is played waits."""
        return self._media is not None and self._media.held

    @property
    def quality(self) -> MediaQuality | None:
        """How good the media is, or was; None before any was agreed on."""
        return self._media.quality if self._media is not None else None

    def events(self) -> Sequence[LegEvent]:
        if not self._events:  # five times in six
            return ()
        events, self._events = self._events, []
        return events

    def outgoing(self) -> Sequence[bytes]:
        """Datagrams, as leg_messages.py frames them."""
        if not self._outgoing:
            return ()
        datagrams = self._outgoing.copy()
        self._outgoing.clear()  # the same list for ever: the media adds to it
        return datagrams

    # -- from the far end

    def receive(self, data: str | bytes, now: float) -> None:
        if self._state is _State.OVER:
            return
        try:
            if isinstance(data, bytes):
                self._datagram(wire.decode_datagram(data), now)
            else:
                self._told(wire.decode(data), now)
        except RemoteProtocolError as error:
            self._trouble("bad_message", str(error))

    def _datagram(self, datagram: wire.Datagram, now: float) -> None:
        if self._media is None:
            self._trouble_once("early_media")
            return
        digit = self._media.receive(datagram, now)
        if digit is not None:
            self._key(digit, "event", now)
        for what in self._media.oddities:
            self._trouble_once(what)

    def _told(self, message: wire.FromSip, now: float) -> None:
        match message:
            case wire.MediaAgreed():
                self._agreed(message, now)
            case wire.Ringing():
                self._ringing(message, now)
            case wire.DigitInformed():
                self._key(message.digit.upper(), "info", now)
            case wire.TransferAsked():
                self._events.append(LegFact("transfer.asked", {"taken": message.taken}))
            case wire.TransferTold():
                self._is_transferred = message.status is None or 200 <= message.status < 300
                self._events.append(
                    LegFact("transfer.told", {"status": message.status, "last": message.last})
                )
            case wire.CallOver():
                self._over(message, now)
            case wire.MediaFailed():
                self._end(EndReason.CARRIER_LOST, now, message.detail)
            case wire.MessagePassed():
                pass  # the ladder's
            case _:
                assert_never(message)

    def _ringing(self, ringing: wire.Ringing, now: float) -> None:
        self._start_by_s = now + RINGING_S
        self._rings = ringing.status < 200
        if self._rings and ringing.status not in {100, self._progress}:  # a 100 is only of the next hop
            self._progress = ringing.status
            self._events.append(LegFact("call.progressed", {"status": ringing.status}))

    def _agreed(self, media: wire.MediaAgreed, now: float) -> None:
        if self._media is None:
            if media.early:
                self._events.append(LegPreviewed(codec=media.codec))
            self._media = LegMedia(media, now, self._outgoing, rng=self._rng, wall_s=self._wall_s)
        else:
            self._media.agree(media, now)
        sends_digits = media.event_payload_type is not None
        self._traits = msgspec.structs.replace(TRAITS, sends_digits=sends_digits)
        if self._state is _State.WAITING and not media.early:
            self._state = _State.LIVE
            self._events.append(LegStarted(codec=self._media.codec, carrier_call_id=self._call_id))
        if self._state is _State.LIVE and self._media.held != self._held:
            self._held = self._media.held
            self._events.append(LegHeld(self._held))

    def _key(self, digit: str, way: Way, now: float) -> None:
        if self._state is not _State.LIVE:
            return
        match self._keys.press(digit, way, now):
            case True:
                self._events.append(DigitPressed(digit))
            case None:
                self._trouble("odd_digit")
            case False:
                pass  # it came the other way before

    def _over(self, over: wire.CallOver, now: float) -> None:
        reason = _ENDINGS[over.why]
        if reason is EndReason.CALLER_HUNG_UP and self._is_transferred:
            reason = EndReason.TRANSFERRED
        if reason is EndReason.REFUSED:
            reason = _REFUSALS.get(over.status, reason)
        released = {"why": over.why, "status": over.status, "cause": over.cause, "text": over.text}
        self._events.append(
            LegFact("call.released", {name: value for name, value in released.items() if value})
        )
        said = [  # without their text: this stands in logs, and they may have named somebody
            over.why if over.why != "hung up" else "",
            f"SIP {over.status}" if over.status is not None else "",
            f"Q.850 {over.cause}" if over.cause is not None else "",
        ]
        self._end(reason, now, ", ".join(filter(None, said)))

    # -- to the far end

    def play(self, payload: bytes, now: float) -> None:
        if not payload or len(payload) % FRAME_BYTES:
            raise ValueError(f"{len(payload)} bytes are not whole frames of {FRAME_BYTES}")
        if self._state is _State.WAITING:
            raise ValueError("nothing can be played before media is agreed on")
        if self._state is _State.OVER or self._media is None:
            return
        stream = self._media.stream
        if stream.queued_ms + len(payload) // BYTES_PER_MS > TRAITS.queue_ms:
            stream.skip(payload)
            self._trouble_once("queue_full")
            return
        stream.play(payload)
        if not stream.begun:  # nobody waits for the first tick
            self._media.send(now)

    def clear(self, now: float) -> None:
        if self._state is _State.LIVE and self._media is not None:
            self._media.stream.clear(now, listens=not self._media.held)
            self._report()

    def send_digits(self, digits: str) -> None:
        """Send keys as events instead of the frames that are played next. Raises `ValueError` on what is no digit."""
        if not DIGITS.issuperset(digits):
            raise ValueError(f"no digits: {digits!r}")
        if self._state is not _State.LIVE or self._media is None:
            return
        if self._traits.sends_digits:
            self._media.stream.press(digits)
        else:
            self._trouble("digits_lost")

    def leave(self, now: float) -> None:
        """The call ends: nothing follows but a last report. Harmless when repeated."""
        if self._state is not _State.OVER:
            self._state = _State.OVER
            if self._media is not None:
                self._media.leave(now)
                quality = msgspec.to_builtins(self._media.quality)
                self._events.append(LegFact("media.quality", quality))

    # -- time

    def advance(self, now: float) -> None:
        if self._state is _State.OVER:
            return
        if self._media is not None:
            self._tick(self._media, now)
        if self._state is _State.WAITING and now >= self._start_by_s:
            self._end(EndReason.NO_ANSWER if self._rings else EndReason.NEVER_STARTED, now)

    def _tick(self, media: LegMedia, now: float) -> None:
        media.send(now)
        if media.stream.delayed:
            self._events.append(LegDelayed(media.stream.queued_ms))
        audio = media.hear(now)
        if audio:
            self._events.append(CallerAudio(audio, self._caller_bytes // BYTES_PER_MS))
            self._caller_bytes += len(audio)
        self._report()
        if media.silent_s(now) >= self._silence_s:
            self._end(EndReason.CARRIER_SILENT, now)

    # -- what happened

    def _report(self) -> None:
        if self._media is None:
            return
        heard = self._media.stream.far.heard
        if heard != self._heard:
            self._heard = heard
            self._events.append(heard)

    def _trouble(self, what: str, detail: str = "") -> None:
        self._events.append(LegTrouble(what, detail[:DETAIL_CHARS]))

    def _trouble_once(self, what: str) -> None:
        """For what may come with every packet: the first time says it, and `quality` has the number."""
        if what not in self._troubled:
            self._troubled.add(what)
            self._trouble(what)

    def _end(self, reason: EndReason, now: float, detail: str = "") -> None:
        self.leave(now)
        self._events.append(LegEnded(reason, detail[:DETAIL_CHARS]))

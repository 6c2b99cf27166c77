"""Digits as RTP events, both ways. RFC 4733 §2.

An event is a key that is held. Its packets repeat one timestamp, that of its begin, while their duration grows, and
the last comes three times. So a digit is known by its timestamp, whichever of its packets got through.
"""

import math
from collections import OrderedDict
from struct import Struct as Layout
from typing import Final, NamedTuple

import msgspec

from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtp import RtpPacket

__all__ = ["DIGITS", "DigitReceiver", "DigitSender", "EventPacket", "TelephoneEvent", "decode", "encode"]

DIGITS: Final = "0123456789*#ABCD"
"""The digit of each event number. RFC 4733 §3.2, table 3."""

_PAYLOAD: Final = Layout(">BBH")
_LONGEST: Final = 0xFFFF
_VOLUME: Final = 10  # -10 dBm0, what most gateways send; RFC 4733 §2.3.3 has 0 to 63

_FRAME: Final = 160
_ENDS: Final = 3  # RFC 4733 §2.5.1.4: the end is sent three times

# sipp replays one recording for every press of a key: the same source, the same timestamp. The packets of a press
# come at most 60 ms apart, and a network that holds one up for a second has lost the call anyway.
_FORGET_S: Final = 1.0
_MOST_REMEMBERED: Final = 16


class TelephoneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One payload. `duration`: how long the key has been held, in samples. `volume`: dB below 0 dBm0."""

    event: int
    ended: bool
    duration: int
    volume: int = _VOLUME


def decode(payload: bytes) -> TelephoneEvent:
    """Decode one payload; what follows its four bytes is none of ours. Raises `RemoteProtocolError`. RFC 4733 §2.3."""
    if len(payload) < _PAYLOAD.size:
        raise RemoteProtocolError(f"a telephone-event of {len(payload)} bytes")
    event, flags, duration = _PAYLOAD.unpack_from(payload)
    return TelephoneEvent(event=event, ended=flags > 0x7F, duration=duration, volume=flags & 0x3F)


def encode(event: TelephoneEvent) -> bytes:
    """The payload of one event. RFC 4733 §2.3."""
    return _PAYLOAD.pack(event.event, event.ended << 7 | event.volume, event.duration)


class DigitReceiver:
    """Digits out of the events of a call, each as soon as the first of its packets is there.

    Any source may send them: some stacks use one of their own beside that of their audio.
    """

    def __init__(self) -> None:
        self._last_at: OrderedDict[tuple[int, int, int], float] = OrderedDict()

    def receive(self, packet: RtpPacket, now: float) -> str | None:
        """The digit that this packet is the first of, one of `DIGITS`; None: no digit, or no new one.

        Raises `RemoteProtocolError` on what is no event.
        """
        event = decode(packet.payload).event
        if event >= len(DIGITS):
            return None  # flash hook, modem and line tones: nobody presses them
        # A duration ends at 0xFFFF, and a key that is held longer begins another segment there, which is the same
        # press whatever was lost of the one before. RFC 4733 §2.5.1.3.
        segments = packet.timestamp, packet.timestamp - _LONGEST & 0xFFFF_FFFF
        known = any(now - self._at(packet.ssrc, begin, event) <= _FORGET_S for begin in segments)
        press = (packet.ssrc, packet.timestamp, event)
        self._last_at[press] = now
        self._last_at.move_to_end(press)
        if len(self._last_at) > _MOST_REMEMBERED:
            self._last_at.popitem(last=False)
        return None if known else DIGITS[event]

    def _at(self, ssrc: int, timestamp: int, event: int) -> float:
        return self._last_at.get((ssrc, timestamp, event), -math.inf)


class EventPacket(NamedTuple):
    """What one packet of an event carries. `timestamp`: that of the event's begin."""

    payload: bytes
    timestamp: int
    marker: bool


class _Held(msgspec.Struct):
    event: int
    timestamp: int
    duration: int = 0
    ends: int = 0


class DigitSender:
    """Digits as events, a packet every 20 ms: `press_ms` each, and at least `gap_ms` of audio between them.

    Both are rounded up to whole frames; ITU-T Q.24 asks receivers to take 40 ms of either. Raises `ValueError`
    where a press takes more than 8 s, which one event cannot hold.
    """

    def __init__(self, *, press_ms: int = 100, gap_ms: int = 80) -> None:
        self._press = -(-press_ms // 20) * _FRAME
        self._gap_frames = -(-gap_ms // 20)
        if not 0 < self._press <= _LONGEST:
            raise ValueError(f"a press of {press_ms} ms")
        self._waiting: list[int] = []
        self._held: _Held | None = None
        self._rest_frames = 0

    @property
    def busy(self) -> bool:
        """Digits wait, or one is being sent."""
        return bool(self._waiting) or self._held is not None

    def press(self, digits: str) -> None:
        """Queue digits, of `DIGITS`. Raises `ValueError` on another one."""
        wrong = [digit for digit in digits if digit not in DIGITS]
        if wrong:
            raise ValueError(f"no digits: {''.join(wrong)!r}")
        self._waiting += map(DIGITS.index, digits)

    def let_go(self) -> None:
        """Send no more of the digit that is held, if one is: who has seen any packet of it knows it."""
        self._held = None

    def take(self, timestamp: int) -> EventPacket | None:
        """What to send instead of the frame of audio that begins at `timestamp`; None: send the audio.

        To be called once for every frame: the frames between two digits are their gap.
        """
        if self._held is None:
            if self._rest_frames:
                self._rest_frames -= 1
                return None
            if not self._waiting:
                return None
            self._held = _Held(self._waiting.pop(0), timestamp)
        return self._next(self._held)

    def _next(self, held: _Held) -> EventPacket:
        first = not held.duration
        if held.duration < self._press:
            held.duration += _FRAME
        if held.duration == self._press:
            held.ends += 1
        if held.ends == _ENDS:
            self._held = None
            # The first two of the gap's frames went by with the repeated ends.
            self._rest_frames = max(self._gap_frames - _ENDS + 1, 1)
        event = TelephoneEvent(event=held.event, ended=held.ends > 0, duration=held.duration)
        return EventPacket(encode(event), held.timestamp, first)

"""The caller's telephone: one time axis for what is said into it and what is heard from it."""

from collections.abc import Callable
from typing import Protocol

import trio

from gateway.audio.g711 import CODECS
from gateway.net.pacing import TICK_S, PacingClock
from gateway.testing.microphone import Microphone
from gateway.testing.twilio_playout import RATE_HZ, SILENCE
from gateway.testing.twilio_stream import FRAME_BYTES, TwilioStream

__all__ = ["CallOver", "Handset"]


class CallOver(Exception):
    """The call has ended, so what was waited for will not come."""


class Streaming(Protocol):
    """A Media Stream that takes the caller's audio."""

    @property
    def stream(self) -> TwilioStream: ...

    def speak(self, payload: bytes, digit: str | None, now: float) -> None: ...

    def advance(self, now: float) -> None: ...


class Handset:
    """Second 0 is the first tick after the first stream of the call was begun; the call's end is the end.

    Between two streams of a call the caller goes on talking; nobody hears it, and nothing is heard.
    """

    def __init__(self, pacing: PacingClock) -> None:
        self.microphone = Microphone()
        self.streams: list[TwilioStream] = []
        self.over = False
        self._pacing = pacing
        self._leave_pacing: Callable[[], None] | None = None
        self._connection: Streaming | None = None
        self._zero_s: float | None = None
        self._frames = 0
        self._waiting = trio.lowlevel.ParkingLot()

    @property
    def now(self) -> float:
        """Seconds on the axis; 0 before it begins."""
        return 0.0 if self._zero_s is None else trio.current_time() - self._zero_s

    def connect(self, connection: Streaming) -> None:
        """From now on the microphone is heard there."""
        self._connection = connection
        self.streams.append(connection.stream)
        if self._leave_pacing is None:
            self._leave_pacing = self._pacing.add(self._tick)
        self.changed()

    def disconnect(self) -> None:
        self._connection = None
        self.changed()

    def put_down(self) -> None:
        """The call is over; the record stays."""
        self.over = True
        self._connection = None
        if self._leave_pacing is not None:
            self._leave_pacing()
        self.changed()

    def changed(self) -> None:
        self._waiting.unpark_all()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something is so; asked at every tick and event. Raises `CallOver`."""
        while not happened():
            if self.over:
                raise CallOver
            await self._waiting.park()

    @property
    def last_audible_s(self) -> float | None:
        heard = [stream.last_audible_s for stream in self.streams if stream.last_audible_s is not None]
        return max(heard, default=None)

    def recording(self) -> tuple[bytes, bytes]:
        """What the caller said, and what he heard: PCM16 at 8 000 Hz, of equal length, on one axis."""
        size_bytes = self._frames * FRAME_BYTES
        heard = bytearray(SILENCE * size_bytes)
        for stream in self.streams:
            for start_s, audio in stream.played:
                at = round(start_s * RATE_HZ)
                heard[at : at + len(audio)] = audio
        decode = CODECS["pcmu"].decode
        return decode(bytes(self.microphone.said)), decode(bytes(heard[:size_bytes]))

    def _tick(self) -> None:
        if self._zero_s is None:
            self._zero_s = trio.current_time()
        now = self.now
        while self._frames < round(now / TICK_S):  # more than one after a stall
            self._frames += 1
            payload, digit = self.microphone.frame()
            if self._connection is not None:
                self._connection.speak(payload, digit, now)
        if self._connection is not None:
            self._connection.advance(now)
        self.changed()

"""Where in time each millisecond of the audio was that a voice was sent. A core."""

from collections import deque
from typing import NamedTuple

__all__ = ["Piece", "Uplink"]

# A turn is taken for over some seconds after the speech at the latest; a minute of pieces of 20 ms is enough.
_MOST_PIECES = 3000

# What a call keeps for a voice that is not reached yet: 3 s.
_MOST_EARLY = 150


class Piece(NamedTuple):
    """The audio up to `end_ms` of what was sent to the voice. `carried_us`: when the carrier brought it."""

    end_ms: float
    carried_us: int
    appended_us: int


class Uplink:
    """The caller's audio on the axis of each session: milliseconds that were sent to it.

    `delay_ms`: how much later a sound leaves the resampler than it came in.
    """

    def __init__(self) -> None:
        self.delay_ms = 0.0
        self._session = 0
        self._sent_ms: dict[int, float] = {}
        self._pieces: deque[Piece] = deque(maxlen=_MOST_PIECES)
        self._early: deque[int] = deque(maxlen=_MOST_EARLY)

    def opening(self) -> None:
        """A session is asked for: from now on audio waits for it."""
        self._early.clear()

    def carried(self, t_us: int) -> None:
        """The carrier brought audio."""
        self._early.append(t_us)

    def appended(self, session: int, ms: float, t_us: int, *, at_once: bool) -> None:
        """So much was sent to a session: what the carrier brought just now, or else the oldest that waited."""
        if session != self._session:
            self._session = session
            self._pieces.clear()
        end_ms = self._sent_ms.get(session, 0.0) + ms
        self._sent_ms[session] = end_ms
        if at_once:
            self._early.clear()
        carried_us = self._early.popleft() if self._early else t_us
        self._pieces.append(Piece(end_ms, carried_us, t_us))

    @property
    def sent_ms(self) -> float:
        """To the session that hears the caller now."""
        return self._sent_ms.get(self._session, 0.0)

    def appended_us(self, at_ms: float) -> int | None:
        """When that point of the axis was sent to the voice; None if it was not, or too long ago."""
        piece = self._piece(at_ms)
        return None if piece is None else piece.appended_us

    def carried_us(self, at_ms: float) -> int | None:
        """When the carrier brought the sound that lies there."""
        piece = self._piece(at_ms - self.delay_ms)
        return None if piece is None else piece.carried_us

    def _piece(self, at_ms: float) -> Piece | None:
        found = None
        for piece in reversed(self._pieces):
            if piece.end_ms < at_ms:
                return found
            found = piece
        return None

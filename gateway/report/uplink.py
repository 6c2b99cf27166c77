"""Where in time each millisecond of the audio was that a voice was sent. A core."""

from collections import deque
from typing import NamedTuple, TypeVar

__all__ = ["Uplink"]

# A turn is taken for over some seconds after the speech at the latest; a minute of frames of 20 ms is enough.
_MOST_PIECES = 3000


class _Arrived(NamedTuple):
    """The carrier brought the caller's audio up to `end_ms`."""

    end_ms: float
    t_us: int


class _Appended(NamedTuple):
    """A session was sent its audio up to `end_ms`, and with it the caller's up to `caller_ms`."""

    end_ms: float
    caller_ms: float
    t_us: int


_Piece = TypeVar("_Piece", _Arrived, _Appended)


class Uplink:
    """The caller's audio, on its own axis and on that of the session that hears it: milliseconds since each began.

    Whatever a session is sent ends with the newest that the carrier brought, also when it is told once more what
    the one before it had heard.
    """

    def __init__(self) -> None:
        self._arrived: deque[_Arrived] = deque(maxlen=_MOST_PIECES)
        self._appended: deque[_Appended] = deque(maxlen=_MOST_PIECES)
        self._session = 0
        self._pieces_ms: list[float] = []  # that the session was sent with this entry
        self.sent_ms = 0.0

    def arrived(self, ms: float, t_us: int) -> None:
        """The carrier brought so much."""
        before_ms = self._arrived[-1].end_ms if self._arrived else 0.0
        self._arrived.append(_Arrived(before_ms + ms, t_us))

    def appended(self, session: int, ms: float) -> None:
        """A session was sent so much."""
        if session != self._session:
            self._session, self.sent_ms = session, 0.0
            self._appended.clear()
            self._pieces_ms.clear()
        self._pieces_ms.append(ms)

    def settle(self, t_us: int) -> None:
        """The entry is over with which all that was."""
        newest_ms = self._arrived[-1].end_ms if self._arrived else 0.0
        waiting_ms = sum(self._pieces_ms)
        for ms in self._pieces_ms:
            waiting_ms -= ms
            self.sent_ms += ms
            self._appended.append(_Appended(self.sent_ms, newest_ms - waiting_ms, t_us))
        self._pieces_ms.clear()

    def appended_us(self, at_ms: float) -> int | None:
        """When that point of the session's axis was sent to it; None if it was not, or too long ago."""
        piece = _covering(self._appended, at_ms)
        return None if piece is None else piece.t_us

    def carried_us(self, at_ms: float, delay_ms: float) -> int | None:
        """When the carrier brought the sound that lies there, `delay_ms` later than it came in."""
        piece = _covering(self._appended, at_ms - delay_ms)
        if piece is None:
            return None
        arrived = _covering(self._arrived, piece.caller_ms - (piece.end_ms - at_ms + delay_ms))
        return None if arrived is None else arrived.t_us


def _covering(pieces: deque[_Piece], at_ms: float) -> _Piece | None:
    found: _Piece | None = None
    for piece in reversed(pieces):
        if piece.end_ms < at_ms:
            return found
        found = piece
    return found if found is not None and len(pieces) < _MOST_PIECES else None

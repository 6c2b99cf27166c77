"""How far the far end has played what RTP carried to it, which nobody tells us. A core.

A packet is under way for some time, and then waits in a jitter buffer. So a frame that was sent may have been heard,
and surely was after the longest way, the most that a jitter buffer holds, and its own 20 ms. Reports measure the way
there and back together: how much of it is the way there, nobody knows.

Nobody can call back what was sent: after `clear` all of it is heard yet, but for the last packet, which may be lost.
Who puts us on hold stops listening instead: of what was not surely heard by then, nothing more is sure.
Where it goes to, and who sends to us, has no part in this.
"""

from collections import deque
from typing import Final

import msgspec

from gateway.media.heard import Heard

__all__ = ["FarBuffer"]

_FRAME_MS: Final = 20
_FRAME_S: Final = 0.02
# PJSIP and our own stop at 200 ms or just above it; Asterisk's is fixed at that.
_BUFFER_S: Final = 0.2
# Until a report tells the round trip: one way within a continent, with room. ITU-T G.114 has 150 ms for the farthest
# call that people still find good, and that is from mouth to ear; and 400 ms for the farthest that is planned at all.
_MOST_WAY_S: Final = 0.1
_LONGEST_WAY_S: Final = 0.4
# Reports come every 5 s, and each measures one packet: the slowest of 40 s counts.
_MEASURES: Final = 8
# Sums of hundredths are not exact.
_EPSILON_S: Final = 1e-6


class _Sent(msgspec.Struct, frozen=True, gc=False):
    at_s: float
    end_ms: int


class FarBuffer:
    """Bounds of what was heard, on the axis of the agent's audio in ms since the call began."""

    def __init__(self) -> None:
        self._low_ms = 0
        self._sent_ms = 0
        self._waiting: deque[_Sent] = deque()  # frames which may not be heard yet
        self._round_trips_s: deque[float] = deque(maxlen=_MEASURES)
        self._way_s = _MOST_WAY_S

    @property
    def heard(self) -> Heard:
        return Heard(self._low_ms, self._sent_ms)

    def measured(self, round_trip_s: float) -> None:
        """A report told how long a packet takes there and back."""
        self._round_trips_s.append(round_trip_s)
        self._way_s = min(max(self._round_trips_s), _LONGEST_WAY_S)

    def sent(self, end_ms: int, now: float) -> None:
        """The frame that ends at `end_ms` of the axis was sent."""
        self._sent_ms = end_ms
        self._waiting.append(_Sent(now, end_ms))

    def advance(self, now: float) -> None:
        """Time passed."""
        until_s = now - self._way_s - _BUFFER_S - _FRAME_S + _EPSILON_S
        while self._waiting and self._waiting[0].at_s <= until_s:
            self._low_ms = self._waiting.popleft().end_ms

    def clear(self, now: float, *, listens: bool = True) -> None:
        """Nothing more is sent of what came before. Not `listens`: nor is what was sent heard to its end."""
        if listens:
            self.advance(now)
            if self._waiting:
                self._low_ms = max(self._low_ms, self._sent_ms - _FRAME_MS)
        # Or else he may have stopped long ago, where that was read late.
        self._waiting.clear()

"""How far the far end has played what RTP carried to it, which nobody tells us. A core.

A packet is under way for half a round trip, and then waits in a jitter buffer. So, of a frame sent at an instant:

- nothing can be heard before half a round trip has passed;
- all of it was heard half a round trip, the most that a jitter buffer holds, and its own 20 ms later.

Nobody can call back what was sent: after `clear` all of it is heard yet, but for the last packet, which may be lost.
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
# call that people still find good, and that is from mouth to ear.
_MOST_WAY_S: Final = 0.1
# Reports come every 5 s, and each measures one packet: the quickest and the slowest of 40 s.
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
        self._high_ms = 0
        self._sent_ms = 0
        self._coming: deque[_Sent] = deque()  # frames of which nothing can be heard yet
        self._waiting: deque[_Sent] = deque()  # and those which may not be heard yet
        self._round_trips_s: deque[float] = deque(maxlen=_MEASURES)
        self._least_s = 0.0
        self._most_s = _MOST_WAY_S

    @property
    def heard(self) -> Heard:
        return Heard(self._low_ms, self._high_ms)

    def measured(self, round_trip_s: float) -> None:
        """A report told how long a packet takes there and back."""
        self._round_trips_s.append(round_trip_s)
        self._least_s = min(self._round_trips_s) / 2
        self._most_s = max(self._round_trips_s) / 2

    def sent(self, end_ms: int, now: float) -> None:
        """The frame that ends at `end_ms` of the axis was sent."""
        self._sent_ms = end_ms
        frame = _Sent(now, end_ms)
        self._coming.append(frame)
        self._waiting.append(frame)

    def advance(self, now: float) -> None:
        """Time passed."""
        self._high_ms = _passed(self._coming, now - self._least_s, self._high_ms)
        self._low_ms = _passed(self._waiting, now - self._most_s - _BUFFER_S - _FRAME_S, self._low_ms)

    def clear(self, now: float) -> None:
        """Nothing more is sent of what came before."""
        self.advance(now)
        if self._waiting:
            self._low_ms = max(self._low_ms, self._sent_ms - _FRAME_MS)
            self._high_ms = self._sent_ms
        self._coming.clear()
        self._waiting.clear()


def _passed(frames: deque[_Sent], until_s: float, end_ms: int) -> int:
    """Take the frames that were sent by then; the end of the last one."""
    until_s += _EPSILON_S
    while frames and frames[0].at_s <= until_s:
        end_ms = frames.popleft().end_ms
    return end_ms

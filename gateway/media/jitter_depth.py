"""How deep a jitter buffer has to be, from how long packets were on their way."""

from bisect import bisect_left, insort
from collections import deque
from typing import Final

__all__ = ["FRAME", "START", "Transits"]

FRAME: Final = 160
"""20 ms at 8000 Hz: what is played at once, so a packet has to be there by so much earlier than its last sample is due."""

# So much of the past counts: quick up, since a new longest time counts at once, and slow down, since it counts so long.
_WINDOW_S: Final = 10.0
_MOST_PACKETS: Final = 500
# One packet in so many may come too late. By the E-model a percent lost costs as much as 140 ms of delay.
_TOLERANCE: Final = 200
# Until a second of packets has come little is known, and the buffer is at least this deep.
_FEW_PACKETS: Final = 50
START: Final = 3 * FRAME


class Transits:
    """The transit times of the last packets, in samples: arrival on our clock less position on the sender's.

    Only their differences mean anything, and the first one is 0. `least` and `most`: bounds of the depth, in samples.
    `earliest`: the time of the quickest packet. `wanted`: the delay from position to playout with which all but one
    packet in 200 are there in time.
    """

    def __init__(self, *, least: int, most: int) -> None:
        self.earliest = 0
        self.wanted = max(START, least)
        self._least = least
        self._most = most
        self._arrived: deque[tuple[float, int]] = deque()
        self._sorted: list[int] = []

    def add(self, transit: int, now: float) -> None:
        arrived, ranked = self._arrived, self._sorted
        arrived.append((now, transit))
        insort(ranked, transit)
        while len(ranked) > _MOST_PACKETS or arrived[0][0] < now - _WINDOW_S:
            _, old = arrived.popleft()
            del ranked[bisect_left(ranked, old)]
        self.earliest = ranked[0]
        needed = ranked[-1 - len(ranked) // _TOLERANCE] + FRAME
        least = self._least if len(ranked) >= _FEW_PACKETS else max(START, self._least)
        self.wanted = min(max(needed, self.earliest + least), self.earliest + self._most)

    def forget(self) -> None:
        """Another stream begins: what is wanted stays until it shows what it needs."""
        self._arrived.clear()
        self._sorted.clear()

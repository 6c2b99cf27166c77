"""How much of our time messages may take: who sends more than there is time for waits, and no call hears of it. A core.

A message costs up to a millisecond, 64 kB of one ten times as much; nobody sends a call's audio meanwhile. So time is
what is counted, not messages: whatever somebody floods us with, it is his own time that he spends.
"""

from collections import OrderedDict
from typing import Final

__all__ = ["Shares"]

# Of one source: 100 calls a second that are set up and hung up take less. The rest is what others find.
_SHARE: Final = (0.4, 0.8)  # of each second, and so many seconds at once
# Of all together, so that audio keeps coming and going while messages wait.
_ALL: Final = (0.6, 0.1)
_MOST_SOURCES: Final = 10_000


class Shares:
    """Seconds of processing, which come back with time. `of_one` and `of_all`: a second's, and the most at once."""

    def __init__(self, *, of_one: tuple[float, float] = _SHARE, of_all: tuple[float, float] = _ALL) -> None:
        self._of_one = _Seconds(*of_one)
        self._of_all = _Seconds(*of_all)

    def has_time(self, host: str, now: float) -> bool:
        """Whether a source has not had more than its share."""
        return self._of_one.left(host, now) > 0

    def rest_s(self, now: float, host: str = "") -> float:
        """How long nothing is to be read; with a `host`, nothing of his."""
        rest_s = self._of_all.until_left("", now)
        return max(rest_s, self._of_one.until_left(host, now)) if host else rest_s

    def spent(self, host: str, seconds: float, now: float) -> None:
        """So much was spent on what came from there."""
        self._of_one.take(host, seconds, now)
        self._of_all.take("", seconds, now)


class _Seconds:
    """What is left of each key's time; less than nothing is, after what took long."""

    def __init__(self, share: float, most_s: float) -> None:
        self._share = share
        self._most_s = most_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # seconds, and when it was so

    def left(self, key: str, now: float) -> float:
        left_s, at = self._left.get(key, (self._most_s, now))
        return min(left_s + (now - at) * self._share, self._most_s)

    def until_left(self, key: str, now: float) -> float:
        return max(0.0, -self.left(key, now)) / self._share

    def take(self, key: str, seconds: float, now: float) -> None:
        self._left[key] = (self.left(key, now) - seconds, now)
        self._left.move_to_end(key)
        if len(self._left) > _MOST_SOURCES:
            self._left.popitem(last=False)

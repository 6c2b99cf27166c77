"""A table at work, with timers that have names. What a table is, `transaction` says. A core."""

from collections.abc import Callable
from typing import Final

from gateway.wire.sip.transaction import Table

__all__ = ["OVER", "Steps"]

OVER: Final = "over"


class Steps:
    """`pause_s`: how long a timer runs that starts now; None: it does not start.

    `happens` and `passes` give what is to be done, without timers, in order. What has no row means nothing. When it
    is over, no timer runs.
    """

    def __init__(self, table: Table, pause_s: Callable[[str], float | None] | None = None) -> None:
        self.state = ""
        self._table = table
        self._pause_s = pause_s
        self._deadlines: dict[str, float] = {}

    @property
    def over(self) -> bool:
        return self.state == OVER

    def can(self, what: str) -> bool:
        """Whether it means something now."""
        return what in self._table.get(self.state, {})

    def happens(self, what: str, now: float) -> list[str]:
        if not self.can(what):
            return []
        row = self._table[self.state][what]
        self.state = row.state
        found = []
        for each in row.does:
            verb, _, timer = each.partition(" ")
            if verb == "start":
                self._start(timer, now)
            elif verb == "stop":
                self._deadlines.pop(timer, None)
            else:
                found.append(each)
        if self.over:
            self._deadlines.clear()
        return found

    def passes(self, now: float) -> list[str]:
        """Time passes: each timer runs out at its own time, the earliest first."""
        found = []
        while due := [(at, timer) for timer, at in self._deadlines.items() if at <= now]:
            at, timer = min(due)
            del self._deadlines[timer]
            found += self.happens(timer, at)
        return found

    @property
    def deadline(self) -> float | None:
        """When `passes` has something to do."""
        return min(self._deadlines.values(), default=None)

    def _start(self, timer: str, now: float) -> None:
        pause_s = self._pause_s(timer) if self._pause_s else None
        if pause_s is not None:
            self._deadlines[timer] = now + pause_s

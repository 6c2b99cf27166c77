"""A state machine as a table, and the table at work, with timers that have names. A core."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

__all__ = ["OVER", "Row", "Steps", "Table"]

OVER: Final = "over"


class Row(NamedTuple):
    """Where something that happens leads, and what is done about it, in order. "start X", "stop X": of a timer."""

    state: str
    does: tuple[str, ...] = ()


Table = Mapping[str, Mapping[str, Row]]
"""State -> what happens -> row. What happens first, happens in the state ""."""


class Steps:
    """`pause_s`: how long a timer runs that starts now; None: it does not start. Its name is the first word.

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
            self._deadlines[timer.partition(" ")[0]] = now + pause_s

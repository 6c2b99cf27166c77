"""One transaction: a request, its retransmissions and its responses, as four tables. RFC 3261 §17, RFC 6026. A core."""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "INVITE_CLIENT",
    "INVITE_SERVER",
    "NON_INVITE_CLIENT",
    "NON_INVITE_SERVER",
    "TERMINATED",
    "Machine",
    "Row",
    "Table",
    "Timing",
]

TERMINATED = "terminated"


class Timing(NamedTuple):
    """RFC 3261 §17.1.1.1: the round trip, the longest pause between retransmissions, how long a message may live."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0


class Row(NamedTuple):
    """Where something that happens leads, and what is done about it, in order."""

    state: str
    does: tuple[str, ...] = ()


Table = Mapping[str, Mapping[str, Row]]

# What is done: "send" the request, or the last response; "ack" a final response that is no 2xx; "deliver" what came
# to whoever uses the transaction; tell him that it "timed out" or that the transport is "broken"; "start X" and
# "stop X" of a timer.

INVITE_CLIENT: Table = {  # RFC 3261 figure 5, as RFC 6026 §7.2 and figure 2 change it
    "": {"begin": Row("calling", ("send", "start A", "start B"))},
    "calling": {
        "A": Row("calling", ("send", "start A")),
        "B": Row(TERMINATED, ("timed out",)),
        "1xx": Row("proceeding", ("stop A", "stop B", "deliver")),
        "2xx": Row("accepted", ("stop A", "stop B", "start M", "deliver")),
        "3xx-6xx": Row("completed", ("stop A", "stop B", "ack", "start D", "deliver")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "proceeding": {
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("accepted", ("start M", "deliver")),
        "3xx-6xx": Row("completed", ("ack", "start D", "deliver")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "completed": {
        "3xx-6xx": Row("completed", ("ack",)),
        "D": Row(TERMINATED),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "accepted": {  # each 2xx, of whichever fork, is acknowledged by the user, not here
        "2xx": Row("accepted", ("deliver",)),
        "M": Row(TERMINATED),
    },
}

NON_INVITE_CLIENT: Table = {  # RFC 3261 figure 6
    "": {"begin": Row("trying", ("send", "start E", "start F"))},
    "trying": {
        "E": Row("trying", ("send", "start E")),
        "F": Row(TERMINATED, ("timed out",)),
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "3xx-6xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "proceeding": {
        "E": Row("proceeding", ("send", "start E at T2")),
        "F": Row(TERMINATED, ("timed out",)),
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "3xx-6xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "completed": {"K": Row(TERMINATED)},
}

INVITE_SERVER: Table = {  # RFC 3261 figure 7, as RFC 6026 §7.1 and figure 1 change it
    "": {"begin": Row("proceeding", ("deliver",))},
    "proceeding": {
        "request": Row("proceeding", ("send",)),
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("accepted", ("send", "start L")),
        "tell 3xx-6xx": Row("completed", ("send", "start G", "start H")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "completed": {
        "request": Row("completed", ("send",)),
        "G": Row("completed", ("send", "start G")),
        "H": Row(TERMINATED, ("timed out",)),
        "ACK": Row("confirmed", ("stop G", "stop H", "start I")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "confirmed": {"I": Row(TERMINATED)},
    "accepted": {  # the user sends a 2xx again until it is acknowledged, not the transaction
        "tell 2xx": Row("accepted", ("send",)),
        "ACK": Row("accepted", ("deliver",)),
        "L": Row(TERMINATED),
    },
}

NON_INVITE_SERVER: Table = {  # RFC 3261 figure 8
    "": {"begin": Row("trying", ("deliver",))},
    "trying": {
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("completed", ("send", "start J")),
        "tell 3xx-6xx": Row("completed", ("send", "start J")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "proceeding": {
        "request": Row("proceeding", ("send",)),
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("completed", ("send", "start J")),
        "tell 3xx-6xx": Row("completed", ("send", "start J")),
        "broken": Row(TERMINATED, ("broken",)),
    },
    "completed": {
        "request": Row("completed", ("send",)),
        "J": Row(TERMINATED),
        "broken": Row(TERMINATED, ("broken",)),
    },
}

# RFC 3261 table 4. Retransmissions double from T1; on a transport that is reliable there are none, and nothing has
# to be absorbed.
_RETRANSMITS = frozenset("AEG")
_AT_MOST_T2 = frozenset("EG")
_ABSORBS = frozenset("DIJK")
_TIMER_D_S = 32.0  # at least, whatever T1


class Machine:
    """A transaction's table at work. `reliable`: the transport retransmits by itself.

    `does`: what was done since it was last read, in order: "send", "ack", "deliver", "timed out", "broken". What
    has no row means nothing.
    """

    def __init__(self, table: Table, *, reliable: bool, timing: Timing) -> None:
        self.state = ""
        self._table = table
        self._reliable = reliable
        self._timing = timing
        self._deadlines: dict[str, float] = {}
        self._pauses_s: dict[str, float] = {}

    def happens(self, what: str, now: float) -> list[str]:
        """Something happens: what is to be done, without timers, in order."""
        row = self._table[self.state].get(what) if self.state != TERMINATED else None
        if row is None:
            return []
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
        if self.state == TERMINATED:
            self._deadlines.clear()
        return found

    def passes(self, now: float) -> list[str]:
        """Time passes: what is to be done because of it."""
        found = []
        while (timer := self._due(now)) is not None:
            at = self._deadlines.pop(timer)
            found += self.happens(timer, at)
        return found

    @property
    def deadline(self) -> float | None:
        """When `passes` has something to do, on the clock of `now`."""
        return min(self._deadlines.values(), default=None)

    def _due(self, now: float) -> str | None:
        due = [(at, timer) for timer, at in self._deadlines.items() if at <= now]
        return min(due)[1] if due else None

    def _start(self, timer: str, now: float) -> None:
        name, _, at_t2 = timer.partition(" ")
        pause_s = self._timing.t2_s if at_t2 else self._pause_s(name)
        if pause_s is not None:
            self._deadlines[name] = now + pause_s

    def _pause_s(self, timer: str) -> float | None:
        timing = self._timing
        if timer in _RETRANSMITS:
            if self._reliable:
                return None
            pause_s = self._pauses_s.get(timer, timing.t1_s)
            doubled_s = 2 * pause_s
            self._pauses_s[timer] = min(doubled_s, timing.t2_s) if timer in _AT_MOST_T2 else doubled_s
            return pause_s
        if timer in _ABSORBS and self._reliable:
            return 0.0
        if timer == "D":
            return max(_TIMER_D_S, 64 * timing.t1_s)
        return timing.t4_s if timer in "IK" else 64 * timing.t1_s

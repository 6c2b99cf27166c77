"""One transaction: a request, its retransmissions and its responses, as four tables. RFC 3261 §17, RFC 6026. A core."""

from typing import NamedTuple

from gateway.wire.sip.steps import OVER, Row, Steps, Table

__all__ = [
    "INVITE_CLIENT",
    "INVITE_SERVER",
    "NON_INVITE_CLIENT",
    "NON_INVITE_SERVER",
    "Timing",
    "machine",
]


class Timing(NamedTuple):
    """RFC 3261 §17.1.1.1: the round trip, the longest pause between retransmissions, how long a message may live."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0


# What is done: "send" the request, or the last response; "ack" a final response that is no 2xx; "deliver" what came
# to whoever uses the transaction; tell him that it "timed out" or that the transport is "broken"; "start X" and
# "stop X" of a timer.

INVITE_CLIENT: Table = {  # RFC 3261 figure 5, as RFC 6026 §7.2 and figure 2 change it
    "": {"begin": Row("calling", ("send", "start A", "start B"))},
    "calling": {
        "A": Row("calling", ("send", "start A")),
        "B": Row(OVER, ("timed out",)),
        "1xx": Row("proceeding", ("stop A", "stop B", "deliver")),
        "2xx": Row("accepted", ("stop A", "stop B", "start M", "deliver")),
        "3xx-6xx": Row("completed", ("stop A", "stop B", "ack", "start D", "deliver")),
        "broken": Row(OVER, ("broken",)),
    },
    "proceeding": {
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("accepted", ("start M", "deliver")),
        "3xx-6xx": Row("completed", ("ack", "start D", "deliver")),
        "broken": Row(OVER, ("broken",)),
    },
    "completed": {
        "3xx-6xx": Row("completed", ("ack",)),
        "D": Row(OVER),
        "broken": Row(OVER, ("broken",)),
    },
    "accepted": {  # each 2xx, of whichever fork, is acknowledged by the user, not here
        "2xx": Row("accepted", ("deliver",)),
        "M": Row(OVER),
    },
}

NON_INVITE_CLIENT: Table = {  # RFC 3261 figure 6
    "": {"begin": Row("trying", ("send", "start E", "start F"))},
    "trying": {
        "E": Row("trying", ("send", "start E")),
        "F": Row(OVER, ("timed out",)),
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "3xx-6xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "broken": Row(OVER, ("broken",)),
    },
    "proceeding": {
        "E": Row("proceeding", ("send", "start E at T2")),
        "F": Row(OVER, ("timed out",)),
        "1xx": Row("proceeding", ("deliver",)),
        "2xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "3xx-6xx": Row("completed", ("stop E", "stop F", "start K", "deliver")),
        "broken": Row(OVER, ("broken",)),
    },
    "completed": {"K": Row(OVER)},
}

INVITE_SERVER: Table = {  # RFC 3261 figure 7, as RFC 6026 §7.1 and figure 1 change it
    "": {"begin": Row("proceeding", ("deliver",))},
    "proceeding": {
        "request": Row("proceeding", ("send",)),
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("accepted", ("send", "start L")),
        "tell 3xx-6xx": Row("completed", ("send", "start G", "start H")),
        "broken": Row(OVER, ("broken",)),
    },
    "completed": {
        "request": Row("completed", ("send",)),
        "G": Row("completed", ("send", "start G")),
        "H": Row(OVER, ("timed out",)),
        "ACK": Row("confirmed", ("stop G", "stop H", "start I")),
        "broken": Row(OVER, ("broken",)),
    },
    "confirmed": {"I": Row(OVER)},
    "accepted": {  # the user sends a 2xx again until it is acknowledged, not the transaction
        "tell 2xx": Row("accepted", ("send",)),
        "ACK": Row("accepted", ("deliver",)),
        "L": Row(OVER),
    },
}

NON_INVITE_SERVER: Table = {  # RFC 3261 figure 8
    "": {"begin": Row("trying", ("deliver",))},
    "trying": {
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("completed", ("send", "start J")),
        "tell 3xx-6xx": Row("completed", ("send", "start J")),
        "broken": Row(OVER, ("broken",)),
    },
    "proceeding": {
        "request": Row("proceeding", ("send",)),
        "tell 1xx": Row("proceeding", ("send",)),
        "tell 2xx": Row("completed", ("send", "start J")),
        "tell 3xx-6xx": Row("completed", ("send", "start J")),
        "broken": Row(OVER, ("broken",)),
    },
    "completed": {
        "request": Row("completed", ("send",)),
        "J": Row(OVER),
        "broken": Row(OVER, ("broken",)),
    },
}

# RFC 3261 table 4. Retransmissions double from T1; on a transport that is reliable there are none, and nothing has
# to be absorbed.
_RETRANSMITS = frozenset("AEG")
_AT_MOST_T2 = frozenset("EG")
_ABSORBS = frozenset("DIJK")
_TIMER_D_S = 32.0  # at least, whatever T1


def machine(table: Table, *, reliable: bool, timing: Timing) -> Steps:
    """A transaction's table at work. `reliable`: the transport retransmits by itself."""
    return Steps(table, _Pauses(reliable=reliable, timing=timing).of)


class _Pauses:
    """How long each timer of one transaction runs."""

    def __init__(self, *, reliable: bool, timing: Timing) -> None:
        self._reliable = reliable
        self._timing = timing
        self._next_s: dict[str, float] = {}  # of retransmissions

    def of(self, timer: str) -> float | None:
        timing = self._timing
        if timer.endswith(" at T2"):
            return timing.t2_s
        if timer in _RETRANSMITS:
            return None if self._reliable else self._doubling_s(timer)
        if timer in _ABSORBS and self._reliable:
            return 0.0
        if timer == "D":
            return max(_TIMER_D_S, 64 * timing.t1_s)
        return timing.t4_s if timer in "IK" else 64 * timing.t1_s

    def _doubling_s(self, timer: str) -> float:
        pause_s = self._next_s.get(timer, self._timing.t1_s)
        self._next_s[timer] = min(2 * pause_s, self._timing.t2_s) if timer in _AT_MOST_T2 else 2 * pause_s
        return pause_s

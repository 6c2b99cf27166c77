"""Keys that come in two ways at once. A core."""

from collections import deque
from typing import Final, Literal, NamedTuple

from gateway.wire.telephone_event import DIGITS

__all__ = ["Keys", "Way"]

# An INFO is sent when the key is let go, and again after half a second, and a second more, if it is lost.
_SAME_S: Final = 3.0
_MOST_REMEMBERED: Final = 32

Way = Literal["event", "info"]


class _Press(NamedTuple):
    digit: str
    way: Way
    at_s: float


class Keys:
    """Each press once, though some phones send it as an RTP event (RFC 4733) and by INFO as well."""

    def __init__(self) -> None:
        self._unmatched: deque[_Press] = deque(maxlen=_MOST_REMEMBERED)

    def press(self, digit: str, way: Way, now: float) -> bool | None:
        """Whether this is a press of its own; None: it is no key."""
        if len(digit) != 1 or digit not in DIGITS:
            return None
        for press in self._unmatched:
            if press.digit == digit and press.way != way and now - press.at_s <= _SAME_S:
                self._unmatched.remove(press)
                return False
        self._unmatched.append(_Press(digit, way, now))
        return True

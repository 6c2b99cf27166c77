"""When to try again what has failed. RFC 5626 §4.5, RFC 3261 §20.33. A core."""

from typing import TYPE_CHECKING, Final, TypeVar

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import RETRY_AFTER
from gateway.wire.sip.headers import Field, HeaderMap
from gateway.wire.sip.message import Response

if TYPE_CHECKING:
    from random import Random

__all__ = ["Backoff", "readable", "retry_after_s"]

T = TypeVar("T")

# A server that is down for longer says so again.
_LONGEST_RETRY_AFTER_S: Final = 3600.0


class Backoff:
    """Pauses that double from `first_s` to `most_s`, each cut by up to a half so that many clients spread."""

    def __init__(self, first_s: float, most_s: float, rng: "Random") -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._rng = rng
        self._failures = 0

    def failed(self, *, at_least_s: float = 0.0, for_good: bool = False) -> float:
        """How long to wait now. `at_least_s`: what a server asked for. `for_good`: trying soon would annoy it."""
        pause_s = (
            self._most_s if for_good else min(self._most_s, self._first_s * 2 ** min(self._failures, 30))
        )
        self._failures += 1
        return max(at_least_s, pause_s * self._rng.uniform(0.5, 1.0))

    def worked(self) -> None:
        self._failures = 0


def retry_after_s(response: Response) -> float:
    """How long its sender wants to be left alone, an hour at most; 0 where he does not say."""
    said = readable(response.headers, RETRY_AFTER)
    return 0.0 if said is None else min(float(said.seconds), _LONGEST_RETRY_AFTER_S)


def readable(headers: HeaderMap, field: Field[T]) -> T | None:
    """What a header means that we can do without: None also where nobody can read it."""
    try:
        return headers.get(field)
    except SipSyntaxError:
        return None

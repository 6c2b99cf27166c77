"""Where to try next when a place does not take a request. RFC 3263 §4.3. A core."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from gateway.wire.sip.resolver import Target

__all__ = ["Failover", "Outages"]

_MOST_OUTAGES: Final = 1000


class Failover:
    """One request at one place after the other, each time as a new transaction. RFC 3263 §4.3.

    `avoid`: places that are known to be down; they come last. `target`: where to try now; None: nowhere is left.
    """

    def __init__(self, targets: Iterable[Target], *, avoid: Iterable[Target] = ()) -> None:
        avoided = frozenset(avoid)
        self._left = sorted(targets, key=lambda target: target in avoided)
        self._answers = False

    @property
    def target(self) -> Target | None:
        return self._left[0] if self._left else None

    @property
    def has_alternative(self) -> bool:
        """Whether it could still be tried elsewhere: nothing was answered here."""
        return not self._answers and len(self._left) > 1

    def answered(self, status: int) -> bool:
        """A response came. True: it is one that has the request tried elsewhere, and there is such a place."""
        self._answers = True
        return status == 503 and self._go_on()

    def unanswered(self) -> bool:
        """It timed out, or the transport broke. True: try at `target`. Who had begun to answer is not given up so."""
        return not self._answers and self._go_on()

    def _go_on(self) -> bool:
        del self._left[:1]
        self._answers = False
        return bool(self._left)


class Outages:
    """Which places are down, as far as requests have found out."""

    def __init__(self) -> None:
        self._until: OrderedDict[Target, float] = OrderedDict()

    def down(self, target: Target, until: float) -> None:
        """It is of no use until then."""
        self._until[target] = until
        self._until.move_to_end(target)
        if len(self._until) > _MOST_OUTAGES:
            self._until.popitem(last=False)

    def up(self, target: Target) -> None:
        """Something came from there."""
        self._until.pop(target, None)

    def at(self, now: float) -> frozenset[Target]:
        """What is down now."""
        return frozenset(target for target, until in self._until.items() if now < until)

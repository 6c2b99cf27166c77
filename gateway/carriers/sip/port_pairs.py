"""Which ports a call may have for its media: pairs, an even one for RTP and the next for RTCP. RFC 3550 §11. A core."""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["PortPairs"]


class PortPairs:
    """Pairs are named by their even port.

    They begin in no order, so that nobody can tell where the next call will be, and go round, the longest unused
    first. What was given back rests for `quarantine_s`: packets of the call before would be the next one's strangers,
    or worse. Raises `ValueError` if `ports` has no pair.
    """

    def __init__(self, ports: range, rng: "Random", *, quarantine_s: float) -> None:
        first = ports.start + ports.start % 2
        pairs = [port for port in range(first, ports.stop, 2) if port + 1 < ports.stop]
        if not pairs:
            raise ValueError(f"no pair of ports in {ports.start}-{ports.stop - 1}")
        rng.shuffle(pairs)
        self._free = deque(pairs)
        self._resting: deque[tuple[float, int]] = deque()
        self._quarantine_s = quarantine_s

    def __len__(self) -> int:
        """How many are free, those included that another program may have."""
        return len(self._free)

    @property
    def resting(self) -> int:
        return len(self._resting)

    def take(self, now: float) -> int | None:
        """A pair for a call; None: there is none."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        return self._free.popleft() if self._free else None

    def put_back(self, pair: int) -> None:
        """Another program has it: its turn comes again."""
        self._free.append(pair)

    def rest(self, pair: int, now: float) -> None:
        """A call is done with it."""
        self._resting.append((now + self._quarantine_s, pair))

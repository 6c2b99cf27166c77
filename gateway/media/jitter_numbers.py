"""Which sequence numbers of a stream have come: what is missing, and what came twice."""

from typing import Final

from gateway.wire.rtp import sequence_step

__all__ = ["Numbers"]

# A network does not hold a packet back for ten seconds; what is older than that is not known to have come.
_REMEMBERED: Final = 512
_MASK: Final = (1 << _REMEMBERED) - 1
_MAX_DROPOUT: Final = 3000  # RFC 3550 A.1


class Numbers:
    """The numbers of a stream of which the first packet to come is `first`, to be added as well."""

    def __init__(self, first: int) -> None:
        self._newest = first - 1 & 0xFFFF
        self._span = 0  # from the oldest number that is known to the newest
        self._came = 0  # a bit for each number, the newest lowest

    def follows(self, sequence: int) -> bool:
        """Add a number, if it is the next one, as nearly all are. Whether it was."""
        if sequence != self._newest + 1 & 0xFFFF:
            return False
        self._newest = sequence
        self._span += 1
        self._came = (self._came << 1 | 1) & _MASK
        return True

    def jumps(self, sequence: int) -> bool:
        """Whether this number is so far from the newest that its sender began anew."""
        return abs(sequence_step(sequence, self._newest)) > _MAX_DROPOUT

    def newer(self, sequence: int) -> bool:
        """Whether nothing with a higher number has come."""
        return sequence_step(sequence, self._newest) > 0

    def add(self, sequence: int) -> int | None:
        """How many numbers are missing more than before: -1 where one came belatedly. None: it came before."""
        step = sequence_step(sequence, self._newest)
        if step > 0:
            self._newest = sequence
            self._span += step
            self._came = (self._came << step | 1) & _MASK if step < _REMEMBERED else 1
            return step - 1
        bit = 1 << -step
        if self._came & bit or bit > _MASK:
            return None
        self._came |= bit
        if -step < self._span:
            return -1
        missed = -step - self._span  # it was sent before the first that came
        self._span = 1 - step
        return missed

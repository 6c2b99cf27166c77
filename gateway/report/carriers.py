"""What a report has to know of a carrier: its messages, as what happened. The seam to gateway/carriers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from gateway.report.happenings import Happening

__all__ = ["CarrierReader", "Readers"]


class CarrierReader(Protocol):
    """Reads one call's messages, in the order of its trace. What it does not know it passes over; nothing is raised.

    It tells of the caller's audio (`CallerAudio`) and keys, of the agent's audio as it is sent (`AudioSent`, and
    `SilenceSent` where the carrier is sent that without the agent), and of marks, clears and signalling where the
    carrier has them.
    """

    def received(self, message: str | bytes, t_us: int) -> Iterable[Happening]:
        """The call was fed one message of the carrier."""

    def sent(self, message: str | bytes, t_us: int) -> Iterable[Happening]:
        """The carrier was sent one message, because of what was fed last."""

    def ticked(self, t_us: int) -> Iterable[Happening]:
        """Time passed, as the call was told."""


# The readers by the name that traces know a carrier by.
Readers = Mapping[str, Callable[[], CarrierReader]]

"""What decides what an embedded voice says."""

from typing import Any, NamedTuple, Protocol

__all__ = ["Act", "Brain", "Turn"]


class Act(NamedTuple):
    """A function to be called, with its arguments."""

    name: str
    arguments: dict[str, Any]


class Turn(NamedTuple):
    """An answer. `say`: "" says nothing. `matched`: the wish or the slot that was understood."""

    say: str
    matched: str | None = None
    actions: tuple[Act, ...] = ()


class Brain(Protocol):
    """Answers one caller, one turn after the other."""

    def begin(self) -> Turn:
        """Speak first."""

    def heard(self, text: str) -> Turn:
        """Answer what the caller said, as far as it could be written down."""

    def digit(self, digit: str) -> Turn:
        """Answer a key: 0 to 9, * or #."""

    def silence(self) -> Turn:
        """Say something because the caller does not."""

    def told(self, name: str, output: str) -> Turn:
        """Go on when a function of an earlier turn has given its result."""

"""What decides what an embedded voice says: a script, which answers at once, or a model, which takes its time."""

from typing import Any, Literal, NamedTuple, Protocol

import msgspec

__all__ = ["Act", "Brain", "Decided", "Failure", "Thought", "Turn", "Words"]


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
    """Answers one caller at once, one turn after the other."""

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


# -- the answer of a model, piece by piece


class Words(msgspec.Struct, frozen=True):
    """The next sentence, as it is to be spoken."""

    text: str


class Decided(msgspec.Struct, frozen=True):
    """The answer is whole. `cut`: or it was made to end there."""

    actions: tuple[Act, ...] = ()
    cut: Literal["max_output_tokens", "content_filter"] | None = None


class Failure(msgspec.Struct, frozen=True):
    """There is no answer, or no more of it. As `status_details.error` of a response; holds no secret."""

    type: str
    code: str
    message: str


Thought = Words | Decided | Failure

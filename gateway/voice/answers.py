"""One answer of the voice, and what is given of it to those who take it."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from gateway.voice.tool_answers import ToolAnswers

__all__ = ["Answer", "AudioChunk", "Cut", "CutItem", "Piece", "Response"]


class AudioChunk(NamedTuple):
    """The next audio of a response, in the format of the session."""

    data: bytes
    item_id: str


class Response(NamedTuple):
    """A complete response. `data`: its audio in the format of the session, which lasts `duration_ms`.

    `status`: completed, cancelled, incomplete or failed. `item_id`: of what was said last, "" if nothing was.
    """

    data: bytes
    transcript: str
    item_id: str
    status: str
    duration_ms: int


class CutItem(NamedTuple):
    """An item of which not all was heard. In ms of its audio."""

    item_id: str
    heard_ms: int
    received_ms: float


class Cut(NamedTuple):
    """What an interruption took: items, and answers that are over because of it."""

    items: Sequence[CutItem]
    answers: Sequence["Answer"]


class Piece(NamedTuple):
    """Audio as the voice sent it. `ends_ms`: where in its answer; `last`: of its item."""

    audio: bytes
    item_id: str
    ends_ms: float
    last: bool = False


class Answer(msgspec.Struct, eq=False):
    """One answer, from the moment that it is wanted. Functions that are called in between do not end it."""

    status: str | None = None  # None: it is not over
    due: bool = True  # the voice has all that it is to answer
    begun: bool = False
    refused: bool = False  # the voice was busy when it was asked
    calling: bool = False  # the voice has called functions, and goes on when it has their results
    cut: bool = False
    tools: ToolAnswers = msgspec.field(default_factory=ToolAnswers)
    pieces: deque[Piece] = msgspec.field(default_factory=deque)  # that nobody has taken
    items: dict[str, float] = msgspec.field(default_factory=dict)  # ms received
    words: dict[str, str] = msgspec.field(default_factory=dict)  # by item
    taken_ms: float = 0.0

    @property
    def received_ms(self) -> float:
        return sum(self.items.values())

    @property
    def transcript(self) -> str:
        return " ".join(words for words in self.words.values() if words)

    @property
    def last_item(self) -> str:
        return next(reversed(self.items), "")

    @property
    def waits(self) -> bool:
        """The voice has to be asked for it, or to go on with it, and can be."""
        if self.calling:
            return not self.tools.running
        return self.due and not self.begun

    def said(self, item_id: str, audio: bytes, duration_ms: float, *, last: bool = False) -> None:
        """The voice said more of it, unless it was cut."""
        if not self.cut:
            self.items[item_id] = self.items.get(item_id, 0.0) + duration_ms
            self.pieces.append(Piece(audio, item_id, self.received_ms, last))

    def is_heard(self, heard_ms: float) -> bool:
        """Whether `heard_ms` are all that there is and will be."""
        return self.status is not None and heard_ms >= self.received_ms

    def missing(self, heard_ms: float, unfinished: Collection[str]) -> list[CutItem]:
        """The items of which more than the first `heard_ms` of the answer was said, or will have been."""
        found = []
        for item_id, received_ms in self.items.items():
            heard_of_it_ms = min(heard_ms, received_ms)
            heard_ms -= heard_of_it_ms
            if heard_of_it_ms < received_ms or item_id in unfinished:
                found.append(CutItem(item_id, int(heard_of_it_ms), received_ms))
        return found

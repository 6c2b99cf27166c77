"""What the voice answers, in the order in which it was asked, until somebody takes it. A core.

Somebody who takes audio is taken to play it, from then on and without a pause: so much of it was heard, unless he
knows better.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

__all__ = ["Answer", "AudioChunk", "Cut", "CutItem", "Response", "Responses"]


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


class Answer(msgspec.Struct, eq=False):
    """One answer, from the moment that it is wanted. Functions that are called in between do not end it."""

    status: str | None = None  # None: it is not over
    due: bool = True  # the voice has all that it is to answer
    asked: bool = False
    begun: bool = False
    calling: bool = False  # the voice has called functions, and goes on when it has their results
    cut: bool = False
    chunks: deque[tuple[AudioChunk, float]] = msgspec.field(default_factory=deque)  # with their ms
    items: dict[str, float] = msgspec.field(default_factory=dict)  # ms received
    words: dict[str, str] = msgspec.field(default_factory=dict)
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


class Responses:
    """The answers of one session."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()  # not taken
        self._by_response: dict[str, Answer] = {}  # that the voice is making
        self._current: Answer | None = None
        self._playing: Answer | None = None  # what was taken from last
        self._plays_until = 0.0

    # -- what is wanted of the voice

    def want(self, *, due: bool = True) -> Answer:
        """There will be one more answer."""
        answer = Answer(due=due)
        self._answers.append(answer)
        return answer

    @property
    def to_ask_for(self) -> Answer | None:
        """What the voice is to be asked for next; None while it is still busy with another answer."""
        first = self._unfinished()
        return first if first is not None and first.due and not first.asked and not first.begun else None

    @property
    def calling(self) -> bool:
        """The answer under way goes on when the voice has the results of its functions."""
        return self._current is not None and self._current.calling

    # -- what the voice says

    def begin(self, response: str) -> None:
        """It begins to answer; or goes on, after functions were called."""
        if self._current is None or not self._current.calling:
            answer = self._unfinished()
            if answer is None or answer.begun:  # nobody asked for it
                answer = self.want()
            self._current = answer
        self._current.begun, self._current.calling = True, False
        self._by_response[response] = self._current

    def audio(self, chunk: AudioChunk, duration_ms: float) -> None:
        """It says more; `duration_ms` of it in the voice's own time."""
        answer = self._speaking()
        answer.items[chunk.item_id] = answer.items.get(chunk.item_id, 0.0) + duration_ms
        if chunk.data:
            answer.chunks.append((chunk, duration_ms))

    def rest(self, chunk: AudioChunk) -> None:
        """The end of an item's audio, as far as it was still on its way."""
        if chunk.data and self._current is not None:
            self._current.chunks.append((chunk, 0.0))

    def words(self, item_id: str, text: str) -> None:
        """What it said in `item_id`."""
        for answer in (self._current, self._playing, *self._answers):
            if answer is not None and item_id in answer.items and not answer.cut:
                answer.words[item_id] = text
                return

    def end(self, response: str, status: str, *, calls: bool) -> Answer | None:
        """It has made a response. Gives the answer that is over with it; none while functions are called."""
        answer = self._by_response.pop(response, None)
        if answer is None or answer.status is not None:
            return None
        if calls:
            answer.calling = True
            return None
        return self._finish(answer, status)

    def refused(self) -> Answer | None:
        """It will not answer what it was asked for."""
        answer = self._current if self.calling else self._unfinished()
        if answer is None or not (answer.calling or answer.asked):
            return None
        return self._finish(answer, "failed")

    # -- what is taken

    def __contains__(self, answer: object) -> bool:
        """Whether nobody has taken it."""
        return answer in self._answers

    @property
    def front(self) -> Answer | None:
        """The answer that is taken next."""
        return self._answers[0] if self._answers else None

    @property
    def queued_ms(self) -> float:
        """Audio that nobody has taken."""
        return sum(answer.received_ms - answer.taken_ms for answer in self._answers if not answer.cut)

    def take_chunk(self, now: float) -> AudioChunk | None:
        """The next audio of the first answer. None: there is no more of it by now, or at all (see its `status`)."""
        answer = self.front
        if answer is None or not answer.chunks:
            return None
        chunk, duration_ms = answer.chunks.popleft()
        self._play(answer, duration_ms, now)
        return chunk

    def take_whole(self, now: float) -> Response | None:
        """What is left of the first answer, if that is over."""
        answer = self.front
        if answer is None or answer.status is None:
            return None
        duration_ms = sum(chunk_ms for _, chunk_ms in answer.chunks)
        data = b"".join(chunk.data for chunk, _ in answer.chunks)
        answer.chunks.clear()
        self._play(answer, duration_ms, now)
        self.take_end()
        return Response(data, answer.transcript, answer.last_item, answer.status, round(duration_ms))

    def take_end(self) -> bool:
        """Whether the first answer is over and all of its audio was taken; then the next one is the first."""
        answer = self.front
        if answer is None or answer.status is None or answer.chunks:
            return False
        self._answers.popleft()
        return True

    def take_this(self, answer: Answer, now: float) -> Response | None:
        """What is left of `answer`, if it is over. What was answered before it is dropped."""
        while self._answers and self._answers[0] is not answer and self._answers[0].status is not None:
            self._answers.popleft()
        return self.take_whole(now) if self.front is answer else None

    # -- an interruption

    def cut(self, now: float, heard_ms: float | None) -> Cut:
        """Forget all that was not heard.

        `heard_ms`: how much of the answer that is being played; None: as much as there was time for.
        """
        said = [answer for answer in self._answers if answer.begun and not answer.cut]
        if self._playing is not None and not self._playing.cut and self._playing not in said:
            said.insert(0, self._playing)
        if heard_ms is None:
            heard_ms = self._played_ms(now)
        items: list[CutItem] = []
        answers: list[Answer] = []
        for answer in said:
            missing = _missing(answer, heard_ms if answer is said[0] else 0.0)
            items += missing
            if answer.status is None:
                answers.append(self._finish(answer, "cancelled"))
            if missing or answer in answers:
                answer.cut = True
                answer.chunks.clear()
        self._plays_until = min(self._plays_until, now)
        return Cut(items, answers)

    def _played_ms(self, now: float) -> float:
        if self._playing is None:
            return 0.0
        return max(self._playing.taken_ms - max(self._plays_until - now, 0.0) * 1000, 0.0)

    # -- one answer

    def _unfinished(self) -> Answer | None:
        return next((answer for answer in self._answers if answer.status is None), None)

    def _speaking(self) -> Answer:
        if self._current is None:  # the voice does not say when it begins
            self._current = self._unfinished() or self.want()
            self._current.begun = True
        return self._current

    def _finish(self, answer: Answer, status: str) -> Answer:
        answer.status, answer.calling = status, False
        if self._current is answer:
            self._current = None
        return answer

    def _play(self, answer: Answer, duration_ms: float, now: float) -> None:
        self._playing = answer
        answer.taken_ms += duration_ms
        self._plays_until = max(self._plays_until, now) + duration_ms / 1000


def _missing(answer: Answer, heard_ms: float) -> list[CutItem]:
    found = []
    for item, received_ms in answer.items.items():
        heard_of_it_ms = min(heard_ms, received_ms)
        heard_ms -= heard_of_it_ms
        if heard_of_it_ms < received_ms:
            found.append(CutItem(item, int(heard_of_it_ms), received_ms))
    return found

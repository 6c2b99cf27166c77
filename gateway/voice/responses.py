"""What the voice answers, in the order in which it was asked, until somebody takes it. A core.

Somebody who takes audio is taken to play it, from then on and without a pause: so much of it was heard, unless he
knows better.
"""

import math
from collections import deque
from collections.abc import Collection

from gateway.contracts import AudioFormat
from gateway.voice.answers import Answer, AudioChunk, Cut, CutItem, Response
from gateway.voice.conversion import Conversion
from gateway.voice.playing import Playing

__all__ = ["Answer", "AudioChunk", "Cut", "CutItem", "Response", "Responses"]


class Responses:
    """The answers of one session. `said`: the format in which the voice speaks, `form`: in which it is taken."""

    def __init__(self, said: AudioFormat, form: AudioFormat) -> None:
        self._said = said
        self._answers: deque[Answer] = deque()  # not taken
        self._asked: Answer | None = None  # the voice was asked for it, and has not begun
        self._current: Answer | None = None  # it is making, or will go on with
        self._by_response: dict[str, Answer] = {}
        self._playing = Playing()
        self.hear_in(form)

    def hear_in(self, form: AudioFormat) -> None:
        """Audio is taken in this format from here on."""
        self._conversion = Conversion(self._said, form)

    # -- what is wanted of the voice

    def want(self, *, due: bool = True) -> Answer:
        """There will be one more answer."""
        answer = Answer(due=due)
        self._answers.append(answer)
        return answer

    @property
    def to_ask_for(self) -> Answer | None:
        """What the voice is to be asked for next, or to go on with. None: it was asked, or is not to be asked yet."""
        answer = self.calling or self._unfinished()
        return answer if answer is not None and answer.waits and self._asked is None else None

    def asked(self, answer: Answer) -> None:
        """The voice was asked for it."""
        self._asked = answer

    @property
    def calling(self) -> Answer | None:
        """The answer that goes on when the voice has the results of its functions."""
        return self._current if self._current is not None and self._current.calling else None

    # -- what the voice says

    def begin(self, response: str) -> Answer | None:
        """It begins to answer; or goes on, after functions were called. Gives the answer that has begun by that."""
        answer = self._asked or self.calling or self._unfinished()
        if answer is None or (answer.begun and answer not in {self._asked, self.calling}):
            answer = self.want()  # nobody asked for it
        self._asked = None
        self._by_response[response] = answer
        if answer.status is not None:  # it was interrupted before
            return None
        self._current = answer
        first = not answer.begun
        answer.begun, answer.calling, answer.refused = True, False, False
        return answer if first else None

    def audio(self, item_id: str, audio: bytes, duration_ms: float) -> None:
        """It says more, in its own format."""
        answer = self._answer_with(item_id)
        if answer is not None:
            answer.said(item_id, audio, duration_ms)

    def audio_done(self, item_id: str) -> None:
        """That was all audio of the item."""
        answer = self._answer_with(item_id)
        if answer is not None:
            answer.said(item_id, b"", 0.0, last=True)

    def words(self, item_id: str, text: str) -> None:
        """What it said in `item_id`."""
        answer = self._answer_with(item_id)
        if answer is not None and not answer.cut:
            answer.words[item_id] = text

    def words_heard(self, item_id: str, text: str) -> None:
        """What was heard of `item_id`, which was cut."""
        answer = self._answer_with(item_id)
        if answer is not None:
            answer.words[item_id] = text

    def end(self, response: str, status: str, *, calls: bool) -> Answer | None:
        """It has made a response. Gives the answer that is over with it; none while functions are called."""
        answer = self._by_response.pop(response, None)
        if answer is None or answer.status is not None:
            return None
        if calls:
            answer.calling = True
            return None
        return self._finish(answer, status)

    def refused(self, *, busy: bool) -> Answer | None:
        """It will not answer what it was asked for; if it is just `busy`, it is asked once more.

        Gives the answer that is over with it.
        """
        answer, self._asked = self._asked, None
        if answer is None or answer.status is not None:
            return None
        if busy and not answer.refused:
            answer.refused = True
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
        while answer is not None and answer.pieces:
            chunk = self._take_piece(answer, now)
            if chunk.data:
                return chunk
        return None

    def take_whole(self, now: float) -> Response | None:
        """What is left of the first answer, if that is over."""
        answer = self.front
        if answer is None or answer.status is None:
            return None
        before_ms = answer.taken_ms
        data = b"".join(self._take_piece(answer, now).data for _ in range(len(answer.pieces)))
        duration_ms = round(answer.taken_ms - before_ms)
        self.take_end()
        return Response(data, answer.transcript, answer.last_item, answer.status, duration_ms)

    def take_end(self) -> bool:
        """Whether the first answer is over and all of its audio was taken; then the next one is the first."""
        answer = self.front
        if answer is None or answer.status is None or answer.pieces:
            return False
        self._drop_front()
        return True

    def take_this(self, answer: Answer, now: float) -> Response | None:
        """What is left of `answer`, if it is over. What was answered before it is dropped."""
        while self._answers and self._answers[0] is not answer and self._answers[0].status is not None:
            self._drop_front()
        return self.take_whole(now) if self.front is answer else None

    # -- an interruption

    def cut(self, now: float, heard_ms: float | None, unfinished: Collection[str]) -> Cut:
        """Forget all that was not heard.

        `heard_ms`: how much of the answer that was taken last; None: as much as there was time for. `unfinished`:
        items of which the voice has more than it has sent.
        """
        heard = self._playing.heard(now)
        said = [each for each in (*heard, *self._answers) if each.begun and not each.cut]
        said = list(dict.fromkeys(said))
        if said and heard_ms is not None:
            # Who knows what he has heard speaks of what he took last, and has heard all that he took before.
            last = next((each for each in reversed(said) if each in heard), said[0])
            coming = next((each for each in said if each not in heard), last)
            playing = coming if last.is_heard(heard.get(last, 0.0)) else last
            heard |= dict.fromkeys(said[: said.index(playing)], math.inf)
            heard[playing] = heard_ms
        items: list[CutItem] = []
        over: list[Answer] = []
        for answer in said:
            missing = answer.missing(heard.get(answer, 0.0), unfinished)
            items += missing
            if answer.status is None:
                over.append(answer)
            if missing or answer in over:
                self._silence(answer)
            answer.pieces.clear()
        if self._asked is not None and self._asked.status is None:
            over.append(self._asked)
            self._silence(self._asked)
        self._playing.stop(now)
        return Cut(items, over)

    # -- one answer

    def _unfinished(self) -> Answer | None:
        return next((answer for answer in self._answers if answer.status is None), None)

    def _answer_with(self, item_id: str) -> Answer | None:
        """The answer that `item_id` is part of. Some voices say more of one that they said is over."""
        known = (*self._playing, *self._answers)
        return next((answer for answer in known if item_id in answer.items), self._current)

    def _finish(self, answer: Answer, status: str) -> Answer:
        answer.status, answer.calling = status, False
        if self._current is answer:
            self._current = None
        return answer

    def _silence(self, answer: Answer) -> None:
        self._finish(answer, "cancelled")
        answer.cut = True
        if answer is self.front:
            self._conversion.rest()

    def _take_piece(self, answer: Answer, now: float) -> AudioChunk:
        piece = answer.pieces.popleft()
        data = self._conversion.carry(piece.audio)
        if piece.last:
            data += self._conversion.rest()
        self._playing.took(answer, piece.ends_ms - answer.taken_ms, now)
        answer.taken_ms = piece.ends_ms
        return AudioChunk(data, piece.item_id)

    def _drop_front(self) -> None:
        self._answers.popleft()
        self._conversion.rest()

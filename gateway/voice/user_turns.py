"""What the user says, and where his turns end. A core.

He ends a turn himself, with a commit, or the voice finds its end. Both may happen to the same words: what the voice
finds while a commit is on its way is part of what was committed.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.contracts import AudioFormat
from gateway.voice.microphone import Microphone
from gateway.voice.responses import Answer, Responses
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import SpeechStarted, SpeechStopped, VoiceTrouble
from gateway.voice.utterances import Utterance, Utterances

__all__ = ["COMMIT_EMPTY", "UserTurns"]

COMMIT_EMPTY = "input_audio_buffer_commit_empty"  # turn detection was faster
_ROUNDING_MS = 1  # the voice counts whole ones


class _Commit(NamedTuple):
    event_id: str
    answer: Answer
    at_ms: float


class _Found(NamedTuple):
    """A turn whose end the voice has found, and which it has not taken yet."""

    utterance: Utterance
    ends_ms: int


class UserTurns:
    """Those of one session. Each wants one of `responses`. `form`: of the audio that the user gives.

    `tell` takes what those who hold the session want to know.
    """

    def __init__(
        self, session: SessionCore, responses: Responses, form: AudioFormat, tell: Callable[..., None]
    ) -> None:
        self.utterances = Utterances(form)
        self._session = session
        self._responses = responses
        self._tell = tell
        self._microphone = Microphone(session, self.utterances, form)
        self._commits: list[_Commit] = []  # of which the voice has said nothing yet
        self._speaking: str | None = None  # the turn in which the user speaks, as the voice has found
        self._found: _Found | None = None

    # -- what the user does

    def send(self, audio: bytes) -> None:
        self._microphone.send(audio)

    def commit(self, audio: bytes) -> Answer:
        """He says `audio`, and that was all: the answer that there will be."""
        self._microphone.send(audio)
        ends_ms = self._microphone.complete()
        answer = self._responses.want(due=False)
        self._commits.append(_Commit(self._session.commit(), answer, ends_ms))
        return answer

    def hear_in(self, form: AudioFormat) -> None:
        """He gives audio in another format from here on."""
        self._microphone.hear_in(form)

    # -- what the voice finds

    def started(self, event: SpeechStarted) -> None:
        self._speaking = event.item
        self.utterances.started(event.at_ms)
        self._tell("speech_started", item_id=event.item, at_ms=event.at_ms)

    def stopped(self, event: SpeechStopped) -> None:
        self._found = _Found(self.utterances.stopped(event.at_ms, event.item), event.at_ms)
        if self._speaking == event.item:
            self.not_speaking(duration_ms=event.lasted_ms)

    def taken(self, item: str) -> None:
        """The turn `item` is part of the conversation."""
        found, self._found = self._found, None
        if found is None or found.utterance.item_id != item:
            if self._commits:  # the voice has not found its end, the user has
                self._committed()
                return
            ends_ms = int(self.utterances.ends_ms)
            found = _Found(self.utterances.stopped(ends_ms, item), ends_ms)
            self.not_speaking()
        self._microphone.turned(found.ends_ms)
        if not self._commits:
            found.utterance.answer = self._responses.want()
            self.utterances.keep(found.utterance)
        # Some voices end a turn like this when they are told to.
        while self._commits and self._commits[0].at_ms <= found.ends_ms + _ROUNDING_MS:
            self._committed()

    def troubled(self, trouble: VoiceTrouble) -> None:
        """The voice complains; of a commit, perhaps: then it has nothing more to say of that."""
        ids = [commit.event_id for commit in self._commits]
        if trouble.cause in ids:
            self._committed(ids.index(trouble.cause))
        elif ids and trouble.code == COMMIT_EMPTY and not trouble.cause:  # not every voice says of what
            self._committed()

    def not_speaking(self, *, duration_ms: int | None = None) -> None:
        """The user does not speak any more, in the turn that the voice has found; it may say how long he did."""
        if self._speaking is not None:
            self._tell("speech_ended", item_id=self._speaking, duration_ms=duration_ms)
            self._speaking = None

    def _committed(self, index: int = 0) -> None:
        commit = self._commits.pop(index)
        commit.answer.due = True
        self.utterances.forget(commit.at_ms)
        self._session.turn_over(commit.at_ms, answered=commit.answer.status is not None)
        self.not_speaking()

"""Who has the floor in a session that somebody holds without a phone. A core.

What the user says is answered once, whoever found the end of it: he himself, who committed, or the voice's turn
detection. The voice never answers unasked: it is told not to, because a commit under turn detection creates no
response, and a turn that the detection ends a moment before it would have one too many.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, assert_never

from gateway.audio.g711 import CODECS
from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.media.heard import words_heard
from gateway.voice import session_events as said
from gateway.voice.configuration import TurnDetection
from gateway.voice.conversion import Conversion
from gateway.voice.happenings import Happened, Message, VoiceError
from gateway.voice.responses import Answer, AudioChunk, Responses
from gateway.voice.session_core import Outgoing, SessionCore
from gateway.voice.tool_answers import ToolAnswers
from gateway.voice.utterances import Utterance, Utterances

__all__ = ["TurnTaking"]

_EMPTY = "input_audio_buffer_commit_empty"
_NOT_RUNNING = "response_cancel_not_active"  # it had just ended
_SHORTEST_TURN_MS = 100  # what OpenAI takes for a turn
_FILTER_MS = 2  # of silence bring out what the resampler holds back
_MOST_APPENDED_MS = 1000
_MOST_QUEUED_MS = 5 * 60_000  # of answers that nobody takes


class _Commit(NamedTuple):
    event_id: str
    answer: Answer
    at_ms: float


class TurnTaking:
    """One session. `form`: of the audio that its user gives and gets."""

    def __init__(self, agent: Agent, traits: VoiceTraits, turns: TurnDetection, form: AudioFormat) -> None:
        self.session = SessionCore(agent, traits, turns=turns)
        self.responses = Responses()
        self.utterances = Utterances(form)
        self.ready = False  # the voice has taken our configuration
        self._turns = turns
        self._tools = ToolAnswers()
        self._state = self.session.state
        self._happened: list[Happened] = []
        self._calls: list[said.ToolCalled] = []
        self._commits: list[_Commit] = []
        self._uncommitted_ms = 0.0
        self._speaking: str | None = None  # the turn in which the user speaks, as the voice has found
        self._ended: dict[str, Utterance] = {}  # turns that the voice has found, and not committed yet
        self._hear_in(form)

    # -- the connection

    def connect(self) -> None:
        self.session.connect()
        self._note_state()

    def opened(self) -> None:
        self.session.opened()
        self._note_state()

    def ended(self, error: Exception | None) -> None:
        """The session is over, because of `error` if there is one."""
        self.session.ended()
        self._note_state()
        if error is not None:
            self._tell("error", error)
        self._tell("disconnected", None if error is None else str(error))

    # -- what the user does

    def send(self, audio: bytes) -> None:
        """He says `audio`, and may go on."""
        self._append(audio)

    def commit(self, audio: bytes) -> Answer:
        """He says `audio`, and that was all: the answer that there will be."""
        self._append(audio)
        self._append(self._silence(max(_SHORTEST_TURN_MS - self._uncommitted_ms, _FILTER_MS)))
        self._uncommitted_ms = 0.0
        answer = self.responses.want(due=False)
        self._commits.append(_Commit(self.session.commit(), answer, self.utterances.ends_ms))
        return answer

    def interrupt(self, now: float, heard_ms: float | None) -> None:
        """The agent is to be silent; of what is being played the user has heard `heard_ms`, None: as time allowed."""
        was_responding = self.session.responding
        cut = self.responses.cut(now, heard_ms)
        self.session.cancel()
        self._from_voice.rest()
        for item, item_heard_ms, received_ms in cut.items:
            words = words_heard(self.session.history.text(item), item_heard_ms, received_ms)
            self.session.truncate(item, item_heard_ms, words)
        for answer in cut.answers:
            self._tell_ended(answer)
        if cut.items or cut.answers or was_responding:
            first = cut.items[0] if cut.items else None
            details = {"item_id": first.item_id, "heard_ms": first.heard_ms} if first is not None else {}
            self._tell("interrupted", **details)
        self._go_on()

    def detect_turns(self, turns: TurnDetection) -> None:
        """Find turns otherwise from here on, or not at all."""
        self._turns = turns
        self.session.detect_turns(turns)
        if not turns.enabled:
            self._speech_over()

    def hear_in(self, form: AudioFormat) -> None:
        """Give and get audio in another format from here on."""
        self.utterances.change_format(form)
        self._hear_in(form)

    def tool_answered(self, call: str, output: str) -> None:
        for each, answer in self._tools.done(call, output):
            self.session.tool_answered(each, answer, respond=False)
        self._go_on()

    # -- what the voice says

    def receive(self, text: str) -> None:
        """Take one server event."""
        self.session.receive(text)
        self._note_state()
        for event in self.session.events():
            self._take(event)
        self._go_on()

    def _take(self, event: said.SessionEvent) -> None:
        match event:
            case said.AgentAudio():
                self._add_audio(event)
            case said.AgentAudioDone():
                self.responses.rest(AudioChunk(self._from_voice.rest(), event.item))
            case said.SpeechStarted():
                self._speaking = event.item
                self.utterances.started(event.at_ms)
                self._tell("speech_started", item_id=event.item, at_ms=event.at_ms)
            case said.SpeechStopped():
                self._speaking = None
                self._ended[event.item] = self.utterances.stopped(event.at_ms, event.item)
                self._tell("speech_ended", item_id=event.item, duration_ms=event.lasted_ms)
            case said.TurnTaken():
                self._turn_taken(event.item)
            case said.Transcript():
                self._written_down(event)
            case said.ResponseStarted():
                if not self.responses.calling:
                    self._tell("response_started", response_id=event.response)
                self.responses.begin(event.response)
            case said.ResponseEnded():
                over = self.responses.end(event.response, event.status, calls=event.calls > 0)
                if over is not None:
                    self._tell_ended(over)
            case said.ToolCalled():
                self._tools.began(event.call)
                self._calls.append(event)
                self._tell("tool_called", event.name, arguments=event.arguments, call_id=event.call)
            case said.VoiceTrouble():
                self._troubled(event)
            case said.SessionReady():
                self._begin()
            case said.UnknownEvent():
                pass  # the protocol grows
            case _:
                assert_never(event)

    def _begin(self) -> None:
        if self.ready:
            return  # it was configured once more
        self.ready = True
        if self.session.agent.greeting is not None:
            self.responses.want().asked = True
            self.session.greet()

    def _add_audio(self, event: said.AgentAudio) -> None:
        duration_ms = len(event.audio) / self.session.traits.output.bytes_per_ms
        self.responses.audio(AudioChunk(self._from_voice.carry(event.audio), event.item), duration_ms)
        if self.responses.queued_ms > _MOST_QUEUED_MS:
            self.session.cancel()
            self._tell("error", VoiceError("response_overran", f"{_MOST_QUEUED_MS} ms were not taken"))

    def _written_down(self, event: said.Transcript) -> None:
        if event.who == "agent":
            self.responses.words(event.item, event.text)
        if event.text:
            who = "user" if event.who == "caller" else "agent"
            self._tell("transcript_available", event.text, who=who, item_id=event.item)

    def _turn_taken(self, item: str) -> None:
        utterance = self._ended.pop(item, None)
        if utterance is None:  # the voice has not found its end: it is the one that was committed here
            if self._commits:
                self._committed(self._commits[0])
        elif not self._commits:  # otherwise it is part of what was committed
            utterance.answer = self.responses.want()
            self.utterances.keep(utterance)

    def _committed(self, commit: _Commit) -> None:
        self._commits.remove(commit)
        commit.answer.due = True
        self.utterances.forget(commit.at_ms)
        self._speech_over()

    def _speech_over(self) -> None:
        """The voice will not find the end of what the user says."""
        if self._speaking is not None:
            self._tell("speech_ended", item_id=self._speaking)
            self._speaking = None

    def _troubled(self, trouble: said.VoiceTrouble) -> None:
        commit = self._commit_of(trouble)
        if commit is not None:
            self._committed(commit)
        if trouble.refused and (answer := self.responses.refused()) is not None:
            self._tell_ended(answer)
        harmless = trouble.code == _NOT_RUNNING or (commit is not None and trouble.code == _EMPTY)
        if not harmless:
            self._tell("error", VoiceError(trouble.code, trouble.message))

    def _commit_of(self, trouble: said.VoiceTrouble) -> _Commit | None:
        if trouble.cause is None and trouble.code != _EMPTY:
            return None
        return next((each for each in self._commits if trouble.cause in (None, each.event_id)), None)

    # -- what its holder reads

    def outgoing(self) -> list[Outgoing]:
        """What the voice must be sent, in order, since the last call of this method."""
        return self.session.outgoing()

    def happened(self) -> list[Happened]:
        """What happened since the last call of this method."""
        happened, self._happened = self._happened, []
        return happened

    def calls(self) -> list[said.ToolCalled]:
        """Tools to be run, since the last call of this method. Each is answered by `tool_answered`."""
        calls, self._calls = self._calls, []
        return calls

    @property
    def messages(self) -> Sequence[Message]:
        """What was said, with what was heard of it."""
        return [
            Message("user" if each.who == "caller" else "agent", each.text, each.item, each.cut)
            for each in self.session.history.messages
        ]

    # -- what follows

    def _go_on(self) -> None:
        """Ask the voice for the next answer, if it is free."""
        if self._tools.due:
            self._tools.asked()
            if self.responses.calling and not self.session.responding:
                self.session.respond()
        elif not self.responses.calling and not self.session.responding:
            answer = self.responses.to_ask_for
            if answer is not None:
                answer.asked = True
                self.session.respond()
        self._note_state()

    def _append(self, audio: bytes) -> None:
        if not audio:
            return
        if not self._turns.enabled:
            self.session.user_speaks()
        self.utterances.sent(audio)
        self._uncommitted_ms += len(audio) / self._form.bytes_per_ms
        wire = self._to_voice.carry(audio)
        size = _MOST_APPENDED_MS * self.session.traits.input.bytes_per_ms
        for at in range(0, len(wire), size):
            self.session.send_audio(wire[at : at + size])
        self._note_state()

    def _hear_in(self, form: AudioFormat) -> None:
        traits = self.session.traits
        self._form = form
        self._to_voice = Conversion(form, traits.input)
        self._from_voice = Conversion(traits.output, form)

    def _silence(self, duration_ms: float) -> bytes:
        sample = bytes(2) if self._form.encoding == "pcm" else CODECS[self._form.encoding].silence
        return sample * (round(duration_ms) * self._form.bytes_per_ms // len(sample))

    def _tell(self, event: str, value: Any = None, **details: Any) -> None:
        self._happened.append(Happened(event, value, details))

    def _tell_ended(self, answer: Answer) -> None:
        self._tell(
            "response_ended", status=answer.status, transcript=answer.transcript, item_id=answer.last_item
        )

    def _note_state(self) -> None:
        if self.session.state is not self._state:
            before, self._state = self._state, self.session.state
            self._tell("state_changed", self._state, before=before)

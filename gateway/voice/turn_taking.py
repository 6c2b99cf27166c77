"""Who has the floor in a session that somebody holds without a phone. A core.

What the user says is answered once, whoever found the end of it: he himself, who committed, or the voice's turn
detection. The voice never answers unasked: it is told not to, because a commit under turn detection creates no
response, and a turn that the detection ends a moment before it would have one too many.
"""

from collections.abc import Sequence
from typing import Any, assert_never

from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.media.heard import words_heard
from gateway.voice import session_events as said
from gateway.voice.configuration import TurnDetection
from gateway.voice.happenings import Happened, Message, VoiceError
from gateway.voice.responses import Answer, CutItem, Responses
from gateway.voice.session_core import Outgoing, SessionCore
from gateway.voice.user_turns import COMMIT_EMPTY, UserTurns
from gateway.voice.utterances import Utterances

__all__ = ["TurnTaking"]

_BUSY = "conversation_already_has_active_response"
_NOT_RUNNING = "response_cancel_not_active"  # it had just ended
_HARMLESS = frozenset({COMMIT_EMPTY, _BUSY, _NOT_RUNNING})
_MOST_QUEUED_MS = 5 * 60_000  # of answers that nobody takes


class TurnTaking:
    """One session. `form`: of the audio that its user gives and gets."""

    def __init__(self, agent: Agent, traits: VoiceTraits, turns: TurnDetection, form: AudioFormat) -> None:
        self.session = SessionCore(agent, traits, turns=turns)
        self.responses = Responses(traits.output, form)
        self.ready = False  # the voice has taken our configuration
        self._user = UserTurns(self.session, self.responses, form, self._tell)
        self._turns = turns
        self._state = self.session.state
        self._happened: list[Happened] = []
        self._calls: list[said.ToolCalled] = []
        self._called: dict[str, Answer] = {}  # by call, what goes on with its result
        self._greeting: Answer | None = None

    # -- the connection

    def connect(self) -> None:
        self.session.connect()
        self._note_state()

    def opened(self) -> None:
        self.session.opened()
        self._note_state()

    def ended(self, error: BaseException | None) -> None:
        """The session is over, because of `error` if there is one."""
        self.session.ended()
        self._note_state()
        if error is not None:
            self._tell("error", error)
        self._tell("disconnected", None if error is None else str(error))

    # -- what the user does

    def send(self, audio: bytes) -> None:
        """He says `audio`, and may go on."""
        if audio:
            self._user_speaks()
            self._user.send(audio)
            self._note_state()

    def commit(self, audio: bytes) -> Answer:
        """He says `audio`, and that was all: the answer that there will be."""
        self._user_speaks()
        answer = self._user.commit(audio)
        self._note_state()
        return answer

    def interrupt(self, now: float, heard_ms: float | None) -> None:
        """The agent is to be silent; of what is being played the user has heard `heard_ms`, None: as time allowed."""
        cut = self.responses.cut(now, heard_ms, self.session.unfinished)
        self.session.cancel()
        for item in cut.items:
            self._truncate(item)
        for answer in cut.answers:
            self._tell_ended(answer)
        if cut.items or cut.answers:
            item_id, heard_ms, _ = cut.items[0] if cut.items else (None, None, None)
            self._tell("interrupted", item_id=item_id, heard_ms=heard_ms)
        self._go_on()

    def detect_turns(self, turns: TurnDetection) -> None:
        """Find turns otherwise from here on, or not at all."""
        self._turns = turns
        self.session.detect_turns(turns)
        if not turns.enabled:
            self._user.not_speaking()

    def hear_in(self, form: AudioFormat) -> None:
        """Give and get audio in another format from here on."""
        self._user.hear_in(form)
        self.responses.hear_in(form)

    def tool_answered(self, call: str, output: str) -> None:
        answer = self._called.pop(call, None)
        if answer is not None:
            for each, result in answer.tools.done(call, output):
                self.session.tool_answered(each, result, respond=False)
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
                self.responses.audio_done(event.item)
            case said.SpeechStarted():
                self._user.started(event)
            case said.SpeechStopped():
                self._user.stopped(event)
            case said.TurnTaken():
                self._user.taken(event.item)
            case said.Transcript():
                self._written_down(event)
            case said.ResponseStarted():
                if self.responses.begin(event.response) is not None:
                    self._tell("response_started", response_id=event.response)
            case said.ResponseEnded():
                self._tell_ended(self.responses.end(event.response, event.status, calls=event.calls > 0))
            case said.ToolCalled():
                self._tool_called(event)
            case said.VoiceTrouble():
                self._troubled(event)
            case said.SessionReady():
                self._begin()
            case said.UnknownEvent():
                pass  # the protocol grows
            case _:
                assert_never(event)

    def _begin(self) -> None:
        if not self.ready and self.session.agent.greeting is not None:
            self._greeting = self.responses.want()
        self.ready = True

    def _add_audio(self, event: said.AgentAudio) -> None:
        duration_ms = len(event.audio) / self.session.traits.output.bytes_per_ms
        self.responses.audio(event.item, event.audio, duration_ms)
        if self.responses.queued_ms > _MOST_QUEUED_MS:
            self.session.cancel()
            self._tell("error", VoiceError("response_overran", f"{_MOST_QUEUED_MS} ms were not taken"))

    def _written_down(self, event: said.Transcript) -> None:
        if event.who == "agent":
            self.responses.words(event.item, event.text)
        if event.text:
            who = "user" if event.who == "caller" else "agent"
            self._tell("transcript_available", event.text, who=who, item_id=event.item)

    def _tool_called(self, event: said.ToolCalled) -> None:
        answer = self.responses.calling
        if answer is not None:
            answer.tools.began(event.call)
            self._called[event.call] = answer
            self._calls.append(event)
            self._tell("tool_called", event.name, arguments=event.arguments, call_id=event.call)

    def _troubled(self, trouble: said.VoiceTrouble) -> None:
        self._user.troubled(trouble)
        if trouble.refused:
            self._tell_ended(self.responses.refused(busy=trouble.code == _BUSY))
        if trouble.code not in _HARMLESS:
            self._tell("error", VoiceError(trouble.code, trouble.message))

    # -- what its holder reads

    @property
    def utterances(self) -> Utterances:
        """What the user has said, as the voice has found it."""
        return self._user.utterances

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
        answer = self.responses.to_ask_for
        if answer is not None and not self.session.busy:
            self.responses.asked(answer)
            if answer is self._greeting and not answer.begun:
                self.session.greet()
            else:
                self.session.respond()
        self._note_state()

    def _user_speaks(self) -> None:
        if not self._turns.enabled:
            self.session.user_speaks()

    def _truncate(self, item: CutItem) -> None:
        words = words_heard(self.session.history.text(item.item_id), item.heard_ms, item.received_ms)
        self.session.truncate(item.item_id, item.heard_ms, words)
        self.responses.words_heard(item.item_id, words)

    def _tell(self, event: str, value: Any = None, **details: Any) -> None:
        self._happened.append(Happened(event, value, details))

    def _tell_ended(self, answer: Answer | None) -> None:
        if answer is not None:
            status, words = answer.status, answer.transcript
            self._tell("response_ended", status=status, transcript=words, item_id=answer.last_item)

    def _note_state(self) -> None:
        if self.session.state is not self._state:
            before, self._state = self._state, self.session.state
            self._tell("state_changed", self._state, before=before)

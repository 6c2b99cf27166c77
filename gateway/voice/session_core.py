"""The voice's half of a conversation as a core: Realtime events in and out, audio, turns, responses, states.

It talks the OpenAI Realtime protocol whatever is behind the connection. The session never interrupts a
response by itself (`interrupt_response: false`): whoever holds this core knows what was heard and decides.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from gateway.contracts import Agent, Tool, VoiceTraits
from gateway.voice.client_events import ClientEvents, Outgoing
from gateway.voice.configuration import TurnDetection, configuration, turn_detection
from gateway.voice.found_speech import FoundSpeech
from gateway.voice.history import History, message
from gateway.voice.session_events import (
    AgentAudio,
    AgentAudioDone,
    ResponseEnded,
    ResponseStarted,
    SessionEvent,
    SessionReady,
    ToolCalled,
    Transcript,
    TurnTaken,
    UnknownEvent,
    VoiceTrouble,
)
from gateway.voice.states import SessionState, after
from gateway.wire import realtime
from gateway.wire.exact_words import metadata_for

__all__ = ["Outgoing", "SessionCore", "SessionState", "TurnDetection"]

_AWAY = frozenset({SessionState.IDLE, SessionState.CONNECTING, SessionState.DISCONNECTED})
_BUSY = "conversation_already_has_active_response"


class SessionCore:
    """One session with one voice.

    `tools`: what the agent may call here, beside its own. `history`: the conversation, when it began in another
    session.
    """

    def __init__(
        self,
        agent: Agent,
        traits: VoiceTraits,
        *,
        tools: Sequence[Tool] = (),
        turns: TurnDetection | None = None,
        history: History | None = None,
    ) -> None:
        self.agent = agent
        self.traits = traits
        self.history = history if history is not None else History()
        self.state = SessionState.IDLE
        self.session_id = ""
        self._tools = (*agent.tools, *tools)
        self._turns = turns or TurnDetection()
        self._input_bytes_per_ms = traits.input.bytes_per_ms
        self._events: list[SessionEvent] = []
        self._says = ClientEvents()
        self._speech = FoundSpeech()
        self._asked_in: str | None = None  # the event that asked for a response which has not begun
        self._cancel_next = False  # that response is cancelled as soon as it has
        self._running: dict[str, list[str]] = {}  # responses that have not ended, with their unfinished items
        self._over: str | None = None  # the response that ended last
        self._cut: set[str] = set()  # cancelled: whatever still arrives of these is not for the caller
        self._calls: dict[str, dict[str, realtime.FunctionCall]] = {}  # of running responses
        self._wanted: Mapping[str, object] | None = None  # asked for while another one was still running
        self._seeded: dict[str, str] = {}  # what an earlier session said: the item that told this one so
        self._items = 0
        self._digits = 0
        self._parts: dict[str, int] = {}  # what the agent says in this session: the audio part of each item

    # -- what the holder of the conversation says

    def connect(self) -> None:
        """A connection is being made: the first event it must carry is how we want the session."""
        self._step("connect")
        session = configuration(self.agent, self.traits, self._turns, self._tools)
        self._says.say(type="session.update", session=session)

    def opened(self) -> None:
        """The connection stands."""
        self._step("opened")

    def ended(self) -> None:
        """The connection is gone."""
        self._step("ended")

    def detect_turns(self, turns: TurnDetection) -> None:
        """Find turns otherwise from here on, or not at all."""
        self._turns = turns
        if self.state is not SessionState.IDLE:
            detection = {"turn_detection": turn_detection(turns)}
            self._says.say(type="session.update", session={"type": "realtime", "audio": {"input": detection}})

    def seed(self) -> None:
        """Tell this session what was said before it began."""
        for known_as, item in self.history.items():
            self._items += 1
            item_id = self._seeded[known_as] = f"earlier_{self._items}"
            self._says.say(type="conversation.item.create", item={"id": item_id} | item)

    def send_audio(self, audio: bytes) -> None:
        """The caller's next audio, in the format of `traits.input`."""
        self._says.append(audio, len(audio) // self._input_bytes_per_ms)

    def send_audio_again(self, audio: bytes) -> None:
        """Audio that another session has lost: it is a turn's and must not be dropped as live audio may."""
        self._says.append(audio, 0)

    def user_speaks(self) -> None:
        """Whoever holds the session says so, where no turn detection does."""
        self._step("speech")

    def commit(self) -> str:
        """The audio so far is a turn. Gives the event's id, which an error would name."""
        return self._says.say(type="input_audio_buffer.commit")

    def turn_over(self, at_ms: float, *, answered: bool) -> None:
        """The voice has dealt with what was committed, the audio before `at_ms`: speech found there now is over.

        `answered`: it has answered, too, before anybody asked.
        """
        self._speech.turned(at_ms)
        self._step("turn")
        if answered:
            self._step("answered")

    def press(self, digit: str) -> None:
        """The caller pressed a key. Over a WebSocket the protocol has no event for it: it goes as a user item."""
        text = f"[DTMF] {digit}"
        self._digits += 1
        self.history.turn(f"digit {self._digits}", text)
        self._tell(message("caller", text))
        self.respond()

    def greet(self) -> None:
        """Have the agent speak first."""
        greeting = self.agent.greeting
        if greeting is None:
            self.respond()
        else:
            self.say(f"Greet the caller with exactly these words: {greeting}", greeting)

    def say(self, instructions: str, words: str) -> None:
        """Have the agent say exactly these words; a model is told so by `instructions`."""
        self.respond({"instructions": instructions, "metadata": metadata_for(words)})

    def respond(self, options: Mapping[str, object] | None = None) -> None:
        """Have the voice answer what it has; once the running response is over, if there is one.

        `options`: overrides of this one response. A session that is not open is asked when it is, by its holder.
        """
        if self.state in _AWAY:
            return
        options = options or {}
        if self._asked_in is not None or self._running:
            self._wanted = options
            return
        self._ask(options)

    def cancel(self) -> None:
        """Stop what is being said or was asked for; what still arrives of it is dropped. Nothing when nothing is."""
        self._wanted = None
        self._cancel_next = self._asked_in is not None
        for response in self._running:
            self._cut_short(response)

    def is_voice(self, item: str) -> bool:
        """The voice has said `item`, in this session or an earlier one; what a call plays of its own it has not."""
        return item in self._parts or item in self.history

    def truncate(self, item: str, heard_ms: int, words: str) -> None:
        """Of what the agent said in `item`, the caller heard `heard_ms`, about these `words`."""
        self.history.cut(item, words)
        if item in self._parts:
            part = self._parts[item]
            self._says.say(
                type="conversation.item.truncate", item_id=item, content_index=part, audio_end_ms=heard_ms
            )
        elif item in self._seeded:  # an earlier session said it, and this one was told more than was heard
            told = self._seeded.pop(item)
            if words:
                self._says.say(
                    type="conversation.item.create", previous_item_id=told, item=message("agent", words)
                )
            self._says.say(type="conversation.item.delete", item_id=told)

    def tool_answered(self, call: str, output: str, *, respond: bool = True) -> None:
        self.history.answered(call, output)
        self._tell({"type": "function_call_output", "call_id": call, "output": output})
        if respond:
            self.respond()

    # -- what the voice says

    def receive(self, text: str) -> None:
        """Take one server event."""
        event = realtime.decode(text)
        match event:
            case realtime.AudioDelta():
                self._audio(event)
            case realtime.SessionCreated():
                self.session_id = event.session.id
            case realtime.SessionUpdated():
                self._events.append(SessionReady(self.session_id))
            case realtime.SpeechStarted():
                self._speech_started(event)
            case realtime.SpeechStopped():
                self._speech_stopped(event)
            case realtime.Committed():
                self._step("turn")
                self.history.turn(event.item_id)
                self._events.append(TurnTaken(event.item_id))
            case realtime.InputTranscript():
                words = event.transcript.strip()
                self.history.written_down(event.item_id, words)
                self._events.append(Transcript("caller", words, event.item_id))
            case realtime.ResponseCreated():
                self._begin(event.response.id)
            case realtime.TranscriptDelta() | realtime.OutputTranscript():
                self._written_down(event)
            case realtime.ItemDone():
                self._item_done(event.response_id, event.item_id)
            case realtime.OutputItemDone():
                if event.item.type == "function_call":
                    self._calls.setdefault(event.response_id, {})[event.item.call_id] = event.item
            case realtime.ResponseDone():
                self._response_done(event.response)
            case realtime.Failed():
                self._failed(event.error)
            case realtime.Unknown():
                if event.problem:
                    self._events.append(VoiceTrouble("malformed_event", f"{event.type}: {event.problem}"))
                elif event.type not in realtime.UNUSED:
                    self._events.append(UnknownEvent(event.type))
            case _:
                assert_never(event)

    # -- what the holder reads

    @property
    def busy(self) -> bool:
        """A response is being made or was asked for, even if it has been cancelled: no other one can be had now."""
        return self._asked_in is not None or bool(self._running)

    @property
    def responding(self) -> bool:
        """A response is being made that has not been cancelled."""
        asked = self._asked_in is not None and not self._cancel_next
        return self._wanted is not None or asked or not self._cut.issuperset(self._running)

    @property
    def unfinished(self) -> list[str]:
        """The items of responses that are being made whose audio has begun and not ended."""
        return [
            item for response, items in self._running.items() if response not in self._cut for item in items
        ]

    def events(self) -> list[SessionEvent]:
        """What happened since the last call of this method."""
        events, self._events = self._events, []
        return events

    def outgoing(self) -> list[Outgoing]:
        """What the voice must be sent, in order, since the last call of this method."""
        return self._says.drain()

    def _tell(self, item: Mapping[str, object]) -> None:
        """Add to the conversation; a session that is not open is told with all the rest, by `seed`."""
        if self.state not in _AWAY:
            self._says.say(type="conversation.item.create", item=item)

    # -- responses

    def _ask(self, options: Mapping[str, object]) -> None:
        self._step("asked")
        self._asked_in = self._says.say(type="response.create", **({"response": options} if options else {}))

    def _begin(self, response: str) -> None:
        self._cut.intersection_update([*self._running, self._over])
        if response == self._over:  # some voices name all alike
            self._over = None
            self._cut.discard(response)
        self._running.setdefault(response, [])
        self._step("asked")
        self._events.append(ResponseStarted(response))
        if self._asked_in is not None:
            self._asked_in = None
            if self._cancel_next:
                self._cut_short(response)
            self._cancel_next = False

    def _begin_unannounced(self, response: str, *, over: bool = False) -> None:
        # Not every voice tells when a response begins.
        if self._asked_in is None or response in self._running or response == self._over:
            return
        cancelled = over and self._cancel_next  # there is nothing left to cancel
        self._cancel_next = self._cancel_next and not over
        self._begin(response)
        if cancelled:
            self._cut.add(response)

    def _cut_short(self, response: str) -> None:
        if response not in self._cut:
            self._cut.add(response)
            self._says.say(type="response.cancel", response_id=response)

    def _audio(self, event: realtime.AudioDelta) -> None:
        # One may say more of a response that it said is over.
        if self._asked_in is not None:
            self._begin_unannounced(event.response_id)
        items = self._running.setdefault(event.response_id, []) if event.response_id != self._over else []
        first = event.item_id not in self._parts
        if first:
            self._parts[event.item_id] = event.content_index
        if event.response_id in self._cut:
            if first:  # it was on its way when we cancelled; the caller hears none of it
                self.truncate(event.item_id, 0, "")
            return
        if self.traits.output.encoding == "pcm" and len(event.delta) % 2:
            self._events.append(VoiceTrouble("malformed_event", f"{len(event.delta)} bytes of PCM16"))
            return
        if event.item_id not in items:
            items.append(event.item_id)
        if self.state is not SessionState.SPEAKING:
            self._step("audio")
        self._events.append(AgentAudio(event.item_id, event.delta))

    def _written_down(self, event: realtime.TranscriptDelta | realtime.OutputTranscript) -> None:
        if event.response_id in self._cut:
            return
        if isinstance(event, realtime.TranscriptDelta):
            self.history.spoke(event.item_id, self.history.text(event.item_id) + event.delta)
        else:
            self.history.spoke(event.item_id, event.transcript.strip())
            self._events.append(Transcript("agent", event.transcript.strip(), event.item_id))

    def _item_done(self, response: str, item: str) -> None:
        items = self._running.get(response, [])
        if item in items:
            items.remove(item)
            if response not in self._cut:
                self._events.append(AgentAudioDone(item))

    def _response_done(self, response: realtime.Response) -> None:
        self._begin_unannounced(response.id, over=True)
        cut = response.id in self._cut
        # Of a response that failed, nobody says that its audio is over.
        for item in list(self._running.get(response.id, [])):
            self._item_done(response.id, item)
        self._running.pop(response.id, None)
        self._over = response.id
        matched = (response.metadata or {}).get("matched")
        error = response.status_details.error if response.status_details is not None else None
        status = "cancelled" if cut else response.status
        code = error.code or error.type if error is not None else None
        calls = self._calls.pop(response.id, {})
        calls |= {each.call_id: each for each in response.output or () if each.type == "function_call"}
        if status != "completed":
            calls = {}
        self._events.append(ResponseEnded(response.id, status, matched, code, len(calls)))
        for call in calls.values():
            self.history.called(call.call_id, call.name, call.arguments)
            self._events.append(ToolCalled(call.call_id, call.name, call.arguments))
        self._step("answered")
        self._ask_if_wanted()

    def _ask_if_wanted(self) -> None:
        if self._wanted is not None and self._asked_in is None and not self._running:
            options, self._wanted = self._wanted, None
            self._ask(options)

    def _failed(self, error: realtime.ErrorBody) -> None:
        asks = error.code == _BUSY and error.event_id is None  # not every voice says what it complains of
        refused = self._asked_in is not None and (asks or error.event_id == self._asked_in)
        if refused:
            self._asked_in = None  # there will be no such response
            self._cancel_next = False
            self._step("answered")
            self._ask_if_wanted()
        self._events.append(VoiceTrouble(error.code or error.type, error.message, error.event_id, refused))

    # -- turns

    def _speech_started(self, event: realtime.SpeechStarted) -> None:
        started = self._speech.started(event, self._turns, self._sent_ms)
        if started is not None:
            self._step("speech")
            self._events.append(started)

    def _speech_stopped(self, event: realtime.SpeechStopped) -> None:
        self._step("silence")
        self._events.append(self._speech.stopped(event, self._turns, self._sent_ms))

    @property
    def _sent_ms(self) -> float:
        return self._says.sent_bytes / self._input_bytes_per_ms

    def _step(self, what: str) -> None:
        self.state = after(self.state, what)

"""The voice's half of a conversation as a core: Realtime events in and out, audio, turns, responses, states.

It talks the OpenAI Realtime protocol whatever is behind the connection. The session never interrupts a
response by itself (`interrupt_response: false`): whoever holds this core knows what was heard and decides.
"""

import base64
import enum
from collections.abc import Sequence
from typing import NamedTuple, assert_never

import msgspec

from gateway.contracts import Agent, Tool
from gateway.voice.session_events import (
    AgentAudio,
    AgentAudioDone,
    ResponseEnded,
    ResponseStarted,
    SessionEvent,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    Transcript,
    VoiceTrouble,
)
from gateway.wire import realtime

__all__ = ["Outgoing", "SessionCore", "SessionState", "TurnDetection"]

# Only what may still be interrupted matters; a call of hours has thousands of items.
_MOST_TEXTS = 50

BYTES_PER_MS = 48  # PCM16 at 24 000 Hz


class SessionState(enum.StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LISTENING = "listening"
    PROCESSING = "processing"
    SPEAKING = "speaking"
    DISCONNECTED = "disconnected"


S = SessionState

# What happened, and where it leads from each state; a pair that is not here changes nothing, because the
# peer's events of a turn may arrive after the next one began.
_NEXT: dict[tuple[SessionState, str], SessionState] = {
    (S.IDLE, "connect"): S.CONNECTING,
    (S.CONNECTING, "opened"): S.CONNECTED,
    (S.CONNECTED, "speech"): S.LISTENING,
    (S.PROCESSING, "speech"): S.LISTENING,
    (S.SPEAKING, "speech"): S.LISTENING,
    (S.LISTENING, "silence"): S.PROCESSING,
    (S.CONNECTED, "asked"): S.PROCESSING,
    (S.CONNECTED, "audio"): S.SPEAKING,
    (S.PROCESSING, "audio"): S.SPEAKING,
    (S.PROCESSING, "answered"): S.CONNECTED,
    (S.SPEAKING, "answered"): S.CONNECTED,
    (S.IDLE, "ended"): S.DISCONNECTED,
    (S.CONNECTING, "ended"): S.DISCONNECTED,
    (S.CONNECTED, "ended"): S.DISCONNECTED,
    (S.LISTENING, "ended"): S.DISCONNECTED,
    (S.PROCESSING, "ended"): S.DISCONNECTED,
    (S.SPEAKING, "ended"): S.DISCONNECTED,
}


class TurnDetection(msgspec.Struct, frozen=True, kw_only=True):
    """When the voice takes a turn as begun, as ended, and as not coming."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None  # after so much silence the agent speaks up


class Outgoing(NamedTuple):
    """One client event. `caller_ms`: the caller's audio in it, 0 for control."""

    event: str
    caller_ms: int


class SessionCore:
    """One conversation with one voice. `tools`: what the agent may call here, beside its own."""

    def __init__(
        self, agent: Agent, *, tools: Sequence[Tool] = (), turn_detection: TurnDetection | None = None
    ) -> None:
        self.agent = agent
        self.state = S.IDLE
        self.session_id = ""
        self._tools = (*agent.tools, *tools)
        self._turns = turn_detection or TurnDetection()
        self._events: list[SessionEvent] = []
        self._outgoing: list[Outgoing] = []
        self._sent_events = 0
        self._sent_bytes = 0
        self._asked_in: str | None = None  # the event that asked for a response which has not begun
        self._cancel_next = False  # that response is cancelled as soon as it has
        self._running: dict[str, list[str]] = {}  # responses that have not ended, with their unfinished items
        self._cut: set[str] = set()  # cancelled: whatever still arrives of these is not for the caller
        self._wants_response = False  # asked for while another one was still running
        self._greeted = False
        self._texts: dict[str, str] = {}  # what the agent says in each item, as far as it is known

    # -- what the holder of the conversation says

    def connect(self) -> None:
        """A connection is being made: the first event it must carry is how we want the session."""
        self._step("connect")
        self._send(type="session.update", session=self._configuration())

    def opened(self) -> None:
        """The connection stands. Once the voice has taken our configuration, the agent greets."""
        self._step("opened")

    def ended(self) -> None:
        """The connection is gone."""
        self._step("ended")

    def send_audio(self, pcm: bytes) -> None:
        """The caller's next samples: PCM16 at 24 000 Hz."""
        self._sent_bytes += len(pcm)
        audio = base64.b64encode(pcm).decode()
        self._sent_events += 1
        text = f'{{"type":"input_audio_buffer.append","event_id":"c{self._sent_events}","audio":"{audio}"}}'
        self._outgoing.append(Outgoing(text, len(pcm) // BYTES_PER_MS))

    def press(self, digit: str) -> None:
        """The caller pressed a key. Over a WebSocket the protocol has no event for it: it goes as a user item."""
        content = [{"type": "input_text", "text": f"[DTMF] {digit}"}]
        self._send(
            type="conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        self.respond()

    def respond(self) -> None:
        """Have the voice answer what it has; once the running response is over, if there is one."""
        if self._asked_in is not None or self._running:
            self._wants_response = True
            return
        self._ask()

    def cancel(self) -> None:
        """Stop what is being said or was asked for; what still arrives of it is dropped. Nothing when nothing is."""
        self._wants_response = False
        self._cancel_next = self._asked_in is not None
        for response in self._running:
            self._cut_short(response)

    def tool_answered(self, call: str, output: str, *, respond: bool = True) -> None:
        item = {"type": "function_call_output", "call_id": call, "output": output}
        self._send(type="conversation.item.create", item=item)
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
                self._ready()
            case realtime.SpeechStarted():
                self._step("speech")
                self._events.append(SpeechStarted(event.audio_start_ms))
            case realtime.SpeechStopped():
                self._step("silence")
                self._events.append(SpeechStopped(self._silent_for_s(event.audio_end_ms)))
            case realtime.InputTranscript():
                self._events.append(Transcript("caller", event.transcript.strip(), event.item_id))
            case realtime.ResponseCreated():
                self._begin(event.response.id)
            case realtime.TranscriptDelta():
                if event.response_id not in self._cut:
                    self._write(event.item_id, self.text(event.item_id) + event.delta)
            case realtime.OutputTranscript():
                if event.response_id not in self._cut:
                    self._write(event.item_id, event.transcript)
                    self._events.append(Transcript("agent", event.transcript.strip(), event.item_id))
            case realtime.ItemDone():
                self._item_done(event.response_id, event.item_id)
            case realtime.ResponseDone():
                self._response_done(event.response)
            case realtime.Failed():
                if event.error.event_id is not None and event.error.event_id == self._asked_in:
                    self._asked_in = None  # there will be no such response
                    self._cancel_next = False
                    self._ask_if_wanted()
                self._events.append(VoiceTrouble(event.error.code or event.error.type, event.error.message))
            case realtime.Unknown():
                if event.problem:
                    self._events.append(VoiceTrouble("malformed_event", f"{event.type}: {event.problem}"))
            case _:
                assert_never(event)

    # -- what the holder reads

    @property
    def responding(self) -> bool:
        """A response is being made that has not been cancelled."""
        asked = self._asked_in is not None and not self._cancel_next
        return self._wants_response or asked or any(response not in self._cut for response in self._running)

    def text(self, item: str) -> str:
        """What the agent says in `item`, as far as the voice has told."""
        return self._texts.get(item, "")

    def events(self) -> list[SessionEvent]:
        """What happened since the last call of this method."""
        events, self._events = self._events, []
        return events

    def outgoing(self) -> list[Outgoing]:
        """What the voice must be sent, in order, since the last call of this method."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def _ready(self) -> None:
        self._events.append(SessionReady(self.session_id))
        if self._greeted:
            return
        self._greeted = True
        greeting = self.agent.greeting
        if greeting is None:
            self.respond()
            return
        # The model is told in words; a voice of ours reads the text itself.
        instructions = f"Greet the caller with exactly these words: {greeting}"
        self._ask({"instructions": instructions, "metadata": {"say": greeting}})

    def _ask(self, response: dict[str, object] | None = None) -> None:
        self._step("asked")
        self._asked_in = self._send(type="response.create", **({"response": response} if response else {}))

    def _begin(self, response: str) -> None:
        self._running.setdefault(response, [])
        self._step("asked")
        self._events.append(ResponseStarted(response))
        if self._asked_in is not None:
            self._asked_in = None
            if self._cancel_next:
                self._cut_short(response)
            self._cancel_next = False

    def _cut_short(self, response: str) -> None:
        if response not in self._cut:
            self._cut.add(response)
            self._send(type="response.cancel", response_id=response)

    def _audio(self, event: realtime.AudioDelta) -> None:
        items = self._running.setdefault(event.response_id, [])
        if event.response_id in self._cut:
            return
        if len(event.delta) % 2:
            self._events.append(VoiceTrouble("malformed_event", f"{len(event.delta)} bytes of PCM16"))
            return
        if event.item_id not in items:
            items.append(event.item_id)
        self._step("audio")
        self._events.append(AgentAudio(event.item_id, event.delta))

    def _item_done(self, response: str, item: str) -> None:
        items = self._running.get(response, [])
        if item in items:
            items.remove(item)
            if response not in self._cut:
                self._events.append(AgentAudioDone(item))

    def _response_done(self, response: realtime.Response) -> None:
        cut = response.id in self._cut
        for item in list(
            self._running.get(response.id, [])
        ):  # of a failed one, nobody says that its audio is over
            self._item_done(response.id, item)
        self._running.pop(response.id, None)
        self._cut.discard(response.id)
        matched = (response.metadata or {}).get("matched")
        status = "cancelled" if cut else response.status
        self._events.append(ResponseEnded(response.id, status, matched))
        for output in response.output or ():
            if output.type == "function_call" and status == "completed":
                self._events.append(ToolCalled(output.call_id, output.name, output.arguments))
        self._step("answered")
        self._ask_if_wanted()

    def _ask_if_wanted(self) -> None:
        if self._wants_response and self._asked_in is None and not self._running:
            self._wants_response = False
            self._ask()

    def _write(self, item: str, text: str) -> None:
        self._texts[item] = text
        if len(self._texts) > _MOST_TEXTS:
            del self._texts[next(iter(self._texts))]

    def _silent_for_s(self, audio_end_ms: int) -> float:
        # audio_end_ms is the end of the audio that decided it, the required silence included.
        behind_ms = self._sent_bytes / BYTES_PER_MS - audio_end_ms
        return (max(behind_ms, 0.0) + self._turns.silence_duration_ms) / 1000

    def _configuration(self) -> dict[str, object]:
        agent = self.agent
        pcm = {"type": "audio/pcm", "rate": 24000}
        turn_detection: dict[str, object] = {
            "type": "server_vad",
            "threshold": self._turns.threshold,
            "prefix_padding_ms": self._turns.prefix_padding_ms,
            "silence_duration_ms": self._turns.silence_duration_ms,
            "create_response": True,
            "interrupt_response": False,
        }
        if self._turns.idle_timeout_ms is not None:
            turn_detection["idle_timeout_ms"] = self._turns.idle_timeout_ms
        tools = [
            {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters}
            for t in self._tools
        ]
        output: dict[str, object] = {"format": pcm}
        if agent.voice is not None:
            output["voice"] = agent.voice
        return {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": agent.instructions,
            "tools": tools,
            "tool_choice": "auto",
            "audio": {
                "input": {
                    "format": pcm,
                    "transcription": {"model": "gpt-4o-mini-transcribe", "language": agent.language},
                    "turn_detection": turn_detection,
                },
                "output": output,
            },
        }

    def _step(self, what: str) -> None:
        self.state = _NEXT.get((self.state, what), self.state)

    def _send(self, **event: object) -> str:
        self._sent_events += 1
        event_id = f"c{self._sent_events}"
        head = {"type": event.pop("type"), "event_id": event_id}
        self._outgoing.append(Outgoing(realtime.encode(head | event), 0))
        return event_id

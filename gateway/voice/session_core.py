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
        self._response: str | None = None  # the one that the voice works on
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
        if self._response is not None:
            self._wants_response = True
            return
        self._step("asked")
        self._send(type="response.create")

    def cancel(self) -> None:
        """Stop the running response; what still arrives of it is dropped. Nothing when none runs."""
        self._wants_response = False
        if self._response is not None and self._response not in self._cut:
            self._cut.add(self._response)
            self._send(type="response.cancel", response_id=self._response)

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
                if event.response_id not in self._cut:
                    self._step("audio")
                    self._events.append(AgentAudio(event.item_id, event.delta))
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
                self._response = event.response.id
                self._step("asked")
                self._events.append(ResponseStarted(event.response.id))
            case realtime.TranscriptDelta():
                if event.response_id not in self._cut:
                    self._texts[event.item_id] = self._texts.get(event.item_id, "") + event.delta
            case realtime.OutputTranscript():
                if event.response_id not in self._cut:
                    self._texts[event.item_id] = event.transcript
                    self._events.append(Transcript("agent", event.transcript.strip(), event.item_id))
            case realtime.ItemDone():
                if event.response_id not in self._cut:
                    self._events.append(AgentAudioDone(event.item_id))
            case realtime.ResponseDone():
                self._response_done(event.response)
            case realtime.Failed():
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
        return self._wants_response or (self._response is not None and self._response not in self._cut)

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
        self._step("asked")
        # The model is told in words; a voice of ours reads the text itself.
        response = {
            "instructions": f"Greet the caller with exactly these words: {greeting}",
            "metadata": {"say": greeting},
        }
        self._send(type="response.create", response=response)

    def _response_done(self, response: realtime.Response) -> None:
        cut = response.id in self._cut
        self._cut.discard(response.id)
        if self._response == response.id:
            self._response = None
        matched = (response.metadata or {}).get("matched")
        self._events.append(ResponseEnded(response.id, "cancelled" if cut else response.status, matched))
        for item in response.output if not cut else ():
            if item.type == "function_call":
                self._events.append(ToolCalled(item.call_id, item.name, item.arguments))
        self._step("answered")
        if self._wants_response:
            self._wants_response = False
            self.respond()

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

    def _send(self, **event: object) -> None:
        self._sent_events += 1
        head = {"type": event.pop("type"), "event_id": f"c{self._sent_events}"}
        self._outgoing.append(Outgoing(realtime.encode(head | event), 0))

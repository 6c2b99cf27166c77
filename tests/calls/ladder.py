"""One call core on an explicit clock, between a hand-written Twilio and a hand-written voice."""

import base64
import json
import random
from typing import Any, TypeVar

import msgspec

from gateway import contracts as c
from gateway.calls.core import CallCore
from gateway.calls.settings import CallSettings
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.steps import StepMachine

CALL_SID = "CA" + "0" * 32
STREAM_SID = "MZ" + "0" * 32
O = TypeVar("O")  # noqa: E741 - an output


class Ladder:
    """Feeds a `CallCore` and remembers all that came out. Time passes only by `frames`."""

    def __init__(
        self,
        *steps: Action,
        agent: c.Agent | None = None,
        destinations: tuple[str, ...] = ("front_desk",),
        fallback: tuple[Action, ...] = (),
        voices: tuple[str, ...] = ("puppet",),
        **settings: Any,
    ) -> None:
        agent = agent or c.Agent(name="reception")
        self.now = 0.0
        self.out: list[c.Output] = []
        self.core = CallCore(
            TwilioLegCore(CALL_SID),
            lambda call: StepMachine(steps or (Converse(agent="reception"),), call, fallback),
            {"reception": agent},
            frozenset(destinations),
            CallSettings(voices=tuple(c.VoiceTraits(name=name) for name in voices), **settings),
            rng=random.Random(0),
        )
        self._frame = 0
        self._audio = 0
        self._clips = 0

    # -- what Twilio says

    def start(self) -> "Ladder":
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": STREAM_SID,
            "callSid": CALL_SID,
            "tracks": ["inbound"],
            "mediaFormat": media_format,
            "customParameters": {},
        }
        return self.carrier(event="start", sequenceNumber="1", start=start, streamSid=STREAM_SID)

    def frames(self, count: int, payload: bytes = b"\xff" * 160) -> "Ladder":
        """Let time pass: frames of the caller, each followed by a tick 20 ms after the last."""
        for _ in range(count):
            self._frame += 1
            self.now = round(self.now + 0.02, 6)
            media = {
                "track": "inbound",
                "chunk": str(self._frame),
                "timestamp": str(135 + 20 * self._frame),
                "payload": base64.b64encode(payload).decode(),
            }
            self.carrier(event="media", sequenceNumber="2", media=media, streamSid=STREAM_SID)
            self._feed("tick", "")
        return self

    def marks_return(self) -> "Ladder":
        """Twilio has played all that it was sent."""
        for message in self.sent("mark"):
            name = message["mark"]["name"]
            self.carrier(event="mark", sequenceNumber="3", streamSid=STREAM_SID, mark={"name": name})
        return self

    def digit(self, digit: str) -> "Ladder":
        return self.carrier(
            event="dtmf",
            streamSid=STREAM_SID,
            sequenceNumber="5",
            dtmf={"track": "inbound_track", "digit": digit},
        )

    def stop(self) -> "Ladder":
        stop = {"accountSid": "AC" + "0" * 32, "callSid": CALL_SID}
        return self.carrier(event="stop", sequenceNumber="9", stop=stop, streamSid=STREAM_SID)

    def carrier(self, **message: Any) -> "Ladder":
        return self._feed("carrier", json.dumps(message))

    # -- what the voice says

    def voice_opens(self) -> "Ladder":
        session = self.last(c.OpenVoice).session
        self.command(c.VoiceOpened(session=session))
        self.voice(type="session.created", session={"id": "sess_1"})
        return self.voice(type="session.updated", session={"id": "sess_1"})

    def responds(self, response: str, item: str, ms: int, text: str = "", *, done: bool = True) -> "Ladder":
        """A response of `ms` of audio, in deltas of 100 ms."""
        self.voice(type="response.created", response={"id": response, "status": "in_progress"})
        for _ in range(ms // 100):
            self.delta(response, item, 100)
        if text:
            self.voice(
                type="response.output_audio_transcript.done",
                response_id=response,
                item_id=item,
                transcript=text,
            )
        return self.response_done(response, item) if done else self

    def says_in(self, response: str, item: str, text: str) -> "Ladder":
        """The words of an item, as far as they have come."""
        kind = "response.output_audio_transcript.delta"
        return self.voice(type=kind, response_id=response, item_id=item, delta=text)

    def delta(self, response: str, item: str, ms: int) -> "Ladder":
        self._audio += 1
        pcm = (1000 + self._audio).to_bytes(2, "little") * 24 * ms
        audio = base64.b64encode(pcm).decode()
        return self.voice(type="response.output_audio.delta", response_id=response, item_id=item, delta=audio)

    def response_done(self, response: str, item: str, *calls: dict[str, str]) -> "Ladder":
        self.voice(type="response.output_audio.done", response_id=response, item_id=item)
        output = [{"type": "function_call", "id": f"fc_{n}"} | call for n, call in enumerate(calls)]
        return self.voice(
            type="response.done", response={"id": response, "status": "completed", "output": output}
        )

    def speech_starts(self, item: str = "u1", at_ms: int = 0) -> "Ladder":
        return self.voice(type="input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=item)

    def speech_stops(self, audio_end_ms: int, item: str = "u1") -> "Ladder":
        return self.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id=item)

    def turn_taken(self, item: str = "u1") -> "Ladder":
        return self.voice(type="input_audio_buffer.committed", item_id=item)

    def caller_said(self, text: str, item: str = "u1") -> "Ladder":
        kind = "conversation.item.input_audio_transcription.completed"
        return self.voice(type=kind, item_id=item, transcript=text)

    def voice_is_lost(self, detail: str = "") -> "Ladder":
        session = self.last(c.OpenVoice).session
        return self.command(c.VoiceEnded(session=session, refused=False, detail=detail))

    def clips_load(self) -> "Ladder":
        """Every clip that was asked for is there: half a second of it."""
        for clip in self.all(c.LoadClip)[self._clips :]:
            self._clips += 1
            self.command(c.ClipReady(id=clip.id, pcm=bytes(24000)))
        return self

    def voice(self, **event: Any) -> "Ladder":
        return self._feed("voice", json.dumps({"event_id": "e"} | event))

    def command(self, command: c.Command) -> "Ladder":
        return self._feed("command", msgspec.json.encode(command).decode())

    # -- what came out

    def all(self, kind: type[O]) -> list[O]:
        return [output for output in self.out if isinstance(output, kind)]

    def last(self, kind: type[O]) -> O:
        return self.all(kind)[-1]

    def sent(self, event: str) -> list[dict[str, Any]]:
        """Messages to Twilio of one kind."""
        messages = [json.loads(output.data) for output in self.all(c.CarrierMessage)]
        return [message for message in messages if message["event"] == event]

    def sent_ms(self) -> int:
        """Agent audio sent to Twilio so far."""
        return sum(len(base64.b64decode(message["media"]["payload"])) for message in self.sent("media")) // 8

    def sent_audio(self) -> list[bytes]:
        return [base64.b64decode(message["media"]["payload"]) for message in self.sent("media")]

    def heard_ms(self) -> float:
        """What the caller has heard of the agent at least, as the call knows."""
        downlink = self.core._downlink
        assert downlink is not None
        return downlink.ledger.heard.low_ms

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Events to the voice of one type."""
        events = [json.loads(output.data) for output in self.all(c.VoiceMessage)]
        return [event for event in events if event["type"] == kind]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [output.fields for output in self.all(c.Fact) if output.name == name]

    @property
    def frame_count(self) -> int:
        """How many frames the caller has sent."""
        return self._frame

    @property
    def reason(self) -> c.EndReason | None:
        ended = self.all(c.Ended)
        assert len(ended) <= 1
        return ended[0].reason if ended else None

    def _feed(self, port: c.Port, data: str) -> "Ladder":
        self.core.feed(port, data, self.now)
        self.out += self.core.drain()
        return self

"""A whole call core over a leg of any carrier, between its far end, which plays what it gets, and a hand-written voice."""

import base64
import json
import random
from typing import Any, Generic, Self, TypeVar

import numpy as np

from gateway import contracts as c
from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.calls.barge_in import BargeInSettings
from gateway.calls.core import CallCore
from gateway.calls.settings import CallSettings
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.steps import StepMachine
from gateway.media.stereo import StereoMix
from tests.contracts.leg_peers import Peer, SipPeer

PCMU = CODECS["pcmu"]
QUIET = b"\xff" * 160
TONE = PCMU.encode(sine(400, 1000))
_FIRST_CODE = 0x84
P = TypeVar("P", bound=Peer)


class PhoneCall(Generic[P]):
    """Feeds a `CallCore`, and lets a far end take part. Remembers what went in, to feed it again."""

    def __init__(
        self, phone: P, *steps: Action, seed: int = 0, min_speech_ms: int = 0, min_words: int = 0
    ) -> None:
        self.phone = phone
        self.mix = StereoMix()
        self._steps = steps or (Answer(), Converse(agent="reception"))
        self._barge_in = BargeInSettings(min_speech_ms=min_speech_ms, min_words=min_words)
        self.core = self.build(self.mix)
        self.now = 0.0
        self.inputs: list[tuple[c.Port, str | bytes, float]] = []
        self.out: list[c.Output] = []
        self._late = random.Random(seed)
        self._talked = 0
        self._tick = 0

    def build(self, mix: StereoMix | None = None) -> CallCore:
        """The core of this call, new."""
        return CallCore(
            self.phone.leg(),
            lambda call: StepMachine(self._steps, call, ()),
            {"reception": c.Agent(name="reception", greeting="Good morning.")},
            frozenset({"front_desk"}),
            CallSettings(voices=(c.VoiceTraits(name="puppet"),), barge_in=self._barge_in),
            rng=random.Random(0),
            mix=mix,
        )

    def feed(self, port: c.Port, data: str | bytes = "") -> Self:
        self.inputs.append((port, data, self.now))
        self.core.feed(port, data, self.now)
        outputs = self.core.drain()
        self.out += outputs
        for output in outputs:
            if isinstance(output, c.CarrierMessage):
                self.say(*self.phone.receive(output.data, self.now))
        return self

    # -- the caller

    def say(self, *messages: str | bytes) -> Self:
        for message in messages:
            self.feed("carrier", message)
        return self

    def ticks(self, count: int, *, talking: bool = False, mute: bool = False, late_s: float = 0.0) -> Self:
        """Let time pass; unless it is `mute` the phone sends a frame before each tick, which may be late by `late_s`."""
        for _ in range(count):
            self._tick += 1
            self.now = round(self._tick * 0.02, 6)
            self.say(*self.phone.advance(self.now))
            frame = QUIET
            if talking:
                frame = (TONE + TONE)[self._talked % 8000 :][:160]
                self._talked += 160
            if not mute:
                self.say(*self.phone.caller_frame(frame))
            self.now = round(self.now + self._late.random() * late_s, 6)
            self.feed("tick")
        return self

    def stalls(self, ms: int) -> Self:
        """The machine does nothing for so long."""
        self._tick += ms // 20
        self.now = round(self._tick * 0.02, 6)
        return self

    # -- the voice

    def voice(self, **event: Any) -> Self:
        return self.feed("voice", json.dumps({"event_id": "e"} | event))

    def answered(self) -> Self:
        self.say(*self.phone.start())
        self.feed("command", '{"type":"voice.opened","session":1}')
        self.voice(type="session.created", session={"id": "sess_1"})
        return self.voice(type="session.updated", session={"id": "sess_1"})

    def responds(self, ms: int, response: str = "r1", *calls: dict[str, str]) -> Self:
        """A response of so much audio, which tells where it is from; then it may call tools."""
        item = f"item_of_{response}"
        self.voice(type="response.created", response={"id": response, "status": "in_progress"})
        for number in range(ms // 100):
            delta = base64.b64encode(said(number)).decode()
            self.voice(type="response.output_audio.delta", response_id=response, item_id=item, delta=delta)
        self.voice(type="response.output_audio.done", response_id=response, item_id=item)
        output = [{"type": "function_call", "id": f"fc_{n}"} | call for n, call in enumerate(calls)]
        done = {"id": response, "status": "completed", "output": output}
        return self.voice(type="response.done", response=done)

    def interrupts(self) -> Self:
        return self.voice(type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")

    def stops(self, at_ms: int) -> Self:
        return self.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id="u1")

    # -- what came of it

    def told(self, kind: str) -> list[dict[str, Any]]:
        """What the voice was told."""
        events = [json.loads(output.data) for output in self.out if isinstance(output, c.VoiceMessage)]
        return [event for event in events if event["type"] == kind]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [output.fields for output in self.out if isinstance(output, c.Fact) and output.name == name]

    @property
    def heard_ms(self) -> int:
        """How much of the agent the caller has heard."""
        return len(self.phone.played) // 8

    @property
    def heard(self) -> list[int]:
        """Which tenth of a second of a response each 20 ms are that the caller heard of the agent, by `said`."""
        played = self.phone.played
        levels = np.frombuffer(PCMU.decode(played[: len(played) // 160 * 160]), "<i2").reshape(-1, 160)
        middles = np.median(levels, axis=1).astype("<i2").tobytes()
        return [code - _FIRST_CODE for code in PCMU.encode(middles)]

    def again(self) -> list[c.Output]:
        """What another core answers to the same."""
        core, out = self.build(), []
        for port, data, now in self.inputs:
            core.feed(port, data, now)
            out += core.drain()
        return out


class SipCall(PhoneCall[SipPeer]):
    """A call over SIP, with a phone on the same desk."""

    def __init__(self, *, seed: int = 0, min_speech_ms: int = 0) -> None:
        super().__init__(SipPeer(), seed=seed, min_speech_ms=min_speech_ms)


def said(number: int) -> bytes:
    """A tenth of a second of a voice at 24 kHz: one level, by which it is known again."""
    return PCMU.decode(bytes([_FIRST_CODE + number])) * 2400

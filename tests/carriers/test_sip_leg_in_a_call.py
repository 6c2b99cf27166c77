"""A whole call core over a SIP leg, between a telephone with a jitter buffer and a hand-written voice."""

import base64
import json
import random
from typing import Any

import numpy as np
import pytest

from gateway import contracts as c
from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.calls.barge_in import BargeInSettings
from gateway.calls.core import CallCore
from gateway.calls.settings import CallSettings
from gateway.carriers.sip import leg_messages as sip
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.steps import StepMachine
from gateway.media.stereo import StereoMix
from gateway.wire.sdp.media import Direction
from tests.contracts.leg_peers import SipPeer

PCMU = CODECS["pcmu"]
QUIET = b"\xff" * 160
TONE = PCMU.encode(sine(400, 1000))
AGENT = base64.b64encode(np.repeat(np.arange(1000, 2200, dtype="<i2"), 2).tobytes()).decode()  # 100 ms


class SipCall:
    """Feeds a `CallCore`, and lets a telephone take part. Remembers what went in, to feed it again."""

    def __init__(self, *, seed: int = 0, min_speech_ms: int = 0) -> None:
        self.phone = SipPeer()
        self.mix = StereoMix()
        self.core = build(self.mix, min_speech_ms=min_speech_ms)
        self.now = 0.0
        self.inputs: list[tuple[c.Port, str | bytes, float]] = []
        self.out: list[c.Output] = []
        self._late = random.Random(seed)
        self._talked = 0
        self._tick = 0

    def feed(self, port: c.Port, data: str | bytes = "") -> "SipCall":
        self.inputs.append((port, data, self.now))
        self.core.feed(port, data, self.now)
        outputs = self.core.drain()
        self.out += outputs
        for output in outputs:
            if isinstance(output, c.CarrierMessage):
                self.phone.receive(output.data, self.now)
        return self

    def say(self, *messages: str | bytes) -> "SipCall":
        for message in messages:
            self.feed("carrier", message)
        return self

    def ticks(
        self, count: int, *, talking: bool = False, mute: bool = False, late_s: float = 0.0
    ) -> "SipCall":
        """Let time pass; unless it is `mute` the phone sends a packet before each tick, which may be late by `late_s`."""
        for _ in range(count):
            self._tick += 1
            self.now = round(self._tick * 0.02, 6)
            self.phone.advance(self.now)
            frame = QUIET
            if talking:
                frame = (TONE + TONE)[self._talked % 8000 :][:160]
                self._talked += 160
            if not mute:
                self.say(*self.phone.caller_frame(frame))
            self.now = round(self.now + self._late.random() * late_s, 6)
            self.feed("tick")
        return self

    def voice(self, **event: Any) -> "SipCall":
        return self.feed("voice", json.dumps({"event_id": "e"} | event))

    def answered(self) -> "SipCall":
        self.say(*self.phone.start())
        self.feed("command", '{"type":"voice.opened","session":1}')
        self.voice(type="session.created", session={"id": "sess_1"})
        return self.voice(type="session.updated", session={"id": "sess_1"})

    def responds(self, ms: int) -> "SipCall":
        self.voice(type="response.created", response={"id": "r1", "status": "in_progress"})
        for _ in range(ms // 100):
            self.voice(type="response.output_audio.delta", response_id="r1", item_id="i1", delta=AGENT)
        self.voice(type="response.output_audio.done", response_id="r1", item_id="i1")
        done = {"id": "r1", "status": "completed", "output": []}
        return self.voice(type="response.done", response=done)

    def interrupts(self) -> "SipCall":
        return self.voice(type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")

    def told(self, kind: str) -> list[dict[str, Any]]:
        events = [json.loads(output.data) for output in self.out if isinstance(output, c.VoiceMessage)]
        return [event for event in events if event["type"] == kind]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [output.fields for output in self.out if isinstance(output, c.Fact) and output.name == name]

    @property
    def said(self) -> list[bool]:
        """Of each packet to the phone, whether the agent is in it."""
        return [packet.payload != QUIET for packet in self.phone.received]


def build(mix: StereoMix | None = None, *, min_speech_ms: int = 0) -> CallCore:
    steps = (Answer(), Converse(agent="reception"))
    return CallCore(
        SipPeer().leg(),
        lambda call: StepMachine(steps, call, ()),
        {"reception": c.Agent(name="reception", greeting="Good morning.")},
        frozenset(),
        CallSettings(
            voices=(c.VoiceTraits(name="puppet"),), barge_in=BargeInSettings(min_speech_ms=min_speech_ms)
        ),
        rng=random.Random(0),
        mix=mix,
    )


def halves(call: SipCall) -> tuple[np.ndarray, np.ndarray]:
    both = np.frombuffer(call.mix.finish(call.now), "<i2").reshape(-1, 2).astype(float)
    return both[:, 0], both[:, 1]


def onset_s(samples: np.ndarray) -> float:
    return float(np.flatnonzero(np.abs(samples) > 500)[0]) / 8000


def test_media_that_is_agreed_answers_the_call():
    call = SipCall().answered()

    assert next(type(output) for output in call.out if isinstance(output, c.Request)) is c.AnswerCall
    assert call.facts("call.started") == [{"carrier_call": "a84b4c76e66710", "codec": "pcmu"}]


def test_the_greeting_goes_out_as_rtp_whole_and_in_one_piece():
    call = SipCall().answered().ticks(10).responds(3000)

    call.ticks(200)

    first = call.said.index(True)
    assert len(call.phone.received) == 210
    assert call.said[first : first + 150] == [True] * 150
    assert first <= 11


@pytest.mark.parametrize("seed", range(5))
def test_ticks_that_come_late_leave_no_hole_in_what_the_agent_says(seed: int):
    call = SipCall(seed=seed).answered().ticks(10, mute=True, late_s=0.019).responds(3000)

    call.ticks(200, mute=True, late_s=0.019)

    first = call.said.index(True)
    assert call.said[first : first + 150] == [True] * 150


def test_the_caller_reaches_the_voice_at_24_khz():
    call = SipCall().answered().ticks(5)

    call.ticks(100, talking=True)

    audio = b"".join(base64.b64decode(event["audio"]) for event in call.told("input_audio_buffer.append"))
    heard = np.frombuffer(audio, "<i2").astype(float)[-24_000:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert len(audio) == 105 * 960
    assert spectrum.argmax() == 400


def test_an_interruption_cuts_the_agent_within_one_frame():
    call = SipCall().answered().ticks(10).responds(3000).ticks(50, talking=True)
    before = len(call.phone.received)

    call.interrupts().ticks(20, talking=True)

    assert call.said[before - 1] is True
    assert call.said[before:] == [False] * 20


@pytest.mark.parametrize("seconds_before", [0, 8])
def test_what_the_voice_is_told_was_heard_contains_the_truth(seconds_before: int):
    """With a report of the phone there is a round trip; without one, a bound."""
    call = SipCall().answered().ticks(10 + 50 * seconds_before).responds(3000).ticks(50, talking=True)

    call.interrupts().ticks(50, talking=True)

    heard_ms = len(call.phone.played) / 8
    [cut] = call.facts("agent.interrupted")
    [truncated] = call.told("conversation.item.truncate")
    assert cut["heard_low_ms"] <= heard_ms <= cut["heard_high_ms"]
    assert 0 <= heard_ms - truncated["audio_end_ms"] <= 25


def test_the_agent_goes_on_where_he_was_cut_when_it_was_nothing():
    call = SipCall(min_speech_ms=500).answered().ticks(10).responds(2000).ticks(50, talking=True)

    call.voice(type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1").ticks(5)
    call.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=90, item_id="u1").ticks(100)

    assert call.facts("caller.ignored") == [{}]
    assert call.said.count(True) == 101 + 1  # a frame of which nobody knows is said again


def test_both_halves_of_the_recording_lie_where_they_were_heard():
    call = SipCall().answered().ticks(50).responds(1000).ticks(25).ticks(50, talking=True).ticks(50)

    caller, agent = halves(call)

    assert len(caller) == len(agent) == pytest.approx(call.now * 8000, abs=160)
    assert onset_s(agent) == pytest.approx(50 * 0.02, abs=0.025)
    assert 1.5 <= onset_s(caller) <= 1.5 + 0.1  # behind his jitter buffer
    assert onset_s(caller[::-1]) == pytest.approx(50 * 0.02 - (onset_s(caller) - 1.5), abs=0.04)


def test_what_is_cut_is_not_in_the_recording():
    call = SipCall().answered().ticks(50).responds(3000).ticks(50).interrupts().ticks(100)

    _, agent = halves(call)

    said_s = np.count_nonzero(agent) / 8000
    assert said_s == pytest.approx(1.0, abs=0.05)


def test_keys_reach_the_call_once():
    call = SipCall().answered().ticks(10)

    call.say(*call.phone.press("5")).ticks(10)

    assert call.facts("digit.pressed") == [{}]


def test_a_held_call_goes_on_afterwards():
    call = SipCall().answered().ticks(10).responds(1000)

    call.say(call.phone.agrees(direction=Direction.RECVONLY)).ticks(100)
    on_hold = call.said.count(True)
    call.say(call.phone.agrees()).ticks(100)

    assert (on_hold, call.said.count(True)) == (0, 51)


def test_who_hangs_up_ends_the_call():
    call = SipCall().answered().ticks(10)

    call.say(sip.encode(sip.CallOver(why="hung up", cause=16)))

    assert call.core.ended is c.EndReason.CALLER_HUNG_UP


def test_the_same_inputs_have_the_same_outputs():
    call = SipCall().answered().ticks(20).responds(3000).ticks(60, talking=True).interrupts().ticks(400)
    call.say(*call.phone.press("5"), *call.phone.hang_up())

    again, out = build(), []
    for port, data, now in call.inputs:
        again.feed(port, data, now)
        out += again.drain()

    assert out == call.out

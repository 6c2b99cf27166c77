"""What the user says, on its way to the voice."""

import base64
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS
from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.voice.conversion import Conversion
from gateway.voice.microphone import Microphone
from gateway.voice.session_core import SessionCore
from gateway.voice.utterances import Utterances

PCM = AudioFormat()
NARROW = AudioFormat(rate_hz=8000)
FORMATS = [
    PCM,
    AudioFormat(rate_hz=16_000),
    NARROW,
    AudioFormat(encoding="pcmu", rate_hz=8000),
    AudioFormat(encoding="pcma", rate_hz=8000),
]


class Line:
    """A microphone, and what came through."""

    def __init__(self, form: AudioFormat, wire: AudioFormat = PCM) -> None:
        self.session = SessionCore(Agent(name="a"), VoiceTraits(name="puppet", input=wire))
        self.session.connect()
        self.session.opened()
        self.session.outgoing()
        self.utterances = Utterances(form)
        self.microphone = Microphone(self.session, self.utterances, form)

    def appended(self) -> list[bytes]:
        events = [json.loads(event) for event, _ in self.session.outgoing()]
        return [base64.b64decode(event["audio"]) for event in events]


def tone(form: AudioFormat, duration_ms: int) -> bytes:
    count = duration_ms * form.rate_hz // 1000
    pcm = (8000 * np.sin(2 * np.pi * 400 * np.arange(count) / form.rate_hz)).astype("<i2").tobytes()
    return pcm if form.encoding == "pcm" else CODECS[form.encoding].encode(pcm)


def named(form: AudioFormat) -> str:
    return f"{form.encoding}{form.rate_hz // 1000}"


@pytest.mark.parametrize("wire", FORMATS, ids=named)
@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_the_voice_hears_all_of_a_turn_in_its_own_format(form: AudioFormat, wire: AudioFormat):
    line = Line(form, wire)

    line.microphone.send(tone(form, 250))
    line.microphone.complete()

    conversion = Conversion(form, wire)
    expected = conversion.carry(tone(form, 250)) + conversion.rest()
    heard = b"".join(line.appended())
    assert heard[: 250 * wire.bytes_per_ms] == expected[: 250 * wire.bytes_per_ms]
    assert len(heard) == 253 * wire.bytes_per_ms


@given(cuts=st.lists(st.integers(0, 4000), max_size=20))
def test_in_whatever_chunks_it_is_said_it_is_heard_the_same(cuts: list[int]):
    audio = tone(NARROW, 500)
    line, whole = Line(NARROW), Line(NARROW)

    for first, last in pairwise([0, *sorted(2 * min(cut, 4000) for cut in cuts), len(audio)]):
        line.microphone.send(audio[first:last])
    whole.microphone.send(audio)

    assert b"".join(line.appended()) == b"".join(whole.appended())


def test_a_long_file_goes_in_events_of_a_second():
    line = Line(PCM)

    line.microphone.send(tone(PCM, 2500))

    assert [len(audio) // PCM.bytes_per_ms for audio in line.appended()] == [1000, 1000, 500]


@pytest.mark.parametrize("said_ms", [0, 1, 50, 99, 100, 3000])
@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_a_turn_has_a_tenth_of_a_second_at_least(form: AudioFormat, said_ms: int):
    line = Line(form)
    line.microphone.send(tone(form, said_ms))

    ends_ms = line.microphone.complete()

    assert sum(map(len, line.appended())) // PCM.bytes_per_ms == ends_ms == max(100, said_ms + 3)


def test_the_next_turn_has_a_tenth_of_a_second_of_its_own():
    line = Line(PCM)
    line.microphone.send(tone(PCM, 500))
    line.microphone.complete()

    ends_ms = line.microphone.complete()

    assert ends_ms == 503 + 100


def test_what_the_voice_has_taken_for_a_turn_does_not_count_for_the_next_one():
    line = Line(PCM)
    line.microphone.send(tone(PCM, 500))
    line.microphone.turned(480)

    assert line.microphone.complete() == 480 + 100


def test_the_user_may_go_on_in_another_format():
    line = Line(PCM)
    line.microphone.send(tone(PCM, 100))

    line.microphone.hear_in(NARROW)
    line.microphone.send(tone(NARROW, 100))

    first, second = line.appended()
    assert first == tone(PCM, 100)
    assert second == Conversion(NARROW, PCM).carry(tone(NARROW, 100))
    assert line.utterances.ends_ms == 200


def test_the_silence_of_a_codec_is_its_own():
    phone = FORMATS[3]
    line = Line(phone, phone)

    line.microphone.complete()

    assert b"".join(line.appended()) == CODECS["pcmu"].silence * 800

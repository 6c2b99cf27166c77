"""The embedded voice without models."""

import trio

from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, detect_loudness, tone
from gateway.voice.embedded.vad import HOP_BYTES, SpeechStream
from tests.voice.voice_caller import calling, inline, running

Clock = trio.testing.MockClock
VOICED = tone("eight letters")[: 48 * 500]


async def test_it_hears_what_it_is_told_and_then_nothing(autojump_clock: Clock):
    backend = ScriptedBackend(ScriptedSettings(hears=("Where are you?", "Goodbye")), inline)

    async with running(backend), calling(backend) as caller:
        for count in range(3):
            await caller.say(VOICED)
            await caller.wait_for("response.done", count + 1)

    assert caller.matched == ["address", "goodbye", None]


async def test_every_caller_hears_the_list_from_its_start(autojump_clock: Clock):
    backend = ScriptedBackend(ScriptedSettings(hears=("Where are you?",)), inline)

    async with running(backend), calling(backend) as one, calling(backend) as other:
        await one.say(VOICED)
        await other.say(VOICED)
        await one.wait_for("response.done")
        await other.wait_for("response.done")

    assert one.matched == other.matched == ["address"]


def test_a_tone_is_as_long_as_its_text_and_always_the_same():
    short, long = tone("Hello"), tone("x" * 10_000)

    assert len(short) == 48 * 60 * 5
    assert short == tone("Hello")
    assert len(long) == 48 * 10_000


def test_a_tone_is_speech_and_the_noise_of_a_line_is_not():
    likely = detect_loudness(
        [SpeechStream()] * 2, [tone("Hello")[:HOP_BYTES], b"\x08\x00" * (HOP_BYTES // 2)]
    )

    assert likely == [1.0, 0.0]

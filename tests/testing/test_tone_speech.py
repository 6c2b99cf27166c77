import random

import pytest

from gateway.audio.clip import convert
from gateway.audio.g711 import CODECS
from gateway.testing.tone_speech import WORDS, Sound, sounds, speak, understand

EVERY_WORD = " ".join(WORDS)


@pytest.mark.parametrize("rate_hz", [8000, 24_000])
def test_every_word_is_understood(rate_hz: int):
    assert understand(speak(EVERY_WORD, rate_hz), rate_hz) == EVERY_WORD


@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
def test_every_word_is_understood_over_a_telephone(codec: str):
    line = convert(speak(EVERY_WORD, 24_000), 24_000, 8000)

    heard = CODECS[codec].decode(CODECS[codec].encode(line))

    assert understand(heard, 8000) == EVERY_WORD


def test_words_are_understood_wherever_they_begin():
    for offset in range(1, 160, 13):
        assert understand(bytes(2 * offset) + speak("17 45", 8000), 8000) == "17 45"


def test_a_word_is_heard_when_it_is_said():
    (sound,) = sounds(bytes(16_000) + speak("17", 8000), 8000)

    assert abs(sound.start_ms - 1000) <= 10
    assert abs(sound.end_ms - 1160) <= 20


def test_a_word_that_was_cut_is_heard_and_not_understood():
    cut = speak("17", 8000)[:1000] + speak("45", 8000)

    assert [(sound.word, sound.whole) for sound in sounds(cut, 8000)] == [("17", False), ("45", True)]
    assert understand(cut, 8000) == "45"


def test_noise_is_a_sound_and_no_word():
    rng = random.Random(1)
    noise = b"".join(rng.randrange(-8000, 8000).to_bytes(2, "little", signed=True) for _ in range(1600))

    assert {sound.word for sound in sounds(noise, 8000)} == {None}


def test_silence_is_no_sound():
    assert sounds(bytes(16_000), 8000) == []
    assert sounds(b"", 8000) == []


def test_full_stops_are_not_heard():
    assert speak("17. 45.", 8000) == speak("17 45", 8000)


def test_a_long_silence_does_not_join_what_is_around_it():
    apart = speak("17", 8000) + bytes(16_000 * 15) + speak("17", 8000)

    assert [type(sound) for sound in sounds(apart, 8000)] == [Sound, Sound]

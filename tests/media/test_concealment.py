import wave
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.testing
from gateway.audio.g711 import CODECS
from gateway.audio.tones import dtmf
from gateway.media.concealment import Concealment
from tests.media.heard_tone import PCMU, heard_tone, samples, tone

FRAME = 160


def after(audio: bytes) -> Concealment:
    concealment = Concealment(PCMU)
    concealment.played(audio)
    return concealment


def levels(audio: bytes, window: int = 80) -> list[float]:
    """The root mean square of each 10 ms."""
    return [float(np.sqrt((part**2).mean())) for part in samples(audio).reshape(-1, window)]


@pytest.mark.parametrize("hz", [150, 320, 440, 1000, 2500])
def test_a_tone_goes_on_through_a_lost_frame(hz: int):
    audio = tone(hz)
    concealment = after(audio[: 20 * FRAME])

    heard = audio[: 20 * FRAME] + concealment.fill(FRAME) + concealment.join(audio[21 * FRAME : 22 * FRAME])

    assert heard_tone(heard[-4 * FRAME :], hz).snr_db > 15
    assert levels(concealment_of(audio, 1))[0] == pytest.approx(levels(audio)[5], rel=0.1)


def concealment_of(audio: bytes, frames: int) -> bytes:
    """What is made up after the first 400 ms of some audio."""
    concealment = after(audio[: 20 * FRAME])
    return b"".join(concealment.fill(FRAME) for _ in range(frames))


def test_after_10_ms_a_fifth_of_the_level_goes_every_10_ms():
    audio = tone(1000)
    whole = levels(audio)[5]

    made = levels(concealment_of(audio, 4))

    assert made[0] == pytest.approx(whole, rel=0.03)
    for step, level in enumerate(made[1:6]):
        assert level == pytest.approx(whole * (0.9 - 0.2 * step), abs=0.08 * whole)


def test_after_60_ms_there_is_silence():
    made = concealment_of(tone(1000), 10)

    assert made[3 * FRAME :] == PCMU.silence * 7 * FRAME


def test_where_packets_go_on_there_is_no_click():
    audio = tone(440)
    concealment = after(audio[: 20 * FRAME])

    heard = (
        audio[19 * FRAME : 20 * FRAME]
        + concealment.fill(FRAME)
        + concealment.join(audio[21 * FRAME :][:FRAME])
    )

    steepest = np.abs(np.diff(samples(audio))).max()
    assert np.abs(np.diff(samples(heard))).max() < 1.5 * steepest


def test_what_follows_the_joint_is_word_for_word_what_came():
    audio = tone(440)
    concealment = after(audio)
    concealment.fill(FRAME)

    joined = concealment.join(audio[:FRAME])

    assert joined[80:] == audio[80:FRAME]
    assert not concealment.active


def test_a_gap_after_silence_is_silent():
    assert after(PCMU.silence * 800).fill(FRAME) == PCMU.silence * FRAME


def test_a_stop_ends_the_waveform():
    concealment = after(tone(440))
    concealment.fill(FRAME)

    concealment.stop()

    assert not concealment.active


def test_speech_is_guessed_better_than_by_silence():
    audio = _speech()
    errors, silences = 0.0, 0.0
    for start in range(40 * FRAME, len(audio) - 2 * FRAME, 10 * FRAME):
        truth = samples(audio[start : start + 80])
        guess = samples(after(audio[:start]).fill(FRAME)[:80])
        errors += float(((truth - guess) ** 2).sum())
        silences += float((truth**2).sum())

    assert 10 * np.log10(silences / errors) > 3


def _speech() -> bytes:
    """A sentence of the test caller, at 8000 Hz."""
    with wave.open(str(Path(gateway.testing.__file__).parent / "caller.wav")) as file:
        assert file.getframerate() == 8000
        return PCMU.encode(file.readframes(file.getnframes()))


@given(st.binary(max_size=800), st.lists(st.integers(1, 400), max_size=8), st.sampled_from(sorted(CODECS)))
def test_any_audio_and_any_gaps_are_filled_sample_by_sample(audio: bytes, gaps: list[int], codec: str):
    concealment = Concealment(CODECS[codec])
    concealment.played(audio)

    for size in gaps:
        made = concealment.fill(size)
        concealment.played(made)
        assert len(made) == size

    assert len(concealment.join(audio)) == len(audio)


def test_the_same_is_made_up_on_every_machine():
    audio = PCMU.encode(dtmf("159", rate_hz=8000))
    concealment, made = Concealment(PCMU), b""
    for start in range(0, len(audio) - FRAME, FRAME):
        concealment.played(audio[start : start + FRAME])
        made += concealment.fill(FRAME) + concealment.join(audio[start + FRAME : start + 2 * FRAME])

    assert sha256(made).hexdigest()[:16] == "6ec49fb742b782c6"

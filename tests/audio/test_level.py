"""The level of audio."""

import struct

import pytest

from gateway.audio.level import SILENCE_DBFS, level_dbfs
from gateway.audio.tones import sine


def test_a_full_scale_sine_is_3_db_below_full_scale() -> None:
    pcm = sine(1000, 100, level_dbfs=-3.01)

    assert level_dbfs(pcm) == pytest.approx(-3.01, abs=0.01)


def test_a_full_scale_square_is_full_scale() -> None:
    assert level_dbfs(struct.pack("<h", -32768) * 100) == 0.0


def test_halving_the_amplitude_takes_6_db() -> None:
    loud, half = struct.pack("<h", 8000) * 50, struct.pack("<h", 4000) * 50

    assert level_dbfs(loud) - level_dbfs(half) == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("pcm", [b"", bytes(320)])
def test_silence_and_nothing_have_the_level_of_silence(pcm: bytes) -> None:
    assert level_dbfs(pcm) == SILENCE_DBFS


def test_the_smallest_sound_is_louder_than_silence() -> None:
    assert SILENCE_DBFS < level_dbfs(b"\1\0" + bytes(318)) < -100


def test_half_a_sample_has_no_level() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        level_dbfs(bytes(3))

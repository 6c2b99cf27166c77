"""The clips that a caller hears when no voice speaks."""

from pathlib import Path

import numpy as np
import pytest

import gateway
from gateway.audio.clip import read_wav
from gateway.audio.level import level_dbfs
from gateway.audio.pauses import utterances

CLIPS = Path(gateway.__file__).parent / "calls" / "clips"


def speech_dbfs(pcm: bytes) -> float:
    """The level while somebody speaks: of the 20 ms frames that are above a telephone's background."""
    frames = [pcm[at : at + 960] for at in range(0, len(pcm), 960)]
    return level_dbfs(b"".join(frame for frame in frames if level_dbfs(frame) > -42))


@pytest.mark.parametrize("name", ["apology", "filler", "welcome"])
def test_a_shipped_clip_has_the_voice_s_rate_and_speech_in_it(name: str) -> None:
    clip = read_wav(CLIPS / f"{name}.wav")

    assert clip.rate_hz == 24_000
    assert utterances(clip.pcm, clip.rate_hz)


def test_the_filler_is_heard_at_once_and_soon_over() -> None:
    pcm = read_wav(CLIPS / "filler.wav").pcm

    audible = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 328)  # 1 % of full scale

    assert audible[0] / 24 <= 30
    assert (audible[-1] - audible[0]) / 24_000 < 1


@pytest.mark.parametrize("name", ["filler", "welcome"])
def test_every_clip_is_as_loud_as_the_apology(name: str) -> None:
    apology_dbfs, other_dbfs = (
        speech_dbfs(read_wav(CLIPS / f"{each}.wav").pcm) for each in ("apology", name)
    )

    assert apology_dbfs == pytest.approx(other_dbfs, abs=1)

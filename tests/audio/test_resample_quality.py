"""What the resamplers do to sound, measured with tones that fit a second a whole number of times."""

import math
from itertools import permutations

import numpy as np
import pytest

from gateway.audio.resample import RATES_HZ, resampler

PAIRS = list(permutations(RATES_HZ, 2))
ALL_PAIRS = pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
AMPLITUDE = 12_000
SETTLED_S = 0.1  # of a tone that starts at once


def band_hz(from_hz: int, to_hz: int) -> int:
    """Where the band of speech ends that is to come through: the telephone's, or wideband telephony's."""
    return 3400 if 8000 in {from_hz, to_hz} else 7000


IN_THE_BAND = [(*pair, tone_hz) for pair in PAIRS for tone_hz in range(300, band_hz(*pair) + 1, 100)]
BEYOND_IT = [
    (*pair, tone_hz)
    for pair in PAIRS
    for tone_hz in (*range(pair[1] - band_hz(*pair), pair[0] // 2, 100), pair[0] // 2 - 50)
    if pair[0] > pair[1]
]


def tone(tone_hz: float, rate_hz: int) -> bytes:
    seconds = np.arange(round(rate_hz * (1 + SETTLED_S))) / rate_hz
    return bytes(np.rint(AMPLITUDE * np.cos(2 * np.pi * tone_hz * seconds)).astype("<i2"))


def spectrum(from_hz: int, to_hz: int, tone_hz: float) -> np.ndarray:
    """Complex amplitudes of the last second of a tone in units of what went in, one bin a hertz."""
    stream, pcm = resampler(from_hz, to_hz), tone(tone_hz, from_hz)
    chunk = from_hz // 50 * 2
    output = b"".join(stream.feed(pcm[at : at + chunk]) for at in range(0, len(pcm), chunk))
    bins = np.fft.rfft(np.frombuffer(output, "<i2")[-to_hz:]) * 2 / to_hz / AMPLITUDE
    bins[0] /= 2  # the one bin without a mirror image
    return bins


def decibels(amplitude: complex) -> float:
    return 20 * math.log10(max(abs(amplitude), 1e-9))  # a few tones end as digital silence


@pytest.mark.parametrize(("from_hz", "to_hz", "tone_hz"), IN_THE_BAND)
def test_all_that_is_added_to_a_tone_is_70_db_down(from_hz: int, to_hz: int, tone_hz: int) -> None:
    bins = spectrum(from_hz, to_hz, tone_hz)

    bins[tone_hz] = 0
    assert decibels(np.abs(bins).max()) <= -70


@pytest.mark.parametrize(("from_hz", "to_hz", "tone_hz"), BEYOND_IT)
def test_what_is_left_of_a_tone_that_would_fold_into_the_band_is_70_db_down(
    from_hz: int, to_hz: int, tone_hz: int
) -> None:
    bins = spectrum(from_hz, to_hz, tone_hz)

    assert decibels(np.abs(bins).max()) <= -70


@ALL_PAIRS
def test_the_band_is_flat_to_five_hundredths_of_a_decibel(from_hz: int, to_hz: int) -> None:
    tones_hz = range(50, band_hz(from_hz, to_hz) + 1, 50)

    gains = [decibels(spectrum(from_hz, to_hz, tone_hz)[tone_hz]) for tone_hz in tones_hz]

    assert max(gains) - min(gains) <= 0.05
    assert max(map(abs, gains)) <= 0.05


@ALL_PAIRS
@pytest.mark.parametrize("tone_hz", [300, 331, 1000, 2777, 3400])
def test_every_tone_is_delayed_by_what_the_stream_says(from_hz: int, to_hz: int, tone_hz: int) -> None:
    bins = spectrum(from_hz, to_hz, tone_hz)

    # The measured second begins a whole number of tenths in; a cosine there has the phase of that instant.
    delay_s = resampler(from_hz, to_hz).delay_ms / 1000
    turns = np.angle(bins[tone_hz]) / (2 * np.pi) - tone_hz * SETTLED_S + tone_hz * delay_s
    assert turns - round(turns) == pytest.approx(0, abs=1e-3)


@ALL_PAIRS
def test_a_click_is_loudest_after_the_delay(from_hz: int, to_hz: int) -> None:
    click = np.zeros(480, "<i2")
    click[0] = 20_000
    stream = resampler(from_hz, to_hz)

    output = np.frombuffer(stream.feed(click.tobytes()), "<i2")

    assert int(np.abs(output).argmax()) / to_hz * 1000 == pytest.approx(stream.delay_ms)


@ALL_PAIRS
def test_the_delay_is_at_most_one_and_a_half_milliseconds(from_hz: int, to_hz: int) -> None:
    assert 0 < resampler(from_hz, to_hz).delay_ms <= 1.5

"""What the resamplers do to sound, measured with tones that fit a second a whole number of times."""

import math

import numpy as np
import pytest

from gateway.audio.resample import DELAY_MS, Downsampler, Upsampler

PHONE_HZ, VOICE_HZ = 8_000, 24_000
AMPLITUDE = 12_000
SETTLED_S = 0.1  # of a tone that starts at once


def tone(tone_hz: float, rate_hz: int) -> bytes:
    seconds = np.arange(round(rate_hz * (1 + SETTLED_S))) / rate_hz
    return bytes(np.rint(AMPLITUDE * np.cos(2 * np.pi * tone_hz * seconds)).astype("<i2"))


def spectrum(resampler: Upsampler | Downsampler, tone_hz: float) -> np.ndarray:
    """Complex amplitudes of the last second of a tone in units of what went in, one bin a hertz."""
    from_hz, to_hz = (PHONE_HZ, VOICE_HZ) if isinstance(resampler, Upsampler) else (VOICE_HZ, PHONE_HZ)
    pcm = tone(tone_hz, from_hz)
    chunk = from_hz // 50 * 2
    output = b"".join(resampler.feed(pcm[at : at + chunk]) for at in range(0, len(pcm), chunk))
    bins = np.fft.rfft(np.frombuffer(output, "<i2")[-to_hz:]) * 2 / to_hz / AMPLITUDE
    bins[0] /= 2  # the one bin without a mirror image
    return bins


def decibels(amplitude: complex) -> float:
    return 20 * math.log10(max(abs(amplitude), 1e-9))  # a few tones end as digital silence


@pytest.mark.parametrize("tone_hz", range(300, 3401, 100))
def test_images_of_a_telephone_tone_are_70_db_down(tone_hz: int) -> None:
    bins = spectrum(Upsampler(), tone_hz)

    assert decibels(bins[8000 - tone_hz]) <= -70
    assert decibels(bins[8000 + tone_hz]) <= -70


@pytest.mark.parametrize("tone_hz", range(300, 3401, 100))
def test_upsampling_adds_nothing_else_to_a_tone(tone_hz: int) -> None:
    bins = spectrum(Upsampler(), tone_hz)

    bins[tone_hz] = 0
    assert decibels(np.abs(bins).max()) <= -70


@pytest.mark.parametrize("tone_hz", [*range(4600, 12_000, 100), 11_950])
def test_aliases_of_a_tone_above_the_telephone_band_are_70_db_down(tone_hz: int) -> None:
    bins = spectrum(Downsampler(), tone_hz)

    assert decibels(np.abs(bins).max()) <= -70


@pytest.mark.parametrize("make", [Upsampler, Downsampler])
def test_the_telephone_band_is_flat_to_five_hundredths_of_a_decibel(
    make: type[Upsampler | Downsampler],
) -> None:
    gains = [decibels(spectrum(make(), tone_hz)[tone_hz]) for tone_hz in range(300, 3401, 50)]

    assert max(gains) - min(gains) <= 0.05
    assert max(map(abs, gains)) <= 0.05


@pytest.mark.parametrize("make", [Upsampler, Downsampler])
@pytest.mark.parametrize("tone_hz", [300, 331, 1000, 2777, 3400])
def test_every_tone_is_delayed_by_what_the_module_says(
    make: type[Upsampler | Downsampler], tone_hz: int
) -> None:
    bins = spectrum(make(), tone_hz)

    # The measured second begins a whole number of tenths in; a cosine there has the phase of that instant.
    turns = np.angle(bins[tone_hz]) / (2 * np.pi) - tone_hz * SETTLED_S + tone_hz * DELAY_MS / 1000
    assert turns - round(turns) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("make", "rate_hz"), [(Upsampler, 24_000), (Downsampler, 8_000)])
def test_a_click_is_loudest_after_the_delay(make: type[Upsampler | Downsampler], rate_hz: int) -> None:
    click = np.zeros(480, "<i2")
    click[0] = 20_000

    output = np.frombuffer(make().feed(click.tobytes()), "<i2")

    assert int(np.abs(output).argmax()) / rate_hz * 1000 == pytest.approx(DELAY_MS)


def test_the_delay_is_within_two_milliseconds() -> None:
    assert DELAY_MS <= 2

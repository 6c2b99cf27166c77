"""Clips at another rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.clip import convert

RATES = [
    (24_000, 16_000),
    (24_000, 8000),
    (8000, 24_000),
    (48_000, 16_000),
    (44_100, 8000),
    (8000, 44_100),
    (11_025, 24_000),
    (22_255, 24_000),
    (16_000, 15_999),
]
ALL_RATES = pytest.mark.parametrize(("from_hz", "to_hz"), RATES)


def tone(tone_hz: float, rate_hz: int, samples: int) -> np.ndarray:
    return 20_000 * np.sin(2 * np.pi * tone_hz * np.arange(samples) / rate_hz + 0.3)


def converted(tone_hz: float, from_hz: int, to_hz: int) -> np.ndarray:
    output = convert(tone(tone_hz, from_hz, from_hz // 4).astype("<i2").tobytes(), from_hz, to_hz)
    return np.frombuffer(output, "<i2").astype(float)


def middle(samples: np.ndarray) -> np.ndarray:
    return samples[len(samples) // 4 : -len(samples) // 4]


def level_db(samples: np.ndarray) -> float:
    return 20 * math.log10(max(samples.std(), 1e-3) * 2**0.5 / 20_000)


@ALL_RATES
@pytest.mark.parametrize("part_of_nyquist", [0.1, 0.5, 0.88])
def test_a_tone_comes_out_as_the_same_tone_at_the_same_time(
    from_hz: int, to_hz: int, part_of_nyquist: float
) -> None:
    tone_hz = part_of_nyquist * min(from_hz, to_hz) / 2

    output = converted(tone_hz, from_hz, to_hz)

    error = output - tone(tone_hz, to_hz, len(output))
    assert level_db(middle(error)) < -65


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(24_000, 16_000), (24_000, 8000), (48_000, 16_000), (44_100, 8000), (96_000, 11_025)],
)
@pytest.mark.parametrize("part_of_the_way", [0.01, 0.1, 0.5, 0.99])
def test_what_the_lower_rate_cannot_hold_is_70_db_down(
    from_hz: int, to_hz: int, part_of_the_way: float
) -> None:
    tone_hz = (to_hz + part_of_the_way * (from_hz - to_hz)) / 2

    output = converted(tone_hz, from_hz, to_hz)

    assert level_db(middle(output)) < -70


@ALL_RATES
def test_a_constant_stays_itself_up_to_both_ends_without_a_click(from_hz: int, to_hz: int) -> None:
    pcm = np.full(from_hz // 10, 10_000, "<i2").tobytes()

    output = np.frombuffer(convert(pcm, from_hz, to_hz), "<i2").astype(int)

    assert np.abs(middle(output) - 10_000).max() <= 3
    assert output.max() < 12_000  # the overshoot of a band-limited edge, and no more


@given(samples=st.integers(0, 700), rates=st.sampled_from([*RATES, (8000, 8000), (3, 7), (7, 3)]))
def test_a_clip_keeps_its_length_in_time(samples: int, rates: tuple[int, int]) -> None:
    from_hz, to_hz = rates

    output = convert(bytes(2 * samples), from_hz, to_hz)

    assert output == bytes(2 * -(-samples * to_hz // from_hz))


def test_the_same_rate_changes_nothing() -> None:
    assert convert(b"\1\2\3\4", 8000, 8000) == b"\1\2\3\4"


def test_full_scale_clips_instead_of_wrapping_around() -> None:
    square = np.where(np.arange(2400) // 60 % 2, 32_767, -32_768)

    output = np.frombuffer(convert(square.astype("<i2").tobytes(), 24_000, 16_000), "<i2").astype(int)

    high = output.reshape(-1, 40)[1::2, 4:-4]
    assert high.min() > 20_000


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        convert(bytes(3), 8000, 16_000)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(0, 8000), (8000, 0), (-8000, 8000)])
def test_rates_that_are_not_positive_are_refused(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="cannot convert"):
        convert(bytes(4), from_hz, to_hz)

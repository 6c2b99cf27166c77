"""The low-pass table itself: what it must be for the resamplers to be exact, and as good as they say."""

import numpy as np
import pytest

from gateway.audio.taps import FRACTION_BITS, TAPS

UNITY = 2**FRACTION_BITS


def gain_db(tones_hz: np.ndarray) -> np.ndarray:
    turns = np.outer(tones_hz, np.arange(len(TAPS))) / 24_000
    gains: np.ndarray = 20 * np.log10(np.abs(np.exp(-2j * np.pi * turns) @ np.array(TAPS)) / UNITY)
    return gains


def test_the_taps_are_symmetric_so_that_all_tones_are_delayed_alike() -> None:
    assert TAPS[::-1] == TAPS


def test_the_number_of_taps_is_odd_so_that_the_delay_is_a_whole_sample() -> None:
    assert len(TAPS) % 2 == 1


def test_the_gain_at_zero_hertz_is_exactly_one() -> None:
    assert sum(TAPS) == UNITY


def test_no_sum_of_the_filter_can_leave_what_float64_counts_exactly() -> None:
    largest = 3 * 32768 * sum(abs(tap) for tap in TAPS)

    assert largest < 2**53


def test_the_pass_band_is_flat_to_three_hundredths_of_a_decibel() -> None:
    gains = gain_db(np.arange(0, 3401, 5.0))

    assert np.ptp(gains) <= 0.03


def test_the_stop_band_is_72_db_down() -> None:
    gains = gain_db(np.arange(4600, 12001, 5.0))

    assert gains.max() <= -72


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_constant_has_no_image_because_the_three_phases_weigh_the_same(phase: int) -> None:
    weight = 3 * sum(TAPS[phase::3]) / UNITY

    assert weight == pytest.approx(1, abs=3e-4)

"""The low-pass tables themselves: what they must be for the resamplers to be exact, and as good as they say."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from gateway.audio.taps import FRACTION_BITS, TAPS

UNITY = 2**FRACTION_BITS
DESIGN = Path(__file__).parents[2] / "ops" / "bench" / "design_taps.py"
ALL_TABLES = pytest.mark.parametrize("rate_hz", TAPS)
ALL_BANDS = pytest.mark.parametrize(
    ("rate_hz", "pass_hz", "stop_hz"), [(16_000, 3400, 4600), (24_000, 3400, 4600), (48_000, 7000, 9000)]
)


def gain_db(rate_hz: int, tones_hz: np.ndarray) -> np.ndarray:
    taps = np.array(TAPS[rate_hz])
    turns = np.outer(tones_hz, np.arange(len(taps))) / rate_hz
    gains: np.ndarray = 20 * np.log10(np.abs(np.exp(-2j * np.pi * turns) @ taps) / UNITY)
    return gains


def test_the_design_gives_the_tables_again() -> None:
    program = runpy.run_path(str(DESIGN))

    # No tap lies nearer than a thousandth to where it would be rounded otherwise; the design is exact to 1e-8.
    designed = {low_pass.rate_hz: tuple(program["design"](low_pass)) for low_pass in program["LOW_PASSES"]}

    assert designed == TAPS


def test_the_file_is_what_the_design_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(DESIGN), run_name="__main__")

    printed = capsys.readouterr().out

    assert printed == (DESIGN.parents[2] / "gateway" / "audio" / "taps.py").read_text()


@ALL_TABLES
def test_the_taps_are_symmetric_so_that_all_tones_are_delayed_alike(rate_hz: int) -> None:
    assert TAPS[rate_hz][::-1] == TAPS[rate_hz]


@ALL_TABLES
def test_the_delay_is_a_whole_number_of_samples_at_every_rate_of_the_filter(rate_hz: int) -> None:
    twice_the_delay = len(TAPS[rate_hz]) - 1

    steps = {16_000: 2, 24_000: 3, 48_000: 6}  # from one sample to the next that both rates have

    assert twice_the_delay % (2 * steps[rate_hz]) == 0


@ALL_TABLES
def test_the_gain_at_zero_hertz_is_exactly_one(rate_hz: int) -> None:
    assert sum(TAPS[rate_hz]) == UNITY


@ALL_TABLES
def test_no_sum_of_the_filter_can_leave_what_float64_counts_exactly(rate_hz: int) -> None:
    largest = 3 * 32768 * sum(abs(tap) for tap in TAPS[rate_hz])

    assert largest < 2**53


@ALL_BANDS
def test_the_pass_band_is_flat_to_three_hundredths_of_a_decibel(
    rate_hz: int, pass_hz: int, stop_hz: int
) -> None:
    gains = gain_db(rate_hz, np.arange(0, pass_hz + 1, 5.0))

    assert np.ptp(gains) <= 0.03


@ALL_BANDS
def test_the_stop_band_is_72_db_down(rate_hz: int, pass_hz: int, stop_hz: int) -> None:
    gains = gain_db(rate_hz, np.arange(stop_hz, rate_hz / 2 + 1, 5.0))

    assert gains.max() <= -72


@pytest.mark.parametrize(("rate_hz", "zeros"), [(16_000, 2), (24_000, 3), (48_000, 2), (48_000, 3)])
def test_a_constant_has_no_image_because_all_phases_weigh_the_same(rate_hz: int, zeros: int) -> None:
    weights = [zeros * sum(TAPS[rate_hz][phase::zeros]) / UNITY for phase in range(zeros)]

    assert weights == pytest.approx([1] * zeros, abs=3e-4)

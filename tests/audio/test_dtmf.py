"""Digits as tones: what a receiver at the far end of a mu-law line makes of them."""

import hashlib
import math
from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler
from gateway.audio.tones import DTMF_HZ, dtmf

KEYS = "0123456789*#ABCD"
FRAME = 40  # samples: 5 ms
PEAK_0_DBM0 = 22_656  # of a sine of 0 dBm0 in mu-law that is decoded to 16 bit, ITU-T G.711 table 2a


def over_the_line(digits: str) -> NDArray[np.float64]:
    """What a telephone at 8 000 Hz hears of what was made at 24 000 Hz."""
    codec = CODECS["pcmu"]
    pcm = Downsampler().feed(dtmf(digits) + bytes(2 * 72))
    return np.frombuffer(codec.decode(codec.encode(pcm)), "<i2").astype(np.float64)


def goertzel(samples: NDArray[np.float64], tone_hz: float) -> float:
    """The peak of one tone in samples at 8 000 Hz."""
    turn = 2 * math.cos(2 * math.pi * tone_hz / 8000)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = before**2 + last**2 - turn * before * last
    return 2 * math.sqrt(power) / len(samples)


def dbm0(peak: float) -> float:
    return 20 * math.log10(peak / PEAK_0_DBM0)


def received(samples: NDArray[np.float64]) -> list[tuple[str, int]]:
    """Each digit, or "" for silence, and for how many milliseconds it was there."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loud = [bool(np.abs(frame).max() > 1000) for frame in frames]
    heard, at = [], 0
    for is_loud, run in groupby(loud):
        length = len(list(run))
        heard.append((digit_in(samples[at * FRAME : (at + length) * FRAME]) if is_loud else "", 5 * length))
        at += length
    return heard


def digit_in(samples: NDArray[np.float64]) -> str:
    lows, highs = ({pair[side] for pair in DTMF_HZ.values()} for side in (0, 1))
    pair = tuple(max(group, key=lambda tone_hz: goertzel(samples, tone_hz)) for group in (lows, highs))
    return next(digit for digit, tones in DTMF_HZ.items() if tones == pair)


@pytest.mark.parametrize(
    ("digit", "pair"), [("1", (697, 1209)), ("5", (770, 1336)), ("#", (941, 1477)), ("D", (941, 1633))]
)
def test_the_pairs_are_those_of_the_standard(digit: str, pair: tuple[int, int]) -> None:
    assert DTMF_HZ[digit] == pair


def test_every_key_is_understood_behind_the_line_for_its_time() -> None:
    heard = received(over_the_line(KEYS))

    assert "".join(digit for digit, _ in heard) == KEYS
    assert all(abs(lasted_ms - (100 if digit else 80)) <= 10 for digit, lasted_ms in heard)


@pytest.mark.parametrize("digit", KEYS)
def test_a_digit_has_its_two_tones_at_their_levels_and_nothing_beside_them(digit: str) -> None:
    steady = over_the_line(digit)[60:760]  # without the ramps

    low_hz, high_hz = DTMF_HZ[digit]
    low, high = goertzel(steady, low_hz), goertzel(steady, high_hz)
    assert dbm0(low) == pytest.approx(-11, abs=0.3)
    assert dbm0(high) == pytest.approx(-9, abs=0.3)
    # The rest is mu-law's noise and the parts of periods that the window cuts off.
    assert (low**2 + high**2) / 2 > 0.99 * float(np.mean(steady**2))


@pytest.mark.parametrize("digits", ["1w2", "1W2", "1,2"])
def test_a_wait_is_half_a_second(digits: str) -> None:
    heard = received(over_the_line(digits))

    assert [digit for digit, _ in heard[:3]] == ["1", "", "2"]
    assert heard[1][1] == pytest.approx(580, abs=10)


def test_letters_may_be_small() -> None:
    assert dtmf("abcd") == dtmf("ABCD")


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
def test_a_digit_lasts_180_ms_at_any_rate(rate_hz: int) -> None:
    pcm = dtmf("5", rate_hz)

    assert len(pcm) == 2 * rate_hz * 180 // 1000
    assert not any(pcm[2 * rate_hz // 10 :])


def test_no_digits_are_no_sound() -> None:
    assert dtmf("") == b""


def test_nothing_clicks() -> None:
    """A tone that began at once would fill the band: beside the tones is 50 dB less."""
    spectrum = np.abs(np.fft.rfft(np.frombuffer(dtmf("5", 8000), "<i2"))) ** 2
    hz = np.fft.rfftfreq(1440, 1 / 8000)
    beside = np.min([np.abs(hz - tone_hz) for tone_hz in DTMF_HZ["5"]], axis=0) > 300

    assert spectrum[beside].sum() < 1e-5 * spectrum.sum()


@pytest.mark.parametrize(("digits", "named"), [("1-2", "'-'"), ("5e x5", "'e', ' ', 'x'"), ("ß", "'ß'")])
def test_what_is_no_digit_is_named(digits: str, named: str) -> None:
    with pytest.raises(ValueError, match="no DTMF digits") as caught:
        dtmf(digits)

    assert f"no DTMF digits: {named}; there are 0-9, *, #, A-D, and w" in str(caught.value)


# -- the same bytes everywhere


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
def test_no_library_can_round_a_sine_of_the_table_otherwise(rate_hz: int) -> None:
    """The table's step is 2**-20; a float64 of that size ends at 2**-33, and libraries differ by a few of those."""
    exact = [math.sin(math.tau * step / rate_hz) * 2**20 for step in range(rate_hz)]

    closest_to_half = min(abs(sine - math.floor(sine) - 0.5) for sine in exact)

    assert closest_to_half > 10_000 * 2**-33


def test_the_tones_are_these_bytes() -> None:
    digest = hashlib.sha256(dtmf("0123456789*#ABCDw,") + dtmf("0123456789*#ABCD", 8000)).hexdigest()

    assert digest == "5853ad030e61e301fc620a10b4797f77f21227d8a9a327846d21aa37e0246c5c"

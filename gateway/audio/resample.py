"""Streaming resamplers between the 8, 16 and 24 kHz of phones and voices, exact to the bit.

A recorded call is replayed byte for byte, on another machine if need be, so the result may depend on
nothing but the samples. The low-pass is a table of integers (taps.py). A 16-bit sample times a tap of less
than 2**20, summed over the window, stays below 2**53: float64 holds every partial sum exactly, in whatever
order a BLAS kernel adds them, fused or not. What follows is exact too: the scaling by a power of two (it is
in the matrix already), clipping to 16 bits, and rounding to the nearest integer, halves to even.

The work is one matrix product a chunk. A *step* is the smallest unit: from 8 to 24 kHz one sample in and
three out, from 24 to 16 kHz three in and two out. A row of the product is `_STEPS` steps, its matrix the
step's taps repeated along a diagonal (block Toeplitz). numpy's cost per call outweighs the arithmetic by far:
16 steps a row is no slower than one dot product a sample is long, and the product stays below the size at
which OpenBLAS starts threads.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Final, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gateway.audio.taps import FRACTION_BITS, TAPS

__all__ = ["RATES_HZ", "Downsampler", "Resampler", "Upsampler", "resampler"]

RATES_HZ: Final = (8000, 16_000, 24_000)
"""The rates that can be resampled, each to each."""

_STEPS: Final = 16


class Resampler(Protocol):
    """One stream of PCM16 little endian mono on its way from one rate to another."""

    @property
    def delay_ms(self) -> float:
        """How much later a sound leaves than it came in: half the filter, whatever the chunks."""

    def feed(self, pcm: bytes) -> bytes:
        """The next part of the stream: as many samples as `pcm` completes.

        Of whole milliseconds every one gives a whole one, from the first chunk on. Raises `ValueError` on half a
        sample, and nothing was taken then.
        """

    def reset(self) -> None:
        """Forget the stream: the next sample is the first of another."""


def resampler(from_hz: int, to_hz: int) -> Resampler:
    """A stream from one of `RATES_HZ` to another, or to the same, which hands on what it gets.

    Images and aliases are 70 dB down where one of the rates is 8000 Hz for speech of up to 3400 Hz, otherwise of
    up to 7000 Hz. Raises `ValueError` on another rate.
    """
    if from_hz == to_hz and from_hz in RATES_HZ:
        return _PassThrough()
    bank = _BANKS.get((from_hz, to_hz))
    if bank is None:
        works = ", ".join(map(str, RATES_HZ))
        raise ValueError(
            f"cannot resample {from_hz} Hz to {to_hz} Hz; what works is {works} Hz, each to each"
        )
    return _Stream(bank)


# The pair of every call: the phone's rate, and that of most voices.
Upsampler: Final = partial(resampler, 8000, 24_000)
Downsampler: Final = partial(resampler, 24_000, 8000)


@dataclass(frozen=True, slots=True)
class _Bank:
    """The filter of one pair of rates. A step reads `window` samples, moves on by `hop` and gives `gives`."""

    hop: int
    gives: int
    window: int
    before: int  # samples of the first window that lie before the stream
    matrix: NDArray[np.float64]
    delay_ms: float
    longest: int  # samples a product: 100 ms, the longest chunk that voices send; more would only cost memory

    @classmethod
    def between(cls, from_hz: int, to_hz: int) -> "_Bank":
        work_hz = math.lcm(from_hz, to_hz)
        gives, hop = work_hz // from_hz, work_hz // to_hz
        taps = np.array(TAPS[work_hz], np.float64) * 2.0**-FRACTION_BITS
        before = (len(taps) - 1) // gives
        window = before + 1 + (gives - 1) * hop // gives  # the last output of a step lies behind later inputs
        # At the rate of the filter the samples in stand `gives` apart with zeros between them, those out `hop`
        # apart. So each output meets every `gives`th tap, and the gain gives back what the zeros took.
        distance = hop * np.arange(gives) - gives * (np.arange(window)[:, None] - before)
        reached = (distance >= 0) & (distance < len(taps))
        step = np.zeros((window, gives))
        step[reached] = gives * taps[distance[reached]]
        matrix = np.zeros(((_STEPS - 1) * hop + window, _STEPS * gives))
        for i in range(_STEPS):
            matrix[i * hop : i * hop + window, i * gives : (i + 1) * gives] = step
        delay_ms = (len(taps) - 1) / 2 * 1000 / work_hz
        return cls(hop, gives, window, before, matrix, delay_ms, longest=from_hz // 10)


_BANKS: Final = {pair: _Bank.between(*pair) for pair in permutations(RATES_HZ, 2)}


class _PassThrough:
    """The stream of a rate to itself."""

    delay_ms: Final = 0.0

    def feed(self, pcm: bytes) -> bytes:
        _refuse_half_a_sample(pcm)
        return pcm

    def reset(self) -> None:
        """Nothing is kept."""


class _Stream:
    """One stream through a bank. Buffers are cut for a chunk's length and kept while that stays the same."""

    def __init__(self, bank: _Bank) -> None:
        self.delay_ms: Final = bank.delay_ms
        self._bank = bank
        self.reset()

    def reset(self) -> None:
        self._held = self._bank.before  # samples that the next window reads again, from the front
        self._samples = np.zeros(self._held)
        self._cut(self._held)

    def feed(self, pcm: bytes) -> bytes:
        _refuse_half_a_sample(pcm)
        samples = np.frombuffer(pcm, "<i2")
        longest = self._bank.longest
        if len(samples) <= longest:
            return self._filter(samples)
        return b"".join(self._filter(samples[at : at + longest]) for at in range(0, len(samples), longest))

    def _filter(self, samples: NDArray[np.int16]) -> bytes:
        end = self._held + len(samples)
        if end != self._end:
            self._cut(end)
        self._samples[self._held : end] = samples
        self._rows[:] = self._windows
        np.dot(self._rows, self._bank.matrix, out=self._sums)
        np.minimum(self._sums, 32767.0, out=self._sums)
        np.maximum(self._sums, -32768.0, out=self._sums)
        np.rint(self._sums, out=self._rounded, casting="unsafe")
        self._held = len(self._rest)
        self._samples[: self._held] = self._rest
        return self._result.tobytes()

    def _cut(self, end: int) -> None:
        """Make buffers for `end` samples: those held, and a chunk."""
        bank = self._bank
        steps = max(0, (end - bank.window) // bank.hop + 1)
        rows = -(-steps // _STEPS)
        width, columns = bank.matrix.shape
        row_hop = _STEPS * bank.hop
        # Whole rows: the last one may read zeros beyond `end`, and the steps that do are not in the result.
        samples = np.zeros(bank.window - 1 + rows * row_hop)
        samples[: self._held] = self._samples[: self._held]
        self._samples = samples
        stride = samples.itemsize
        self._windows = as_strided(samples, (rows, width), (row_hop * stride, stride), writeable=False)
        self._rows = np.empty((rows, width))
        self._sums = np.empty((rows, columns))
        self._rounded = np.empty((rows, columns), "<i2")
        self._result = self._rounded.reshape(-1)[: steps * bank.gives]
        self._rest = samples[steps * bank.hop : end]
        self._end = end


def _refuse_half_a_sample(pcm: bytes) -> None:
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")

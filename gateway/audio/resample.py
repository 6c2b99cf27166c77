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
from dataclasses import dataclass, field
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

_PCM16: Final = np.dtype("<i2")
_STEPS: Final = 16
_MOST_CUTS: Final = 16  # lengths of chunks that there are buffers for; each takes some 20 kB


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
    # All streams share their buffers: of a hundred calls, each would find its own cold. Who uses one takes it out
    # meanwhile, which is one step for the interpreter, so another thread makes one of its own.
    cuts: "dict[int, _Cut]" = field(default_factory=dict)

    def take(self, end: int) -> "_Cut":
        """Buffers for `end` samples, which nobody else has until they are put back."""
        return self.cuts.pop(end, None) or _Cut(self, end)

    def put_back(self, end: int, cut: "_Cut") -> None:
        if len(self.cuts) >= _MOST_CUTS:
            self.cuts.clear()
        self.cuts[end] = cut

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


class _Cut:
    """Buffers for a product over `end` samples: those held, and a chunk."""

    __slots__ = ("rest", "result", "rounded", "rows", "samples", "sums", "windows")

    def __init__(self, bank: _Bank, end: int) -> None:
        steps = max(0, (end - bank.window) // bank.hop + 1)
        rows = -(-steps // _STEPS)
        width, columns = bank.matrix.shape
        row_hop = _STEPS * bank.hop
        # Whole rows: the last one may read zeros beyond `end`, and the steps that do are not in the result.
        self.samples = np.zeros(bank.window - 1 + rows * row_hop)
        stride = self.samples.itemsize
        self.windows = as_strided(self.samples, (rows, width), (row_hop * stride, stride), writeable=False)
        self.rows = np.empty((rows, width))
        self.sums = np.empty((rows, columns))
        self.rounded = np.empty((rows, columns), _PCM16)
        self.result = self.rounded.reshape(-1)[: steps * bank.gives]
        self.rest = self.samples[steps * bank.hop : end]


class _Stream:
    """One stream through a bank."""

    def __init__(self, bank: _Bank) -> None:
        self.delay_ms: Final = bank.delay_ms
        self._bank = bank
        self.reset()

    def reset(self) -> None:
        self._rest = np.zeros(self._bank.before)  # samples that the next window reads again

    def feed(self, pcm: bytes) -> bytes:
        _refuse_half_a_sample(pcm)
        samples = np.frombuffer(pcm, _PCM16)
        longest = self._bank.longest
        if len(samples) <= longest:
            return self._filter(samples)
        return b"".join(self._filter(samples[at : at + longest]) for at in range(0, len(samples), longest))

    def _filter(self, samples: NDArray[np.int16]) -> bytes:
        held = len(self._rest)
        end = held + len(samples)
        cut = self._bank.take(end)
        cut.samples[:held] = self._rest
        cut.samples[held:end] = samples
        cut.rows[:] = cut.windows
        np.dot(cut.rows, self._bank.matrix, out=cut.sums)
        np.minimum(cut.sums, 32767.0, out=cut.sums)
        np.maximum(cut.sums, -32768.0, out=cut.sums)
        np.rint(cut.sums, out=cut.sums)
        cut.rounded[:] = cut.sums
        self._rest = cut.rest.copy()
        pcm = cut.result.tobytes()
        self._bank.put_back(end, cut)
        return pcm


def _refuse_half_a_sample(pcm: bytes) -> None:
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")

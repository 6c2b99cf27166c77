"""Streaming resamplers between the phone's 8 kHz and the voice's 24 kHz, exact to the bit.

A recorded call is replayed byte for byte, on another machine if need be, so the result may depend on
nothing but the samples. The low-pass is a table of integers (taps.py). A 16-bit sample times a tap of less
than 2**20, summed over the window, stays below 2**53: float64 holds every partial sum exactly, in whatever
order a BLAS kernel adds them, fused or not. What follows is exact too: the scaling by a power of two (it is
in the matrix already), clipping to 16 bits, and rounding to the nearest integer, halves to even.

The work is one matrix product a chunk. A *step* is the smallest unit: up, one sample in and three out; down,
three in and one out. A row of the product is `_STEPS` steps, its matrix the step's taps repeated along a
diagonal (block Toeplitz). numpy's cost per call outweighs the arithmetic by far: 16 steps a row is no slower
than one dot product a sample is long, and the product stays below the size at which OpenBLAS starts threads.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gateway.audio.taps import FRACTION_BITS, TAPS

__all__ = ["DELAY_MS", "Downsampler", "Upsampler"]

DELAY_MS: Final = (len(TAPS) - 1) / 2 / 24
"""How much later a sound leaves either resampler: half the filter, whatever the chunks."""

_STEPS: Final = 16
_RATIO: Final = 3


@dataclass(frozen=True, slots=True)
class _Bank:
    """The filter of one direction. A step reads `window` samples, moves on by `hop` and gives `gives`."""

    hop: int
    gives: int
    window: int
    matrix: NDArray[np.float64]
    longest: int  # samples a product: 100 ms, the longest chunk that voices send; more would only cost memory

    @classmethod
    def of(cls, step: NDArray[np.float64], *, hop: int, longest: int) -> "_Bank":
        """`step`: oldest sample first, one column for each sample that it gives."""
        window, gives = step.shape
        matrix = np.zeros(((_STEPS - 1) * hop + window, _STEPS * gives))
        for i in range(_STEPS):
            matrix[i * hop : i * hop + window, i * gives : (i + 1) * gives] = step
        return cls(hop, gives, window, matrix, longest)


_FILTER: Final = np.array(TAPS, np.float64) * 2.0**-FRACTION_BITS
_DOWN: Final = _Bank.of(_FILTER[::-1, None], hop=_RATIO, longest=2400)
# Of the three samples at 24 kHz that one at 8 kHz becomes, two are zeros: each output meets every third tap,
# and the gain of 3 gives back what the zeros took.
_PHASES: Final = np.pad(_FILTER * _RATIO, (0, -len(TAPS) % _RATIO)).reshape(-1, _RATIO)
_UP: Final = _Bank.of(_PHASES[::-1], hop=1, longest=800)


class _Stream:
    """One stream through a bank. Buffers are cut for a chunk's length and kept while that stays the same."""

    def __init__(self, bank: _Bank) -> None:
        self._bank = bank
        self.reset()

    def reset(self) -> None:
        self._held = self._bank.window - 1  # samples that the next window reads again, from the front
        self._samples = np.zeros(self._held)
        self._cut(self._held)

    def feed(self, pcm: bytes) -> bytes:
        if len(pcm) % 2:
            raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
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


class Upsampler:
    """8 kHz to 24 kHz. Images of tones of 300-3400 Hz are 70 dB down; each sample in gives three out."""

    def __init__(self) -> None:
        self._stream = _Stream(_UP)

    def feed(self, pcm: bytes) -> bytes:
        """The next part of the stream: three samples for each of `pcm`.

        `pcm`: PCM16 little endian mono, any number of samples. Raises `ValueError` on half a sample, and
        nothing was taken then.
        """
        return self._stream.feed(pcm)

    def reset(self) -> None:
        """Forget the stream: the next sample is the first of another."""
        self._stream.reset()


class Downsampler:
    """24 kHz to 8 kHz. What lies above 4600 Hz is 70 dB down instead of folding into the call.

    Output sample `k` is there as soon as input sample `3 k` is: of equal chunks that are a multiple of three
    samples, the first already gives a third, and so do all others.
    """

    def __init__(self) -> None:
        self._stream = _Stream(_DOWN)

    def feed(self, pcm: bytes) -> bytes:
        """The next part of the stream: as many samples as `pcm` completes.

        `pcm`: PCM16 little endian mono, any number of samples. Raises `ValueError` on half a sample, and
        nothing was taken then.
        """
        return self._stream.feed(pcm)

    def reset(self) -> None:
        """Forget the stream: the next sample is the first of another."""
        self._stream.reset()

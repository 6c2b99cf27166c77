"""Where a waveform repeats itself, and how to step from one place of it to another unheard. Integers only.

A recorded call is replayed byte for byte, on another machine if need be, so nothing here is a float.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gateway.audio.g711 import Codec

__all__ = [
    "LONGEST_LAG",
    "SHORTEST_LAG",
    "Samples",
    "Splice",
    "crossfade",
    "decoded",
    "encoded",
    "level",
    "nearest_repeat",
    "shorten",
    "stretch",
]

Samples = NDArray[np.int64]
"""PCM16 mono at 8000 Hz, with room for sums."""

# A period of 5 to 15 ms: voices of 67 to 200 Hz, and two periods of those up to 400 Hz. ITU-T G.711 Appendix I.
SHORTEST_LAG: Final = 40
LONGEST_LAG: Final = 120

_FRAME: Final = 160
_OVERLAP: Final = 80  # samples over which one place fades into the other


def nearest_repeat(samples: Samples, pattern: Samples) -> tuple[int, int]:
    """Where `samples` are most like `pattern`: the offset, and the mean difference there.

    The smallest sum of magnitudes (AMDF) wins, which unlike a correlation is also the smallest step in level.
    """
    size, step = len(pattern), samples.itemsize
    # As `sliding_window_view` has it, which takes longer to check its arguments than the rest here to run.
    windows = as_strided(samples, (len(samples) - size + 1, size), (step, step), writeable=False)
    differences = np.abs(windows - pattern).sum(axis=1)
    offset = int(differences.argmin())
    return offset, int(differences[offset]) // len(pattern)


def crossfade(old: Samples, new: Samples) -> Samples:
    """From `old` to `new` in a straight line; both are as long as the result."""
    size = len(old)
    gain = np.arange(1, size + 1)
    faded: Samples = (old * (size + 1 - gain) + new * gain) // (size + 1)
    return faded


def level(samples: Samples) -> int:
    """The mean magnitude, 0 to 32 768."""
    return int(np.abs(samples).sum()) // max(len(samples), 1)


class Splice(NamedTuple):
    """A frame that goes through `lag` samples more or less than it lasts. `mismatch`: how far it is from unheard."""

    payload: bytes
    lag: int
    mismatch: int
    level: int


def shorten(codec: Codec, ahead: bytes, longest: int) -> Splice:
    """A frame of 20 ms out of what is ahead, less one period, which may have up to `longest` samples."""
    samples = decoded(codec, ahead)
    offset, mismatch = nearest_repeat(samples[SHORTEST_LAG : longest + _OVERLAP], samples[:_OVERLAP])
    lag = SHORTEST_LAG + offset
    faded = crossfade(samples[:_OVERLAP], samples[lag : lag + _OVERLAP])
    payload = encoded(codec, faded) + ahead[lag + _OVERLAP : lag + _FRAME]
    return Splice(payload, lag, mismatch, level(samples[:_OVERLAP]))


def stretch(codec: Codec, before: bytes, ahead: bytes) -> Splice:
    """A frame of 20 ms in which one period of what was played before comes once more. `ahead`: a frame."""
    samples = decoded(codec, before[-LONGEST_LAG:] + ahead)
    now = samples[LONGEST_LAG : LONGEST_LAG + _OVERLAP]
    offset, mismatch = nearest_repeat(samples[: LONGEST_LAG - SHORTEST_LAG + _OVERLAP], now)
    faded = crossfade(now, samples[offset : offset + _OVERLAP])
    rest = (before[-LONGEST_LAG:] + ahead)[offset + _OVERLAP : offset + _FRAME]
    return Splice(encoded(codec, faded) + rest, LONGEST_LAG - offset, mismatch, level(now))


def decoded(codec: Codec, payload: bytes) -> Samples:
    """G.711 as samples to reckon with."""
    return np.frombuffer(codec.decode(payload), "<i2").astype(np.int64)


def encoded(codec: Codec, samples: Samples) -> bytes:
    """Samples of 16 bits as G.711."""
    return codec.encode(samples.astype("<i2").tobytes())

"""Tones: sines, the digits of a telephone, and frames of audio that say which frame they are.

The *frame code* serves tests of the whole way: a caller sends coded frames, the voice echoes them, and what
comes back shows that every 20 ms frame came once, in order, in its own call.

A frame is the sum of eleven sines, one out of four in each of eleven groups: 22 bits, of which six are the
call, twelve the frame, and four a check. All sines are multiples of 8000 / 120 Hz, so over any 120 samples
inside the 160 of a frame they are orthogonal, and one short transform tells them apart. The other 40 samples
are the guard interval: a delay of up to 5 ms moves the frame under the window and changes only phases, which
nobody reads. This is the cyclic prefix of OFDM, as in clause 17 of IEEE 802.11.
"""

from functools import cache
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CALLS",
    "DTMF_HZ",
    "FRAMES",
    "CodedFrame",
    "decode_frames",
    "dtmf",
    "encode_frame",
    "sine",
]

DTMF_HZ: Final = {
    digit: (low_hz, high_hz)
    for low_hz, row in ((697, "123A"), (770, "456B"), (852, "789C"), (941, "*0#D"))
    for high_hz, digit in zip((1209, 1336, 1477, 1633), row, strict=True)
}
"""The pair of tones of each digit. ITU-T Q.23."""

# Nominal levels at a subscriber's end: -9 dBm0 the high tone and 2 dB less the low one, which lines attenuate
# less; receivers of ITU-T Q.24 take -25 to 0 dBm0 and far more twist. A sine of 0 dBm0 peaks at 22 656, 3.17 dB
# below the overload point of mu-law (ITU-T G.711).
_LOW_PEAK: Final = 6385
_HIGH_PEAK: Final = 8039

# Both are at least twice what receivers must take (40 ms each, ITU-T Q.24 table A.1).
_TONE_MS: Final = 100
_GAP_MS: Final = 80

_WAITS: Final = frozenset("W,")
_TURN_BITS: Final = 20


def sine(tone_hz: float, duration_ms: float, *, rate_hz: int = 8000, level_dbfs: float = -12.0) -> bytes:
    """PCM16 mono of one tone, which starts at zero. `level_dbfs` as `gateway.audio.level` measures it."""
    seconds = np.arange(round(duration_ms * rate_hz / 1000)) / rate_hz
    peak = 32768 * 2**0.5 * 10 ** (level_dbfs / 20)
    return _pcm(peak * np.sin(2 * np.pi * (tone_hz * seconds)))


def dtmf(digits: str, rate_hz: int = 24_000) -> bytes:
    """PCM16 mono of digits as a telephone keys them: 100 ms of tones and 80 ms of silence each.

    `digits`: 0-9, *, #, A-D; a `w` or a comma waits half a second. `rate_hz`: a multiple of 1000. The same bytes
    on every machine. Raises `ValueError` that names what is no digit. ITU-T Q.23, Q.24.
    """
    wrong = [key for key in dict.fromkeys(digits) if key.upper() not in DTMF_HZ.keys() | _WAITS]
    if wrong:
        named = ", ".join(map(repr, wrong))
        raise ValueError(f"no DTMF digits: {named}; there are 0-9, *, #, A-D, and w for half a second")
    return b"".join(bytes(rate_hz) if key in _WAITS else _key(key, rate_hz) for key in digits.upper())


def _key(digit: str, rate_hz: int) -> bytes:
    """One digit and the silence behind it, in integers: they are in traces, and a replay compares every byte."""
    turn = _turn(rate_hz)
    sample = np.arange(_TONE_MS * rate_hz // 1000)
    low_hz, high_hz = DTMF_HZ[digit]
    tones = _LOW_PEAK * turn[low_hz * sample % rate_hz] + _HIGH_PEAK * turn[high_hz * sample % rate_hz]
    # A raised cosine over 5 ms at both ends: an edge would be heard as a click.
    from_edge = np.minimum(sample, sample[::-1])
    gain = 2**_TURN_BITS - turn[(rate_hz // 4 + np.minimum(100 * from_edge, rate_hz // 2)) % rate_hz]
    half = 1 << 2 * _TURN_BITS
    samples: NDArray[np.int64] = (tones * gain + half) >> (2 * _TURN_BITS + 1)
    return samples.astype("<i2").tobytes() + bytes(2 * (_GAP_MS * rate_hz // 1000))


@cache
def _turn(rate_hz: int) -> NDArray[np.int64]:
    """One turn of the circle in `rate_hz` steps, so that every whole number of hertz has its samples in it.

    Mathematical libraries differ in the last bit of a sine, which its rounding loses unless it lies next to a half.
    None does at the rates of telephony: the closest is 100 000 such bits away, and a test keeps it so.
    """
    angles = np.arange(rate_hz) * (2 * np.pi / rate_hz)
    turn: NDArray[np.int64] = np.rint(np.sin(angles) * 2**_TURN_BITS).astype(np.int64)
    return turn


def _pcm(samples: NDArray[np.float64]) -> bytes:
    return np.rint(samples).clip(-32768, 32767).astype("<i2").tobytes()


# -- the frame code -----------------------------------------------------------------------------------

CALLS: Final = 64
FRAMES: Final = 4096
"""Frame numbers start anew after this many, which is 82 s."""

_FRAME: Final = 160
_WINDOW: Final = 120
_SEARCH: Final = 20  # samples; every frame has room for two windows this far apart
_GROUPS: Final = 11
_FIRST_BIN: Final = 6  # 44 bins of 66.7 Hz from here: 400-3267 Hz
_BINS: Final = slice(_FIRST_BIN, _FIRST_BIN + 4 * _GROUPS)
_PLACES: Final = 4 ** np.arange(_GROUPS - 3, -1, -1)  # of the nine digits that are data, base 4
# Odd weights: no change of a single digit, which is by 1-3, goes unseen modulo 16.
_CHECK_WEIGHTS: Final = np.arange(1, 2 * (_GROUPS - 2), 2)
# The strongest bin of a group over its runner-up. Measured through G.711 twice and both resamplers: 34 dB at
# least in a whole frame; ten samples of another frame under the window, and half of the windows have less
# than 8.4 dB.
_CLEAR: Final = 3.0
# No frame is quieter than this in any group; noise and silence are.
_AUDIBLE: Final = 200.0
_PEAK: Final = 2400.0  # a sine of the code: eleven of them never clip
# Phases that keep the crests apart: Newman's, k**2 / n.
_BIN_INDEX: Final = np.arange(4 * _GROUPS)
_SINES: Final = _PEAK * np.cos(
    2 * np.pi * np.outer(_BIN_INDEX + _FIRST_BIN, np.arange(_FRAME)) / _WINDOW
    + np.pi * _BIN_INDEX[:, None] ** 2 / (4 * _GROUPS)
)


class CodedFrame(NamedTuple):
    """What a frame of the code says: the call it belongs to, and its number in it, modulo `FRAMES`."""

    call: int
    frame: int


def encode_frame(call: int, frame: int) -> bytes:
    """20 ms of PCM16 mono at 8000 Hz that name a call and a frame, to be played back to back.

    Raises `ValueError` when `call` is not below `CALLS`, or `frame` not below `FRAMES`.
    """
    if not (0 <= call < CALLS and 0 <= frame < FRAMES):
        raise ValueError(
            f"call {call}, frame {frame}: calls go from 0 to {CALLS - 1}, frames to {FRAMES - 1}"
        )
    data = _base4(call * FRAMES + frame, _GROUPS - 2)
    digits = np.concatenate((data, _base4(_check(data), 2)))
    return _pcm(_SINES[np.arange(_GROUPS) * 4 + digits].sum(axis=0))


def decode_frames(pcm: bytes) -> list[CodedFrame]:
    """The coded frames of a whole stream, in its order; a frame that is there twice is found twice.

    `pcm`: PCM16 mono at 8000 Hz, delayed by any number of samples. What is not a frame (silence, speech, a
    frame that was cut) is passed over, and frames behind it are found whatever their new delay.
    """
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    found: list[CodedFrame] = []
    last = -_FRAME
    while (hit := _next(samples, last)) is not None:
        last, coded = hit
        found.append(coded)
    return found


def _next(samples: NDArray[np.float64], last: int) -> tuple[int, CodedFrame] | None:
    """The first frame behind the one that was read at sample `last`, and where it was read."""
    # Where it is due; failing that, from where on a window cannot see the last frame again.
    search = range(max(0, last + _WINDOW), len(samples) - _WINDOW + 1, _SEARCH)
    for at in chain((last + _FRAME,), search):
        coded = _read(samples[at : at + _WINDOW])
        if coded is not None:
            return at, coded
    return None


def _read(window: NDArray[np.float64]) -> CodedFrame | None:
    if len(window) < _WINDOW:
        return None
    levels = np.abs(np.fft.rfft(window))[_BINS].reshape(_GROUPS, 4) * (2 / _WINDOW)
    ranked = np.sort(levels, axis=1)
    if ranked[:, -1].min() < _AUDIBLE or (ranked[:, -1] < _CLEAR * ranked[:, -2]).any():
        return None
    digits = levels.argmax(axis=1)
    data = digits[:-2]
    if _check(data) != digits[-2] * 4 + digits[-1]:
        return None
    return CodedFrame(*divmod(int(data @ _PLACES), FRAMES))


def _base4(number: int, digits: int) -> NDArray[np.int64]:
    return number // 4 ** np.arange(digits - 1, -1, -1) % 4


def _check(data: NDArray[np.int64]) -> int:
    return int(data @ _CHECK_WEIGHTS) % 16

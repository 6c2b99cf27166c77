"""What of a tone a listener hears: its level, its frequency, and what is no tone beside it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS, Codec
from gateway.audio.tones import sine

PCMU = CODECS["pcmu"]
_WINDOW = 320
_RATE_HZ = 8000


class HeardTone(NamedTuple):
    """`snr_db`: over windows of 40 ms, each against the sine that fits it best. `level_db`: of all, over what was sent."""

    hz: float
    level_db: float
    snr_db: float
    longest_silence_ms: float


def tone(hz: float, seconds: float = 1.0) -> bytes:
    """Mu-law of a tone; whole seconds of a whole number of hertz go on from each other."""
    return PCMU.encode(sine(hz, seconds * 1000))


def heard_tone(audio: bytes, hz: float) -> HeardTone:
    """What became of `tone(hz)`."""
    heard = samples(audio)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    fitted, windows = _fitted(heard, hz)
    sent = samples(tone(hz))
    loud = np.flatnonzero(np.abs(heard) > 328)
    return HeardTone(
        hz=float(spectrum.argmax()) * _RATE_HZ / len(heard),
        level_db=float(10 * np.log10((heard**2).mean() / (sent**2).mean())),
        snr_db=float(10 * np.log10((fitted**2).sum() / ((windows - fitted) ** 2).sum())),
        longest_silence_ms=float(np.diff(loud).max()) / 8,
    )


def samples(audio: bytes, codec: Codec = PCMU) -> NDArray[np.float64]:
    return np.frombuffer(codec.decode(audio), "<i2").astype(np.float64)


def _fitted(heard: NDArray[np.float64], hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    windows = heard[: len(heard) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    phase = 2 * np.pi * hz * np.arange(_WINDOW) / _RATE_HZ
    basis = np.stack([np.sin(phase), np.cos(phase)])
    fitted: NDArray[np.float64] = windows @ np.linalg.pinv(basis) @ basis
    return fitted, windows

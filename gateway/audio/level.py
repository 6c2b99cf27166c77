"""How loud audio is."""

import math
from typing import Final

import numpy as np

__all__ = ["SILENCE_DBFS", "level_dbfs"]

SILENCE_DBFS: Final = -127.0
"""The level of digital silence. RFC 6464 §3 gives it this number, and so nobody meets an infinity."""


def level_dbfs(pcm: bytes) -> float:
    """The root mean square of PCM16 mono in dB below full scale: a full-scale sine has -3.01.

    Nothing at all is as loud as silence. The sum of squares is an exact integer in float64, up to eight
    million samples; only the logarithm is as good as the platform's. Raises `ValueError` on half a sample.
    """
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    energy = float(np.dot(samples, samples))
    if energy == 0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10 * math.log10(energy / len(samples) / 32768**2))

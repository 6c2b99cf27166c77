"""Where somebody speaks in a recording, and where he pauses."""

import numpy as np

__all__ = ["utterances"]

_FRAME_MS = 20
_SPEECH_DBFS = -42.0  # a telephone's background is below it, quiet speech above
_KEPT_MS = 200  # before and after, so that no first or last sound is lost


def utterances(pcm: bytes, rate_hz: int, *, pause_ms: int = 1000) -> list[bytes]:
    """The parts of a recording that pauses of `pause_ms` and more separate, each with a little silence around it.

    `pcm`: PCM16 mono. A recording without speech has none.
    """
    size = rate_hz * _FRAME_MS // 1000
    samples = np.frombuffer(pcm, "<i2")
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    level = np.sqrt((frames**2).mean(axis=1)) if len(frames) else np.zeros(0)
    spoken = np.flatnonzero(level > 32768 * 10 ** (_SPEECH_DBFS / 20))
    if not len(spoken):
        return []
    borders = np.flatnonzero(np.diff(spoken) * _FRAME_MS > pause_ms)
    firsts = spoken[np.r_[0, borders + 1]]
    lasts = spoken[np.r_[borders, len(spoken) - 1]]
    kept = _KEPT_MS // _FRAME_MS
    return [
        samples[max(first - kept, 0) * size : (last + 1 + kept) * size].tobytes()
        for first, last in zip(firsts, lasts, strict=True)
    ]

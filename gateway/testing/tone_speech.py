"""A language in tones, for tests that must know exactly what was said, and what of it was heard.

A text is made of the numbers 10 to 99. Each is a tone of its own pitch, 160 ms of it and 40 ms of silence.
Full stops may stand between them; nobody hears those.
"""

import re
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["WORDS", "WORD_MS", "Sound", "sounds", "speak", "understand", "words_of"]

WORDS = tuple(str(number) for number in range(10, 100))
WORD_MS = 200
_TONE_MS = 160
_EDGE_MS = 5  # a tone that sets in at once is heard as a click of all pitches

_LOWEST_HZ = 400.0
_APART_HZ = 30.0
_AMPLITUDE = 8000.0

_WINDOW_MS = 20
_HOP_MS = 10
_AT_ONCE = 1000  # frames, so that an hour of audio needs no more memory than 10 s
_AUDIBLE = 400.0  # rms; an edge that only a part of the window has is not
_ALONE = 0.85  # of the energy: so much is in a pure tone, and in no voice
_SHORTEST_MS = 30  # a shorter sound is the seam between two others
_WHOLE_MS = 120  # a word of which less was heard is not understood


class Sound(NamedTuple):
    """Something audible. `word`: None for what is no word. Times are on the axis of the audio."""

    word: str | None
    start_ms: int
    end_ms: int

    @property
    def whole(self) -> bool:
        return self.word is not None and self.end_ms - self.start_ms >= _WHOLE_MS


def words_of(text: str) -> list[str]:
    """The words of a text."""
    return re.findall(r"[0-9]+", text)


def speak(text: str, rate_hz: int) -> bytes:
    """A text as PCM16, 200 ms a word."""
    parts = [_word(int(word), rate_hz) for word in words_of(text)]
    return np.concatenate(parts).astype("<i2").tobytes() if parts else b""


def understand(pcm: bytes, rate_hz: int) -> str:
    """The text that was said; words of which a part is missing are not in it."""
    return " ".join(str(sound.word) for sound in sounds(pcm, rate_hz) if sound.whole)


def sounds(pcm: bytes, rate_hz: int) -> list[Sound]:
    """What is audible in PCM16, in order."""
    samples = np.frombuffer(pcm, "<i2")
    width, hop = rate_hz * _WINDOW_MS // 1000, rate_hz * _HOP_MS // 1000
    if len(samples) < width:
        return []
    frames = sliding_window_view(samples, width)[::hop]
    heard: list[tuple[int, str | None]] = []
    for first in range(0, len(frames), _AT_ONCE):
        some = frames[first : first + _AT_ONCE].astype(np.float64)
        loud = np.flatnonzero((some**2).mean(axis=1) > _AUDIBLE**2)
        heard += zip((first + loud).tolist(), _words(some[loud], rate_hz), strict=True)
    found = []
    # Frames follow on one another as long as the difference of place and index stays the same.
    for (_, word), run in groupby(enumerate(heard), lambda each: (each[1][0] - each[0], each[1][1])):
        places = [place for _, (place, _) in run]
        sound = Sound(word, places[0] * _HOP_MS, places[-1] * _HOP_MS + _WINDOW_MS)
        if sound.end_ms - sound.start_ms >= _SHORTEST_MS:
            found.append(sound)
    return found


def _word(number: int, rate_hz: int) -> NDArray[np.float64]:
    at_ms = np.arange(WORD_MS * rate_hz // 1000) * 1000 / rate_hz
    level = np.clip(np.minimum(at_ms, _TONE_MS - at_ms) / _EDGE_MS, 0.0, 1.0)
    return _AMPLITUDE * level * np.sin(2 * np.pi * _pitch_hz(number) * at_ms / 1000)


def _pitch_hz(number: int) -> float:
    return _LOWEST_HZ + _APART_HZ * (number - int(WORDS[0]))


def _words(frames: NDArray[np.float64], rate_hz: int) -> list[str | None]:
    """The word that each frame is of, or None."""
    size = 4096 * rate_hz // 8000
    energies = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), size)) ** 2
    step_hz = rate_hz / size
    peaks = energies.argmax(axis=1)
    reach = int(100 / step_hz)  # the window spreads a tone that far
    found: list[str | None] = []
    for energy, peak in zip(energies, peaks.tolist(), strict=True):
        near = energy[max(peak - reach, 0) : peak + reach + 1].sum()
        number = round((peak * step_hz - _LOWEST_HZ) / _APART_HZ) + int(WORDS[0])
        pure = near >= _ALONE * energy.sum()
        found.append(str(number) if pure and str(number) in WORDS else None)
    return found

"""What the caller says, cut into turns. Time is the audio appended, in milliseconds since the session began."""

from typing import NamedTuple

from gateway.audio.resample import Downsampler
from gateway.voice.embedded.session_settings import ServerVad
from gateway.voice.embedded.vad import HOP_BYTES, HOP_MS

__all__ = ["InputAudio", "SpeechStarted", "SpeechStopped"]

_BYTES_PER_MS = 48  # PCM16 at 24 000 Hz
_HOPS_TO_START = 2  # one hop can be a click on the line,
_NO_DOUBT = 0.35  # unless it is so far above the threshold: clicks, keys and knocks do not get there
_STILL_SPEECH = 0.15  # below the threshold: speech that has begun may sink so far before it is a pause
_MOST_MS = 30_000  # the recognizer loses its way in longer turns; a longer one is cut into several
_IDLE_MS = 1000  # kept beyond the prefix while nobody speaks: detection runs a little behind
_TAIL_MS = 200  # of the silence after the last word; the recognizer needs some and its time grows with it


class SpeechStarted(NamedTuple):
    start_ms: int


class SpeechStopped(NamedTuple):
    """`clip`: the turn as PCM16 at 24 000 Hz."""

    end_ms: int
    clip: bytes


class InputAudio:
    """The input audio buffer and its turn detection. `turn_detection` of None: turns end by `commit`."""

    def __init__(self, turn_detection: ServerVad | None) -> None:
        self._turn_detection = turn_detection
        self._buffer = bytearray()
        self._dropped_ms = 0  # where the buffer starts
        self._downsampler = Downsampler()
        self._narrow = bytearray()  # 8 kHz, less than a hop
        self._heard_ms = 0  # how far detection has come
        self._start_ms: int | None = None  # of the turn in progress, with its prefix
        self._silent_ms: int | None = None  # since when nothing is heard in a turn
        self._hops = 0  # in a row that were speech, before a turn

    @property
    def appended_ms(self) -> int:
        return self._dropped_ms + len(self._buffer) // _BYTES_PER_MS

    @property
    def speaking(self) -> bool:
        return self._start_ms is not None

    def detect_turns(self, turn_detection: ServerVad | None) -> None:
        """Change the settings from here on. Turning detection on or off leaves a turn in progress."""
        if (turn_detection is None) != (self._turn_detection is None):
            self._downsampler = Downsampler()
            self._narrow.clear()
            self._heard_ms = self.appended_ms
            self._restart()
        self._turn_detection = turn_detection

    def append(self, pcm: bytes) -> list[bytes]:
        """Take PCM16 at 24 000 Hz. Return the hops to be judged, PCM16 at 8 000 Hz; `judge` gets the results in order."""
        self._buffer += pcm
        keep_ms = _MOST_MS
        if self._turn_detection is not None:
            self._narrow += self._downsampler.feed(pcm)
            if not self.speaking:
                behind_ms = self.appended_ms - self._heard_ms
                keep_ms = min(_MOST_MS, self._turn_detection.prefix_padding_ms + behind_ms + _IDLE_MS)
        self._drop(self.appended_ms - keep_ms)
        whole = len(self._narrow) // HOP_BYTES * HOP_BYTES
        hops = [bytes(self._narrow[at : at + HOP_BYTES]) for at in range(0, whole, HOP_BYTES)]
        del self._narrow[:whole]
        return hops

    def judge(self, likely: float) -> SpeechStarted | SpeechStopped | None:
        """Take how likely the next hop is speech."""
        settings = self._turn_detection
        if settings is None:
            return None  # judged after detection was turned off
        self._heard_ms += HOP_MS
        if self._start_ms is None:
            self._count(likely, settings.threshold)
            if self._hops < _HOPS_TO_START and likely < settings.threshold + _NO_DOUBT:
                return None
            onset_ms = self._heard_ms - self._hops * HOP_MS
            self._start_ms = max(self._dropped_ms, onset_ms - settings.prefix_padding_ms)
            return SpeechStarted(self._start_ms)
        if likely > settings.threshold:
            self._silent_ms = None
        elif likely < settings.threshold - _STILL_SPEECH and self._silent_ms is None:
            self._silent_ms = self._heard_ms - HOP_MS
        silent_ms = self._silent_ms if self._silent_ms is not None else self._heard_ms
        is_over = self._heard_ms - silent_ms >= settings.silence_duration_ms
        if not is_over and self._heard_ms - self._start_ms < _MOST_MS:
            return None
        clip = self._cut(self._start_ms, min(self._heard_ms, silent_ms + _TAIL_MS))
        self._drop(self._heard_ms)
        self._restart()
        return SpeechStopped(self._heard_ms, clip)

    def commit(self) -> bytes:
        """Return all that is in the buffer and empty it."""
        clip = bytes(self._buffer)
        self.clear()
        return clip

    def clear(self) -> None:
        """Empty the buffer; a turn in progress is forgotten."""
        self._drop(self.appended_ms)
        self._restart()

    def _count(self, likely: float, threshold: float) -> None:
        """Count hops of speech; one in between neither counts nor starts again."""
        if likely > threshold:
            self._hops += 1
        elif likely < threshold - _STILL_SPEECH:
            self._hops = 0

    def _restart(self) -> None:
        self._start_ms = None
        self._silent_ms = None
        self._hops = 0

    def _cut(self, start_ms: int, end_ms: int) -> bytes:
        start, end = (max(0, at - self._dropped_ms) * _BYTES_PER_MS for at in (start_ms, end_ms))
        return bytes(self._buffer[start:end])

    def _drop(self, until_ms: int) -> None:
        drop_ms = max(0, min(until_ms, self.appended_ms) - self._dropped_ms)
        del self._buffer[: drop_ms * _BYTES_PER_MS]
        self._dropped_ms += drop_ms

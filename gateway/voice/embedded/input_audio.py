"""What the caller says, cut into turns. Time is the audio appended, in milliseconds since the session began."""

from collections import deque
from typing import NamedTuple

from gateway.audio.resample import Downsampler
from gateway.voice.embedded.session_settings import TurnDetection
from gateway.voice.embedded.vad import HOP_BYTES, HOP_MS

__all__ = ["InputAudio", "SpeechStarted", "SpeechStopped"]

_BYTES_PER_MS = 48  # PCM16 at 24 000 Hz
_HOPS_TO_START = 2  # one hop can be a click on the line,
# unless it is so far above the threshold: single hops of clicks, keys, knocks and coughs hardly get beyond 0.7. Soft
# beginnings of speech are found so 5 ms earlier (p50) than with 0.35, with the same false starts; 0.25 has more.
_NO_DOUBT = 0.3
_STILL_SPEECH = 0.15  # below the threshold: speech that has begun may sink so far before it is a pause
# How long the detector may hesitate behind the last sound, between speech and pause: that was silence already.
_LATE_MS = 2 * HOP_MS
_LONGEST_TURN_MS = 30_000  # the recognizer loses its way in longer turns; a longer one is cut into several
_LONGEST_MS = 330_000  # that nobody judged or committed: a whole event of 15 MiB, and what stood before it
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

    def __init__(self, turn_detection: TurnDetection | None) -> None:
        self._turn_detection = turn_detection
        self._buffer = bytearray()
        self._dropped_ms = 0  # where the buffer starts
        self._downsampler = Downsampler()
        self._narrow = bytearray()  # 8 kHz, less than a hop
        self._cut_ms = 0  # where the next hop starts
        self._asked: deque[int] = deque()  # where the hops start that are being judged
        self._heard_ms = 0  # how far detection has come
        self._over_ms = 0  # what is said before it belongs to no turn any more
        self._start_ms: int | None = None  # of the turn in progress, with its prefix
        self._weak_ms: int | None = None  # since when nothing is heard in a turn that is clearly speech,
        self._silent_ms: int | None = None  # and since when it is a pause
        self._hops = 0  # in a row that were speech, before a turn

    @property
    def appended_ms(self) -> int:
        return self._dropped_ms + len(self._buffer) // _BYTES_PER_MS

    @property
    def speaking(self) -> bool:
        return self._start_ms is not None

    def detect_turns(self, turn_detection: TurnDetection | None) -> None:
        """Change the settings from here on.

        Turning detection off or on forgets a turn in progress; its audio stays in the buffer.
        """
        if (turn_detection is None) != (self._turn_detection is None):
            self._downsampler = Downsampler()
            self._narrow.clear()
            self._cut_ms = self._over_ms = self.appended_ms
            self._forget()
        self._turn_detection = turn_detection

    def append(self, pcm: bytes) -> list[bytes]:
        """Take PCM16 at 24 000 Hz. Return the hops to be judged, PCM16 at 8 000 Hz; `judge` gets the results in order."""
        self._buffer += pcm
        hops = []
        if self._turn_detection is not None:
            self._narrow += self._downsampler.feed(pcm)
            whole = len(self._narrow) // HOP_BYTES * HOP_BYTES
            hops = [bytes(self._narrow[at : at + HOP_BYTES]) for at in range(0, whole, HOP_BYTES)]
            del self._narrow[:whole]
            self._asked.extend(range(self._cut_ms, self._cut_ms + HOP_MS * len(hops), HOP_MS))
            self._cut_ms += HOP_MS * len(hops)
        self._drop(self.appended_ms - self._kept_ms())
        return hops

    def judge(self, likely: float) -> SpeechStarted | SpeechStopped | None:
        """Take how likely the next hop is speech."""
        start_ms = self._asked.popleft()
        settings = self._turn_detection
        if settings is None or start_ms < self._over_ms:
            return None  # committed, cleared, or detection was turned off meanwhile
        self._heard_ms = start_ms + HOP_MS
        if self._start_ms is None:
            self._count(likely, settings.threshold)
            if self._hops < _HOPS_TO_START and likely < settings.threshold + _NO_DOUBT:
                return None
            onset_ms = self._heard_ms - self._hops * HOP_MS
            self._start_ms = max(self._dropped_ms, onset_ms - settings.prefix_padding_ms)
            return SpeechStarted(self._start_ms)
        if likely > settings.threshold:
            self._weak_ms = self._silent_ms = None
        elif self._weak_ms is None:
            self._weak_ms = start_ms
        if likely < _pause_below(settings.threshold) and self._silent_ms is None:
            self._silent_ms = max(self._weak_ms or 0, start_ms - _LATE_MS)
        silent_ms = self._silent_ms if self._silent_ms is not None else self._heard_ms
        is_over = self._silent_ms is not None and self._heard_ms - silent_ms >= settings.silence_duration_ms
        if not is_over and self._heard_ms - self._start_ms < _LONGEST_TURN_MS:
            return None
        clip = self._cut(self._start_ms, min(self._heard_ms, silent_ms + _TAIL_MS))
        self._drop(self._heard_ms)
        self._forget()
        return SpeechStopped(self._heard_ms, clip)

    @property
    def uncommitted_ms(self) -> int:
        """How much `commit` would return."""
        return self.appended_ms - max(self._start_ms or 0, self._dropped_ms)

    def commit(self) -> bytes:
        """Return what is in the buffer, a turn in progress from its start, and empty it."""
        clip = self._cut(self._start_ms or 0, self.appended_ms)
        self.clear()
        return clip

    def clear(self) -> None:
        """Empty the buffer; a turn in progress is forgotten, and begins no other one when it is judged."""
        self._drop(self.appended_ms)
        self._over_ms = self.appended_ms
        self._forget()

    def _count(self, likely: float, threshold: float) -> None:
        """Count hops of speech; one in between neither counts nor starts again."""
        if likely > threshold:
            self._hops += 1
        elif likely < _pause_below(threshold):
            self._hops = 0

    def _forget(self) -> None:
        self._start_ms = None
        self._weak_ms = self._silent_ms = None
        self._hops = 0

    def _kept_ms(self) -> int:
        """How much of the end of the buffer may be wanted: what is not judged, and what a turn may begin with."""
        settings = self._turn_detection
        if settings is None or self.speaking:
            return _LONGEST_MS
        behind_ms = self.appended_ms - self._heard_ms
        return min(_LONGEST_MS, settings.prefix_padding_ms + behind_ms + _IDLE_MS)

    def _cut(self, start_ms: int, end_ms: int) -> bytes:
        start, end = (max(0, at - self._dropped_ms) * _BYTES_PER_MS for at in (start_ms, end_ms))
        return bytes(self._buffer[start:end])

    def _drop(self, until_ms: int) -> None:
        drop_ms = max(0, min(until_ms, self.appended_ms) - self._dropped_ms)
        del self._buffer[: drop_ms * _BYTES_PER_MS]
        self._dropped_ms += drop_ms


def _pause_below(threshold: float) -> float:
    """Above it, what began as speech is still speech; a pause of whoever sets a low threshold is below that too."""
    return max(threshold - _STILL_SPEECH, threshold / 2)

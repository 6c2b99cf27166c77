"""What the user said, as it was sent, cut where the voice found its beginning and its end. A core."""

from collections import deque
from typing import Self

from gateway.contracts import AudioFormat
from gateway.voice.responses import Answer

__all__ = ["Utterance", "Utterances"]

# Kept while nobody speaks, too: of a file that is sent at once, the voice tells much later where somebody does.
_MOST_MS = 5 * 60_000
_MOST_FOUND_MS = 5 * 60_000  # that nobody listened to


class Utterance(bytes):
    """Audio in the format of the session; `item_id`: the turn that it is in the conversation, `answer`: to it."""

    item_id: str
    answer: Answer | None

    def __new__(cls, audio: bytes, item_id: str) -> Self:
        utterance = super().__new__(cls, audio)
        utterance.item_id = item_id
        utterance.answer = None
        return utterance


class Utterances:
    """The audio of one user. Times are in ms of the audio that was sent since the session began."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._audio = bytearray()
        self._begins_ms = 0.0  # where `_audio` does
        self._speech_ms: float | None = None
        self._found: deque[Utterance] = deque()

    def change_format(self, form: AudioFormat) -> None:
        """Audio comes in another format from here on. What was said before it is not part of an utterance."""
        self._begins_ms = self.ends_ms
        self._audio.clear()
        self._form = form

    def sent(self, audio: bytes) -> None:
        self._audio += audio
        self._drop_before(self.ends_ms - _MOST_MS)

    def started(self, at_ms: float) -> None:
        """Somebody speaks, from here on."""
        self._speech_ms = at_ms
        self._drop_before(at_ms)

    def stopped(self, at_ms: float, item_id: str) -> Utterance:
        """He is silent from here on: what he said."""
        begins_ms = self._speech_ms if self._speech_ms is not None else self._begins_ms
        utterance = Utterance(self._between(begins_ms, at_ms), item_id)
        self._speech_ms = None
        self._drop_before(at_ms)
        return utterance

    def forget(self, at_ms: float) -> None:
        """What was sent before is a turn whose end was known."""
        self._speech_ms = None
        self._drop_before(at_ms)

    def keep(self, utterance: Utterance) -> None:
        """Somebody will listen to it. If nobody does, the oldest are forgotten."""
        self._found.append(utterance)
        while sum(map(len, self._found)) > _MOST_FOUND_MS * self._form.bytes_per_ms:
            self._found.popleft()

    def take(self) -> Utterance | None:
        """The first of those that were kept."""
        return self._found.popleft() if self._found else None

    @property
    def ends_ms(self) -> float:
        """Where the audio ends that was sent."""
        return self._begins_ms + len(self._audio) / self._form.bytes_per_ms

    def _between(self, from_ms: float, to_ms: float) -> bytes:
        first, last = (
            max(round(at_ms - self._begins_ms), 0) * self._form.bytes_per_ms for at_ms in (from_ms, to_ms)
        )
        return bytes(self._audio[first:last])

    def _drop_before(self, at_ms: float) -> None:
        whole_ms = max(int(min(at_ms, self.ends_ms) - self._begins_ms), 0)
        del self._audio[: whole_ms * self._form.bytes_per_ms]
        self._begins_ms += whole_ms

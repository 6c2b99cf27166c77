"""What the user says, on its way to the voice. A core."""

import math

from gateway.audio.g711 import CODECS
from gateway.contracts import AudioFormat
from gateway.voice.conversion import FILTER_MS, Conversion
from gateway.voice.session_core import SessionCore
from gateway.voice.utterances import Utterances

__all__ = ["Microphone"]

_SHORTEST_TURN_MS = 100  # what OpenAI takes for a turn
_MOST_APPENDED_MS = 1000


class Microphone:
    """One session's. `form`: of the audio that its user gives; `utterances` keep it as he gave it."""

    def __init__(self, session: SessionCore, utterances: Utterances, form: AudioFormat) -> None:
        self._session = session
        self._utterances = utterances
        self._turned_ms = 0.0  # what was said before is a turn
        self._hear_in(form)

    def hear_in(self, form: AudioFormat) -> None:
        """Audio comes in another format from here on."""
        self._utterances.change_format(form)
        self._hear_in(form)

    def send(self, audio: bytes) -> None:
        self._utterances.sent(audio)
        wire = self._to_voice.carry(audio)
        size = _MOST_APPENDED_MS * self._session.traits.input.bytes_per_ms
        for at in range(0, len(wire), size):
            self._session.send_audio(wire[at : at + size])

    def complete(self) -> float:
        """Send as much silence as makes a turn of what was said. Gives the turn's end, in ms of all audio."""
        missing_ms = _SHORTEST_TURN_MS - (self._utterances.ends_ms - self._turned_ms)
        self.send(self._silence(max(math.ceil(missing_ms), FILTER_MS)))
        self.turned(self._utterances.ends_ms)
        return self._utterances.ends_ms

    def turned(self, at_ms: float) -> None:
        """What was said before `at_ms` is a turn, or will be."""
        self._turned_ms = max(self._turned_ms, at_ms)

    def _silence(self, duration_ms: int) -> bytes:
        sample = bytes(2) if self._form.encoding == "pcm" else CODECS[self._form.encoding].silence
        return sample * (duration_ms * self._form.bytes_per_ms // len(sample))

    def _hear_in(self, form: AudioFormat) -> None:
        self._form = form
        self._to_voice = Conversion(form, self._session.traits.input)

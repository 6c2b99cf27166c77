"""What the caller understands of what he hears: by transcribing it, or, where it is only tones, by reading along."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.audio.clip import convert
from gateway.audio.pauses import utterances
from gateway.contracts import Fact
from gateway.testing.twilio_caller import Caller

__all__ = ["PAUSE_S", "Ear", "ReadingEar", "TranscribingEar"]

# Longer than the pauses between an agent's sentences, shorter than its patience with a caller who says nothing.
PAUSE_S = 0.6

_LINE_HZ, _SPEECH_HZ = 8000, 24000


class Ear(Protocol):
    """Follows one caller."""

    def take(self, *, paused: bool) -> list[str]:
        """What was heard since the last call of this method or of `skip`, one text an utterance.

        `paused`: the agent is silent, so that all it said was played.
        """

    def skip(self) -> None:
        """Pay no attention to what was heard up to now."""


class TranscribingEar:
    """Writes down what Twilio played to the caller. `transcribe`: a text for PCM16 at 24 000 Hz."""

    def __init__(self, caller: Caller, transcribe: Callable[[bytes], str]) -> None:
        self._caller = caller
        self._transcribe = transcribe
        self._taken_bytes = 0

    def take(self, *, paused: bool) -> list[str]:  # noqa: ARG002 - half a sentence can be understood
        heard = self._caller.heard[self._taken_bytes :]
        self._taken_bytes += len(heard)
        parts = utterances(heard, _LINE_HZ, pause_ms=round(1000 * PAUSE_S))
        texts = [self._transcribe(convert(part, _LINE_HZ, _SPEECH_HZ)) for part in parts]
        return [text for text in texts if text]

    def skip(self) -> None:
        self._taken_bytes = len(self._caller.heard)


class ReadingEar:
    """Reads what the agent said, cut where it was interrupted. A text counts when it was played to its end.

    `facts`: of all calls so far. `said`: what steps of the plan said so far.
    """

    def __init__(self, facts: Sequence[tuple[str, Fact]], said: Sequence[str]) -> None:
        self._facts = facts
        self._said = said
        self._taken = (0, 0)

    def take(self, *, paused: bool) -> list[str]:
        if not paused:
            return []
        facts, said = self._taken
        texts = {f"step {number}": text for number, text in enumerate(self._said[said:])}
        for _, fact in self._facts[facts:]:
            if fact.name == "agent.said" or (
                fact.name == "agent.interrupted" and fact.fields["item"] in texts
            ):
                texts[fact.fields["item"]] = fact.fields["text"]
        self.skip()
        return [text for text in texts.values() if text]

    def skip(self) -> None:
        self._taken = (len(self._facts), len(self._said))

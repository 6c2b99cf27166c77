"""How it sounds: hibari, a small English voice, at 24 kHz."""

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from gateway.voice.embedded.onnx import load_runtime
from gateway.voice.embedded.spoken import sayable, sentences, spell_out

__all__ = ["VOICE", "Synthesizer"]

VOICE = "heart"  # the one voice inside the wheel; hibari would fetch any other from the network
_RATE_HZ = 24_000
_CACHE_BYTES = 32 << 20  # about 11 minutes: all fixed prompts of some dialogues

# hibari starts with 0.3 s of silence and ends with 0.5 s. The first is latency, the second makes a speaker
# who has lost the thread out of two sentences.
_AUDIBLE = 0.01
_LEAD_S = 0.02
_PAUSE_S = 0.25

_Floats = npt.NDArray[np.float32]


class Synthesizer:
    """The model. Says the same text with the same samples every time; remembers what it said lately."""

    def __init__(self) -> None:
        load_runtime()  # before hibari does
        # hibari keeps its default of one onnxruntime thread; without a pool of threads nothing spins.
        from hibari import Hibari

        self._hibari = Hibari()
        self._phonemizing = threading.Lock()  # its lexicon and tagger keep state between words
        self._said: OrderedDict[str, bytes] = OrderedDict()
        self._said_bytes = 0
        self._remembering = threading.Lock()

    def remembered(self, text: str) -> bytes | None:
        """Return what `synthesize` would, if it is at hand; cheap enough for the event loop."""
        with self._remembering:
            pcm = self._said.get(text)
            if pcm is not None:
                self._said.move_to_end(text)
            return pcm

    def synthesize(self, text: str) -> bytes:
        """Speak a text: PCM16 mono at 24 000 Hz; b"" when there is nothing in it to be said.

        Codes and telephone numbers are read digit by digit. May run in any thread, in several at once.
        """
        pcm = self.remembered(text)
        if pcm is None:
            pcm = b"".join(self._speak(sentence) for sentence in sentences(spell_out(sayable(text))))
            self._remember(text, pcm)
        return pcm

    def _speak(self, sentence: str) -> bytes:
        with self._phonemizing:
            phonemes = self._hibari.phonemize(sentence)
        noise = np.random.default_rng(0)  # the breath in the voice; a fixed one makes prompts reproducible
        parts = [self._hibari.from_ids(self._hibari.ids(part), rng=noise) for part in phonemes]
        samples = _trim(np.concatenate(parts)) if parts else np.zeros(0, np.float32)
        return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()

    def _remember(self, text: str, pcm: bytes) -> None:
        with self._remembering:
            self._said_bytes += len(pcm) - len(self._said.get(text, b""))
            self._said[text] = pcm
            self._said.move_to_end(text)
            while self._said_bytes > _CACHE_BYTES:
                _, forgotten = self._said.popitem(last=False)
                self._said_bytes -= len(forgotten)


def _trim(samples: _Floats) -> _Floats:
    """Leave a short start and one pause at the end."""
    audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not audible.size:
        return samples[:0]
    start = max(0, int(audible[0]) - int(_LEAD_S * _RATE_HZ))
    end = int(audible[-1]) + int(_PAUSE_S * _RATE_HZ)
    return np.pad(samples[start:end], (0, max(0, end - len(samples))))

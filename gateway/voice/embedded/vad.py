"""Is somebody speaking? Silero VAD v6 in its 8 kHz mode, one model run for all calls at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.voice.embedded.onnx import open_model

__all__ = ["HOP_BYTES", "HOP_MS", "SpeechDetector", "SpeechStream"]

HOP_SAMPLES = 256
HOP_MS = 32
HOP_BYTES = 2 * HOP_SAMPLES
_CONTEXT_SAMPLES = 32  # the model wants the end of the previous hop before each one

_Floats = npt.NDArray[np.float32]


class SpeechStream:
    """What the model remembers of one call."""

    def __init__(self) -> None:
        self.state: _Floats = np.zeros((2, 128), np.float32)
        self.context: _Floats = np.zeros(_CONTEXT_SAMPLES, np.float32)


class SpeechDetector:
    """The model. `path`: `silero_vad.onnx`."""

    def __init__(self, path: Path) -> None:
        self._model = open_model(path)
        self._rate_hz = np.array(8000, np.int64)

    def detect(self, streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
        """Tell for each stream how likely its next hop is speech, 0 to 1.

        `hops`: `HOP_BYTES` of PCM16 at 8 000 Hz each, one for each stream. A batch gives the same numbers
        as the streams one by one. One thread at a time.
        """
        samples = np.divide(
            np.frombuffer(b"".join(hops), "<i2").reshape(-1, HOP_SAMPLES), 32768, dtype=np.float32
        )
        heard = np.concatenate([np.stack([stream.context for stream in streams]), samples], axis=1)
        states = np.stack([stream.state for stream in streams], axis=1)
        likely, states = self._model.run(None, {"input": heard, "state": states, "sr": self._rate_hz})
        for i, stream in enumerate(streams):
            stream.state = states[:, i]
            stream.context = samples[i, -_CONTEXT_SAMPLES:]
        return [float(p) for p in likely[:, 0]]

"""What was said: Moonshine tiny-en, run straight with onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.audio.clip import convert
from gateway.voice.embedded.onnx import open_model

__all__ = ["Transcriber"]

_RATE_HZ = 16_000
_SAMPLES_PER_STEP = 384  # of audio at 16 000 Hz, for one step of the encoder's output
_START, _STOP = 1, 2
_TOKENS_PER_S = 7  # English is spoken at about 3; beyond 7 the decoder has begun to repeat itself
_FEWEST_TOKENS = 8
_SHORTEST_S = 0.5  # the encoder's strides need some audio to stand on

_Floats = npt.NDArray[np.float32]


class Transcriber:
    """The model. `folder`: encoder_model.ort, decoder_model_merged.ort and tokenizer.bin of tiny-en."""

    def __init__(self, folder: Path) -> None:
        self._encoder = open_model(folder / "encoder_model.ort")
        self._decoder = open_model(folder / "decoder_model_merged.ort")
        self._pieces = _read_pieces((folder / "tokenizer.bin").read_bytes())
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._no_past = {
            cache.name: np.zeros((1, cache.shape[1], 0, cache.shape[3]), np.float32)
            for cache in self._decoder.get_inputs()
            if cache.name.startswith("past_key_values.")
        }

    def transcribe(self, pcm: bytes) -> str:
        """Write down English speech, with capitals and punctuation; "" when there are no words in it.

        `pcm`: PCM16 mono at 24 000 Hz. May run in any thread, in several at once.
        """
        samples = np.divide(np.frombuffer(convert(pcm, 24_000, _RATE_HZ), "<i2"), 32768, dtype=np.float32)
        samples = np.pad(samples, (0, max(0, int(_SHORTEST_S * _RATE_HZ) - len(samples))))
        most_tokens = max(_FEWEST_TOKENS, int(_TOKENS_PER_S * len(samples) / _RATE_HZ))
        tokens = self._decode(self._encode(samples), most_tokens)
        said = b"".join(self._pieces[token] for token in tokens)
        return said.decode(errors="replace").replace("\u2581", " ").strip()

    def _encode(self, samples: _Floats) -> _Floats:
        audio = {"input_values": samples[None], "attention_mask": np.ones((1, len(samples)), np.int64)}
        hidden: _Floats = self._encoder.run(None, audio)[0]
        return hidden

    def _decode(self, hidden: _Floats, most_tokens: int) -> list[int]:
        """Pick the likeliest token again and again, keeping the attention of the earlier ones."""
        past: dict[str, Any] = dict(self._no_past)
        # The decoder takes its mask in samples of audio and thins it itself; one of hidden steps fails from 9.3 s on.
        attention = np.ones((1, _SAMPLES_PER_STEP * hidden.shape[1]), np.int64)
        tokens = [_START]
        for step in range(most_tokens):
            inputs = {
                "input_ids": np.array([[tokens[-1]]], np.int64),
                "encoder_hidden_states": hidden,
                "encoder_attention_mask": attention,
                "use_cache_branch": np.array([step > 0]),
            }
            outputs = dict(zip(self._outputs, self._decoder.run(None, inputs | past), strict=True))
            token = int(outputs["logits"][0, -1].argmax())
            if token == _STOP:
                break
            tokens.append(token)
            for name in past:
                # The attention over the audio is computed in the first step only; later outputs are empty.
                if step == 0 or ".decoder." in name:
                    past[name] = outputs[name.replace("past_key_values", "present")]
        return tokens[1:]


def _read_pieces(data: bytes) -> list[bytes]:
    """Split tokenizer.bin: each piece after its length, one byte, or two from 128 on (low seven bits first)."""
    pieces = []
    at = 0
    while at < len(data):
        size = data[at]
        at += 1
        if size >= 128:
            size += 128 * data[at] - 128
            at += 1
        pieces.append(data[at : at + size])
        at += size
    return pieces

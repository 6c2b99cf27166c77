"""The real models, loaded once for all tests; skipped where they are not installed."""

import functools

import pytest

from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler, Upsampler
from gateway.voice.embedded import models

MISSING = models.missing_parts()
needs_models = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(part.part for part in MISSING)}"
)


@functools.cache
def the_models() -> models.Models:
    return models.load()


@functools.cache
def spoken_on_the_phone(text: str) -> bytes:
    """A sentence as a caller's voice arrives: 8 kHz, mu-law, back at 24 000 Hz."""
    codec = CODECS["pcmu"]
    pcm = the_models().synthesize(text) + bytes(960)
    return Upsampler().feed(codec.decode(codec.encode(Downsampler().feed(pcm[: len(pcm) // 960 * 960]))))

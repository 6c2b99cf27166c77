"""What a server core asks of the models. Each is answered by `RealtimeServerCore.result` with its id."""

import msgspec

__all__ = ["Detect", "Job", "Synthesize", "Transcribe"]


class Detect(msgspec.Struct, frozen=True):
    """How likely is it that somebody speaks? `hop`: PCM16 at 8 000 Hz, 32 ms. Result: a float, in order."""

    id: int
    hop: bytes


class Transcribe(msgspec.Struct, frozen=True):
    """What is said? `clip`: PCM16 at 24 000 Hz. Result: a str."""

    id: int
    clip: bytes


class Synthesize(msgspec.Struct, frozen=True):
    """How does it sound? Result: PCM16 at 24 000 Hz."""

    id: int
    text: str
    voice: str


Job = Detect | Transcribe | Synthesize

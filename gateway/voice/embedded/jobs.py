"""What a server core asks of the models. Each is answered by `RealtimeServerCore.result` with its id."""

import msgspec

from gateway.voice.embedded.chat_request import ChatRequest

__all__ = ["Detect", "Job", "Stop", "Synthesize", "Think", "Transcribe"]


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


class Think(msgspec.Struct, frozen=True):
    """What is the answer? Results: any number of `Words`, as soon as they are known, then `Decided` or `Failure`."""

    id: int
    request: ChatRequest


class Stop(msgspec.Struct, frozen=True):
    """Nobody waits any more for the answer of the `Think` with this id. Has no result."""

    id: int


Job = Detect | Transcribe | Synthesize | Think | Stop

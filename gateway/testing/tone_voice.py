"""A voice that speaks and understands a language in tones, and answers as told. The protocol is a server's.

    voice = ToneVoice(lambda question: f"{question} 10. 11. 12." if question else "20. 21.")

It makes its speech word by word, in virtual time as in real, so that it can be lost in the middle of an answer.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from gateway.contracts import Agent, VoiceConnection, VoiceTraits
from gateway.testing.tone_speech import speak, understand
from gateway.voice.backends.scripted import detect_loudness
from gateway.voice.embedded.brain import Turn
from gateway.voice.embedded.server import RealtimeServer

__all__ = ["ToneVoice"]

T = TypeVar("T")

_RATE_HZ = 24_000
_BYTES_PER_S = 2 * _RATE_HZ


class ToneVoice:
    """A `VoiceBackend`. `answer`: what to say to a question; to "" the words of a voice that speaks first.

    `thinks_s`: how long it takes to write a question down. `speed`: how much faster its speech is made than it
    sounds.
    """

    traits = VoiceTraits(name="tones")

    def __init__(self, answer: Callable[[str], str], *, thinks_s: float = 0.2, speed: float = 4.0) -> None:
        self._answer = answer
        self._thinks_s = thinks_s
        self._speed = speed
        self._server = RealtimeServer(self._in_time, model="gateway-tones", workers=1_000)

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:  # noqa: ARG002 - all talk alike
        """Talk with a caller."""
        async with self._server.connect(_Answers(self._answer), _Tones()) as connection:
            yield connection

    async def run(self) -> None:
        """Detect the turns of all callers until cancelled."""
        await self._server.detect_speech(detect_loudness)

    async def _in_time(self, work: Callable[..., T], /, *args: Any, limiter: Any = None) -> T:  # noqa: ARG002
        """`RunBlocking` that takes as long as a voice does."""
        value = work(*args)
        if isinstance(value, str):
            await trio.sleep(self._thinks_s)
        elif isinstance(value, bytes):
            await trio.sleep(len(value) / _BYTES_PER_S / self._speed)
        else:
            await trio.lowlevel.checkpoint()
        return value


class _Answers:
    """A `Brain` without a memory: whoever tells it the same gets the same answer."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer

    def begin(self) -> Turn:
        return Turn(self._answer(""))

    def heard(self, text: str) -> Turn:
        return Turn(self._answer(text) if text else "")

    def digit(self, digit: str) -> Turn:  # noqa: ARG002
        return Turn("")

    def silence(self) -> Turn:
        return Turn("")

    def told(self, name: str, output: str) -> Turn:  # noqa: ARG002
        return Turn("")


class _Tones:
    """Speech for one caller."""

    def transcribe(self, pcm: bytes) -> str:
        return understand(pcm, _RATE_HZ)

    def synthesize(self, text: str) -> bytes:
        return speak(text, _RATE_HZ)

    def remembered(self, text: str) -> bytes | None:  # noqa: ARG002 - it takes its time
        return None

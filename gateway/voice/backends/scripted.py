"""The embedded voice without its models: it hears what it is told to hear and answers in tones.

For tests, and for machines on which the models cannot be installed. Protocol, turns and dialogue are the same.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np

from gateway.audio.level import level_dbfs
from gateway.contracts import Agent, RunBlocking, VoiceConnection, VoiceTraits
from gateway.voice.backends.embedded import find_script
from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script import Script
from gateway.voice.embedded.script_file import shipped_scripts
from gateway.voice.embedded.server import RealtimeServer
from gateway.voice.embedded.vad import SpeechStream

__all__ = ["ScriptedBackend", "ScriptedSettings", "detect_loudness", "tone"]

_RATE_HZ = 24_000
_SPEECH_DBFS = -45.0  # between the noise of a line and a voice
_MS_PER_CHARACTER = 60  # how fast people speak
_LONGEST_MS = 10_000
_TONE_HZ = 440.0
_AMPLITUDE = 8000


class ScriptedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hears`: what the turns of each caller are taken for, one after the other; then nothing more is heard."""

    hears: tuple[str, ...] = ()


class ScriptedBackend:
    """A `VoiceBackend` that needs nothing. `run` must be running for turns to be detected."""

    traits = VoiceTraits(name="scripted")

    def __init__(
        self,
        settings: ScriptedSettings,
        run_blocking: RunBlocking,
        *,
        scripts: Mapping[str, Script] | None = None,
    ) -> None:
        self._hears = settings.hears
        self._scripts = scripts if scripts is not None else shipped_scripts()
        self._server = RealtimeServer(run_blocking, model="gateway-scripted", workers=1)

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        """Talk with a caller along the agent's script. Raises `SessionRefused` when it is unknown."""
        dialogue = Dialogue(find_script(self._scripts, agent))
        async with self._server.connect(dialogue, _Tones(iter(self._hears))) as connection:
            yield connection

    async def run(self) -> None:
        """Detect the turns of all callers until cancelled."""
        await self._server.detect_speech(detect_loudness)


class _Tones:
    """Speech for one caller."""

    def __init__(self, hears: Iterator[str]) -> None:
        self._hears = hears

    def transcribe(self, pcm: bytes) -> str:  # noqa: ARG002 - what it hears is settled
        return next(self._hears, "")

    def synthesize(self, text: str) -> bytes:
        return tone(text)

    def remembered(self, text: str) -> bytes | None:
        return tone(text)


def detect_loudness(streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:  # noqa: ARG001 - no memory
    """Take loud audio for speech: 1.0 or 0.0 for each hop."""
    return [float(level_dbfs(hop) > _SPEECH_DBFS) for hop in hops]


def tone(text: str) -> bytes:
    """A tone as long as the text would take to say: PCM16 at 24 000 Hz."""
    duration_ms = min(_MS_PER_CHARACTER * len(text), _LONGEST_MS)
    phase = np.arange(duration_ms * _RATE_HZ // 1000) * (2 * np.pi * _TONE_HZ / _RATE_HZ)
    pcm: bytes = (_AMPLITUDE * np.sin(phase)).astype("<i2").tobytes()
    return pcm

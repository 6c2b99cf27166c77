"""The offline voice: three small models in this process and a scripted dialogue."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from gateway.contracts import Agent, RunBlocking, SessionLost, SessionRefused, VoiceConnection, VoiceTraits
from gateway.voice.embedded import models
from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script import Script, fixed_texts
from gateway.voice.embedded.script_file import read_scripts, shipped_scripts
from gateway.voice.embedded.server import DetectSpeech, RealtimeServer, Speech
from gateway.voice.embedded.spoken import sentences
from gateway.voice.embedded.tts import VOICE

__all__ = ["DEFAULT_SCRIPT", "EmbeddedBackend", "EmbeddedSettings", "find_script"]

DEFAULT_SCRIPT = "reception"
_LOADING_S = 20  # the models take one second, ten on a machine that is busy starting


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`scripts`: a folder of dialogues (*.toml) beside the shipped ones, which it may replace.

    `workers`: how many callers may be transcribed or answered at the same moment; leave one core free.
    """

    scripts: str | None = None
    workers: int = 1

    def read_scripts(self) -> dict[str, Script]:
        """Return all scripts by name. Raises `ScriptError`."""
        own = read_scripts(Path(self.scripts)) if self.scripts is not None else {}
        return shipped_scripts() | own


class Models(Speech, Protocol):
    """All that the voice needs; `gateway.voice.embedded.models.Models` is one."""

    @property
    def detect(self) -> DetectSpeech: ...


class EmbeddedBackend:
    """A `VoiceBackend` without network. `run` loads the models and must be running for a voice to answer."""

    traits = VoiceTraits(name="embedded")

    def __init__(
        self,
        settings: EmbeddedSettings,
        run_blocking: RunBlocking,
        *,
        load: Callable[[], Models] = models.load,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._scripts = settings.read_scripts()
        self._run_blocking = run_blocking
        self._load = load
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()
        self._server = RealtimeServer(run_blocking, model="gateway-embedded", workers=settings.workers)
        self._models: Models | None = None
        self._refusal: SessionRefused | None = None
        self._loaded = trio.Event()
        self._told: set[str] = set()

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        """Talk with a caller along the agent's script.

        Raises `SessionRefused` when the script is unknown or a part is not installed, `SessionLost` when the
        models are not loaded in time.
        """
        script = find_script(self._scripts, agent)
        loaded = await self._ready()
        if agent.voice not in (None, VOICE):
            self._tell_once("voice.replaced", asked=agent.voice, used=VOICE)
        if agent.instructions:
            self._tell_once(
                "instructions.unused", agent=agent.name, reason="the embedded voice follows its script"
            )
        async with self._server.connect(Dialogue(script), loaded) as connection:
            yield connection

    async def run(self) -> None:
        """Load the models, then detect the turns of all callers until cancelled."""
        started_at = trio.current_time()
        try:
            loaded = await self._run_blocking(self._load)
        except SessionRefused as refusal:
            self._refusal = refusal
            self._loaded.set()
            self._log.warning("models.missing", detail=str(refusal))
            await trio.sleep_forever()
        self._models = loaded
        self._loaded.set()
        self._log.info("models.loaded", took_ms=round(1000 * (trio.current_time() - started_at)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._rehearse, loaded)
            await self._server.detect_speech(loaded.detect)

    async def synthesize(self, text: str, voice: str | None) -> bytes:
        """Speak a text: PCM16 at 24 000 Hz. Raises as `connect` does."""
        loaded = await self._ready()
        if voice not in (None, VOICE):
            self._tell_once("voice.replaced", asked=voice, used=VOICE)
        return await self._server.speak(text, loaded)

    async def _rehearse(self, speech: Speech) -> None:
        """Say what never changes once, so that callers need not wait for it."""
        for script in self._scripts.values():
            for text in fixed_texts(script):
                for sentence in sentences(text):
                    await self._server.speak(sentence, speech)

    async def _ready(self) -> Models:
        with trio.move_on_after(_LOADING_S):
            await self._loaded.wait()
        if self._refusal is not None:
            raise SessionRefused(str(self._refusal))
        if self._models is None:
            raise SessionLost(f"the models of the embedded voice were not loaded within {_LOADING_S} s")
        return self._models

    def _tell_once(self, event: str, **fields: str | None) -> None:
        known = f"{event} {fields}"
        if known not in self._told:
            self._told.add(known)
            self._log.info(event, **fields)


def find_script(scripts: Mapping[str, Script], agent: Agent) -> Script:
    """Return the script that an agent follows. Raises `SessionRefused`, which names the known ones."""
    name = agent.script if agent.script is not None else DEFAULT_SCRIPT
    if name not in scripts:
        raise SessionRefused(
            f"agent {agent.name!r}: no script {name!r}; there are: {', '.join(sorted(scripts))}"
        )
    return scripts[name]

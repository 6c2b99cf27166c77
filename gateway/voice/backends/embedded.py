"""The offline voice: three small models in this process, and a scripted dialogue or a model on some server."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import httpx
import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from gateway.config import ConfigError, Secret
from gateway.contracts import Agent, RunBlocking, SessionLost, SessionRefused, VoiceConnection, VoiceTraits
from gateway.voice.backends.chat_brain import ChatServer
from gateway.voice.backends.chat_endpoint import ChatEndpoint
from gateway.voice.embedded import models
from gateway.voice.embedded.brain import Brain
from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script import Script, fixed_texts
from gateway.voice.embedded.script_file import read_scripts, shipped_scripts
from gateway.voice.embedded.server import DetectSpeech, RealtimeServer, Speech, Thinker
from gateway.voice.embedded.spoken import sentences
from gateway.voice.embedded.tts import VOICE

__all__ = ["DEFAULT_SCRIPT", "EmbeddedBackend", "EmbeddedSettings", "find_script"]

DEFAULT_SCRIPT = "reception"
_LOADING_S = 20  # the models take one second, ten on a machine that is busy starting


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`scripts`: a folder of dialogues (*.toml) beside the shipped ones, which it may replace.

    `workers`: how many callers may be transcribed or answered at the same moment; leave one core free. `brain`:
    the URL of an OpenAI-compatible chat-completions server whose model `brain_model` answers instead of a script.
    """

    scripts: str | None = None
    workers: int = 1
    brain: str = ""
    brain_model: str = ""

    def endpoint(self, key: Secret | None) -> ChatEndpoint | None:
        """Where the brain is; None without one. Raises `ConfigError`."""
        if self.brain:
            return ChatEndpoint(self.brain, self.brain_model, key)
        if self.brain_model:
            raise ConfigError(
                f"voice.embedded.brain_model = {self.brain_model!r}: voice.embedded.brain is missing, the URL of the "
                "server that has the model"
            )
        return None

    def read_scripts(self) -> dict[str, Script]:
        """Return all scripts by name. Raises `ScriptError`."""
        own = read_scripts(Path(self.scripts)) if self.scripts is not None else {}
        return shipped_scripts() | own


class Models(Speech, Protocol):
    """All that the voice needs; `gateway.voice.embedded.models.Models` is one."""

    @property
    def detect(self) -> DetectSpeech: ...


class EmbeddedBackend:
    """A `VoiceBackend`, without network but for a brain. `run` must be running for a voice to answer.

    `key`: of the brain's server, where it wants one. `transport`: in place of the network, for tests. Raises
    `ScriptError` and `ConfigError`.
    """

    traits = VoiceTraits(name="embedded")

    def __init__(
        self,
        settings: EmbeddedSettings,
        run_blocking: RunBlocking,
        key: Secret | None = None,
        *,
        load: Callable[[], Models] = models.load,
        log: FilteringBoundLogger | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._scripts = settings.read_scripts()
        self._run_blocking = run_blocking
        self._load = load
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()
        endpoint = settings.endpoint(key)
        self._chat = ChatServer(endpoint, self._log, transport=transport) if endpoint is not None else None
        self._server = RealtimeServer(run_blocking, model="gateway-embedded", workers=settings.workers)
        self._models: Models | None = None
        self._refusal: SessionRefused | None = None
        self._loaded = trio.Event()
        self._running = trio.Lock()
        self._told: set[str] = set()

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        """Talk with a caller along the agent's script, or as the model of the brain does.

        Raises `SessionRefused` when the script is unknown or a part is not installed, `SessionLost` when the
        models are not loaded in time.
        """
        async with self._brain_of(agent) as brain:
            loaded = await self._ready()
            if agent.voice not in (None, VOICE):
                self._tell_once("voice.replaced", asked=agent.voice, used=VOICE)
            async with self._server.connect(brain, loaded) as connection:
                yield connection

    async def run(self) -> None:
        """Load the models, then detect the turns of all callers until cancelled.

        Of several tasks that run this one works; when it is cancelled, the next one takes over.
        """
        async with self._running:
            await self._run()

    async def _run(self) -> None:
        if self._models is None:
            self._models = await self._load_models()
        async with trio.open_nursery() as nursery:
            if self._chat is None:
                nursery.start_soon(self._rehearse, self._models)
            await self._server.detect_speech(self._models.detect)

    async def _load_models(self) -> Models:
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
        return loaded

    async def synthesize(self, text: str, voice: str | None) -> bytes:
        """Speak a text: PCM16 at 24 000 Hz. Raises as `connect` does."""
        loaded = await self._ready()
        if voice not in (None, VOICE):
            self._tell_once("voice.replaced", asked=voice, used=VOICE)
        return await self._server.speak(text, loaded)

    @asynccontextmanager
    async def _brain_of(self, agent: Agent) -> AsyncGenerator[Brain | Thinker, None]:
        """What answers for an agent."""
        if self._chat is None:
            script = find_script(self._scripts, agent)
            if agent.instructions:
                self._tell_once(
                    "instructions.unused", agent=agent.name, reason="the agent follows its script"
                )
            yield Dialogue(script)
            return
        if agent.script is not None:
            self._tell_once("script.unused", agent=agent.name, reason="voice.embedded.brain answers")
        async with self._chat.brain() as brain:
            yield brain

    async def _rehearse(self, speech: Speech) -> None:
        """Say what never changes once, so that callers need not wait for it."""
        for script in self._scripts.values():
            for text in fixed_texts(script):
                for sentence in sentences(text):
                    await self._server.speak(sentence, speech)

    async def loaded(self) -> None:
        """Wait until the models are there, or cannot be; 20 s at most. Calls that go on while they load are heard broken."""
        with trio.move_on_after(_LOADING_S):
            await self._loaded.wait()

    async def _ready(self) -> Models:
        await self.loaded()
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

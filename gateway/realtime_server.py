"""`gateway realtime-server`: the embedded voice for clients of OpenAI's Realtime protocol, on a WebSocket."""

import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import trio

from gateway.config import ConfigError, Secret, load, secret, settings_file
from gateway.config.shape import no_such
from gateway.contracts import Agent, SessionLost, SessionRefused, VoiceBackend
from gateway.net.tasks import open_tasks, run_in_thread
from gateway.settings import Log
from gateway.telemetry.log import configure
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.embedded import DEFAULT_SCRIPT
from gateway.voice.backends.scripted import ScriptedBackend
from gateway.voice.embedded.admission import is_loopback
from gateway.voice.embedded.door import RealtimeDoor
from gateway.voice.settings import VoiceSettings
from gateway.voices import missing_voice

__all__ = ["Choice", "serve_realtime"]


class Choice(NamedTuple):
    """What was typed. `port` of 0: a free one. `voice`: with models, or in tones, for tests on any machine."""

    host: str
    port: int
    script: str | None
    voice: Literal["embedded", "scripted"]


class _Settings(msgspec.Struct, frozen=True):
    """What can be set of it; what else is set has to do with calls."""

    voice: VoiceSettings = VoiceSettings()
    log: Log = Log()


async def serve_realtime(
    config: Path | None, environ: Mapping[str, str], choice: Choice, say: Callable[[str], object]
) -> None:
    """Serve until SIGTERM or SIGINT. `say`: prints a line. Raises `ConfigError` before the first client."""
    settings = load(
        _Settings,
        path=settings_file(config, environ),
        environ=environ,
        only=_Settings.__struct_fields__,
    )
    log = configure(sys.stderr, level=settings.log.level)
    backend = _backend(settings.voice, choice, secret("OPENAI_API_KEY", environ))
    everywhere = not is_loopback(choice.host)
    door = RealtimeDoor(backend, script=choice.script, foreign_pages=everywhere, log=log)
    async with AsyncExitStack() as stack:
        listeners = await _listen(choice, stack)
        signals = stack.enter_context(trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT))
        nursery = await stack.enter_async_context(open_tasks())
        nursery.start_soon(_stop, signals, nursery.cancel_scope)
        nursery.start_soon(backend.run)
        await _be_ready(backend)
        await nursery.start(trio.serve_listeners, door.serve_stream, listeners)
        url = _url(choice.host, listeners)
        if everywhere:
            log.warning("realtime_server.opened", host=choice.host, reason="whoever reaches it is let in")
        say(
            f"Realtime server at {url} (voice {choice.voice}, {_mind(settings.voice, choice)}; any key, or none)"
        )
        log.info("realtime_server.started", url=url, voice=choice.voice)
    log.info("realtime_server.ended")


def _backend(settings: VoiceSettings, choice: Choice, key: Secret | None) -> VoiceBackend:
    scripts = settings.embedded.read_scripts()
    if choice.script is not None and choice.script not in scripts:
        raise ConfigError(f"--script {choice.script}: {no_such('script', choice.script, scripts)}")
    if choice.voice == "scripted":
        return ScriptedBackend(settings.scripted, run_in_thread, scripts=scripts)
    missing = missing_voice()
    if missing is not None:
        raise ConfigError(f"the embedded voice lacks {missing}; or --voice scripted, which answers in tones")
    return BACKENDS["embedded"].make(settings.embedded, run_in_thread, key)


def _mind(settings: VoiceSettings, choice: Choice) -> str:
    if choice.voice == "embedded" and settings.embedded.brain:
        return f"model {settings.embedded.brain_model}"
    return f"script {choice.script or DEFAULT_SCRIPT}"


async def _listen(choice: Choice, stack: AsyncExitStack) -> list[trio.SocketListener]:
    try:
        listeners = await trio.open_tcp_listeners(choice.port, host=choice.host)
    except OSError as error:
        where = f"--host {choice.host} --port {choice.port}"
        why = error.strerror or str(error)
        raise ConfigError(f"{where}: cannot be opened ({why}); --port 0 takes a free port") from None
    for listener in listeners:
        await stack.enter_async_context(listener)
    return listeners


async def _be_ready(backend: VoiceBackend) -> None:
    """Wait until a client need not wait for the models."""
    try:
        async with backend.connect(Agent(name="start")):
            pass
    except (SessionLost, SessionRefused) as error:
        raise ConfigError(str(error)) from None


async def _stop(signals: AsyncIterator[int], serving: trio.CancelScope) -> None:
    async for _ in signals:
        serving.cancel()


def _url(host: str, listeners: Sequence[trio.SocketListener]) -> str:
    port = listeners[0].socket.getsockname()[1]
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}/v1/realtime"

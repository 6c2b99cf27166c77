"""The gateway as a process: its sockets, its two doors, its signals."""

import dataclasses
import functools
import gc
import signal
import ssl
from collections.abc import Sequence
from typing import Any

import httpx
import structlog
import trio

from gateway.config import ConfigError
from gateway.console.app import make_app
from gateway.console.door import serve_console
from gateway.dialplan.plan import Dialplan
from gateway.net.doors import with_tls
from gateway.net.tasks import run_in_thread
from gateway.serve import Gateway, Parts, Watch
from gateway.settings import Secrets, Settings
from gateway.telemetry.metrics import Metrics
from gateway.voices import Voice

__all__ = ["Running", "obey_signals", "run_process"]

# A call leaves some two hundred objects that only the collector can free, and next to none while it lasts. So it looks
# less often than it would; but when it does, all calls wait, and for as long as there is much that is new.
_THRESHOLDS = (7000, 3, 130)

# Of plain functions that agents call, at a time: one that hangs keeps its thread, and no other work's.
_MOST_TOOLS = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A gateway that takes calls, and where. `ended` is set when it was drained."""

    gateway: Gateway
    public_port: int
    public_url: str
    private_url: str
    ended: trio.Event


async def run_process(
    settings: Settings,
    secrets: Secrets,
    dialplan: Dialplan,
    voice: Voice,
    log: structlog.typing.FilteringBoundLogger,
    *,
    watch: Watch = lambda _call, _fact: None,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Open both doors and live until the gateway is drained or this is cancelled.

    Raises `ConfigError` for an address that cannot be opened or a folder that cannot be written to.
    """
    listeners = await _listen(settings)
    port = listeners[0].socket.getsockname()[1]
    scheme = "https" if settings.http.certificate else "http"
    public_url = settings.http.public_url or f"{scheme}://{_dialable(settings.http.host)}:{port}"
    metrics = Metrics()
    async with httpx.AsyncClient(timeout=10) as client, trio.open_nursery() as nursery:
        parts = Parts(
            dialplan=dialplan,
            backends=voice.backends,
            synthesize=voice.synthesize,
            voice_loaded=voice.loaded,
            run_blocking=run_in_thread,
            run_tool_blocking=functools.partial(run_in_thread, limiter=trio.CapacityLimiter(_MOST_TOOLS)),
            metrics=metrics,
            log=log,
            client=client,
            watch=watch,
        )
        gateway = Gateway(settings, secrets, public_url, parts)
        ended = trio.Event()
        if voice.synthesizer is not None:
            nursery.start_soon(voice.synthesizer.run)
        await nursery.start(_run, gateway, ended)
        gateway.accept(_behind_tls(settings, listeners))
        app = make_app(lambda: gateway.ready, metrics.expose)
        private = settings.private
        try:
            private_port = await nursery.start(serve_console, app, private.host, private.port)
        except OSError as error:
            raise ConfigError(_taken("private", private.host, private.port, error)) from None
        private_url = f"http://{_dialable(private.host)}:{private_port}"
        _spare_the_collector()
        task_status.started(Running(gateway, port, public_url, private_url, ended))
        await ended.wait()
        nursery.cancel_scope.cancel()  # the private door closes last


async def obey_signals(
    gateway: Gateway, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """SIGTERM and SIGINT drain; a second one ends all calls at once. Started when none of them kills any more."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async with trio.open_nursery() as nursery:
            async for _ in signals:
                if gateway.ready:
                    nursery.start_soon(gateway.drain)
                else:
                    gateway.force()


def _spare_the_collector() -> None:
    """What is there at the start stays: a full collection that went through it would stop all calls for 50 ms and more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def _run(
    gateway: Gateway, ended: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await gateway.run(task_status=task_status)
    ended.set()


async def _listen(settings: Settings) -> list[trio.SocketListener]:
    http = settings.http
    try:
        return await trio.open_tcp_listeners(http.port, host=http.host)
    except OSError as error:
        raise ConfigError(_taken("http", http.host, http.port, error)) from None


def _behind_tls(
    settings: Settings, listeners: Sequence[trio.abc.Listener[Any]]
) -> Sequence[trio.abc.Listener[Any]]:
    http = settings.http
    if not http.certificate:
        return listeners
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(http.certificate, http.key)
    except (OSError, ssl.SSLError) as error:
        where = f"http.certificate = {http.certificate!r}, http.key = {http.key!r}"
        raise ConfigError(f"{where}: {error}; both must be PEM files that belong together") from None
    return with_tls(listeners, context)


def _taken(section: str, host: str, port: int, error: OSError) -> str:
    why = error.strerror or str(error)
    variable = f"GATEWAY_{section.upper()}__PORT"
    return f"{section}.port = {port}: {host} cannot be opened there ({why}); set {variable} to a free port"


def _dialable(host: str) -> str:
    """An address of this machine that a browser here can open."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not opened
    return f"[{host}]" if ":" in host else host

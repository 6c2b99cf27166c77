"""The voices that there are. A new one is one file and one line here."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from gateway.config import Secret
from gateway.contracts import RunBlocking, VoiceBackend
from gateway.voice.backends.echo import EchoBackend, EchoSettings
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings

__all__ = ["BACKENDS", "BackendKind"]


class Make(Protocol):
    """Makes a backend. Raises `ConfigError`. `key`: of the service behind it, where there is one."""

    def __call__(
        self, settings: Any, run_blocking: RunBlocking, key: Secret | None = None, /
    ) -> VoiceBackend: ...


class BackendKind(NamedTuple):
    """One kind of voice: its settings, and what makes a backend of them."""

    settings: type[msgspec.Struct]
    make: Make


BACKENDS: Mapping[str, BackendKind] = {
    "echo": BackendKind(EchoSettings, lambda _settings, _run, _key=None: EchoBackend()),
    "embedded": BackendKind(
        EmbeddedSettings, lambda settings, run, key=None: EmbeddedBackend(settings, run, key)
    ),
    "realtime": BackendKind(
        RealtimeSettings, lambda settings, _run, key=None: RealtimeBackend(settings, key)
    ),
    "scripted": BackendKind(
        ScriptedSettings, lambda settings, run, _key=None: ScriptedBackend(settings, run)
    ),
}

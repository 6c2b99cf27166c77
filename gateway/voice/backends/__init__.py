"""The voices that there are. A new one is one file and one line here."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.contracts import RunBlocking, VoiceBackend
from gateway.voice.backends.echo import EchoBackend, EchoSettings
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings

__all__ = ["BACKENDS", "BackendKind"]


class BackendKind(NamedTuple):
    """One kind of voice: its settings, and what makes a backend of them."""

    settings: type[msgspec.Struct]
    make: Callable[[Any, RunBlocking], VoiceBackend]


BACKENDS: Mapping[str, BackendKind] = {
    "echo": BackendKind(EchoSettings, lambda _settings, _run_blocking: EchoBackend()),
    "embedded": BackendKind(EmbeddedSettings, EmbeddedBackend),
    "scripted": BackendKind(ScriptedSettings, ScriptedBackend),
}

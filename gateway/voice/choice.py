"""Which voice a session talks with that names none, or only its name."""

import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import trio

from gateway.config import load, secret, settings_file
from gateway.config.shape import no_such
from gateway.contracts import VoiceBackend, VoiceTraits
from gateway.net.tasks import run_in_thread
from gateway.voice.backends import BACKENDS
from gateway.voice.settings import VoiceSettings

__all__ = ["Choice", "choose"]

# The models take a second and 300 MB: all sessions of one `trio.run` share them.
_EMBEDDED: trio.lowlevel.RunVar[dict[msgspec.Struct, VoiceBackend]] = trio.lowlevel.RunVar("embedded voices")


class Choice(NamedTuple):
    """A voice; `backend` gives it, within trio."""

    traits: VoiceTraits
    backend: Callable[[], VoiceBackend]


class _Sections(msgspec.Struct, frozen=True, kw_only=True):
    voice: VoiceSettings = VoiceSettings()


def choose(backend: VoiceBackend | str | None) -> Choice:
    """The voice itself, or by its name, or as the settings of the gateway say: `gateway.toml` and the environment.

    Raises `ValueError` for a name that is none, `ConfigError` for settings that cannot be used.
    """
    if backend is not None and not isinstance(backend, str):
        given = backend
        return Choice(given.traits, lambda: given)
    sections = load(_Sections, path=settings_file(None, os.environ), environ=os.environ, only=["voice"])
    name = sections.voice.backend if backend is None else backend
    if name not in BACKENDS:
        raise ValueError(f"backend = {name!r}: {no_such('voice', name, BACKENDS)}")
    settings = getattr(sections.voice, name)
    made = BACKENDS[name].make(settings, run_in_thread, secret("OPENAI_API_KEY", os.environ))
    return Choice(made.traits, lambda: _shared(settings, made) if name == "embedded" else made)


def _shared(settings: msgspec.Struct, made: VoiceBackend) -> VoiceBackend:
    """The embedded voice that the first session with these settings has made; the models are loaded by that alone."""
    try:
        known = _EMBEDDED.get()
    except LookupError:
        known = {}
        _EMBEDDED.set(known)
    return known.setdefault(settings, made)

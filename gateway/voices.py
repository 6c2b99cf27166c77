"""Which voice answers, and what says the words of the plan."""

import dataclasses
from collections.abc import Awaitable, Callable, Collection

import msgspec

from gateway.config import ConfigError
from gateway.config.shape import no_such
from gateway.contracts import RequestFailed, RunBlocking, SessionLost, SessionRefused, VoiceBackend
from gateway.dialplan.plan import Dialplan, PlanError, needs_synthesizer
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.echo import EchoSettings
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import ScriptedSettings
from gateway.voice.embedded.models import missing_parts
from gateway.voice.embedded.script_file import shipped_scripts

__all__ = ["Voice", "VoiceSettings", "choose_voice", "missing_voice"]


class VoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`backend`: a key of `gateway.voice.backends.BACKENDS`; each has a section of its own below."""

    backend: str = "embedded"
    embedded: EmbeddedSettings = EmbeddedSettings()
    scripted: ScriptedSettings = ScriptedSettings()
    echo: EchoSettings = EchoSettings()


@dataclasses.dataclass(frozen=True, slots=True)
class Voice:
    """`backend` answers. `synthesize(text, voice)` gives PCM16 at 24 000 Hz, or raises `RequestFailed`.

    `synthesizer`: what speaks for `synthesize`, where it is not the backend itself; it has to run too. `says`:
    which voice it is, for people.
    """

    backend: VoiceBackend
    synthesize: Callable[[str, str | None], Awaitable[bytes]]
    synthesizer: VoiceBackend | None
    says: str


_SAYS = {
    "embedded": "embedded: offline, on this machine, without account or key",
    "scripted": "scripted: the embedded dialogue in tones, for tests",
    "echo": "echo: callers hear themselves",
}


def missing_voice() -> str | None:
    """What the embedded voice lacks on this machine, and what installs it; None when it is complete."""
    missing = missing_parts()
    return f"{', '.join(part.part for part in missing)}; {missing[0].install}" if missing else None


def choose_voice(settings: VoiceSettings, dialplan: Dialplan, run_blocking: RunBlocking) -> Voice:
    """The voice that the settings name.

    Raises `ConfigError`, and `PlanError` for a script that it does not have, or for a plan that says texts of
    its own where nothing is installed that could.
    """
    name = settings.backend
    if name not in BACKENDS:
        raise ConfigError(f"voice.backend = {name!r}: {no_such('voice', name, BACKENDS)}")
    missing = missing_voice()
    if name == "embedded" and missing is not None:
        raise ConfigError(
            f"voice.backend = 'embedded' lacks {missing}; or set voice.backend to another voice"
        )
    if name == "embedded":
        _check_scripts(settings.embedded.read_scripts(), dialplan)
    elif name == "scripted":
        _check_scripts(shipped_scripts(), dialplan)
    backend = BACKENDS[name].make(getattr(settings, name), run_blocking)
    if isinstance(backend, EmbeddedBackend):
        return Voice(backend, _speech_of(backend), None, _SAYS[name])
    speaking = needs_synthesizer(dialplan)
    if not speaking:
        return Voice(backend, _mute, None, _SAYS.get(name, name))
    if missing is not None:
        plan, file = speaking[0]
        raise PlanError(
            f"{file}: plans.{plan}: a step says a text of its own, but text-to-speech lacks {missing}"
        )
    synthesizer = EmbeddedBackend(settings.embedded, run_blocking)
    return Voice(backend, _speech_of(synthesizer), synthesizer, _SAYS.get(name, name))


def _check_scripts(scripts: Collection[str], dialplan: Dialplan) -> None:
    for plan in dialplan.plans.values():
        for agent in plan.agents.values():
            if agent.script is not None and agent.script not in scripts:
                flaw = no_such("script", agent.script, scripts)
                raise PlanError(
                    f"{dialplan.files[plan.name]}: agents.{agent.name}.script = {agent.script!r}: {flaw}"
                )


def _speech_of(backend: EmbeddedBackend) -> Callable[[str, str | None], Awaitable[bytes]]:
    async def synthesize(text: str, voice: str | None) -> bytes:
        try:
            return await backend.synthesize(text, voice)
        except (SessionLost, SessionRefused) as error:
            raise RequestFailed(str(error)) from error

    return synthesize


async def _mute(text: str, _voice: str | None) -> bytes:
    raise RequestFailed(f"no plan was to say a text of its own, such as {text!r}")

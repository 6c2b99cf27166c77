"""Which voice answers, and what says the words of the plan."""

import dataclasses
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

import msgspec
import trio

from gateway.config import ConfigError, Secret
from gateway.config.shape import no_such
from gateway.contracts import RequestFailed, RunBlocking, SessionLost, SessionRefused, VoiceBackend
from gateway.dialplan.plan import Dialplan, PlanError, needs_synthesizer
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.embedded import EmbeddedBackend
from gateway.voice.embedded.models import missing_parts
from gateway.voice.embedded.script_file import shipped_scripts
from gateway.voice.settings import VoiceSettings

__all__ = ["Voice", "choose_voice", "missing_voice"]


@dataclasses.dataclass(frozen=True, slots=True)
class Voice:
    """The first of `backends` answers; where it cannot, the next one does.

    `synthesize(text, voice)` gives PCM16 at 24 000 Hz, or raises `RequestFailed`. `synthesizer`: what speaks for
    it, where it is none of the backends; it has to run too. `loaded`: waits for what has to be loaded first, once they
    run. `says`: which voices they are, for people.
    """

    backends: tuple[VoiceBackend, ...]
    synthesize: Callable[[str, str | None], Awaitable[bytes]]
    synthesizer: VoiceBackend | None
    loaded: Callable[[], Awaitable[None]]
    says: str


_SAYS = {
    "embedded": "embedded: offline, on this machine, without account or key",
    "scripted": "scripted: the embedded dialogue in tones, for tests",
    "echo": "echo: callers hear themselves",
    "realtime": "realtime: a hosted model, over OpenAI's Realtime protocol",
}


def missing_voice() -> str | None:
    """What the embedded voice lacks on this machine, and what installs it; None when it is complete."""
    missing = missing_parts()
    return f"{', '.join(part.part for part in missing)}; {missing[0].install}" if missing else None


def choose_voice(
    settings: VoiceSettings, dialplan: Dialplan, run_blocking: RunBlocking, key: Secret | None = None
) -> Voice:
    """The voices that the settings name. `key`: of the service behind `realtime`, or of the brain.

    Raises `ConfigError`, and `PlanError` for a script that one of them does not have, or for a plan that says
    texts of its own where nothing is installed that could.
    """
    missing = missing_voice()
    names = _names(settings, missing)
    if "embedded" in names:
        _check_scripts(settings.embedded.read_scripts(), dialplan)
    if "scripted" in names:
        _check_scripts(shipped_scripts(), dialplan)
    backends = tuple(BACKENDS[name].make(getattr(settings, name), run_blocking, key) for name in names)
    says = "; else ".join([_says(names[0], settings), *names[1:]])
    for backend in backends:
        if isinstance(backend, EmbeddedBackend):
            return Voice(backends, _speech_of(backend), None, backend.loaded, says)
    speaking = needs_synthesizer(dialplan)
    if not speaking:
        return Voice(backends, _mute, None, trio.lowlevel.checkpoint, says)
    if missing is not None:
        plan, file = speaking[0]
        raise PlanError(
            f"{file}: plans.{plan}: a step says a text of its own, but text-to-speech lacks {missing}"
        )
    without_brain = msgspec.structs.replace(settings.embedded, brain="", brain_model="")
    synthesizer = EmbeddedBackend(without_brain, run_blocking)
    return Voice(backends, _speech_of(synthesizer), synthesizer, synthesizer.loaded, says)


def _says(name: str, settings: VoiceSettings) -> str:
    if name == "embedded" and settings.embedded.brain:
        return f"embedded: speech on this machine, words from {urlsplit(settings.embedded.brain).netloc}"
    return _SAYS.get(name, name)


def _names(settings: VoiceSettings, missing: str | None) -> list[str]:
    """The voices in the order in which they are tried, each of them known, complete and named once."""
    names: list[str] = []
    keys = ["voice.backend", *(f"voice.alternatives[{index}]" for index in range(len(settings.alternatives)))]
    for key, name in zip(keys, (settings.backend, *settings.alternatives), strict=True):
        if name not in BACKENDS:
            raise ConfigError(f"{key} = {name!r}: {no_such('voice', name, BACKENDS)}")
        if name in names:
            raise ConfigError(f"{key} = {name!r}: named twice; it is {keys[names.index(name)]}, too")
        if name == "embedded" and missing is not None:
            raise ConfigError(f"{key} = 'embedded' lacks {missing}; or set {key} to another voice")
        names.append(name)
    return names


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

"""Scripts read from TOML and checked, so that a mistake is found before the first call."""

import string
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gateway.config import ConfigError, toml
from gateway.config.shape import Flaw, Keys, Misfit, fit, no_such
from gateway.voice.embedded.script import GLOBALS, Action, Script, Slot, State
from gateway.voice.embedded.times import clock_minutes

__all__ = ["ScriptError", "read_script", "read_scripts", "shipped_scripts"]

_SHIPPED = Path(__file__).parent / "scripts"
_KEYS = "0123456789*#"


class ScriptError(ConfigError):
    """A script that cannot be used. A line for each flaw: file and line, key, value, what would be right."""


def shipped_scripts() -> dict[str, Script]:
    """Return the scripts that come with the gateway, by name."""
    return read_scripts(_SHIPPED)


def read_scripts(folder: Path) -> dict[str, Script]:
    """Read every `*.toml` of a folder; each is named as its file. Raises `ScriptError`."""
    if not folder.is_dir():
        raise ScriptError(f"{folder}: there is no such folder; it should hold scripts, as *.toml")
    return {path.stem: read_script(path) for path in sorted(folder.glob("*.toml"))}


def read_script(path: Path) -> Script:
    """Read and check one script. Raises `ScriptError` with every flaw there is."""
    try:
        text = toml.read(path)
        table = toml.parse(text, path)
    except toml.Unreadable as error:
        raise ScriptError(str(error)) from None
    try:
        script = fit(table, Script)
    except Misfit as misfit:
        raise _error(path, text, misfit.flaws) from None
    if flaws := list(_flaws(script)):
        raise _error(path, text, flaws)
    return script


def _error(path: Path, text: str, flaws: Iterable[Flaw]) -> ScriptError:
    return ScriptError("\n".join(f"{toml.place(path, text, flaw.keys)}: {flaw}" for flaw in flaws))


def _flaws(script: Script) -> Iterator[Flaw]:
    yield from _unknown(("start",), script.start, "state", script.states)
    for name in script.intents:
        yield from _intent_flaws(name, script)
    for name, state in script.states.items():
        yield from _state_flaws(("states", name), state, script)
        yield from _loop_flaws(name, script)


def _intent_flaws(name: str, script: Script) -> Iterator[Flaw]:
    at, intent = ("intents", name), script.intents[name]
    if not intent.phrases:
        yield Flaw((*at, "phrases"), "give at least one example, as in ['what are your opening hours']", [])
    if name in GLOBALS:
        if intent.answer or intent.goto is not None:
            yield Flaw(at, f"{name!r} is understood everywhere and has a meaning; give only phrases")
    elif not intent.answer and intent.goto is None:
        yield Flaw(at, "give an answer, or a state to go to")
    elif intent.goto is not None:
        yield from _unknown((*at, "goto"), intent.goto, "state", script.states)


def _state_flaws(at: Keys, state: State, script: Script) -> Iterator[Flaw]:
    own = script.intents.keys() - GLOBALS.keys()
    for index, name in enumerate(state.expect):
        yield from _unknown((*at, "expect", index), name, "intent", own)
    for key, name in state.dtmf.items():
        if len(key) != 1 or key not in _KEYS:
            yield Flaw((*at, "dtmf", key), f"there is no such key; keys are {', '.join(_KEYS)}")
        yield from _unknown((*at, "dtmf", key), name, "intent expected here", {*state.expect, *GLOBALS})
    for index, slot in enumerate(state.slots):
        yield from _slot_flaws((*at, "slots", index), slot)
    if state.goto is not None:
        yield from _unknown((*at, "goto"), state.goto, "state", script.states)
    elif state.action is None and (state.slots or not state.expect):
        yield Flaw(at, "the dialogue would end here; give expect, goto or action")
    slots = [slot.name for slot in state.slots]
    yield from _text_flaws((*at, "confirm"), state.confirm, slots)
    if state.action is not None:
        yield from _action_flaws((*at, "action"), state.action, slots)


def _slot_flaws(at: Keys, slot: Slot) -> Iterator[Flaw]:
    if (slot.type == "choice") != bool(slot.choices):
        yield Flaw((*at, "choices"), "a slot of type choice lists them, no other one does", [*slot.choices])
    for key, bound in (("at_least", slot.at_least), ("at_most", slot.at_most)):
        if bound is None:
            continue
        if slot.type not in ("number", "digits", "time"):
            yield Flaw((*at, key), f"a slot of type {slot.type} has no bounds", bound)
        elif slot.type == "time" and not _is_time(bound):
            yield Flaw((*at, key), "expected a time of day like '19:30'", bound)
        elif slot.type != "time" and not isinstance(bound, int):
            yield Flaw((*at, key), "expected a whole number", bound)


def _is_time(bound: str | int) -> bool:
    try:
        clock_minutes(str(bound))
    except ValueError:
        return False
    return True


def _action_flaws(at: Keys, action: Action, slots: Collection[str]) -> Iterator[Flaw]:
    for key, text in (("say", action.say), ("done", action.done), ("failed", action.failed)):
        yield from _text_flaws((*at, key), text, slots)
    for key, text in action.arguments.items():
        yield from _text_flaws((*at, "arguments", key), text, slots)


def _text_flaws(at: Keys, text: str, slots: Collection[str]) -> Iterator[Flaw]:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        yield Flaw(at, f"{error}; a brace that is to be said is written twice", text)
        return
    for name in names:
        yield from _unknown(at, name, "slot", slots)


def _loop_flaws(name: str, script: Script) -> Iterator[Flaw]:
    """Follow what happens without a word of the caller: it must come to a question or to an action."""
    seen = [name]
    while (state := script.states[seen[-1]]).goto is not None:
        if state.expect or state.slots or state.goto not in script.states:
            return
        if state.goto in seen:
            way = " -> ".join([*seen, state.goto])
            yield Flaw(("states", name, "goto"), f"{way} never asks anything", state.goto)
            return
        seen.append(state.goto)


def _unknown(at: Keys, name: str, what: str, known: Collection[str]) -> Iterator[Flaw]:
    if name not in known:
        yield Flaw(at, no_such(what, name, known), name)

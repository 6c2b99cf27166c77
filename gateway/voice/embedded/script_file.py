"""Scripts read from TOML and checked, so that a mistake is found before the first call."""

import difflib
import re
import string
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.voice.embedded.script import GLOBALS, Action, Intent, Script, Slot, State
from gateway.voice.embedded.times import clock_minutes

__all__ = ["ScriptError", "read_script", "read_scripts", "shipped_scripts"]

_T = TypeVar("_T", bound=msgspec.Struct)
_SHIPPED = Path(__file__).parent / "scripts"


class ScriptError(ValueError):
    """A script that cannot be used. The text names the file, the key, its value and what would be right."""


def shipped_scripts() -> dict[str, Script]:
    """Return the scripts that come with the gateway, by name."""
    return read_scripts(_SHIPPED)


def read_scripts(folder: Path) -> dict[str, Script]:
    """Read every `*.toml` of a folder; each is named as its file. Raises `ScriptError`, `OSError`."""
    return {path.stem: read_script(path) for path in sorted(folder.glob("*.toml"))}


def read_script(path: Path) -> Script:
    """Read and check one script. Raises `ScriptError`, `OSError`."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: this is no TOML: {error}") from error
    try:
        parts = {
            section: {name: _convert(part, kind, f"{section}.{name}") for name, part in table.items()}
            for section, kind in (("states", State), ("intents", Intent))
            if isinstance(table := data.get(section), dict)
        }
        script = _convert(data | parts, Script, "")
        _check(script)
    except ScriptError as error:
        raise ScriptError(f"{path}: {error}") from None
    return script


def _convert(data: Any, kind: type[_T], where: str) -> _T:
    """Convert one table; a mistake is told with its key and value."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        complaint, _, at = str(error).partition(" - at `$")
        key = ".".join(part for part in (where, at.rstrip("`").strip(".")) if part)
        unknown = re.search(r"unknown field `(.*)`", complaint)
        if unknown is not None:
            fields = [field.name for field in msgspec.structs.fields(_kind_at(at) or kind)]
            raise ScriptError(f"{key or 'top level'}: {_not_one_of(unknown[1], fields)}") from None
        raise ScriptError(f"{key or 'top level'}: {complaint}{_value_at(data, at)}") from None


def _kind_at(at: str) -> type[msgspec.Struct] | None:
    if re.search(r"slots\[\d+\]`?$", at):
        return Slot
    return Action if re.search(r"\.(action|operator|goodbye)`?$", at) else None


def _value_at(data: Any, at: str) -> str:
    """Say which value stands at a path like ".slots[0].type"; nothing when the path ends before one."""
    for step in re.findall(r"\w+", at):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return ""
    return f", not {data!r}" if isinstance(data, (str, int, float)) else ""


def _check(script: Script) -> None:
    _one_of("start", script.start, script.states)
    for name, intent in script.intents.items():
        _check_intent(f"intents.{name}", name, intent, script)
    for name, state in script.states.items():
        _check_state(f"states.{name}", state, script)
    for name in script.states:
        _check_ends(name, script)


def _check_intent(where: str, name: str, intent: Intent, script: Script) -> None:
    if not intent.phrases:
        raise ScriptError(
            f"{where}.phrases: give at least one example, as in ['what are your opening hours']"
        )
    if name in GLOBALS:
        if intent.answer or intent.goto:
            raise ScriptError(
                f"{where}: {name!r} is understood everywhere and has a meaning; give only phrases"
            )
        return
    if not intent.answer and intent.goto is None:
        raise ScriptError(f"{where}: give an `answer`, or a state to `goto`")
    if intent.goto is not None:
        _one_of(f"{where}.goto", intent.goto, script.states)


def _check_state(where: str, state: State, script: Script) -> None:
    own = {name for name in script.intents if name not in GLOBALS}
    for name in state.expect:
        _one_of(f"{where}.expect", name, own)
    for key, name in state.dtmf.items():
        if key not in "0123456789*#" or len(key) != 1:
            raise ScriptError(f"{where}.dtmf: {key!r} is no key; keys are 0 to 9, * and #")
        _one_of(f"{where}.dtmf.{key}", name, {*state.expect, *GLOBALS})
    for slot in state.slots:
        _check_slot(f"{where}.slots.{slot.name}", slot)
    if state.goto is not None:
        _one_of(f"{where}.goto", state.goto, script.states)
    if state.action is None and state.goto is None and (state.slots or not state.expect):
        raise ScriptError(f"{where}: the dialogue would end here; give `expect`, `goto` or `action`")
    slots = [slot.name for slot in state.slots]
    _check_text(f"{where}.confirm", state.confirm, slots)
    if state.action is not None:
        for key in ("say", "done", "failed"):
            _check_text(f"{where}.action.{key}", getattr(state.action, key), slots)
        for key, text in state.action.arguments.items():
            _check_text(f"{where}.action.arguments.{key}", text, slots)


def _check_slot(where: str, slot: Slot) -> None:
    if (slot.type == "choice") != bool(slot.choices):
        raise ScriptError(f"{where}.choices: a slot of type choice lists them, no other one does")
    for key, bound in (("at_least", slot.at_least), ("at_most", slot.at_most)):
        if bound is None:
            continue
        if slot.type not in ("number", "digits", "time"):
            raise ScriptError(f"{where}.{key}: a slot of type {slot.type} has no bounds")
        if slot.type == "time":
            try:
                clock_minutes(str(bound))
            except ValueError as error:
                raise ScriptError(f"{where}.{key}: {error}") from None
        elif not isinstance(bound, int):
            raise ScriptError(f"{where}.{key}: {bound!r} should be a whole number")


def _check_text(where: str, text: str, slots: list[str]) -> None:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ScriptError(f"{where}: {text!r}: {error}; write {{{{ and }}}} for braces") from None
    for name in names:
        _one_of(where, name, slots)


def _check_ends(name: str, script: Script) -> None:
    """Follow what happens without a word of the caller: it must come to a question or to an action."""
    seen = [name]
    while True:
        state = script.states[seen[-1]]
        if state.expect or state.slots or state.goto is None:
            return
        if state.goto in seen:
            raise ScriptError(f"states.{name}.goto: {' -> '.join([*seen, state.goto])} never asks anything")
        seen.append(state.goto)


def _one_of(where: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ScriptError(f"{where}: {_not_one_of(value, known)}")


def _not_one_of(value: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(value, known, 1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{value!r} is not known; {guess}known: {', '.join(sorted(known)) or 'none'}"

"""Settings: a TOML file and the environment, made into frozen structs. Knows no section itself.

A caller describes what it wants as a `msgspec.Struct` whose fields are the sections; every key may stand in
the file and in the environment, where `GATEWAY_TWILIO__PORT` is `port` in `[twilio]`. The environment wins.
Read at start only: nothing here is asynchronous.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.config import toml
from gateway.config.shape import Flaw, Misfit, Variable, fit, shown

T = TypeVar("T")

PREFIX = "GATEWAY_"
SEPARATOR = "__"  # a name with neither it nor a section is no setting: GATEWAY_CONFIG only names the file
DEFAULT_FILE = Path("gateway.toml")


class ConfigError(Exception):
    """The settings cannot be used. A line for each flaw: file and line or variable, key, value, what would be right."""


class Secret:
    """A text that shows itself only to who asks with `reveal()`: not in logs, errors or settings."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        return self._text


def load(
    kind: type[T], *, path: Path | None, environ: Mapping[str, str], only: Collection[str] | None = None
) -> T:
    """The settings of a file, overlaid with the environment: one struct of type `kind`, whose fields are the sections.

    `path` of None: the environment and the defaults alone. `only`: sections that are read; the others are of no
    concern to `kind`. Raises `ConfigError` with every flaw there is.
    """
    try:
        text = "" if path is None else toml.read(path)
        table = toml.parse(text, path)
    except toml.Unreadable as error:
        raise ConfigError(str(error)) from None
    for name in _variables(kind, environ):
        *sections, key = name.removeprefix(PREFIX).lower().split(SEPARATOR)
        _put(table, sections, key, Variable(environ[name], name))
    if only is not None:
        table = {section: value for section, value in table.items() if section in only}
    try:
        return fit(table, kind)
    except Misfit as misfit:
        lines = [_line(flaw, path, text) for flaw in misfit.flaws]
        raise ConfigError("\n".join(lines)) from None


def settings_file(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to load: the given one, else what `GATEWAY_CONFIG` names, else `gateway.toml` if it is here."""
    if given is not None:
        return given
    if named := environ.get("GATEWAY_CONFIG"):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def secret(name: str, environ: Mapping[str, str]) -> Secret | None:
    """The value of the variable `name`, or the content of the file that `name`_FILE names; None without either.

    An empty variable counts as absent, since compose files pass on what was never set. White space around
    the text is dropped: files end in a newline. Raises `ConfigError`, which never holds the text.
    """
    text, file_name = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "")
    if text and file_name:
        raise ConfigError(f"{name} and {name}_FILE are both set: keep one")
    if not file_name:
        return Secret(text) if text else None
    try:
        text = toml.read(Path(file_name)).strip()
    except toml.Unreadable as error:
        raise ConfigError(f"{name}_FILE: {error}") from None
    if not text:
        raise ConfigError(f"{name}_FILE = {shown(file_name)}: the file is empty")
    return Secret(text)


def _variables(kind: type[Any], environ: Iterable[str]) -> list[str]:
    """Those that are settings, and last those that are called like a whole section, which no text can be."""
    names = sorted(name for name in environ if name.startswith(PREFIX))
    sections = {f"{PREFIX}{field.encode_name.upper()}" for field in msgspec.structs.fields(kind)}
    return [name for name in names if SEPARATOR in name] + [name for name in names if name in sections]


def _put(table: dict[str, Any], sections: Iterable[str], key: str, value: Variable) -> None:
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # no table, and told so: nothing can be put into it
        table = inner
    table[key] = value


def _line(flaw: Flaw, path: Path | None, text: str) -> str:
    if path is None or flaw.variable is not None:
        return str(flaw)
    return f"{toml.place(path, text, flaw.keys)}: {flaw}"

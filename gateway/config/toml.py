"""TOML text as people write it: read, parsed, and searched for the line to name in an error."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Unreadable(Exception):
    """A file is not there, or is no TOML; the text names it, and the line."""


def read(path: Path) -> str:
    """The text of a file. Raises `Unreadable`."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: not UTF-8 text, at byte {error.start}") from None


def parse(text: str, path: Path | None) -> dict[str, Any]:
    """The tables of a TOML text; `path` is named in errors. Raises `Unreadable`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = f"{path}:{line[1]}" if line else f"{path}"
        raise Unreadable(f"{at}: not TOML: {error}") from None


def place(path: Path, text: str, keys: Sequence[str | int]) -> str:
    """Where in a file the keys lead to, as `file:line`."""
    line = line_of(text, keys)
    return f"{path}" if line is None else f"{path}:{line}"


def line_of(text: str, keys: Sequence[str | int]) -> int | None:
    """The line, counted from 1, that keys and list positions lead to; None if none of them stands there.

    A search, no parser: it finds what people write, and at worst points a few lines off.
    """
    text = re.sub(r"(?m)^[ \t]*#.*", "", text)
    at, is_found = 0, False
    for key in keys:
        if isinstance(key, int):
            starts = _elements(text, at)
            at = starts[key] if key < len(starts) else at
        elif match := re.compile(rf"(?<![\w-])[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]").search(text, at):
            at, is_found = match.start(), True
    return text.count("\n", 0, at) + 1 if is_found else None


def _elements(text: str, at: int) -> list[int]:
    """Where the elements begin of the list whose name stands at `at`: `[[name]]` or `name = [ … ]`."""
    line_start = text.rfind("\n", 0, at) + 1
    if text.startswith("[[", line_start):
        header = re.escape(text[line_start:].partition("]]")[0])
        return [match.start() for match in re.finditer(rf"{header}\]\]", text)]
    of_tables = re.compile(r"[^\[]*\[\s*\{").match(text, at)
    element = r"\{" if of_tables else r"(?<=[\[,\s])(?:\"[^\"\n]*\"|'[^'\n]*')"
    return [match.start() for match in re.compile(element).finditer(text, at)]

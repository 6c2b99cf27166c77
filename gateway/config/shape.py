"""A table of TOML as a struct, or a list of everything that is wrong with it.

msgspec converts and checks single values; walking the tables ourselves gives all flaws at once, the closest
known name for a wrong one, and values from the environment beside those of the file.
"""

import difflib
import enum
import json
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeGuard, TypeVar, Union, cast

import msgspec

T = TypeVar("T")
Keys = tuple[str | int, ...]

_SHOWN_CHARACTERS = 80  # of a wrong value: a whole prompt would bury what is wrong with it

# msgspec calls types by their JSON or Python names; people who write TOML do not.
_PLAIN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "list": "a list",
    "tuple": "a list",
    "object": "a table",
    "dict": "a table",
    "Path": "a file path",
}


class Flaw(msgspec.Struct, frozen=True):
    """One thing that is wrong in a table.

    `keys`: keys and list positions that lead to it. `right`: what would be right, or why it is wrong.
    `value`: what stands there; `UNSET` when nothing does or it must not be shown. `variable`: the
    environment variable that it came from.
    """

    keys: Keys
    right: str
    value: Any = msgspec.UNSET
    variable: str | None = None

    def __str__(self) -> str:
        dotted = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).lstrip(".")
        value = "" if self.value is msgspec.UNSET else f" = {shown(self.value)}"
        return f"{self.variable or dotted}{value}: {self.right}"


class Misfit(Exception):
    """A table does not have the shape that was asked for."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("\n".join(str(flaw) for flaw in flaws))
        self.flaws = flaws


class Variable(str):
    """A value from the environment, which is text whatever it means, and the variable's name."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, text: str, name: str) -> Self:
        variable = super().__new__(cls, text)
        variable.name = name
        return variable


class Written(NamedTuple):
    """In `Annotated`: what stands there is a text, and `read` gives what it says.

    `read` raises `ValueError` saying what would be right, or `Unshown` where the text must not be repeated.
    """

    read: Callable[[str], Any]


class Unshown(ValueError):
    """A value is wrong, and may hold a secret: its error does not show it."""


def fit(table: Mapping[str, Any], kind: type[T]) -> T:
    """The table as a struct of type `kind`. A `msgspec.Meta(description=…)` of a key says what is expected there.

    A key may be of any type whose text is `Written`. In tables by name (`dict`) the names are checked as well.

    Raises `Misfit` with every key that is unknown, missing, or of another type or range. A `ValueError` from a
    struct's own `__post_init__` is a flaw of its table.
    """
    flaws: list[Flaw] = []
    value = _fit(table, kind, (), flaws)
    if flaws:
        raise Misfit(flaws)
    return cast("T", value)


def no_such(what: str, name: str, known: Collection[str]) -> str:
    """The words for a name that nobody defined: the closest of those that are, and all of them."""
    if not known:
        return f"no such {what}; none is defined"
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {shown(close[0])}? " if close else ""
    return f"no such {what}; {guess}known: {', '.join(sorted(known))}"


def shown(value: object) -> str:
    """A value in an error's text, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _fit(value: Any, kind: Any, at: Keys, flaws: list[Flaw]) -> Any:
    kind = _without_none(kind)
    bare = _bare(kind)
    origin, args = typing.get_origin(bare), typing.get_args(bare)
    is_list = origin is list or (origin is tuple and args[1:] == (...,))
    if isinstance(value, Variable) and is_list:
        value = [Variable(item.strip(), value.name) for item in value.split(",") if item.strip()]
    if written := next((meta for meta in _metadata(kind) if isinstance(meta, Written)), None):
        return _fit_written(value, written, at, flaws)
    if _is_struct(bare):
        return _fit_struct(value, bare, at, flaws)
    if origin in (Union, types.UnionType) and all(_is_struct(arg) for arg in args):
        return _fit_tagged(value, args, at, flaws)
    if origin is dict and isinstance(value, dict):
        return {
            _fit_plain(_name(key, inner), args[0], (*at, key), flaws): _fit(inner, args[1], (*at, key), flaws)
            for key, inner in value.items()
        }
    if is_list and isinstance(value, list):
        if kind is not bare:
            _fit_plain(value, Annotated[(list, *kind.__metadata__)], at, flaws)  # how long it may be
        fitted = [_fit(inner, args[0], (*at, index), flaws) for index, inner in enumerate(value)]
        return fitted if origin is list else tuple(fitted)
    if is_list or origin is dict:  # of what is in them msgspec may know nothing
        flaws.append(Flaw(at, f"expected {_expected(kind)}", value, _variable(value)))
        return None
    return _fit_plain(value, kind, at, flaws)


def _fit_struct(value: Any, kind: type[msgspec.Struct], at: Keys, flaws: list[Flaw]) -> msgspec.Struct | None:
    if not isinstance(value, dict):
        flaws.append(Flaw(at, "expected a table", value, _variable(value)))
        return None
    flaws_before = len(flaws)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields and key != kind.__struct_config__.tag_field:
            # The value is not shown: somebody may have put a secret where no secret belongs.
            right = no_such("key" if at else "section", key, fields)
            flaws.append(Flaw((*at, key), right, variable=_variable(value[key])))
    values = {}
    for key, field in fields.items():
        if key in value:
            values[field.name] = _fit(value[key], field.type, (*at, key), flaws)
        elif field.required and _is_struct(_bare(field.type)):
            values[field.name] = _fit({}, field.type, (*at, key), flaws)  # says which of its keys are missing
        elif field.required:
            flaws.append(Flaw(at, f"{key} is missing: expected {_expected(field.type)}"))
    if len(flaws) > flaws_before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        flaws.append(Flaw(at, str(error)))
        return None


def _fit_tagged(
    value: Any, kinds: Sequence[type[msgspec.Struct]], at: Keys, flaws: list[Flaw]
) -> msgspec.Struct | None:
    tag_field = str(kinds[0].__struct_config__.tag_field)
    by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
    if not isinstance(value, dict):
        flaws.append(Flaw(at, f"expected a table with {tag_field}", value, _variable(value)))
        return None
    if tag_field not in value:
        flaws.append(Flaw(at, f"{tag_field} is missing: one of {', '.join(sorted(by_tag))}"))
        return None
    tag = str(value[tag_field])
    if tag not in by_tag:
        flaws.append(
            Flaw((*at, tag_field), no_such(tag_field, tag, by_tag), tag, _variable(value[tag_field]))
        )
        return None
    return _fit_struct(value, by_tag[tag], at, flaws)


def _fit_written(value: Any, written: Written, at: Keys, flaws: list[Flaw]) -> Any:
    if not isinstance(value, str):
        flaws.append(Flaw(at, "expected a text in quotes", value, _variable(value)))
        return None
    try:
        return written.read(str(value))
    except Unshown as error:
        flaws.append(Flaw(at, str(error), variable=_variable(value)))
    except ValueError as error:
        flaws.append(Flaw(at, str(error), value, _variable(value)))
    return None


def _fit_plain(value: Any, kind: Any, at: Keys, flaws: list[Flaw]) -> Any:
    is_text = isinstance(value, Variable)  # then "8080" may be a number, too
    try:
        plain = msgspec.convert(str(value) if is_text else value, kind, strict=not is_text, dec_hook=_as_path)
    except msgspec.ValidationError as error:
        says_more = str(error).startswith("Expected") and _description(kind) is None  # a range, a length
        wanted = _plainly(str(error)) if says_more else f"expected {_expected(kind)}"
        flaws.append(Flaw(at, wanted, value, _variable(value)))
        return None
    if isinstance(plain, float) and not math.isfinite(plain):
        flaws.append(Flaw(at, "expected a finite number", value, _variable(value)))
    return plain


def _as_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`")


def _variable(value: object) -> str | None:
    """The environment variable that a value comes from; of a table, if all of it does."""
    if isinstance(value, Variable):
        return value.name
    names = [_variable(inner) for inner in value.values()] if isinstance(value, dict) else []
    return names[0] if names and all(names) else None


def _name(key: str, value: object) -> str:
    """The name of a table, which comes from where all of the table does."""
    variable = _variable(value)
    return key if variable is None else Variable(key, variable)


def _expected(kind: Any) -> str:
    """What a key wants, in words: its own description, or its type's."""
    if description := _description(kind):
        return description
    bare = _bare(_without_none(kind))
    choices: Sequence[Any] = ()
    if typing.get_origin(bare) is Literal:
        choices = typing.get_args(bare)
    elif isinstance(bare, type) and issubclass(bare, enum.Enum):
        choices = [member.value for member in bare]
    if choices:
        return f"one of {', '.join(map(str, choices))}"
    name = getattr(typing.get_origin(bare) or bare, "__name__", str(bare))
    return _PLAIN_WORDS.get(name, name)


def _description(kind: Any) -> str | None:
    metas = (meta for meta in _metadata(kind) if isinstance(meta, msgspec.Meta))
    return next((meta.description for meta in metas if meta.description), None)


def _metadata(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__metadata__", ())


def _plainly(error: str) -> str:
    """`Expected int >= 1, got str - at …` of msgspec becomes `expected a whole number >= 1`."""
    text = re.split(r", got | - at ", error)[0]
    text = re.sub(r"`(.*?)`", lambda m: " or ".join(_PLAIN_WORDS.get(w, w) for w in m[1].split(" | ")), text)
    return text[0].lower() + text[1:]


def _is_struct(kind: Any) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _bare(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _without_none(kind: Any) -> Any:
    """TOML has no null: a key that may be None is left out."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return kind
    return Union[tuple(arg for arg in typing.get_args(kind) if arg is not types.NoneType)]  # noqa: UP007 - made from a tuple

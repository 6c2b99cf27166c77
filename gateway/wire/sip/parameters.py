"""The parameters behind a header's value: `;tag=76341;lr;text="so it is"`. RFC 3261 §7.3.1, §25.1."""

import re
from collections.abc import Iterable, Iterator

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import (
    LWS,
    MAX_VALUES,
    QUOTED,
    TOKEN,
    VALUE,
    check_line,
    check_token,
    quote,
    unquote,
)

__all__ = ["NO_PARAMETERS", "Parameters"]

_PARAMETER = re.compile(rf"{LWS};{LWS}({TOKEN})(?:{LWS}={LWS}({QUOTED}|{VALUE}))?+")
_BARE_VALUE = re.compile(VALUE)
_ANY_VALUE = re.compile(rf"{QUOTED}|{VALUE}")


class Parameters:
    """Names with values, in order; names are case-blind, and none stands twice. Immutable.

    Values are kept as they are written, quotes and all, so that what was read is written again the same; `get`
    gives what they say. Raises ValueError if a name or a value could not be written.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str | None]] = ()) -> None:
        self._pairs = tuple(pairs)
        for name, value in self._pairs:
            check_token(name)
            if value is not None:
                check_line(value)
                if not _ANY_VALUE.fullmatch(value):
                    raise ValueError(f"{value!a:.60} is no value of a parameter, unless it is quoted")
        if _stands_twice(self._pairs):
            raise ValueError("a parameter stands twice")

    @classmethod
    def parse(cls, text: str) -> "Parameters":
        """All of `text` as parameters; it begins with `;`, or there are none."""
        pairs: list[tuple[str, str | None]] = []
        at = 0
        while found := _PARAMETER.match(text, at):
            at = found.end()
            pairs.append((found.group(1), found.group(2)))
            if len(pairs) > MAX_VALUES:
                raise SipSyntaxError("Too many parameters")
        if text[at:].strip(" \t"):
            raise SipSyntaxError("Malformed parameters")
        if _stands_twice(pairs):
            raise SipSyntaxError("A parameter stands twice")
        parameters = cls()
        parameters._pairs = tuple(pairs)
        return parameters

    def get(self, name: str) -> str | None:
        """What the parameter says: "" if it stands without a value, None if it does not stand there."""
        name = name.lower()
        for known, value in self._pairs:
            if known.lower() == name:
                return unquote(value or "")
        return None

    def having(self, name: str, value: str | None = None) -> "Parameters":
        """The same with this parameter, where it stood or else last. A value that must be quoted is quoted."""
        written = value if value is None or _BARE_VALUE.fullmatch(value) else quote(value)
        pair = (name, written)
        if name not in self:
            return Parameters((*self._pairs, pair))
        return Parameters(
            pair if known.lower() == name.lower() else (known, was) for known, was in self._pairs
        )

    def without(self, name: str) -> "Parameters":
        return Parameters((known, value) for known, value in self._pairs if known.lower() != name.lower())

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        """Names and values as they are written."""
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Parameters({str(self)!r})"

    def __str__(self) -> str:
        return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self._pairs)


def _stands_twice(pairs: Iterable[tuple[str, str | None]]) -> bool:
    names = [name.lower() for name, _ in pairs]
    return len(set(names)) < len(names)


NO_PARAMETERS = Parameters()

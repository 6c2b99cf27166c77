"""A message's header fields: ordered, their names case-blind and long or compact. RFC 3261 §7.3.

A name gives text (`headers["Subject"]`), a `Field` what it means (`headers[CSEQ].number`), read when first asked for.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from gateway.wire.sip.grammar import check_line, check_token, split_list, text_of

__all__ = ["Field", "HeaderMap", "key_of"]

T = TypeVar("T")

# The IANA registry of SIP header fields, "compact form".
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Whoever reads them in a log can try passwords on them.
_SECRET = frozenset({"authorization", "proxy-authorization"})


def key_of(name: str) -> str:
    """What two spellings of one header's name have in common: `v`, `Via` and `VIA` are `via`."""
    name = name.lower()
    return _COMPACT.get(name, name)


@dataclass(frozen=True, slots=True, eq=False)
class Field(Generic[T]):
    """What the header `name` means. `read`: of the texts of its rows, none or many; may raise `SipSyntaxError`.

    `write`: the reverse, one text a row.
    """

    name: str
    read: Callable[[list[str]], T]
    write: Callable[[T], list[str]]


class HeaderMap:
    """Names and values in order. Values are kept as bytes, as they came, and read as text.

    A name or value that is set and would not stay within its line raises ValueError.
    """

    __slots__ = ("_meanings", "_rows")

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._rows: list[tuple[str, str, bytes]] = []  # key, name, value
        self._meanings: dict[Field[Any], Any] = {}
        for name, text in rows:
            self.add(name, text)

    # -- reading

    @overload
    def __getitem__(self, key: str) -> str: ...
    @overload
    def __getitem__(self, key: Field[T]) -> T: ...
    def __getitem__(self, key: str | Field[T]) -> str | T:
        """The text of the first row (KeyError if there is none), or what a field means.

        Raises `SipSyntaxError` if the field is malformed, or is missing and has no meaning then.
        """
        if isinstance(key, str):
            if key not in self:
                raise KeyError(key)
            return self.rows(key)[0]
        if key not in self._meanings:
            self._meanings[key] = key.read(self.rows(key.name))
        meaning: T = self._meanings[key]
        return meaning

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: Field[T]) -> T | None: ...
    def get(self, key: str | Field[T]) -> str | T | None:
        """As `[]`, but None if there is no such row."""
        if key not in self:
            return None
        return self[key]

    def rows(self, name: str) -> list[str]:
        """The text of every row of that name."""
        key = key_of(name)
        return [text_of(value) for known, _, value in self._rows if known == key]

    def values(self, name: str) -> list[str]:
        """As `rows`, but each split at its commas. Raises `SipSyntaxError` for a quote without an end."""
        return [value for row in self.rows(name) for value in split_list(row)]

    def __contains__(self, key: str | Field[Any]) -> bool:
        wanted = key_of(key if isinstance(key, str) else key.name)
        return any(known == wanted for known, _, _ in self._rows)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, text_of(value)) for _, name, value in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    # -- writing

    def add(self, name: str, text: str) -> None:
        """One row more, at the end."""
        self._rows.append(_row(name, text))
        self._meanings.clear()

    def add_raw(self, name: str, value: bytes) -> None:
        """One row more, of a name and a value that came from the wire and were checked there."""
        self._rows.append((key_of(name), name, value.strip(b" \t")))
        self._meanings.clear()

    @overload
    def __setitem__(self, key: str, value: str) -> None: ...
    @overload
    def __setitem__(self, key: Field[T], value: T) -> None: ...
    def __setitem__(self, key: str | Field[T], value: str | T) -> None:
        """In place of all rows of that name, where the first stood, or else at the end."""
        if isinstance(key, str):
            name, texts = key, [str(value)]
        else:
            name, texts = key.name, key.write(value)  # type: ignore[arg-type]  # the overloads say which goes with which
        rows = [_row(name, text) for text in texts]
        at = next((index for index, row in enumerate(self._rows) if row[0] == key_of(name)), len(self._rows))
        rest = [row for row in self._rows[at:] if row[0] != key_of(name)]
        self._rows[at:] = rows + rest
        self._meanings.clear()

    def __delitem__(self, key: str | Field[Any]) -> None:
        """All rows of that name, if there are any."""
        wanted = key_of(key if isinstance(key, str) else key.name)
        self._rows = [row for row in self._rows if row[0] != wanted]
        self._meanings.clear()

    def copy_from(self, other: "HeaderMap", *names: str) -> None:
        """All rows of these names, byte for byte, behind what there is; name by name, in order."""
        for name in names:
            self._rows += [row for row in other._rows if row[0] == key_of(name)]  # noqa: SLF001 - of this class
        self._meanings.clear()

    def copy(self) -> "HeaderMap":
        copied = HeaderMap()
        copied._rows = self._rows.copy()
        return copied

    def encode(self) -> bytes:
        """As on the wire, each row ended by CRLF."""
        return b"".join(b"%b: %b\r\n" % (name.encode(), value) for _, name, value in self._rows)

    def __eq__(self, other: object) -> bool:
        """The same headers with the same values in the same order, however their names are spelled."""
        if not isinstance(other, HeaderMap):
            return NotImplemented
        return [(key, value) for key, _, value in self._rows] == [
            (key, value) for key, _, value in other._rows
        ]

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"HeaderMap({[(name, '…' if key in _SECRET else text_of(value)) for key, name, value in self._rows]!r})"


def _row(name: str, text: str) -> tuple[str, str, bytes]:
    check_token(name)
    check_line(text)
    return key_of(name), name, text.encode().strip(b" \t")

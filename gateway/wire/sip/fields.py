"""What the header fields that we read mean: `headers[FROM].tag`, `headers[CSEQ] = CSeq(1, "INVITE")`.

A new one is one line. Malformed, or more than once where it must not be, it raises `SipSyntaxError` when it is
read; which of them the parser reads of every message is said in `parser`. RFC 3261 §20 unless it says otherwise.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from gateway.wire.sip.auth import AuthParameters
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import MAX_MESSAGE_BYTES, MAX_VALUES, number_of, split_list
from gateway.wire.sip.headers import Field
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.values import (
    CSeq,
    MediaType,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    Word,
    read_call_id,
    read_date,
    read_method,
    read_seconds,
    write_date,
)
from gateway.wire.sip.via import Via

T = TypeVar("T")
Parse = Callable[[str], T]
Write = Callable[[T], str]

_MAX_HOPS = 255


# -- how often a field stands, and how its rows are parted ----------------------------------------------


def _one(name: str, parse: Parse[T], write: Write[T] = str) -> Field[T]:
    """In one row, and never in two; without it the message has no meaning."""

    def read(rows: list[str]) -> T:
        if len(rows) != 1:
            raise SipSyntaxError(f"More than one {name}" if rows else f"Missing {name}")
        return _named(name, parse, rows[0])

    return Field(name, read, lambda value: [write(value)])


def _listed(name: str, parse: Parse[T], write: Write[T] = str) -> Field[tuple[T, ...]]:
    """In any number of rows, parted by commas as well. Written one a row: not everybody splits."""

    def read(rows: list[str]) -> tuple[T, ...]:
        return tuple(_named(name, parse, text) for text in _split(name, rows))

    return Field(name, read, lambda values: [write(value) for value in values])


def _readable(name: str, parse: Parse[T], write: Write[T] = str) -> Field[tuple[T, ...]]:
    """As `_listed`, without those that nobody can read: in answers, of which the rest still counts."""

    def read(rows: list[str]) -> tuple[T, ...]:
        values = (_lenient(parse)(text) for row in rows for text in _lenient(split_list)(row) or ())
        return tuple(value for value in values if value is not None)

    return Field(name, read, lambda values: [write(value) for value in values])


def _words(name: str, parse: Parse[T], write: Write[T] = str) -> Field[tuple[T, ...]]:
    """As `_listed`, written in one row; it may be empty, and so may what stands between two commas."""

    def read(rows: list[str]) -> tuple[T, ...]:
        return tuple(_named(name, parse, text) for text in _split(name, rows) if text)

    return Field(name, read, lambda values: [", ".join(write(value) for value in values)])


def _rows(name: str, parse: Parse[T], write: Write[T] = str) -> Field[tuple[T, ...]]:
    """In any number of rows, whose commas part something else. RFC 3261 §7.3.1."""

    def read(rows: list[str]) -> tuple[T, ...]:
        return tuple(_named(name, parse, row) for row in rows)

    return Field(name, read, lambda values: [write(value) for value in values])


def _split(name: str, rows: list[str]) -> list[str]:
    texts = [text for row in rows for text in _named(name, split_list, row)]
    if len(texts) > MAX_VALUES:
        raise SipSyntaxError(f"{name}: Too many values")
    return texts


def _named(name: str, parse: Parse[T], text: str) -> T:
    try:
        return parse(text)
    except SipSyntaxError as error:
        raise SipSyntaxError(f"{name}: {error}") from None


def _lenient(parse: Parse[T]) -> Parse[T | None]:
    """Malformed is as if it were not there: RFC 3261 §10.2.1.1 of Expires, RFC 4475 §3.1.2.5 of Retry-After."""

    def read(text: str) -> T | None:
        try:
            return parse(text)
        except SipSyntaxError:
            return None

    return read


# -- numbers --------------------------------------------------------------------------------------------


def _hops(text: str) -> int | None:
    """None for more than 255: as if it were not there. RFC 4475 §3.1.2.4."""
    return number_of(text, _MAX_HOPS)


def _delta_seconds(text: str) -> int:
    """Min-SE may have parameters; nobody has defined one."""
    return read_seconds(text)[0]


def _default_if_too_large(text: str) -> int | None:
    """None for more than 32 bits: RFC 4475 §3.1.2.4 takes the default then."""
    return number_of(text, 2**32 - 1)


def _length(text: str) -> int:
    length = number_of(text, MAX_MESSAGE_BYTES)
    if length is None:
        raise SipSyntaxError("More than a message may have")
    return length


def _contacts(rows: list[str]) -> tuple[NameAddr, ...]:
    return () if rows == ["*"] else _contact_list.read(rows)


_contact_list = _listed("Contact", NameAddr.parse)


class Vias(NamedTuple):
    """`others`: the texts of those below the topmost, which are none of ours and go back as they came. RFC 3261 §8.2.6.2."""

    top: Via
    others: tuple[str, ...] = ()


def _vias(rows: list[str]) -> Vias:
    top, *others = _split("Via", rows) or [""]
    if not all(others):
        raise SipSyntaxError("Via: One that is empty")
    return Vias(_named("Via", Via.parse, top), tuple(others))


# -- the way, the parties, the dialog -------------------------------------------------------------------

VIAS = Field("Via", _vias, lambda vias: [str(vias.top), *vias.others])
FROM = _one("From", NameAddr.parse)
TO = _one("To", NameAddr.parse)
CALL_ID = _one("Call-ID", read_call_id)
CSEQ = _one("CSeq", CSeq.parse)
MAX_FORWARDS = _one("Max-Forwards", _hops)
# `Contact: *` (REGISTER only, §10.2.2) reads as no contacts: its text is "*".
CONTACT = Field("Contact", _contacts, _contact_list.write)
ROUTE = _listed("Route", NameAddr.parse)
RECORD_ROUTE = _listed("Record-Route", NameAddr.parse)
READABLE_CONTACT = _readable("Contact", NameAddr.parse)
READABLE_RECORD_ROUTE = _readable("Record-Route", NameAddr.parse)
REFER_TO = _one("Refer-To", NameAddr.parse)  # RFC 3515
REFERRED_BY = _one("Referred-By", NameAddr.parse)  # RFC 3892
REPLACES = _one("Replaces", Replaces.parse)  # RFC 3891
P_ASSERTED_IDENTITY = _listed("P-Asserted-Identity", NameAddr.parse)  # RFC 3325
P_PREFERRED_IDENTITY = _listed("P-Preferred-Identity", NameAddr.parse)  # RFC 3325
DIVERSION = _listed("Diversion", NameAddr.parse)  # RFC 5806
REASON = _listed("Reason", Reason.parse)  # RFC 3326

# -- times ----------------------------------------------------------------------------------------------

DATE = _one("Date", read_date, write_date)
EXPIRES = _one("Expires", _lenient(_default_if_too_large))
MIN_EXPIRES = _one("Min-Expires", _lenient(_default_if_too_large))
RETRY_AFTER = _one("Retry-After", _lenient(RetryAfter.parse))
SESSION_EXPIRES = _one("Session-Expires", SessionExpires.parse)  # RFC 4028
MIN_SE = _one("Min-SE", _delta_seconds)  # RFC 4028

# -- what is understood ---------------------------------------------------------------------------------

ALLOW = _words("Allow", read_method)
SUPPORTED = _words("Supported", read_method)
REQUIRE = _words("Require", read_method)
PROXY_REQUIRE = _words("Proxy-Require", read_method)
UNSUPPORTED = _words("Unsupported", read_method)
ACCEPT = _words("Accept", MediaType.parse)
EVENT = _one("Event", Word.parse)  # RFC 6665
SUBSCRIPTION_STATE = _one("Subscription-State", Word.parse)  # RFC 6665

# -- the body -------------------------------------------------------------------------------------------

CONTENT_LENGTH = _one("Content-Length", _length)
CONTENT_TYPE = _one("Content-Type", MediaType.parse)
CONTENT_ENCODING = _words("Content-Encoding", read_method)
CONTENT_DISPOSITION = _one("Content-Disposition", Word.parse)

# -- who is asking --------------------------------------------------------------------------------------

WWW_AUTHENTICATE = _rows("WWW-Authenticate", AuthParameters.parse)
PROXY_AUTHENTICATE = _rows("Proxy-Authenticate", AuthParameters.parse)
AUTHORIZATION = _rows("Authorization", AuthParameters.parse)
PROXY_AUTHORIZATION = _rows("Proxy-Authorization", AuthParameters.parse)

"""Bytes from a peer as requests and responses. RFC 3261 §7, §18.3, §25; RFC 4475 and RFC 5118 where it bends.

What is refused here is what nobody could take: a message that cannot be framed, a start line that is none, a
header that everybody reads (`_ALWAYS_THERE`, and of what asks for something `_READ_OF_REQUESTS`) but nobody can. All
other headers are read by whoever needs them, since one that nobody needs must not cost the message (RFC 3261 §8.2.2);
what an able reader may still not want is decided by `acceptance.refusal_of`.

Liberties beyond the grammar: a line may end with LF alone; the empty line behind the headers may be missing if they
say that there is no body; names may be in Latin-1; header values may hold what `grammar.VALUE` says.
"""

import re
from typing import Any, Final

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import (
    CALL_ID,
    CONTACT,
    CONTENT_LENGTH,
    CSEQ,
    DATE,
    FROM,
    MAX_FORWARDS,
    RECORD_ROUTE,
    ROUTE,
    TO,
    VIAS,
)
from gateway.wire.sip.grammar import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_MESSAGE_BYTES,
    MAX_START_LINE_BYTES,
    TOKEN,
    text_of,
)
from gateway.wire.sip.headers import Field, HeaderMap, key_of
from gateway.wire.sip.message import METHODS, Request, Response
from gateway.wire.sip.uri import SipUri, Uri, parse_uri

__all__ = ["END_OF_HEAD", "answerable", "is_keepalive", "parse_datagram", "parse_fragment", "unfolded_lines"]

_ALWAYS_THERE: Final[tuple[Field[Any], ...]] = (VIAS, FROM, TO, CALL_ID, CSEQ)
_READ_OF_REQUESTS: Final[tuple[Field[Any], ...]] = (MAX_FORWARDS, CONTACT, ROUTE, RECORD_ROUTE, DATE)
# These ask for nothing: they end what goes on, or say that an answer came, which no header beside can be worth.
_ASK_FOR_NOTHING: Final = frozenset({"ACK", "BYE", "CANCEL"})
# What an answer repeats. RFC 3261 §8.2.6.2.
_ANSWERED: Final = frozenset({"via", "from", "to", "call-id", "cseq"})
_VERSION: Final = "SIP/2.0"
_LONGEST_KEEPALIVE_BYTES: Final = 4  # some peers send four NULs; no message is as short

END_OF_HEAD = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]++")
_UNSAFE = re.compile(rb"\r|(?<!\\)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIELD = re.compile(rb"(%b)[ \t]*+:(.*)" % TOKEN.encode(), re.DOTALL)
_REQUEST_LINE = re.compile(rf"({TOKEN}) ([^ ]++) (SIP/[0-9]++\.[0-9]++)", re.IGNORECASE | re.ASCII)
_STATUS_LINE = re.compile(r"(SIP/[0-9]++\.[0-9]++) ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE | re.ASCII)


def parse_datagram(data: bytes) -> Request | Response:
    """The message in a datagram; what follows its Content-Length is ignored (§18.3). Raises `SipSyntaxError`.

    It has all the headers that every message has, Max-Forwards apart, and its CSeq says its method.
    """
    return _parse(data, whole=True)


def parse_fragment(data: bytes) -> Request | Response:
    """As `parse_datagram`, of a `message/sipfrag` (RFC 3420) with a start line: headers and the empty line may be missing."""
    return _parse(data, whole=False)


def is_keepalive(datagram: bytes) -> bool:
    """Whether it is no message, but sent to keep a NAT open: nothing, CRLFs, NULs. It needs no answer over UDP."""
    return len(datagram) <= _LONGEST_KEEPALIVE_BYTES or not datagram.strip(b"\r\n\0")


def _parse(data: bytes, *, whole: bool) -> Request | Response:
    data = data.lstrip(b"\r\n")  # §7.5
    end = END_OF_HEAD.search(data)
    head = data[: end.start()] if end else data.removesuffix(b"\n").removesuffix(b"\r")
    lines = unfolded_lines(head)
    try:
        _check_size(data, lines)
        headers = _read_headers(lines)
        if whole and not end:
            _check_complete(data, headers)
        body = _cut_body(data[end.end() :] if end else b"", headers)
        message = _read_message(text_of(lines[0]), headers, body)
        if whole:
            _check_whole(message)
    except SipSyntaxError as error:
        raise answerable(error, lines) from None
    return message


def unfolded_lines(head: bytes) -> list[bytes]:
    """The start line and a line for each header field. §7.3.1."""
    return [line.removesuffix(b"\r") for line in _FOLD.sub(b" ", head).split(b"\n")]


def answerable(error: SipSyntaxError, lines: list[bytes]) -> SipSyntaxError:
    """The error with what an answer repeats, and without a status where nothing is to be answered."""
    headers = HeaderMap()
    for line in lines[1 : MAX_FIELDS + 1]:
        field = _FIELD.fullmatch(line)
        if field and key_of(field.group(1).decode()) in _ANSWERED and not _UNSAFE.search(line):
            headers.add_raw(field.group(1).decode(), field.group(2))
    method = lines[0].partition(b" ")[0]
    silent = method == b"ACK" or method[:4].upper() == b"SIP/" or "Via" not in headers
    return SipSyntaxError(str(error), None if silent else error.status, headers)


# -- the head -------------------------------------------------------------------------------------------


def _check_size(data: bytes, lines: list[bytes]) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise SipSyntaxError("Message Too Large", 513)
    if len(lines[0]) > MAX_START_LINE_BYTES:
        raise SipSyntaxError("Request-URI Too Long", 414)
    if len(lines) - 1 > MAX_FIELDS:
        raise SipSyntaxError("Too many header fields", 513)
    if any(len(line) > MAX_FIELD_BYTES for line in lines[1:]):
        raise SipSyntaxError("A header field is too large", 513)


def _read_headers(lines: list[bytes]) -> HeaderMap:
    if _UNSAFE.search(lines[0]):
        raise SipSyntaxError("A control character in the start line")
    headers = HeaderMap()
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if not field or _UNSAFE.search(line):
            raise SipSyntaxError("Malformed header field")
        headers.add_raw(field.group(1).decode(), field.group(2))
    return headers


def _read_message(start_line: str, headers: HeaderMap, body: bytes) -> Request | Response:
    if start_line[:4].upper() == "SIP/":
        return _read_response(start_line, headers, body)
    found = _REQUEST_LINE.fullmatch(start_line)
    if not found:
        raise SipSyntaxError("Malformed Request-Line")
    method, uri, version = found.groups()
    if version.upper() != _VERSION:
        raise SipSyntaxError("Version Not Supported", 505)
    return Request(method, _read_request_uri(uri), headers, body)


def _read_request_uri(text: str) -> Uri:
    try:
        uri = parse_uri(text)
    except SipSyntaxError as error:
        raise SipSyntaxError(f"Request-URI: {error}") from None
    if isinstance(uri, SipUri) and uri.headers:  # §19.1.1, table 1
        raise SipSyntaxError("Request-URI: It has headers")
    return uri


def _read_response(start_line: str, headers: HeaderMap, body: bytes) -> Response:
    found = _STATUS_LINE.fullmatch(start_line)
    if not found or found.group(1).upper() != _VERSION:
        raise SipSyntaxError("Malformed Status-Line", None)
    return Response(int(found.group(2)), found.group(3) or "", headers, body)


# -- the body -------------------------------------------------------------------------------------------


def _check_complete(data: bytes, headers: HeaderMap) -> None:
    """No empty line ends the header fields. RFC 5118 prints messages so; any other has been cut off."""
    if not data.endswith(b"\n") or headers.get(CONTENT_LENGTH) != 0:
        raise SipSyntaxError("No empty line behind the header fields")


def _cut_body(rest: bytes, headers: HeaderMap) -> bytes:
    length = headers.get(CONTENT_LENGTH)
    if length is None:
        return rest
    if length > len(rest):
        raise SipSyntaxError("Content-Length is more than there is")
    return rest[:length]


# -- what everybody reads -------------------------------------------------------------------------------


def _check_whole(message: Request | Response) -> None:
    headers = message.headers
    for field in _ALWAYS_THERE:
        if field not in headers:
            raise SipSyntaxError(f"Missing {field.name}")
        headers.get(field)
    if isinstance(message, Response):
        return
    for field in () if message.method in _ASK_FOR_NOTHING else _READ_OF_REQUESTS:
        headers.get(field)
    if headers[CSEQ].method != message.method:
        # RFC 4475 §3.1.2.18: one method that nobody knows says more than two that differ
        raise SipSyntaxError("CSeq is of another method", 400 if message.method in METHODS else 501)

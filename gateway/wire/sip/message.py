"""Requests and responses, and those that follow from another. RFC 3261 §7, §8.2.6, §9.1, §17.1.1.3."""

from typing import Final

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CSEQ, TO
from gateway.wire.sip.grammar import check_line, check_token
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.reasons import reason_of
from gateway.wire.sip.uri import Uri
from gateway.wire.sip.values import CSeq

__all__ = ["MAX_FORWARDS", "METHODS", "Request", "Response", "ack_for", "cancel_for", "response_to"]

MAX_FORWARDS: Final = "70"  # RFC 3261 §8.1.1.6
# All that IANA has registered: what is not here, nobody can be blamed for not knowing.
METHODS: Final = frozenset(
    {
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY"),
        *("OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    }
)


class Request(msgspec.Struct, frozen=True):
    """`headers` may be changed, the rest may not. Raises ValueError for a method that is no token."""

    method: str
    uri: Uri
    headers: HeaderMap
    body: bytes = b""

    def __post_init__(self) -> None:
        check_token(self.method)

    def encode(self) -> bytes:
        """As it goes over the wire, with the Content-Length that the body has."""
        return _encode(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri}>"  # a body may hold keys


class Response(msgspec.Struct, frozen=True):
    """`headers` may be changed, the rest may not. Raises ValueError for what would be no status line."""

    status: int
    reason: str
    headers: HeaderMap
    body: bytes = b""

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 699:
            raise ValueError(f"{self.status} is no status of a response")
        check_line(self.reason)

    def encode(self) -> bytes:
        """As it goes over the wire, with the Content-Length that the body has."""
        return _encode(f"SIP/2.0 {self.status} {self.reason}", self.headers, self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}>"


def response_to(
    asked: Request | SipSyntaxError, status: int, *, to_tag: str | None = None, reason: str | None = None
) -> Response:
    """The response, without a body, as RFC 3261 §8.2.6 begins it.

    `asked`: what the parser raised can be answered as well, if it has `headers`. `to_tag`: ours; it is needed above
    100 unless the request has one already (ValueError), and is the same in all responses to one request. Whoever
    answers statelessly makes it of the request (§8.2.7). `reason`: in place of the usual phrase.
    """
    headers = HeaderMap()
    if asked.headers is not None:
        headers.copy_from(asked.headers, "Via", "From", "To", "Call-ID", "CSeq")
        if status == 100:  # §8.2.6.1
            headers.copy_from(asked.headers, "Timestamp")
    if status > 100 and _is_untagged(headers):
        if to_tag is not None:
            check_token(to_tag)
            headers["To"] = f"{headers['To']};tag={to_tag}"
        elif isinstance(asked, Request):
            raise ValueError("a response above 100 has a To tag")
    return Response(status, reason_of(status) if reason is None else reason, headers)


def ack_for(request: Request, response: Response) -> Request:
    """The ACK of a final response that is no 2xx, which belongs to the INVITE's transaction. RFC 3261 §17.1.1.3."""
    return _within(request, "ACK", response.headers)


def cancel_for(request: Request) -> Request:
    """The CANCEL of an INVITE that is still without a final response. RFC 3261 §9.1."""
    return _within(request, "CANCEL", request.headers)


def _within(request: Request, method: str, to: HeaderMap) -> Request:
    """Of another request of the same transaction: it has one Via, the topmost, and the same way to go."""
    headers = HeaderMap([("Via", request.headers.values("Via")[0]), ("Max-Forwards", MAX_FORWARDS)])
    headers.copy_from(request.headers, "Route", "From")
    headers.copy_from(to, "To")
    headers.copy_from(request.headers, "Call-ID")
    headers[CSEQ] = CSeq(request.headers[CSEQ].number, method)
    return Request(method, request.uri, headers)


def _is_untagged(headers: HeaderMap) -> bool:
    """A To that nobody can read is left as it is."""
    try:
        return headers[TO].tag is None
    except SipSyntaxError:
        return False


def _encode(start_line: str, headers: HeaderMap, body: bytes) -> bytes:
    framed = headers.copy()
    framed["Content-Length"] = str(len(body))
    return b"%b\r\n%b\r\n%b" % (start_line.encode(), framed.encode(), body)

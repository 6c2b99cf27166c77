"""A dialog: what two user agents keep of each other from one request to the next. RFC 3261 §12. A core."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import (
    CALL_ID,
    CONTACT,
    CSEQ,
    FROM,
    READABLE_CONTACT,
    READABLE_RECORD_ROUTE,
    RECORD_ROUTE,
    ROUTE,
    TO,
)
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import MAX_FORWARDS, Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import SipUri, Uri
from gateway.wire.sip.values import CSeq

__all__ = ["CREDENTIALS", "Dialog", "DialogId", "Path", "asked_again", "path_of", "request_along"]

CREDENTIALS: Final = ("Authorization", "Proxy-Authorization")


class DialogId(NamedTuple):
    """RFC 3261 §12. A tag of None is of RFC 2543, which had none."""

    call_id: str
    local_tag: str | None
    remote_tag: str | None


class Path(NamedTuple):
    """How a request gets to where it shall go: its Request-URI, its Route, and whom to send it to first."""

    uri: Uri
    routes: tuple[NameAddr, ...]
    next_hop: Uri


def path_of(target: Uri, routes: tuple[NameAddr, ...]) -> Path:
    """The way to `target` by a route set: loose, or strict where the first hop knows no better. RFC 3261 §12.2.1.1."""
    first = routes[0].uri if routes else None
    if not isinstance(first, SipUri):
        return Path(_as_request_uri(target), routes, target)
    if first.lr:
        return Path(_as_request_uri(target), routes, first)
    # It was written before RFC 3261: it expects its own name there, and the target behind all others.
    return Path(_as_request_uri(first), (*routes[1:], NameAddr(target)), first)


def request_along(
    path: Path,
    method: str,
    *,
    local: NameAddr,
    remote: NameAddr,
    call_id: str,
    number: int,
    rows: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """A request without a Via: what that says depends on how it is sent."""
    headers = HeaderMap([("Max-Forwards", MAX_FORWARDS)])
    headers[ROUTE] = path.routes
    headers[FROM] = local
    headers[TO] = remote
    headers[CALL_ID] = call_id
    headers[CSEQ] = CSeq(number, method)
    for name, text in rows:
        headers.add(name, text)
    return Request(method, path.uri, headers, body)


class Dialog:
    """Made by `of_invite` where the INVITE came from, and by `of_response` where it went to. RFC 3261 §12.1.

    `target`: where the other's requests shall come. `routes`: by which proxies. `secure`: all of it is by `sips`.
    """

    def __init__(
        self,
        *,
        call_id: str,
        local: NameAddr,
        remote: NameAddr,
        target: Uri,
        routes: tuple[NameAddr, ...],
        secure: bool,
        local_number: int,
        remote_number: int | None,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.target = target
        self.routes = routes
        self.secure = secure
        self._local_number = local_number
        self._remote_number = remote_number

    @classmethod
    def of_invite(cls, request: Request, tag: str, *, first_number: int) -> "Dialog":
        """As its server. `tag`: ours. `first_number`: one less than our first CSeq. RFC 3261 §12.1.1.

        Without a Contact, which RFC 2543 did not ask for (RFC 4475 §3.4.1), the other one is where he says he is from.
        Raises `SipSyntaxError` for what nothing can be sent to.
        """
        headers = request.headers
        target = _contact_of(headers) or headers[FROM].uri
        if not isinstance(target, SipUri):
            raise SipSyntaxError("Missing Contact")
        return cls(
            call_id=headers[CALL_ID],
            local=headers[TO].tagged(tag),
            remote=headers[FROM],
            target=target,
            routes=_routers(headers[RECORD_ROUTE]),
            secure=isinstance(request.uri, SipUri) and request.uri.secure,
            local_number=first_number,
            remote_number=headers[CSEQ].number,
        )

    @classmethod
    def of_response(cls, request: Request, response: Response) -> "Dialog":
        """As the client, of a 1xx with a To tag or of a 2xx. RFC 3261 §12.1.2.

        Without a Contact, which some leave out of a 180, the other one is where the INVITE was for; so he is with one that
        nobody can read, and a proxy of which that is true is left out. An ACK may come astray so, but without one the
        call is lost for sure, and who took it talks to nobody.
        """
        headers = response.headers
        return cls(
            call_id=request.headers[CALL_ID],
            local=request.headers[FROM],
            remote=headers[TO],
            target=_readable_contact(headers) or request.uri,
            routes=_routers(headers[READABLE_RECORD_ROUTE])[::-1],
            secure=isinstance(request.uri, SipUri) and request.uri.secure,
            local_number=request.headers[CSEQ].number,
            remote_number=None,
        )

    @property
    def id(self) -> DialogId:
        return DialogId(self.call_id, self.local.tag, self.remote.tag)

    @property
    def next_hop(self) -> Uri:
        """Whom to send requests to, to be looked up as RFC 3263 says."""
        return path_of(self.target, self.routes).next_hop

    # -- our requests

    def request(self, method: str, rows: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """The next one. RFC 3261 §12.2.1.1."""
        return self._along(method, self.next_number(), rows, body)

    def ack(self, invite: Request, rows: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """The ACK of a 2xx to `invite`, with the credentials that it had. RFC 3261 §13.2.2.4."""
        ack = self._along("ACK", invite.headers[CSEQ].number, rows, body)
        ack.headers.copy_from(invite.headers, *CREDENTIALS)
        return ack

    def next_number(self) -> int:
        """Of a request that is made here, or asked again."""
        self._local_number += 1
        return self._local_number

    def refresh(self, message: Request | Response) -> None:
        """Take the new target that an INVITE, an UPDATE or a 2xx to one may name. RFC 3261 §12.2."""
        self.target = _readable_contact(message.headers) or self.target

    def confirm(self, response: Response) -> None:
        """Take the 2xx to the INVITE that began an early dialog: its route set is the one that counts. §13.2.2.4.

        One that nobody can read does not: then the way is known from before.
        """
        routes = _routers(response.headers[READABLE_RECORD_ROUTE])[::-1]
        if routes or RECORD_ROUTE not in response.headers:
            self.routes = routes

    # -- theirs

    def takes(self, request: Request) -> bool:
        """Whether the request comes in its turn; one that does not gets a 500. RFC 3261 §12.2.2."""
        number = request.headers[CSEQ].number
        if self._remote_number is not None and number <= self._remote_number:
            return False
        self._remote_number = number
        return True

    def _along(self, method: str, number: int, rows: Iterable[tuple[str, str]], body: bytes) -> Request:
        return request_along(
            path_of(self.target, self.routes),
            method,
            local=self.local,
            remote=self.remote,
            call_id=self.call_id,
            number=number,
            rows=rows,
            body=body,
        )


def asked_again(request: Request, number: int) -> Request:
    """The same with another CSeq, without a Via and without credentials. RFC 3261 §8.1.3.5, §22.2."""
    headers = HeaderMap([(name, text) for name, text in request.headers if name not in {"Via", *CREDENTIALS}])
    headers[CSEQ] = CSeq(number, request.method)
    return msgspec.structs.replace(request, headers=headers)


def _as_request_uri(uri: Uri) -> Uri:
    """Without what a Request-URI must not have. RFC 3261 §19.1.1, table 1."""
    if not isinstance(uri, SipUri):
        return uri
    parameters = tuple(pair for pair in uri.parameters if pair[0].lower() != "method")
    return msgspec.structs.replace(uri, headers=(), parameters=parameters)


def _contact_of(headers: HeaderMap) -> SipUri | None:
    """The one that it must have. Raises `SipSyntaxError` for what is no SIP URI."""
    contacts = headers[CONTACT]
    if not contacts:
        return None
    uri = contacts[0].uri
    if not isinstance(uri, SipUri):
        raise SipSyntaxError("Contact: No SIP URI")
    return uri


def _readable_contact(headers: HeaderMap) -> SipUri | None:
    return next((each.uri for each in headers[READABLE_CONTACT] if isinstance(each.uri, SipUri)), None)


def _routers(record_route: tuple[NameAddr, ...]) -> tuple[NameAddr, ...]:
    """Those that something can be sent by."""
    return tuple(each for each in record_route if isinstance(each.uri, SipUri))

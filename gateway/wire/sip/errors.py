"""A SIP message that is not what RFC 3261 allows."""

from typing import TYPE_CHECKING

from gateway.wire.errors import RemoteProtocolError

if TYPE_CHECKING:
    from gateway.wire.sip.headers import HeaderMap

__all__ = ["SipSyntaxError"]


class SipSyntaxError(RemoteProtocolError):
    """The peer wrote what SIP does not allow. The text says what, in ASCII, fit for a reason phrase.

    `status`: the answer that RFC 3261 wants; None: drop it without an answer (a response, an ACK, a request
    that says not where an answer goes).
    `headers`: when a whole message was read, as much as was found of what an answer repeats (Via, From, To,
    Call-ID, CSeq), word for word: `response_to(error, error.status)` is the stateless answer. Their values may be
    as malformed as the rest, the Via too: such an answer goes back to where the request came from.
    """

    def __init__(self, what: str, status: int | None = 400, headers: "HeaderMap | None" = None) -> None:
        super().__init__(what)
        self.status = status
        self.headers = headers

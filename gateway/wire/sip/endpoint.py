"""What we bring into every session: who and where we are, what we take, how long things may take."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.wire.sip.acceptance import Abilities, Refusal, describes_session
from gateway.wire.sip.dialog import CREDENTIALS
from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.routing import next_hop
from gateway.wire.sip.transaction import Timing
from gateway.wire.sip.uri import SipUri, Uri

if TYPE_CHECKING:
    from random import Random

__all__ = ["DESCRIPTION", "SESSION_ABILITIES", "Endpoint", "Rows", "described_in"]

Rows = tuple[tuple[str, str], ...]

DESCRIPTION: Final = "application/sdp"

SESSION_ABILITIES: Final = Abilities(
    methods=("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "REFER", "NOTIFY"),
    extensions=("timer", "norefersub"),
)

# RFC 3261 table 2 and 3, RFC 3311, RFC 3515, RFC 6665: where a Contact stands.
_WITH_CONTACT: Final = frozenset({"INVITE", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE"})
_SAYS_ABILITIES: Final = frozenset({"INVITE", "UPDATE", "OPTIONS"})


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """`contact`: where others reach us in this session. `rng` makes tags and Call-IDs, and pauses that must differ.

    `expires_s`: how long a session may last without a refresh; None: we do not ask for refreshes, but grant them.
    `min_expires_s`: less is refused. RFC 4028. `credentials`: for who challenges us, if `trusts` is
    true of the host that a request goes to: a call's later ones may go to whom the other likes. None: of all. `rows`: in
    all that we send.
    """

    contact: NameAddr
    rng: "Random"
    abilities: Abilities = SESSION_ABILITIES
    timing: Timing = Timing()
    expires_s: int | None = 1800
    min_expires_s: int = 90
    credentials: DigestClient | None = None
    trusts: Callable[[str], bool] | None = None
    rows: Rows = ()

    def new_tag(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    def new_call_id(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def new_number(self) -> int:
        """Where a sequence begins: anywhere, so that a dialog that comes again is not taken for the one before."""
        return self.rng.getrandbits(16)

    def authorize(self, request: Request) -> None:
        """Put in what those who have challenged us want to see."""
        if self.credentials is not None and self._goes_to_friends(request):
            self.credentials.authorize(request)

    def acknowledging(self, ack: Request) -> Request:
        """The ACK, without what only our friends may see."""
        if not self._goes_to_friends(ack):
            for name in CREDENTIALS:
                del ack.headers[name]
        return ack

    def can_ask_again(self, request: Request, response: Response) -> bool:
        """Whether the response is a challenge that we can answer, by the same as a new request."""
        if self.credentials is not None and response.status // 100 == 2:
            self.credentials.accepted(response)
        challenged = response.status in {401, 407}
        may = challenged and self._goes_to_friends(request)
        return may and self.credentials is not None and self.credentials.challenged(request, response)

    def _goes_to_friends(self, request: Request) -> bool:
        hop = next_hop(request)
        return self.trusts is None or (hop is not None and self.trusts(hop.parameter("maddr") or hop.host))

    def rows_for(self, method: str, *, secure: bool, body_type: str | None = None) -> Rows:
        """What our requests and 2xx to others say besides what they are about."""
        rows = []
        if method in _WITH_CONTACT:
            rows.append(("Contact", str(self._contact(secure=secure))))
        if method in _SAYS_ABILITIES:
            rows.append(("Allow", ", ".join(self.abilities.methods)))
            rows.append(("Supported", ", ".join(self.abilities.extensions)))
        rows += self.rows
        if body_type is not None:
            rows.append(("Content-Type", body_type))
        return tuple(rows)

    def rows_to_invite(self, uri: Uri, description: bytes | None) -> Rows:
        """What an INVITE to `uri` says of us."""
        body_type = None if description is None else DESCRIPTION
        return self.rows_for("INVITE", secure=uri.scheme == "sips", body_type=body_type)

    def response(
        self,
        request: Request,
        status: int,
        tag: str,
        rows: Rows = (),
        *,
        description: bytes | None = None,
        reason: str | None = None,
    ) -> Response:
        """Our answer. `description`: the SDP in it."""
        response = response_to(request, status, to_tag=tag, reason=reason)
        if request.method == "INVITE" and 100 < status < 300:
            response.headers.copy_from(request.headers, "Record-Route")  # RFC 3261 §12.1.1
        secure = isinstance(request.uri, SipUri) and request.uri.secure
        method = request.method if status < 300 else ""
        body_type = None if description is None else DESCRIPTION
        for name, text in (*self.rows_for(method, secure=secure, body_type=body_type), *rows):
            response.headers.add(name, text)
        return msgspec.structs.replace(response, body=description or b"")

    def refusal(self, request: Request, refusal: Refusal, tag: str) -> Response:
        return self.response(request, refusal.status, tag, refusal.headers, reason=refusal.reason)

    def _contact(self, *, secure: bool) -> NameAddr:
        uri = self.contact.uri
        if secure and isinstance(uri, SipUri):  # RFC 3261 §12.1.1
            return msgspec.structs.replace(self.contact, uri=msgspec.structs.replace(uri, secure=True))
        return self.contact


def described_in(message: Request | Response) -> bytes | None:
    """The SDP in a message, if it has one for the session."""
    return message.body if message.body and describes_session(message.headers) else None

"""What a session says: what is to be sent, and what happened. `session` says when."""

from typing import Final, Literal, NamedTuple

import msgspec

from gateway.wire.sip.backoff import readable
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.transactions import ServerKey
from gateway.wire.sip.uri import Uri
from gateway.wire.sip.values import Reason

__all__ = [
    "REASONS",
    "Acknowledge",
    "AnswerCame",
    "Ask",
    "Cancel",
    "Confirmed",
    "Ended",
    "Forget",
    "Informed",
    "OfferDue",
    "OfferRefused",
    "Offered",
    "Progressed",
    "Respond",
    "SessionWord",
    "TransferAsked",
    "TransferTold",
    "Why",
]

# -- to be sent -----------------------------------------------------------------------------------------


class Ask(NamedTuple):
    """Send this, which has no Via yet, as a transaction. `next_hop`: whom to look up. RFC 3263."""

    request: Request
    next_hop: Uri


class Acknowledge(NamedTuple):
    """Send this ACK, which is no transaction's; the same one again for each 2xx that comes again."""

    request: Request
    next_hop: Uri


class Cancel(NamedTuple):
    """Send a CANCEL of this INVITE, which was an `Ask`, where that went. `rows`: headers to have in it."""

    invite: Request
    rows: tuple[tuple[str, str], ...]


class Forget(NamedTuple):
    """Nobody will answer this INVITE any more: end its transaction. RFC 3261 §9.1."""

    invite: Request


class Respond(NamedTuple):
    """Answer this request; a 2xx to an INVITE again and again."""

    key: ServerKey
    response: Response


# -- what happened --------------------------------------------------------------------------------------


class Progressed(NamedTuple):
    """A provisional response came: 180, 183 with a preview of the answer (which comes as `AnswerCame`)."""

    response: Response


class Offered(NamedTuple):
    """They want a session, or to change it: `Session.accept` or `refuse` it. `message`: what it came in.

    `description`: their offer, to be accepted with an answer; None: they left it to us to make one.
    """

    description: bytes | None
    message: Request | Response


class AnswerCame(NamedTuple):
    """The answer to our offer. `early`: others may follow, of other places where it rings."""

    description: bytes
    early: bool = False


class Confirmed(msgspec.Struct, frozen=True):  # a tuple would equal all that are empty
    """Both sides know that the call is on: its first ACK came, or was sent."""


class OfferDue(msgspec.Struct, frozen=True):
    """The offer that was wanted, or that refreshes the session, can be made now: `Session.offer`."""


class OfferRefused(NamedTuple):
    """Ours was not taken; the session is as it was."""

    response: Response


class Informed(NamedTuple):
    """An INFO came, and is answered. RFC 6086."""

    request: Request


class TransferAsked(NamedTuple):
    """They want us to call somebody else: `Session.transfers.accept` or `refuse` it. RFC 3515."""

    request: Request
    target: Uri


class TransferTold(NamedTuple):
    """How our transfer goes: the status of their call, or of their answer to our REFER.

    `last`: nothing more will be told. None: they took it, and nobody knows what became of it.
    """

    status: int | None
    last: bool


Why = Literal[
    "hung up",  # BYE
    "cancelled",  # CANCEL, or Expires of an INVITE
    "refused",  # a final response other than a 2xx
    "unacknowledged",  # no ACK of a 2xx
    "expired",  # no refresh: RFC 4028
    "lost",  # they know nothing of the session, or nobody answered within it
    "no answer",  # a 2xx or an ACK without the answer that it should have had
]

REASONS: Final[dict[Why, Reason]] = {
    "unacknowledged": Reason("SIP", 408, "No ACK"),
    "expired": Reason("SIP", 408, "Session expired"),
    "lost": Reason("SIP", 408, "No answer within the session"),
    "no answer": Reason("SIP", 488, "No answer to the offer"),
}
"""What a BYE says that is nobody's wish. RFC 3326."""


class Ended(NamedTuple):
    """The session is over: the one and only time. `message`: that which ended it, theirs or ours, if it was one."""

    why: Why
    by_us: bool
    message: Request | Response | None = None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """RFC 3326. What cannot be read is not there."""
        return readable(self.message.headers, REASON) or () if self.message is not None else ()


SessionWord = (
    Ask
    | Acknowledge
    | Cancel
    | Forget
    | Respond
    | Progressed
    | Offered
    | AnswerCame
    | Confirmed
    | OfferDue
    | OfferRefused
    | Informed
    | TransferAsked
    | TransferTold
    | Ended
)

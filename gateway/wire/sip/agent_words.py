"""What a user agent says: what its driver is to do, and what happened. `user_agent` says when."""

from typing import NamedTuple

from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import (
    AnswerCame,
    Confirmed,
    Ended,
    Informed,
    OfferDue,
    Offered,
    OfferRefused,
    Progressed,
    TransferAsked,
    TransferTold,
)
from gateway.wire.sip.transactions import Asked
from gateway.wire.sip.uri import SipUri

__all__ = [
    "Called",
    "Event",
    "Find",
    "Heard",
    "Outgoing",
    "Passed",
    "Reach",
    "Refused",
    "Replied",
    "Send",
    "SessionSaid",
]

# -- to be done -----------------------------------------------------------------------------------------


class Send(NamedTuple):
    """Send this. If the flow cannot carry it any more: `UserAgent.broken`."""

    data: bytes
    flow: Flow


class Find(NamedTuple):
    """Ask the DNS where this is, and tell by `UserAgent.found`. `errand`: its number."""

    errand: int
    uri: SipUri


class Reach(NamedTuple):
    """Find or open a flow to there, and tell by `UserAgent.reached`.

    `local`: where the session's requests come from, as far as there is a way from there; None: from where there is one.
    """

    errand: int
    target: Target
    local: Address | None = None


Outgoing = Send | Find | Reach

# -- what happened --------------------------------------------------------------------------------------


class Called(NamedTuple):
    """Somebody calls: `UserAgent.take` it, `refuse` it or `drop` it. `asked.flow`: where our answers go, and so where
    it came from, but for the port of those who do not want answers there.
    """

    asked: Asked


class Refused(NamedTuple):
    """A call that came was refused, and it is nobody's decision: nothing of ours could take it, or we drain.

    `request`: None where it could not be read. `flow`: as in `Called`.
    """

    request: Request | None
    response: Response
    flow: Flow


Heard = (
    Progressed
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
"""What a session says that is no message to send."""


class SessionSaid(NamedTuple):
    session: Session
    word: Heard


class Replied(NamedTuple):
    """The final response to what was `UserAgent.ask`ed, the same `request`. Our own 408: nobody answered; our own 503:
    it could not be sent, or there is no such place.
    """

    request: Request
    response: Response


class Passed(NamedTuple):
    """A message of a session came, or is to be sent now; each of those that are sent again, too."""

    session: Session
    sent: bool
    message: Request | Response
    flow: Flow


Event = Called | Refused | SessionSaid | Replied | Passed

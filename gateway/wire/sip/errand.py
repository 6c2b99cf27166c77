"""A request of ours on its way, and what may become of it. `errands` has it go."""

from typing import NamedTuple

from gateway.wire.sip.agent_words import Find, Reach
from gateway.wire.sip.failover import Failover
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session import Session
from gateway.wire.sip.steps import OVER
from gateway.wire.sip.transactions import ClientKey

__all__ = ["Acknowledgement", "Errand", "ErrandWord", "Outcome"]


class Errand:
    """`request`: as it was asked, without a Via. `session`: whose it is; None: it was asked outside of any.

    `sent`: as it went last, by `flow`, as the transaction `key`.
    """

    def __init__(self, number: int, request: Request, session: Session | None) -> None:
        self.number = number
        self.request = request
        self.session = session
        self.failover = Failover(())
        self.sent: Request | None = None
        self.flow: Flow | None = None
        self.key: ClientKey | None = None
        self.acks: list[Errand] = []  # of an INVITE: one for each place that took it
        self.patient_until = 0.0

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for it: who called has hung up. What has not been sent need not be."""
        session = self.session
        return self.request.method == "INVITE" and session is not None and session.state == OVER


class Acknowledgement(NamedTuple):
    """Send this ACK, which is no transaction's."""

    errand: Errand
    message: Request
    flow: Flow


class Outcome(NamedTuple):
    """What came of an errand: a response, provisional ones too, or what stands for none."""

    errand: Errand
    response: Response


ErrandWord = Find | Reach | Acknowledgement | Outcome

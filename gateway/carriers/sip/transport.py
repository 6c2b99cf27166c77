"""What the sockets of SIP tell whoever uses them."""

from typing import Protocol

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.message import Request, Response

__all__ = ["Message", "TransportUser", "Unreachable"]

Message = Request | Response | SipSyntaxError


class Unreachable(Exception):
    """Nothing can be sent there: no connection, no certificate of its name, no socket of its kind. The text says why."""


class TransportUser(Protocol):
    """The user agent, as transports see it. Synchronous, quick, and raises nothing."""

    def admits(self, flow: Flow) -> bool:
        """Whether what comes by this flow is to be read."""

    def turned_away(self, first_line: bytes, flow: Flow) -> None:
        """What was not admitted began so; empty behind TLS. It was dropped, and its connection is closed."""

    def flooded(self, flow: Flow) -> None:
        """More came by this flow than there is time for, and was dropped unread."""

    def received(self, message: Message, flow: Flow) -> None:
        """A message, or one that cannot be read: it has the status to answer with, if there is to be an answer."""

    def broken(self, flow: Flow, why: str) -> None:
        """Nothing that is sent by this flow arrives any more. Told once of a connection; of a UDP flow as it happens."""

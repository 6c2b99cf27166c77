"""The end of a session, as it tells the other side why. A core."""

from collections.abc import Iterator
from typing import Final

from gateway.wire.sip.reasons import reason_of
from gateway.wire.sip.session import Session
from gateway.wire.sip.values import Reason

__all__ = ["part"]

# RFC 3261 §21.4.18: for who rang, where nothing went wrong, and nobody has answered.
_UNANSWERED: Final = 480
_CLEARED: Final = Reason("Q.850", 16, "Normal call clearing")


def part(session: Session, status: int, now: float) -> None:
    """End it, however far it is; harmless when it is over. `status`: 200 where all went well.

    It refuses an INVITE of theirs; a BYE or a CANCEL says it as its Reason (RFC 3326).
    """
    if session.state == "invited":
        session.refuse(status if status >= 300 else _UNANSWERED, now)
    else:
        session.hang_up(now, tuple(_reasons(session, status)))


def _reasons(session: Session, status: int) -> Iterator[Reason]:
    """A CANCEL that all is well says nothing: with 200, phones take a call for answered elsewhere, not for missed."""
    if status >= 300:
        yield Reason("SIP", status, reason_of(status))
    elif session.state != "inviting":
        yield _CLEARED

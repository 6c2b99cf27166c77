"""What calls that came were answered, for the operator: each is counted, and those that nobody took are in the log."""

from typing import Final

import structlog

from gateway.carriers.sip.told import plain_text
from gateway.telemetry.metrics import Metrics
from gateway.wire.sip.message import Response
from gateway.wire.sip.strangers import TokenBuckets

__all__ = ["Answers"]

# Lines a second and at once, of each trunk: who is refused tries again, and all that is wrong of his is wrong again.
_LINES: Final = (1.0, 10)


class Answers:
    """Tell it of each final answer to an INVITE that began, or would have begun, a call; once."""

    def __init__(self, metrics: Metrics, log: structlog.typing.FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log
        self._lines = TokenBuckets(*_LINES)

    def count(self, status: int) -> None:
        """Of a call that was taken, or of whose refusal the log knows already."""
        self._metrics.sip_invites.labels(status=str(status)).inc()

    def refused(self, trunk: str | None, status: int, reason: str, now: float) -> None:
        """Nobody took the call, and nobody else tells of it. `trunk`: None: nobody knows whose it was."""
        self.count(status)
        if self._lines.take(trunk or "", now):
            self._log.info("call.refused", trunk=trunk, status=status, reason=plain_text(reason))

    def refused_with(self, response: Response, trunk: str | None, now: float) -> None:
        """The same, by the user agent itself, which says why."""
        reason = ", ".join([response.reason, *response.headers.rows("Unsupported")])
        self.refused(trunk, response.status, reason, now)

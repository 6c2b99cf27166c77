"""Keeping a connection open that we dialled, and finding out that it is not. RFC 5626 §3.5.1, §4.4.1. A core."""

from typing import Final, Literal

__all__ = ["StreamKeepalive"]

# RFC 5626 §4.4.1 says 95 to 120 s; the NATs of home routers and of AWS forget a silent connection after 350 s.
_SILENCE_S: Final = 95.0
_PATIENCE_S: Final = 10.0  # RFC 5626 §4.4.1


class StreamKeepalive:
    """Asks after silence. Who has answered once and does not any more is gone; who never did may not know how to."""

    def __init__(self, now: float) -> None:
        self._ask_at = now + _SILENCE_S
        self._gone_at: float | None = None
        self._answers = False

    def heard(self, now: float, *, answer: bool) -> None:
        """Something came; `answer`: a CRLF."""
        self._ask_at = now + _SILENCE_S
        self._gone_at = None
        self._answers |= answer

    def advance(self, now: float) -> Literal["ask", "gone"] | None:
        """What is to be done: "ask" with `Keepalive.PING`, or close what is "gone"."""
        if self._gone_at is not None and now >= self._gone_at:
            return "gone"
        if now < self._ask_at:
            return None
        self._ask_at = now + _SILENCE_S
        if self._answers:
            self._gone_at = now + _PATIENCE_S
        return "ask"

    @property
    def deadline(self) -> float:
        """When `advance` has something to do."""
        return self._ask_at if self._gone_at is None else min(self._gone_at, self._ask_at)

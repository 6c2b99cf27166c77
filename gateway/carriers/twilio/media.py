"""`/twilio/media/{token}`: from an upgrade that is checked to a leg that a call can be made of."""

from collections.abc import Awaitable, Callable, Mapping

import trio

from gateway.carriers.twilio import signature
from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.net.doors import Answer, Head
from gateway.net.websocket import WebSocket

__all__ = ["PATH", "MediaRoute"]

PATH = "/twilio/media/"

FORBIDDEN = Answer(403, b"")
POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1


class MediaRoute:
    """Streams of calls that `TwilioCalls` knows.

    `host(leg, incoming)` has the call, as long as it lasts. `on_refused(kind)` counts the upgrades that are
    turned away.
    """

    def __init__(
        self,
        check: SignatureCheck,
        calls: TwilioCalls,
        host: Callable[[TwilioLeg, IncomingCall], Awaitable[None]],
        *,
        destinations: Mapping[str, str],
        rest: TwilioRest | None,
        on_refused: Callable[[str], None],
        on_zombie: Callable[[str, str], None],
    ) -> None:
        self._check = check
        self._calls = calls
        self._host = host
        self._destinations = destinations
        self._rest = rest
        self._on_refused = on_refused
        self._on_zombie = on_zombie

    def refuse(self, head: Head) -> Answer | None:
        """What is wrong with an upgrade, before it costs us anything (CVE-2026-32062)."""
        kind = self._fault(head)
        if kind is None:
            return None
        self._on_refused(kind)
        return FORBIDDEN

    def _fault(self, head: Head) -> str | None:
        if head.header("origin") is not None:  # a browser; Twilio sends none
            return "origin"
        signed = head.header(signature.HEADER)
        if not signed:
            return "unsigned"
        if not self._check.accepts_upgrade(head.target, signed):
            return "signature"
        if not self._calls.knows(_token(head), trio.current_time()):
            return "token"
        return None

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        """One stream, until its call has ended. Raises what `host` raises."""
        stream = self._calls.begin(_token(head), trio.current_time())
        if stream is None:  # of two upgrades with one token, both of them checked, this is the second
            self._on_refused("token")
            await websocket.aclose(POLICY_VIOLATION, "")
            return
        leg = TwilioLeg(
            stream,
            websocket,
            self._calls,
            destinations=self._destinations,
            rest=self._rest,
            on_zombie=self._on_zombie,
        )
        try:
            await self._host(leg, stream.incoming)
        finally:
            self._calls.abandon(stream)
            leg.release()


def _token(head: Head) -> str:
    return head.path.removeprefix(PATH)

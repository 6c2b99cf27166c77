"""All that Twilio asks of us, as routes of the public door."""

import random
import secrets as tokens
from collections.abc import Awaitable, Callable, Mapping, Sequence

import httpx
import structlog
import trio

from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.media import PATH as MEDIA_PATH
from gateway.carriers.twilio.media import MediaRoute
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.twiml import connect_stream
from gateway.carriers.twilio.webhooks import AfterRoute, SignedForms, StatusRoute, VoiceRoute
from gateway.contracts import CallLeg
from gateway.incoming import Admission, NewCall
from gateway.net.doors import PostRoute, UpgradeRoute
from gateway.telemetry.metrics import Metrics

__all__ = ["TwilioDoor"]


class TwilioDoor:
    """`admit` says whether a call is taken, `host` has it as long as it lasts.

    `auth_tokens`: the primary one first. `account_sid` and `client`: for Twilio's REST API; without them calls are
    ended by TwiML alone.
    """

    def __init__(
        self,
        auth_tokens: Sequence[str],
        public_url: str,
        *,
        admit: Callable[[NewCall], Admission],
        host: Callable[[CallLeg, NewCall], Awaitable[None]],
        destinations: Mapping[str, str],
        account_sid: str | None,
        client: httpx.AsyncClient | None,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._host = host
        self._metrics = metrics
        self._log = log
        url = PublicUrl(public_url)
        check = SignatureCheck(auth_tokens, url)
        self._calls = calls = TwilioCalls(
            lambda incoming: admit(_new_call(incoming)),
            lambda token: _connect(url, token),
            lambda: tokens.token_urlsafe(16),
        )
        rest = None
        if account_sid is not None and client is not None:
            rest = TwilioRest(account_sid, auth_tokens[0], client, random.Random())
        forms = SignedForms(check, self._refused)
        media = MediaRoute(
            check,
            calls,
            self._hosts,
            destinations=destinations,
            rest=rest,
            on_refused=self._refused,
            on_zombie=lambda sid, detail: log.error("call.not_ended", carrier_call=sid, detail=detail),
        )
        self.posts: Mapping[str, PostRoute] = {
            "/twilio/voice": VoiceRoute(forms, calls),
            "/twilio/after": AfterRoute(forms, calls),
            "/twilio/status": StatusRoute(forms, calls, self._stream_reported),
        }
        self.upgrades: Mapping[str, UpgradeRoute] = {MEDIA_PATH: media}

    def coming(self) -> int:
        """How many callers have been let in, and not begun to stream."""
        return self._calls.waiting(trio.current_time())

    async def _hosts(self, leg: TwilioLeg, incoming: IncomingCall) -> None:
        await self._host(leg, _new_call(incoming))

    def _refused(self, kind: str) -> None:
        self._metrics.signature_failures.labels(carrier="twilio", kind=kind).inc()
        self._log.warning("request.refused", kind=kind)

    def _stream_reported(self, call_sid: str, event: str, error: str) -> None:
        if error:
            self._log.warning("stream.failed", carrier_call=call_sid, twilio_event=event, detail=error)


def _new_call(incoming: IncomingCall) -> NewCall:
    return NewCall(
        carrier="twilio",
        carrier_call=incoming.call_sid,
        caller=incoming.caller,
        called=incoming.called,
    )


def _connect(url: PublicUrl, token: str) -> str:
    return connect_stream(
        action_url=url.http("/twilio/after"),
        stream_url=url.websocket(f"{MEDIA_PATH}{token}"),
        status_url=url.http("/twilio/status"),
    )

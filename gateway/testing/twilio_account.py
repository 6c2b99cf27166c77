"""An account at the fake Twilio: its credentials, where its gateway is, and how Twilio decides what nobody documents."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urljoin, urlsplit

import trio

from gateway.testing.twilio_requests import Answer, WebhookFailed, post_form, sign
from gateway.testing.twilio_twiml import TwimlInvalid

__all__ = ["TwilioAccount"]

WEBHOOK_S = 15  # connecting, asking and reading together

INVALID_STREAM_URL = 31922
NOT_THE_GATEWAY = 11210  # "HTTP bad host name"

_WEBSOCKET_SCHEMES = {"https": "wss", "http": "ws"}


@dataclass(frozen=True, kw_only=True)
class TwilioAccount:
    """`public_url`: the gateway's origin, as configured there. `dial`: opens a byte stream to its public door.

    `voice_path`, `status_path`, `fallback_path`: what the account's number is configured with.
    `action_follows_loss`: whether Twilio asks the action of a `<Connect>` whose socket was lost or never stood, or
    ends the call; `action_follows_hang_up`: whether it asks it when the caller hung up. Neither is documented.
    `dial_status`: how every `<Dial>` ends.
    """

    account_sid: str
    auth_token: str
    public_url: str
    dial: Callable[[], Awaitable[trio.abc.Stream]]
    voice_path: str = "/twilio/voice"
    status_path: str | None = None
    fallback_path: str | None = None
    action_follows_loss: bool = True
    action_follows_hang_up: bool = False
    dial_status: str = "completed"
    random: Random = field(default_factory=Random)

    def new_sid(self, prefix: str) -> str:
        return prefix + self.random.randbytes(16).hex()

    def new_first_timestamp_ms(self) -> int:
        """Where a media clock begins: as recorded, after some 100 ms and never on a frame's border."""
        return 20 * self.random.randrange(5, 9) + self.random.randrange(1, 20)

    def url(self, reference: str) -> str:
        """The absolute URL of what TwiML refers to. Raises `TwimlInvalid` when that is not the gateway."""
        url = urljoin(self.public_url, reference)
        if urlsplit(url)[:2] != urlsplit(self.public_url)[:2]:
            raise TwimlInvalid(NOT_THE_GATEWAY, f"{url} is not at {self.public_url}")
        return url

    def stream_url(self, reference: str) -> str:
        """The URL that Twilio connects to, and signs: it strips the query. Raises `TwimlInvalid`."""
        public = urlsplit(self.public_url)
        scheme = _WEBSOCKET_SCHEMES[public.scheme]
        parts = urlsplit(urljoin(f"{scheme}://{public.netloc}", reference))
        if parts[:2] != (scheme, public.netloc):
            raise TwimlInvalid(
                INVALID_STREAM_URL, f"{reference} does not start with {scheme}://{public.netloc}"
            )
        return f"{scheme}://{public.netloc}{parts.path or '/'}"

    def signature(self, url: str, form: Mapping[str, str] | None = None) -> tuple[str, str]:
        """The header that proves that a request is Twilio's."""
        return ("X-Twilio-Signature", sign(self.auth_token, url, form))

    async def post(self, url: str, form: Mapping[str, str], idempotency_token: str) -> Answer:
        """Ask the gateway as Twilio does, on a connection of its own. Raises `WebhookFailed`."""
        headers = [self.signature(url, form), ("I-Twilio-Idempotency-Token", idempotency_token)]
        with trio.move_on_after(WEBHOOK_S):
            try:
                stream = await self.dial()
            except OSError as error:
                raise WebhookFailed(11205, f"{urlsplit(url).path}: {error}") from error
            try:
                return await post_form(stream, url, form, headers)
            finally:
                await trio.aclose_forcefully(stream)
        raise WebhookFailed(11205, f"{urlsplit(url).path}: no answer in {WEBHOOK_S} s")

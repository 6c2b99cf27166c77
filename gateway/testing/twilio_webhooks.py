"""What Twilio asks of the gateway in one call, and what it was answered."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from gateway.testing.twilio_account import TwilioAccount
from gateway.testing.twilio_requests import Answer, WebhookFailed
from gateway.testing.twilio_twiml import Verb, parse_twiml

__all__ = ["Exchange", "Webhooks"]

HTTP_RETRIEVAL_FAILURE = 11200
INVALID_CONTENT_TYPE = 12300

_XML_TYPES = {"text/xml", "application/xml", "text/html"}


class Exchange(msgspec.Struct, frozen=True):
    """A request of Twilio's to the gateway; `answer` is None where there was none."""

    url: str
    form: dict[str, str]
    answer: Answer | None


class Webhooks:
    """The requests of one call, in the order of their answers."""

    def __init__(self, account: TwilioAccount, *, call_sid: str, from_: str, to: str) -> None:
        self.exchanges: list[Exchange] = []
        self._account = account
        self._call_sid = call_sid
        self._from = from_
        self._to = to

    async def fetch(
        self, url: str, call_status: str, extra: Mapping[str, str], deliveries: int = 1
    ) -> tuple[Verb, ...]:
        """The TwiML at a URL. Raises `WebhookFailed`, and `TwimlInvalid` for what Twilio would not take.

        `deliveries`: ask so often, as a retry does, and follow the last answer.
        """
        form = {**self.form(call_status), **extra}
        token = self._idempotency_token()
        for _ in range(deliveries):
            answer = await self._post(url, form, token)
        if answer.content_type.partition(";")[0].strip().lower() not in _XML_TYPES:
            detail = f"{url} answered with {answer.content_type or 'no content type'}"
            raise WebhookFailed(INVALID_CONTENT_TYPE, detail)
        return parse_twiml(answer.body)

    async def notify(self, url: str, form: Mapping[str, str]) -> None:
        """A request whose answer nobody follows. Raises `WebhookFailed`."""
        await self._post(url, dict(form), self._idempotency_token())

    def form(self, call_status: str) -> dict[str, str]:
        """Twilio's standard parameters; the empty ones are really sent, and signed."""
        form = {
            "AccountSid": self._account.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self._call_sid,
            "CallStatus": call_status,
            "Direction": "inbound",
            "StirVerstat": "TN-Validation-Passed-A",
        }
        for number, names in ((self._from, ("From", "Caller")), (self._to, ("To", "Called"))):
            for name in names:
                form |= {name: number, f"{name}City": "", f"{name}Zip": ""}
                form |= {f"{name}State": "CA", f"{name}Country": "US"}
        return form

    async def _post(self, url: str, form: dict[str, str], token: str) -> Answer:
        answer = None
        try:
            answer = await self._account.post(url, form, token)
        finally:
            self.exchanges.append(Exchange(url, form, answer))
        if not 200 <= answer.status < 300:
            raise WebhookFailed(HTTP_RETRIEVAL_FAILURE, f"{url} answered {answer.status}")
        return answer

    def _idempotency_token(self) -> str:
        return str(UUID(bytes=self._account.random.randbytes(16), version=4))

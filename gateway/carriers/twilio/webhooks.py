"""The three URLs that Twilio asks: how to take a call, how to go on after a stream, and what it tells us."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import trio

from gateway.carriers.twilio import signature, twiml
from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.net.doors import Answer, Head

__all__ = ["AfterRoute", "SignedForms", "StatusRoute", "VoiceRoute"]

FORM = "application/x-www-form-urlencoded"
MOST_BODY_BYTES = 64 * 1024
MOST_FIELDS = 200  # Twilio sends some 40, and one for each header of a SIP caller

_CALL_SID = re.compile(r"CA[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]{1,6}", re.ASCII)

FORBIDDEN = Answer(403, b"")


class SignedForms:
    """What all webhooks demand. `on_refused(kind)` counts those that are turned away, all with the same 403."""

    def __init__(self, check: SignatureCheck, on_refused: Callable[[str], None]) -> None:
        self._check = check
        self._on_refused = on_refused

    def refuse(self, head: Head) -> Answer | None:
        """What can be said before the body is read."""
        kind = _fault(head)
        return None if kind is None else self._forbid(kind)

    def read(self, head: Head, body: bytes) -> Mapping[str, str] | Answer:
        """The fields of a form that Twilio signed; of a repeated field the first."""
        try:
            fields = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
            )
        except ValueError:  # too many, no ASCII, or escapes that are no UTF-8
            return self._forbid("form")
        if not self._check.accepts_form(head.target, fields, head.header(signature.HEADER) or ""):
            return self._forbid("signature")
        form = dict(reversed(fields))
        if not _CALL_SID.fullmatch(form.get("CallSid", "")):
            return self._forbid("form")
        if not _ACCOUNT_SID.fullmatch(form.get("AccountSid", "")):
            return self._forbid("form")
        return form

    def _forbid(self, kind: str) -> Answer:
        self._on_refused(kind)
        return FORBIDDEN


def _fault(head: Head) -> str | None:
    if head.method != "POST":
        return "method"
    if (head.header("content-type") or "").partition(";")[0].strip().lower() != FORM:
        return "content_type"
    length = head.header("content-length") or ""
    if not _DECIMAL.fullmatch(length) or int(length) > MOST_BODY_BYTES:
        return "content_length"
    if not head.header(signature.HEADER):
        return "unsigned"
    return None


class VoiceRoute:
    """`POST /twilio/voice`: a call comes in."""

    def __init__(self, forms: SignedForms, calls: TwilioCalls) -> None:
        self._forms = forms
        self._calls = calls

    def refuse(self, head: Head) -> Answer | None:
        return self._forms.refuse(head)

    async def answer(self, head: Head, body: bytes) -> Answer:
        form = self._forms.read(head, body)
        if isinstance(form, Answer):
            return form
        return _twiml(self._calls.voice(_incoming(form), trio.current_time()))


class AfterRoute:
    """`POST /twilio/after`: a stream is over, or could not be had."""

    def __init__(self, forms: SignedForms, calls: TwilioCalls) -> None:
        self._forms = forms
        self._calls = calls

    def refuse(self, head: Head) -> Answer | None:
        return self._forms.refuse(head)

    async def answer(self, head: Head, body: bytes) -> Answer:
        form = self._forms.read(head, body)
        if isinstance(form, Answer):
            return form
        status = form.get("CallStatus", "")
        return _twiml(self._calls.after(_incoming(form), status, trio.current_time()))


class StatusRoute:
    """`POST /twilio/status`: a call or a stream has changed. A hint: it comes early, late, twice or never.

    `on_stream(call_sid, event, error)`: "stream-started", "stream-stopped" or "stream-error".
    """

    def __init__(
        self, forms: SignedForms, calls: TwilioCalls, on_stream: Callable[[str, str, str], None]
    ) -> None:
        self._forms = forms
        self._calls = calls
        self._on_stream = on_stream

    def refuse(self, head: Head) -> Answer | None:
        return self._forms.refuse(head)

    async def answer(self, head: Head, body: bytes) -> Answer:
        form = self._forms.read(head, body)
        if isinstance(form, Answer):
            return form
        self._calls.status(form["CallSid"], form.get("CallStatus", ""))
        if "StreamEvent" in form:
            self._on_stream(form["CallSid"], form["StreamEvent"], form.get("StreamError", ""))
        return Answer(204, b"")


def _incoming(form: Mapping[str, str]) -> IncomingCall:
    return IncomingCall(
        call_sid=form["CallSid"],
        account_sid=form["AccountSid"],
        caller=form.get("From", ""),
        called=form.get("To", ""),
        params=form,
    )


def _twiml(document: str) -> Answer:
    return Answer(200, document.encode(), twiml.CONTENT_TYPE)

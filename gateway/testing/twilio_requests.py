"""How Twilio asks: a signed form, posted over a byte stream."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

import h11
import msgspec
import trio

from gateway.testing.twilio_twiml import MAX_TWIML_BYTES

__all__ = ["Answer", "WebhookFailed", "post_form", "sign"]


class Answer(msgspec.Struct, frozen=True):
    """What the gateway answered. `body`: no more than Twilio would read of a document, and one chunk."""

    status: int
    content_type: str
    body: bytes


class WebhookFailed(Exception):
    """The gateway gave no usable answer. `code`: Twilio's error code for it."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def sign(auth_token: str, url: str, parameters: Mapping[str, str] | None = None) -> str:
    """`X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL and the form, sorted by name.

    For the upgrade of a WebSocket the URL begins with wss (or ws) and there is no form.
    https://www.twilio.com/docs/usage/security, "Validating requests".
    """
    text = url + "".join(name + value for name, value in sorted((parameters or {}).items()))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


async def post_form(
    stream: trio.abc.Stream, url: str, form: Mapping[str, str], headers: Sequence[tuple[str, str]]
) -> Answer:
    """Post a form and read the answer. The stream is used up, and closing it is the caller's business.

    Raises `WebhookFailed` when the peer speaks no HTTP or goes away; no deadline of its own.
    """
    parts = urlsplit(url)
    body = urlencode(form).encode()
    request = h11.Request(
        method="POST",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=[
            ("Host", parts.netloc),
            ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("Content-Length", str(len(body))),
            ("User-Agent", "TwilioProxy/1.1"),
            ("Accept", "*/*"),
            ("Connection", "close"),
            *headers,
        ],
    )
    connection = h11.Connection(h11.CLIENT)
    try:
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            data = connection.send(event)
            if data:
                await stream.send_all(data)
        return await _read_answer(stream, connection)
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
        raise WebhookFailed(11200, f"{urlsplit(url).path}: {error or type(error).__name__}") from error


async def _read_answer(stream: trio.abc.Stream, connection: h11.Connection) -> Answer:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            case h11.Response() as head:
                pass
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage() | h11.ConnectionClosed():
                break
        if len(body) > MAX_TWIML_BYTES:
            break
    assert head is not None  # h11 gives a response before data and end
    kind = dict(head.headers).get(b"content-type", b"").decode("latin-1")
    return Answer(head.status_code, kind, bytes(body))

"""A gateway of one page, on memory streams: answers webhooks by a script and hands sockets to a function."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import trio
import trio.testing
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no stubs exist

from gateway.net.tasks import open_tasks
from gateway.net.websocket import WebSocket, WebSocketClosed, accept
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.twilio_caller import Caller

ORIGIN = "https://gateway.example"
ACCOUNT_SID = "AC" + "1" * 32
TOKEN = "the auth token"
CONNECT = (
    '<Response><Connect action="/after"><Stream url="wss://gateway.example/media/t1"/></Connect></Response>'
)
HANGUP = "<Response><Hangup/></Response>"


@dataclass
class Post:
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    signed: bool


@dataclass
class GatewayDouble:
    """`pages`: TwiML by path, or a status; a list is used up one by one. `media`: what happens on a socket."""

    pages: Mapping[str, str | int | list[str]]
    media: Callable[[WebSocket], Awaitable[None]]
    stream_pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = trio.testing.memory_stream_pair
    posts: list[Post] = field(default_factory=list)
    upgrades: list[tuple[str, bool]] = field(default_factory=list)  # path, and whether it was signed for wss
    closed: list[int] = field(default_factory=list)  # the code by which each socket ended
    streams: list[trio.abc.Stream] = field(default_factory=list)
    nursery: trio.Nursery | None = None

    async def dial(self) -> trio.abc.Stream:
        assert self.nursery is not None
        twilio_end, our_end = self.stream_pair()
        self.streams.append(our_end)
        self.nursery.start_soon(self._serve, our_end)
        return twilio_end

    async def _serve(self, stream: trio.abc.Stream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        request, *lines = head.decode().split("\r\n")
        method, path, _ = request.split()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if method == "GET":
            await self._upgrade(stream, path, headers, data)
            return
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some()
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        validator = RequestValidator(TOKEN)
        signed = validator.validate(ORIGIN + path, form, headers["x-twilio-signature"])
        self.posts.append(Post(path, form, headers, signed))
        await self._answer(stream, path)

    async def _answer(self, stream: trio.abc.Stream, path: str) -> None:
        page = self.pages.get(path, 404)
        if isinstance(page, list):
            page = page.pop(0)
        if page == "never":
            await trio.sleep_forever()
        status, text = (page, "") if isinstance(page, int) else (200, page)
        await stream.send_all(
            f"HTTP/1.1 {status} OK\r\nContent-Type: text/xml; charset=utf-8\r\n"
            f"Content-Length: {len(text.encode())}\r\n\r\n{text}".encode()
        )
        await stream.aclose()

    async def _upgrade(
        self, stream: trio.abc.Stream, path: str, headers: dict[str, str], head: bytes
    ) -> None:
        expected = RequestValidator(TOKEN).compute_signature(f"wss://gateway.example{path}", {})
        self.upgrades.append((path, headers["x-twilio-signature"] == expected))
        if self.pages.get(path) == 403:
            await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await stream.aclose()
            return
        async with accept(stream, head=head, ping_every_s=None) as websocket:
            try:
                await self.media(websocket)
            except WebSocketClosed as closed:
                self.closed.append(closed.code)

    @asynccontextmanager
    async def called_by_twilio(self, **settings: Any) -> AsyncIterator[FakeTwilio]:
        settings = {"dial": self.dial, "voice_path": "/voice", **settings}
        account = TwilioAccount(account_sid=ACCOUNT_SID, auth_token=TOKEN, public_url=ORIGIN, **settings)
        async with open_tasks() as self.nursery:
            async with FakeTwilio(account) as twilio:
                yield twilio
            self.nursery.cancel_scope.cancel()


CALLER, CALLED = "+15550100001", "+15550100002"


def ring(twilio: FakeTwilio, **options: Any) -> AbstractAsyncContextManager[Caller]:
    return twilio.call(from_=CALLER, to=CALLED, **options)

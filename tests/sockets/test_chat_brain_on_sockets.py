"""The brain of the embedded voice over TCP and TLS."""

import functools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
import trio
import trustme

from gateway.config import Secret
from gateway.testing.fake_chat import ChatReply, FakeChat
from gateway.testing.fake_chat_door import serve_chat
from gateway.voice.backends.chat_brain import ChatServer
from gateway.voice.backends.chat_endpoint import ChatEndpoint
from gateway.voice.embedded.brain import Decided, Failure, Thought, Words
from gateway.voice.embedded.chat_request import ChatRequest

KEY = "sk-canary-Zx81Kc4nN0b0dySaysThis"
HELLO = ChatRequest(messages=[{"role": "user", "content": "Hello"}])


class Served:
    """A server on this machine. `connections`: how many clients came, `open`: how many are there."""

    def __init__(self, chat: FakeChat) -> None:
        self.connections = 0
        self.open = 0
        self.port = 0
        self._chat = chat

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.open += 1
        try:
            await serve_chat(self._chat, stream)
        finally:
            self.open -= 1


@asynccontextmanager
async def served(chat: FakeChat, certificate: trustme.LeafCert | None = None) -> AsyncIterator[Served]:
    server = Served(chat)
    listeners: list[trio.abc.Listener[trio.abc.Stream]] = list(
        await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    server.port = listeners[0].socket.getsockname()[1]  # type: ignore[attr-defined]  # a socket's listener
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        listeners = [trio.SSLListener(listener, context) for listener in listeners]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(trio.serve_listeners, server.serve, listeners))
        yield server
        nursery.cancel_scope.cancel()


def server_at(port: int, scheme: str = "http") -> ChatServer:
    url = f"{scheme}://127.0.0.1:{port}/v1/chat/completions"
    return ChatServer(ChatEndpoint(url, "a-model", Secret(KEY)), structlog.get_logger())


async def until_closed(server: Served) -> None:
    while server.open:  # noqa: ASYNC110 - the other end of a socket tells nobody
        await trio.sleep(0.01)


async def test_answers_follow_each_other_on_one_connection():
    chat = FakeChat(["Good day. How can I help?", "At nine."], api_key=KEY)
    thoughts: list[Thought] = []

    with trio.fail_after(20):
        async with served(chat) as server:
            async with server_at(server.port).brain() as brain:
                for _ in range(2):
                    await brain.think(HELLO, thoughts.append)
            await until_closed(server)

    assert thoughts == [
        Words("Good day."),
        Words("How can I help?"),
        Decided(),
        Words("At nine."),
        Decided(),
    ]
    assert (server.connections, chat.broken_off) == (1, 0)


async def test_who_is_cancelled_closes_the_connection_at_once():
    chat = FakeChat([ChatReply(text="One. Two. Three.", token_s=5.0)])

    with trio.fail_after(4):
        async with served(chat) as server, server_at(server.port).brain() as brain:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(brain.think, HELLO, lambda _thought: None)
                while not server.open:  # noqa: ASYNC110 - the other end of a socket tells nobody
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
            await until_closed(server)

    assert chat.broken_off == 1


async def test_a_connection_that_breaks_is_a_failure():
    chat = FakeChat([ChatReply(text="One. Two. Three.", breaks_after=2)])
    thoughts: list[Thought] = []

    with trio.fail_after(20):
        async with served(chat) as server, server_at(server.port).brain() as brain:
            await brain.think(HELLO, thoughts.append)

    assert thoughts[0] == Words("One.")
    assert isinstance(thoughts[-1], Failure)
    assert thoughts[-1].message == "The server of the model: RemoteProtocolError"


async def test_a_port_that_nobody_listens_at_is_a_failure():
    thoughts: list[Thought] = []

    with trio.fail_after(20):
        async with served(FakeChat()) as server:
            pass  # and is gone again
        async with server_at(server.port).brain() as brain:
            await brain.think(HELLO, thoughts.append)

    assert [type(thought) for thought in thoughts] == [Failure]


async def test_a_certificate_that_is_not_trusted_gets_no_key():
    chat = FakeChat(["Good day."])
    thoughts: list[Thought] = []

    with trio.fail_after(20):
        async with served(chat, trustme.CA().issue_cert("127.0.0.1")) as server:
            async with server_at(server.port, "https").brain() as brain:
                await brain.think(HELLO, thoughts.append)

    assert [type(thought) for thought in thoughts] == [Failure]
    assert chat.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_is_told_nothing(monkeypatch: pytest.MonkeyPatch, variable: str):
    thoughts: list[Thought] = []

    with trio.fail_after(20):
        async with served(FakeChat(["Yes."])) as server, served(FakeChat()) as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            async with server_at(server.port).brain() as brain:
                await brain.think(HELLO, thoughts.append)

    assert thoughts == [Words("Yes."), Decided()]
    assert proxy.connections == 0

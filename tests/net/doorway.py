"""A door with one route of each kind, and what a visitor gets from it over a memory stream."""

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from gateway.net.doors import Answer, Door, Head
from gateway.net.websocket import WebSocket
from tests.net.raw_peer import is_closed, read_all


class Echo:
    """Answers a POST with its body, and returns what a WebSocket sends. Refuses who has no ticket."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[Head] = []

    def refuse(self, head: Head) -> Answer | None:
        self.heads.append(head)
        return None if head.header("X-Ticket") else Answer(403, b"no ticket")

    async def answer(self, head: Head, body: bytes) -> Answer:
        self.bodies.append(body)
        return Answer(200, body, "text/xml", (("X-Route", head.path),))

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        while True:
            await websocket.send(await websocket.receive())


class Broken:
    """Has a bug everywhere."""

    def refuse(self, head: Head) -> Answer | None:
        if head.query == "refuse":
            raise ZeroDivisionError
        return None

    async def answer(self, head: Head, body: bytes) -> Answer:
        return Answer(200, headers=(("X-Split", "a\r\nSet-Cookie: b"),))

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        raise ZeroDivisionError


def doorway(echo: Echo | None = None, *, max_open: int = 512) -> Door:
    echo = echo or Echo()
    return Door(
        {"/echo": echo, "/broken": Broken()}, {"/media/": echo, "/faulty/": Broken()}, max_open=max_open
    )


def post(
    body: bytes = b"a=b", *, path: str = "/echo", more: str = "X-Ticket: 1\r\n", announced: int | None = None
) -> bytes:
    length = len(body) if announced is None else announced
    return f"POST {path} HTTP/1.1\r\nHost: gateway\r\n{more}Content-Length: {length}\r\n\r\n".encode() + body


async def visit(
    door: Door, sent: bytes, *, then: Callable[[trio.abc.Stream], Awaitable[None]] | None = None
) -> str:
    """All that a visitor gets who sends this and then reads until the door closes; checks that it does."""
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(sent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.serve_stream, server)
        if then is not None:
            await then(client)
        received = await read_all(client)
    assert await is_closed(server)
    return received.decode("latin-1")

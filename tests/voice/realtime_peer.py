"""A server of the Realtime protocol in memory, of which a test says every word."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from gateway.config import Secret
from gateway.contracts import Agent, VoiceConnection
from gateway.net.websocket import WebSocket, WebSocketClosed, accept
from gateway.testing.realtime_schema import check_client_event
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from tests.net.raw_peer import read_head

AGENT = Agent(name="agent")
KEY = "sk-proj-" + "Canary0Key9" * 12  # longer than a close reason can be

Serve = Callable[[WebSocket], Awaitable[None]]


class Peer:
    """`serve`: what it does with a connection; `answer`: bytes that it says instead of accepting one.

    `heads`: the requests, as they came. `received`: every frame of a client, which must be an event of the GA.
    """

    def __init__(self, nursery: trio.Nursery, serve: Serve | None = None, *, answer: bytes = b"") -> None:
        self.heads: list[str] = []
        self.received: list[str] = []
        self.ga = True
        self._nursery = nursery
        self._serve = serve or self.listen
        self._answer = answer

    async def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._accept, theirs)
        return ours

    async def listen(self, websocket: WebSocket) -> None:
        """Only take what comes."""
        while True:
            event = await websocket.receive()
            assert isinstance(event, str)
            if self.ga:
                check_client_event(event)
            self.received.append(event)

    async def _accept(self, stream: trio.abc.Stream) -> None:
        head = await read_head(stream)
        self.heads.append(head.decode())
        if self._answer:
            await stream.send_all(self._answer)
            await stream.aclose()
            return
        try:
            async with accept(stream, head=head) as websocket:
                await self._serve(websocket)
        except WebSocketClosed:
            return

    def backend(self, **settings: Any) -> RealtimeBackend:
        return RealtimeBackend(RealtimeSettings(**settings), Secret(KEY), dial=self.dial)


@asynccontextmanager
async def peer(serve: Serve | None = None, *, answer: bytes = b"") -> AsyncIterator[Peer]:
    async with trio.open_nursery() as nursery:
        yield Peer(nursery, serve, answer=answer)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking_to(
    serve: Serve | None = None, *, answer: bytes = b"", **settings: Any
) -> AsyncIterator[tuple[VoiceConnection, Peer]]:
    """A connection of the backend to such a server."""
    async with peer(serve, answer=answer) as server:
        async with server.backend(**settings).connect(AGENT) as connection:
            yield connection, server


def saying(*messages: str | bytes, close: tuple[int, str] | None = None) -> Serve:
    """Says this at once, then closes, or takes what comes."""

    async def serve(websocket: WebSocket) -> None:
        for message in messages:
            await websocket.send(message)
        if close is not None:
            await websocket.aclose(*close)
        while True:
            await websocket.receive()

    return serve


def http(status: str, body: str = "", *headers: str) -> bytes:
    """An answer to the handshake that is no acceptance."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers])
    return f"{head}\r\n\r\n{body}".encode()

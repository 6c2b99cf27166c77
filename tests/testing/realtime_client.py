"""A client of a fake Realtime server, on streams in memory."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from gateway.contracts import SessionLost
from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, connect
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Fault
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from tests.voice.voice_caller import inline

URL = "wss://api.openai.example/v1/realtime?model=gpt-realtime"
KEY = (("Authorization", "Bearer sk-test"),)


def a_server(*faults: Fault, hears: tuple[str, ...] = (), **options: Any) -> FakeRealtime:
    return FakeRealtime(ScriptedBackend(ScriptedSettings(hears=hears), inline), faults, **options)


class Client:
    """A `VoiceConnection` of the plainest kind. `closed`: how it ended."""

    def __init__(self, websocket: WebSocket) -> None:
        self.closed: WebSocketClosed | None = None
        self._websocket = websocket

    async def send(self, event: str) -> None:
        await self._websocket.send(event)

    async def receive(self) -> str:
        try:
            event = await self._websocket.receive()
        except WebSocketClosed as closed:
            self.closed = closed
            raise SessionLost(str(closed)) from closed
        assert isinstance(event, str)
        return event

    async def types_until_closed(self) -> list[str]:
        found: list[str] = []
        while self.closed is None:
            try:
                found.append(json.loads(await self.receive())["type"])
            except SessionLost:
                continue
        return found


@asynccontextmanager
async def client_of(
    server: FakeRealtime, url: str = URL, headers: tuple[tuple[str, str], ...] = KEY
) -> AsyncIterator[Client]:
    """Somebody who has been let in by a server that runs."""
    async with connect(url, headers=headers, stream=await server.dial()) as websocket:
        yield Client(websocket)


async def refused_by(
    server: FakeRealtime, url: str = URL, headers: tuple[tuple[str, str], ...] = KEY
) -> WebSocketRefused:
    """The answer to somebody who is not let in."""
    async with running_server(server):
        try:
            async with client_of(server, url, headers):
                raise AssertionError("let in")
        except WebSocketRefused as refused:
            return refused
    raise AssertionError


@asynccontextmanager
async def running_server(server: FakeRealtime) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking_to(server: FakeRealtime, url: str = URL) -> AsyncIterator[Client]:
    async with running_server(server), client_of(server, url) as client:
        yield client

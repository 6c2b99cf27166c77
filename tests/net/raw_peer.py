"""The other end of a connection, byte by byte, so that a test controls what is sent and what is read."""

import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from gateway.net.websocket import WebSocket, accept

UPGRADE = (
    b"GET /media/token HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    """One WebSocket frame, masked with zeros as a client's must be. RFC 6455 §5.2."""
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        length = bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        length = bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        length = bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
    return bytes([(0x80 if final else 0) | opcode]) + length + (bytes(4) if masked else b"") + payload


def closing(code: int, reason: str = "") -> bytes:
    return struct.pack(">H", code) + reason.encode()


async def read_head(stream: trio.abc.Stream) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (data := await stream.receive_some()):
        received += data
    return received


async def read_all(stream: trio.abc.Stream) -> bytes:
    """Everything until the other end closes."""
    received = b""
    try:
        while data := await stream.receive_some():
            received += data
    except trio.BrokenResourceError:
        return received + b"<reset>"
    return received


async def is_closed(stream: trio.abc.Stream) -> bool:
    """Whether this end was given back."""
    try:
        await stream.send_all(b"")
    except (trio.ClosedResourceError, trio.BrokenResourceError):
        return True
    return False


def tasks_of(packages: Iterable[str] = ("gateway.", "trio_websocket.")) -> list[str]:
    """The names of all living tasks that some code of these packages runs in."""
    root = trio.lowlevel.current_root_task()
    waiting = [root] if root else []
    names = []
    while waiting:
        task = waiting.pop()
        names += [task.name for package in packages if task.name.startswith(package)]
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return names


@asynccontextmanager
async def accepted(**options: Any) -> AsyncIterator[tuple[WebSocket, trio.abc.Stream, trio.abc.Stream]]:
    """A WebSocket that was accepted, the raw client's stream, and the server's, which is checked to be closed."""
    client, server = trio.testing.memory_stream_pair()
    async with accept(server, head=UPGRADE, **options) as websocket:
        assert b" 101 " in await read_head(client)
        yield websocket, client, server
    assert tasks_of() == []
    assert await is_closed(server)

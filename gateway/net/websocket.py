"""WebSocket connections, both ends. The one file that knows trio-websocket.

The library does the protocol. The raw stream stays ours, because four things cannot be left to it: a send
that is cut short leaves half a frame on the wire, a close waits for the peer for ever, a handshake that
fails never returns, and what its reader raises would end more than its own connection.
"""

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11
import structlog
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from gateway.net.raw_stream import RawStream
from gateway.net.refusal import WebSocketRefused as WebSocketRefused
from gateway.net.refusal import read_refusal
from gateway.net.streams import dial

OPEN_S = 5
CLOSE_S = 2
PING_EVERY_S = 10
PONG_S = 5
# At 1, a ping waits behind a message that nobody has taken yet, and the peer hangs up on us.
QUEUE_MESSAGES = 64
RECEIVE_BYTES = 65536

ABNORMAL = 1006
PROTOCOL_ERROR = 1002
TOO_BIG = 1009
NOT_TRUSTED = 1015

log = structlog.get_logger()

Upgrade = Callable[[trio.Nursery], Awaitable[trio_websocket.WebSocketConnection]]


class WebSocketClosed(Exception):
    """The connection is gone. `code`: RFC 6455 §7.4.1; 1006 without a close frame, 1015 for a bad certificate."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WebSocket:
    """One open connection. Whoever holds it keeps receiving: a pong arrives behind messages not yet taken."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, raw: RawStream) -> None:
        self._connection = connection
        self._raw = raw

    async def receive(self) -> str | bytes:
        """The next message; those that came before the peer's close are still given. Raises `WebSocketClosed`."""
        try:
            return await self._connection.get_message()
        except trio_websocket.ConnectionClosed as error:
            raise self._closed(error) from None

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises `WebSocketClosed` when the peer is gone or does not read for 2 s.

        A send that is cancelled while the peer does not read ends the connection: part of a frame may have left.
        """
        try:
            await self._connection.send_message(message)
        except trio_websocket.ConnectionClosed as error:
            raise self._closed(error) from None

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait for the answer for at most 2 s, and give the socket back. Repeatable."""
        with self._raw.wait_at_most(CLOSE_S):
            await self._connection.aclose(code, reason)
            closed = self._connection.closed
            if closed is not None and closed.code != TOO_BIG:
                # The peer closed first, and the library, which is still answering, does not wait for itself.
                await trio.sleep_forever()
        self.release()

    def release(self) -> None:
        """Give the socket back at once. Never raises; harmless when repeated."""
        self._raw.end("released")

    def _closed(self, error: trio_websocket.ConnectionClosed) -> WebSocketClosed:
        code, reason = translate(error)
        return WebSocketClosed(code, self._raw.ended if code == ABNORMAL and self._raw.ended else reason)


@asynccontextmanager
async def accept(
    stream: trio.abc.Stream,
    *,
    head: bytes = b"",
    max_message_bytes: int = 64 * 1024,
    send_buffer_bytes: int | None = None,
    subprotocols: Collection[str] = (),
    ping_every_s: float | None = PING_EVERY_S,
) -> AsyncIterator[WebSocket]:
    """The server's end of a connection, open as long as the block. The stream is closed in the end.

    `head`: the request head if it was read from the stream before. `send_buffer_bytes`: how much the kernel
    may hold that the peer has not read. `subprotocols`: of those that the peer offers, the first one that is
    known here is spoken. Raises `WebSocketClosed` when the request is no good (the peer has its answer then)
    or the upgrade takes longer than 5 s.
    """
    raw = RawStream(stream, head)
    if send_buffer_bytes is not None:
        raw.limit_send_buffer(send_buffer_bytes)

    async def upgrade(library: trio.Nursery) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            library, raw, QUEUE_MESSAGES, max_message_bytes, RECEIVE_BYTES
        )
        raw.limit_fragments()
        offered = (name for name in request.proposed_subprotocols if name in subprotocols)
        return await request.accept(subprotocol=next(offered, None))

    async with _opened(raw, upgrade, ping_every_s) as websocket:
        yield websocket


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    ssl_context: ssl.SSLContext | None = None,
    stream: trio.abc.Stream | None = None,
    max_message_bytes: int = 1 << 20,
    ping_every_s: float | None = PING_EVERY_S,
) -> AsyncIterator[WebSocket]:
    """The client's end of a connection, open as long as the block.

    `stream`: an open way to the server, with TLS where the URL says so; otherwise the server is dialled.
    Raises `WebSocketRefused` when the server answers with another status; `WebSocketClosed` when it cannot
    be reached, cannot be trusted (1015), or takes 5 s to let us in; `ValueError` for a URL or a header that
    cannot be sent.
    """
    target = urlsplit(url)
    if target.scheme not in ("ws", "wss") or not target.hostname:
        raise ValueError("a WebSocket URL starts with ws:// or wss:// and names a host")
    extra_headers = [_sendable(name, value) for name, value in headers]
    if stream is None:
        tls = (ssl_context or _system_trust()) if target.scheme == "wss" else None
        try:
            with trio.fail_after(OPEN_S):
                stream = await dial(target.hostname, target.port, tls)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise WebSocketClosed(*translate(error)) from error
    raw = RawStream(stream, keeps_answer=True)

    async def upgrade(library: trio.Nursery) -> trio_websocket.WebSocketConnection:
        return await trio_websocket.wrap_client_stream(
            library,
            raw,  # type: ignore[arg-type]  # annotated as a socket, used as a stream
            host=target.netloc.rpartition("@")[2],
            resource=(target.path or "/") + (target.query and f"?{target.query}"),
            extra_headers=extra_headers,
            message_queue_size=QUEUE_MESSAGES,
            max_message_size=max_message_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )

    async with _opened(raw, upgrade, ping_every_s) as websocket:
        yield websocket


def translate(error: Exception) -> tuple[int, str]:
    """Close code and reason for what the library, the stream or the network raised: the one mapping."""
    if isinstance(error, ExceptionGroup):
        return translate(error.exceptions[0])
    if isinstance(error, trio.BrokenResourceError) and isinstance(error.__cause__, Exception):
        return translate(error.__cause__)
    if isinstance(error, trio_websocket.ConnectionClosed):
        if error.reason is not None and error.reason.code != ABNORMAL:
            return int(error.reason.code), error.reason.reason or ""
        return ABNORMAL, "the connection broke"
    for kinds, code, reason in _MEANINGS:
        if isinstance(error, kinds):
            return code, reason or str(error)
    log.error("websocket.broke", exc_info=error)
    return ABNORMAL, "a bug ended the connection"


_MEANINGS: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((ssl.SSLCertVerificationError,), NOT_TRUSTED, ""),
    ((ProtocolError, h11.ProtocolError, UnicodeError), PROTOCOL_ERROR, "the peer broke the protocol"),
    ((trio.TooSlowError,), ABNORMAL, "no answer in time"),
    ((trio.BrokenResourceError, trio.ClosedResourceError), ABNORMAL, "the connection broke"),
    ((trio_websocket.HandshakeError,), ABNORMAL, "no handshake"),
    ((OSError,), ABNORMAL, ""),
)


@asynccontextmanager
async def _opened(raw: RawStream, upgrade: Upgrade, ping_every_s: float | None) -> AsyncIterator[WebSocket]:
    """A connection around a block. After it neither a task nor the socket is left, however it ended."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            library = await nursery.start(_host, raw)
            library.cancel_scope.shield = True  # it hears the peer's goodbye when the block is cancelled
            websocket = WebSocket(await _open(raw, upgrade, library, ping_every_s), raw)
            try:
                yield websocket
            finally:
                with trio.move_on_after(CLOSE_S, shield=True):
                    await websocket.aclose()
        except BaseException as error:  # noqa: BLE001 - raised again outside, where no nursery wraps it in a group
            failure = error
        raw.end("released")
    if failure is not None:
        raise failure


async def _host(raw: RawStream, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """The library's tasks, until the stream is ended; what they raise ends it, and nothing else."""
    try:
        async with trio.open_nursery() as library:
            task_status.started(library)
            await raw.wait_ended()
            library.cancel_scope.cancel()
    except* Exception as errors:  # noqa: BLE001 - whatever it is, `translate` logs what it does not know
        _, reason = translate(errors)
        raw.end(reason)


async def _open(
    raw: RawStream, upgrade: Upgrade, library: trio.Nursery, ping_every_s: float | None
) -> trio_websocket.WebSocketConnection:
    with raw.wait_at_most(OPEN_S):
        connection = await upgrade(library)
        raw.forget_answer()
        if ping_every_s is not None:
            library.start_soon(_keep_alive, connection, raw, ping_every_s)
        return connection
    raise read_refusal(raw.answer) or WebSocketClosed(ABNORMAL, raw.ended or "no handshake")


async def _keep_alive(connection: trio_websocket.WebSocketConnection, raw: RawStream, every_s: float) -> None:
    while True:
        await trio.sleep(every_s)
        with trio.move_on_after(PONG_S) as patience:
            await connection.ping()
        if patience.cancelled_caught:
            raw.end("a ping was not answered")


@functools.cache
def _system_trust() -> ssl.SSLContext:
    """Made once: to load the system's certificates takes tens of milliseconds."""
    return ssl.create_default_context()


def _sendable(name: str, value: str) -> tuple[bytes, bytes]:
    if not (value.isascii() and value.isprintable()):
        # Said without the value: it may be a key, and what the library would say quotes it.
        raise ValueError(f"the header {name} has characters that HTTP cannot carry")
    return name.encode("ascii"), value.encode("ascii")

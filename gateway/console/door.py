"""The private door: hypercorn's trio server in front of the console's application."""

import logging
from typing import Any, Never, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp

# Where hypercorn reports what goes wrong inside it; what leaves it is reported there too.
_log = logging.getLogger("hypercorn.error")

# A client that takes nothing for this long is not reading.
SEND_DEADLINE_S = 10.0
# A connection on which nothing moves: server-sent events say something every quarter of this.
SILENCE_S = 60.0
# What an answer may still take when its client has closed its side: it may have said all and be reading yet.
LINGER_S = 5.0


def server_config() -> Config:
    """Settings for hypercorn; its own are made for another place."""
    config = Config()
    config.include_server_header = False
    # Also the time a client has for the head of its first request.
    config.keep_alive_timeout = 5
    config.h11_max_incomplete_size = 16_384
    config.websocket_max_message_size = 65_536
    # Anything else ends server-sent events; the application bounds what it reads.
    config.read_timeout = None
    # Its errors go where all logs go, instead of through a handler of its own to stderr.
    config.errorlog = _log
    return config


async def serve_console(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> Never:
    """Serve `app` until cancelled, which ends every connection at once.

    `port`: 0 for a free one; `task_status` reports the one that is served. Raises `OSError` when it is taken.

    hypercorn's own `serve` is not used, because it bounds too little. Its sends are shielded, so one client that
    does not read keeps a cancelled server; and half a WebSocket handshake or a broken HTTP/2 frame makes it raise
    (h11's LocalProtocolError, trio's BusyResourceError), which would end the server, and all calls with it.
    """
    config, context = server_config(), WorkerContext(max_requests=None)
    wrapped = ASGIWrapper(cast("Any", app))  # starlette's and hypercorn's types of the same ASGI

    async def serve_connection(stream: trio.SocketStream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_close_on_cancel, stream)
                client = cast("Any", _Client(stream, nursery.cancel_scope))
                await TCPServer(wrapped, config, context, ConnectionState({}), client)
                nursery.cancel_scope.cancel()
        except* Exception as errors:  # noqa: BLE001  # one client's connection, contained
            _log.warning("a connection failed", exc_info=errors)

    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(serve_connection, listeners)


async def _close_on_cancel(stream: trio.SocketStream) -> None:
    """Closing wakes even a shielded send."""
    try:
        await trio.sleep_forever()
    finally:
        await trio.aclose_forcefully(stream)


class _Client:
    """A client's stream with the deadlines that hypercorn does not have.

    Its HTTP/2, which nobody can turn off, waits for ever for a client that went in the middle of an answer, and a
    WebSocket that was refused stays open.
    """

    def __init__(self, stream: trio.SocketStream, connection: trio.CancelScope) -> None:
        self._stream = stream
        self._connection = connection
        self._ended = False
        self.socket = stream.socket
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def receive_some(self, max_bytes: int) -> bytes:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            self._ended = not data
            self._prolong()
        return data

    async def send_all(self, data: bytes) -> None:
        with trio.move_on_after(SEND_DEADLINE_S) as sending:
            await self._stream.send_all(data)
        if sending.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read")
        if not self._ended:
            self._prolong()

    def _prolong(self) -> None:
        self._connection.deadline = trio.current_time() + (LINGER_S if self._ended else SILENCE_S)

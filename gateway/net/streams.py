"""What can be asked of a trio stream at once, without waiting: its socket, its peer, its end."""

import contextlib
from typing import Any, Protocol, runtime_checkable

import trio


@runtime_checkable
class _ClosesAtOnce(Protocol):
    def close(self) -> None: ...


def socket_of(stream: trio.abc.AsyncResource) -> trio.socket.SocketType | None:
    """The TCP socket under a plain or TLS stream; None where there is none."""
    if isinstance(stream, trio.SSLStream):
        return socket_of(stream.transport_stream)
    return stream.socket if isinstance(stream, trio.SocketStream) else None


def peer_of(stream: trio.abc.AsyncResource) -> str:
    """The peer's IP address as text; empty where there is no socket or the peer is gone."""
    socket = socket_of(stream)
    if socket is None:
        return ""
    try:
        address: Any = socket.getpeername()
    except OSError:
        return ""
    return str(address[0]) if isinstance(address, tuple) else ""


def close_now(stream: trio.abc.AsyncResource) -> None:
    """Give the stream's socket back without waiting: no TLS goodbye, no flush. Never raises; repeatable.

    Whoever is waiting on the stream gets `trio.ClosedResourceError`. Works on sockets, TLS, stapled
    streams, and whatever has a plain `close()`, as trio's memory streams do.
    """
    match stream:
        case trio.SSLStream():
            close_now(stream.transport_stream)
        case trio.SocketStream():
            with contextlib.suppress(OSError):  # close(2) reports old write errors; the socket is gone anyway
                stream.socket.close()
        case trio.StapledStream():
            close_now(stream.send_stream)
            close_now(stream.receive_stream)
        case _ClosesAtOnce():
            stream.close()

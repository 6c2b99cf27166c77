"""Byte streams: how to get one, whose it is, and how to be rid of it at once."""

import contextlib
import ssl
from typing import Any, Protocol, runtime_checkable

import trio

from gateway.net.quick_tcp import QuickTcp


@runtime_checkable
class _ClosesAtOnce(Protocol):
    def close(self) -> None: ...


async def dial(host: str, port: int | None, ssl_context: ssl.SSLContext | None) -> trio.abc.Stream:
    """A TCP stream to a server, with TLS if there is a context.

    Raises `OSError`, and `trio.BrokenResourceError` where TLS could not be agreed on.
    """
    tcp = await trio.open_tcp_stream(host, port or (443 if ssl_context else 80))
    if ssl_context is None:
        return tcp
    tls = trio.SSLStream(QuickTcp(tcp), ssl_context, server_hostname=host, https_compatible=True)
    try:
        await tls.do_handshake()
    except BaseException:
        close_now(tls)
        raise
    return tls


def socket_of(stream: trio.abc.AsyncResource) -> trio.socket.SocketType | None:
    """The TCP socket under a plain or TLS stream; None where there is none."""
    if isinstance(stream, trio.SSLStream):
        return socket_of(stream.transport_stream)
    return stream.socket if isinstance(stream, trio.SocketStream | QuickTcp) else None


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
        case trio.SocketStream() | QuickTcp():
            with contextlib.suppress(OSError):  # close(2) reports old write errors; the socket is gone anyway
                stream.socket.close()
        case trio.StapledStream():
            close_now(stream.send_stream)
            close_now(stream.receive_stream)
        case _ClosesAtOnce():
            stream.close()

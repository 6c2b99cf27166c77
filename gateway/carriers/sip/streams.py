"""TCP and TLS streams, until they carry SIP: dialled or accepted, their handshake done and their peer known."""

import ssl
from ipaddress import ip_address
from typing import Final

import trio

from gateway.carriers.sip.transport import Unreachable
from gateway.net.quick_tcp import QuickTcp
from gateway.net.streams import close_now, socket_of
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.identity import speaks_for
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.strangers import first_line

__all__ = ["TlsStream", "dial", "flow_of", "read_first_line", "secure"]

TlsStream = trio.SSLStream[QuickTcp]

_HANDSHAKE_S: Final = 5.0
_FIRST_LINE_S: Final = 5.0
_FIRST_LINE_BYTES: Final = 256
# A caller is waiting, and there may be another place to try. It is time for two lost SYNs, or for a far handshake.
_DIAL_S: Final = 4.0
# Silence may last for hours, and a peer that lost its power says nothing. Linux would ask after two hours.
_ASK_AFTER_S: Final = 60


async def dial(
    target: Target, source: str | None, tls: ssl.SSLContext | None, *, wildcards: bool
) -> trio.abc.Stream:
    """A stream to `target`, which is whom its certificate says. `source`: our address to dial from.

    Raises `Unreachable` within 4 s.
    """
    try:
        with trio.fail_after(_DIAL_S):
            tcp = await trio.open_tcp_stream(*target.address, local_address=source)
            if target.transport == "TCP":
                return tcp
            return await _secured(tcp, target, tls, wildcards=wildcards)
    except trio.TooSlowError:
        raise Unreachable("it does not answer") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise Unreachable(_reason(error)) from None


async def secure(tcp: trio.SocketStream, context: ssl.SSLContext) -> TlsStream | None:
    """The same stream behind TLS; None if its peer does not manage a handshake in 5 s."""
    stream = trio.SSLStream(QuickTcp(tcp), context, server_side=True, https_compatible=True)
    with trio.move_on_after(_HANDSHAKE_S):
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            return None
        return stream
    return None


def flow_of(transport: Transport, stream: trio.abc.Stream, number: int) -> Flow:
    """The name of a connection, for which `number` is its own. Raises `OSError` if the peer is gone."""
    socket = socket_of(stream)
    assert socket is not None
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)
    if hasattr(trio.socket, "TCP_KEEPIDLE"):
        socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_KEEPIDLE, _ASK_AFTER_S)
    local, remote = Address(*socket.getsockname()[:2]), Address(*socket.getpeername()[:2])
    return Flow(transport, local, remote, number)


async def read_first_line(stream: trio.abc.ReceiveStream) -> bytes:
    """What a stranger begins with, as far as it comes in 5 s; empty if nothing does."""
    data = b""
    with trio.move_on_after(_FIRST_LINE_S):
        while b"\n" not in data.lstrip(b"\r\n") and len(data) < _FIRST_LINE_BYTES:
            try:
                more = await stream.receive_some(_FIRST_LINE_BYTES)
            except trio.BrokenResourceError:
                break
            if not more:
                break
            data += more
    return first_line(data)


async def _secured(
    tcp: trio.SocketStream, target: Target, tls: ssl.SSLContext | None, *, wildcards: bool
) -> trio.abc.Stream:
    if tls is None:
        close_now(tcp)
        raise Unreachable("TLS is not set up")
    stream = trio.SSLStream(
        QuickTcp(tcp),
        tls,
        server_hostname=None if _is_address(target.name) else target.name,
        https_compatible=True,
    )
    try:
        await stream.do_handshake()
    except BaseException:
        close_now(stream)
        raise
    if not speaks_for(stream.getpeercert(), target.name, wildcards=wildcards):  # RFC 5922 §7.3
        close_now(stream)
        raise Unreachable(f"its certificate is not for {target.name}")
    return stream


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _reason(error: BaseException) -> str:
    """What the system or the TLS library said, which trio has wrapped."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return _reason(error.exceptions[0])
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error)

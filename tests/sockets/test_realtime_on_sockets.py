"""The hosted voice over TCP and TLS."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trustme

from gateway.config import Secret
from gateway.contracts import Agent, SessionLost, SessionRefused
from gateway.net.websocket import WebSocketClosed, accept
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings

CREATED = '{"type":"session.created","session":{"id":"sess_1"}}'
KEY = Secret("sk-0123456789abcdef")


async def serve(stream: trio.abc.Stream) -> None:
    try:
        async with accept(stream) as websocket:
            await websocket.send(CREATED)
            await websocket.receive()
    except (WebSocketClosed, trio.BrokenResourceError):
        return


@asynccontextmanager
async def server(certificate: trustme.LeafCert | None = None) -> AsyncIterator[int]:
    """The port of a server on this machine, with TLS where it has a certificate."""
    listeners: list[trio.abc.Listener[trio.abc.Stream]] = list(
        await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    port: int = listeners[0].socket.getsockname()[1]  # type: ignore[attr-defined]  # a socket's listener
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        listeners = [trio.SSLListener(listener, context) for listener in listeners]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield port
        nursery.cancel_scope.cancel()


async def test_a_server_on_this_machine_is_talked_with_in_clear():
    with trio.fail_after(20):
        async with server() as port:
            backend = RealtimeBackend(RealtimeSettings(url=f"ws://127.0.0.1:{port}/v1/realtime"), None)
            async with backend.connect(Agent(name="a")) as connection:
                assert await connection.receive() == CREATED


async def test_a_certificate_that_is_not_trusted_is_refused():
    certificate = trustme.CA().issue_cert("localhost")

    with trio.fail_after(20):
        async with server(certificate) as port:
            backend = RealtimeBackend(RealtimeSettings(url=f"wss://localhost:{port}/"), KEY)
            with pytest.raises(
                SessionRefused, match=r"^localhost is not trusted: .*CERTIFICATE_VERIFY_FAILED"
            ):
                async with backend.connect(Agent(name="a")):
                    pass


async def test_a_port_that_nobody_listens_at_is_lost():
    async with server() as port:
        pass  # and is gone again
    backend = RealtimeBackend(RealtimeSettings(url=f"ws://127.0.0.1:{port}/"), None)

    with trio.fail_after(20), pytest.raises(SessionLost, match=r"^127\.0\.0\.1 was lost: "):
        async with backend.connect(Agent(name="a")):
            pass


async def test_a_name_that_nobody_has_is_lost():
    backend = RealtimeBackend(RealtimeSettings(url="wss://voice.invalid/"), KEY)

    with trio.fail_after(20), pytest.raises(SessionLost, match=r"^voice\.invalid was lost: "):
        async with backend.connect(Agent(name="a")):
            pass

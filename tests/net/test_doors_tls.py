"""TLS under the virtual clock: over memory streams it needs no socket."""

import ssl

import pytest
import trio
import trio.testing
import trustme
from trio.testing import MockClock

from tests.net.doorway import doorway, post
from tests.net.raw_peer import is_closed, read_all


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """One for the server and one for the client who trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("gateway").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_a_tls_handshake_that_stalls_is_given_up_after_five_seconds(autojump_clock: MockClock):
    _, transport = trio.testing.memory_stream_pair()
    stream = trio.SSLStream(transport, contexts()[0], server_side=True, https_compatible=True)
    start = trio.current_time()

    await doorway().serve_stream(stream)

    assert trio.current_time() - start == pytest.approx(5)
    assert await is_closed(transport)


async def test_a_request_behind_tls_has_five_seconds_of_its_own(autojump_clock: MockClock):
    server_context, client_context = contexts()
    client_transport, transport = trio.testing.memory_stream_pair()
    stream = trio.SSLStream(transport, server_context, server_side=True, https_compatible=True)
    client = trio.SSLStream(
        client_transport, client_context, server_hostname="gateway", https_compatible=True
    )
    start = trio.current_time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(doorway().serve_stream, stream)
        await trio.sleep(4)
        await client.do_handshake()
        answer = await read_all(client)

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert trio.current_time() - start == pytest.approx(9)


async def test_a_crowd_is_turned_away_before_its_tls_handshake(autojump_clock: MockClock):
    client, transport = trio.testing.memory_stream_pair()
    stream = trio.SSLStream(transport, contexts()[0], server_side=True, https_compatible=True)
    await client.send_all(b"\x16\x03\x01")
    start = trio.current_time()

    await doorway(max_open=0).serve_stream(stream)

    assert await read_all(client) == b""
    assert trio.current_time() == start


async def test_plain_http_at_a_door_with_tls_is_not_answered(autojump_clock: MockClock):
    client, transport = trio.testing.memory_stream_pair()
    stream = trio.SSLStream(transport, contexts()[0], server_side=True, https_compatible=True)
    await client.send_all(post())

    await doorway().serve_stream(stream)

    assert b"HTTP" not in await read_all(client)
    assert await is_closed(transport)

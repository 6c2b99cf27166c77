import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, accept, connect
from tests.net.raw_peer import CLOSE, PING, PONG, TEXT, closing, frame, is_closed, read_head, tasks_of

URL = "ws://voice.example:8080/v1/realtime?model=m"


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """Both ends of one connection: the client's, and the server's."""
    ours, theirs = trio.testing.memory_stream_pair()
    server: list[WebSocket] = []
    is_up, done = trio.Event(), trio.Event()

    async def serve() -> None:
        async with accept(theirs) as websocket:
            server.append(websocket)
            is_up.set()
            await done.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with connect(URL, stream=ours, **options) as client:
            await is_up.wait()
            yield client, server[0]
        done.set()
    assert tasks_of() == []
    assert await is_closed(ours)


async def refused_with(answer: bytes, *, then_close: bool = True) -> WebSocketRefused | WebSocketClosed:
    """What `connect` raises when a server says this to its request, and what is left open after it: nothing."""
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(answer)
    if then_close:
        await theirs.send_stream.aclose()
    try:
        async with connect(URL, stream=ours):
            pytest.fail("connected")
    except (WebSocketRefused, WebSocketClosed) as error:
        assert await is_closed(ours)
        assert tasks_of() == []
        return error


async def test_messages_travel_both_ways(autojump_clock: MockClock) -> None:
    async with connected() as (client, server):
        await client.send("to the server")
        await server.send(b"to the client")

        assert (await server.receive(), await client.receive()) == ("to the server", b"to the client")


async def test_the_request_names_host_path_and_query_and_carries_the_headers(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    with trio.move_on_after(1):
        async with connect(URL, stream=ours, headers=[("Authorization", "Bearer key")]):
            pytest.fail("connected")

    request = (await read_head(theirs)).decode().split("\r\n")
    assert request[0] == "GET /v1/realtime?model=m HTTP/1.1"
    assert "Host: voice.example:8080" in request
    assert "Authorization: Bearer key" in request


async def test_the_other_end_learns_code_and_reason_of_our_close(autojump_clock: MockClock) -> None:
    async with connected() as (client, server):
        await client.aclose(4002, "rolled over")

        with pytest.raises(WebSocketClosed) as closed:
            await server.receive()

        assert (closed.value.code, closed.value.reason) == (4002, "rolled over")


async def test_a_client_leaves_at_once_when_the_server_has_closed(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with connected() as (client, server):
        await server.aclose(1001, "session expired")
        with pytest.raises(WebSocketClosed) as closed:
            await client.receive()

    assert (closed.value.code, closed.value.reason) == (1001, "session expired")
    assert trio.current_time() == start


async def test_both_ends_keep_a_silent_connection_open(autojump_clock: MockClock) -> None:
    async with connected() as (client, server):
        with trio.move_on_after(600):
            await client.receive()

        await server.send("still here")
        assert await client.receive() == "still here"


async def test_a_message_over_the_limit_is_closed_with_1009(autojump_clock: MockClock) -> None:
    async with connected(max_message_bytes=1000) as (client, server):
        await server.send(bytes(1001))

        with pytest.raises(WebSocketClosed) as ours:
            await client.receive()
        with pytest.raises(WebSocketClosed) as theirs:
            await server.receive()

        assert (ours.value.code, theirs.value.code) == (1009, 1009)


async def test_frames_that_come_with_the_acceptance_are_not_lost(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        client_key = (await read_head(theirs)).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        await theirs.send_all(_acceptance(client_key) + frame(TEXT, b"first", masked=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with connect(URL, stream=ours) as websocket:
            assert await websocket.receive() == "first"
            await theirs.send_all(frame(PING, b"?", masked=False) + frame(CLOSE, closing(1000), masked=False))
            with pytest.raises(WebSocketClosed):
                await websocket.receive()

    answers = bytes(await theirs.receive_some())
    assert (answers[0], answers[7]) == (0x80 | PONG, 0x80 | CLOSE)


async def test_a_refusal_tells_status_headers_and_body(autojump_clock: MockClock) -> None:
    refused = await refused_with(
        b"HTTP/1.1 401 Unauthorized\r\nX-Request-Id: 7\r\nContent-Length: 7\r\n\r\nbad key", then_close=False
    )

    assert isinstance(refused, WebSocketRefused)
    assert refused.status == 401
    assert ("x-request-id", "7") in refused.headers
    assert refused.body == b"bad key"


async def test_a_refusal_whose_body_ends_with_the_connection_is_told(autojump_clock: MockClock) -> None:
    refused = await refused_with(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\nupstream is down")

    assert isinstance(refused, WebSocketRefused)
    assert (refused.status, refused.body) == (502, b"upstream is down")


async def test_a_refusal_whose_body_never_ends_is_told_after_five_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    refused = await refused_with(
        b"HTTP/1.1 503 Unavailable\r\nContent-Length: 1000\r\n\r\nsorr", then_close=False
    )

    assert isinstance(refused, WebSocketRefused)
    assert (refused.status, refused.body) == (503, b"sorr")
    assert trio.current_time() - start == pytest.approx(5)


async def test_four_kilobytes_of_a_refusal_are_kept(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    refused = await refused_with(
        b"HTTP/1.1 503 Unavailable\r\nContent-Length: 10000000\r\n\r\n" + bytes(1_000_000), then_close=False
    )

    assert isinstance(refused, WebSocketRefused)
    assert (refused.status, refused.body) == (503, bytes(4096))
    assert trio.current_time() == start


async def test_a_redirect_is_a_refusal(autojump_clock: MockClock) -> None:
    refused = await refused_with(
        b"HTTP/1.1 301 Moved\r\nLocation: wss://elsewhere\r\nContent-Length: 0\r\n\r\n"
    )

    assert isinstance(refused, WebSocketRefused)
    assert dict(refused.headers)["location"] == "wss://elsewhere"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 401 Unauthor",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: \xff\r\n\r\n",
    ],
    ids=["nothing", "half a line", "not http", "wrong key", "unreadable"],
)
async def test_what_is_no_answer_is_a_closed_connection_at_once(
    answer: bytes, autojump_clock: MockClock
) -> None:
    start = trio.current_time()

    closed = await refused_with(answer)

    assert isinstance(closed, WebSocketClosed)
    assert trio.current_time() == start


async def test_a_server_that_says_nothing_is_given_up_after_five_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    closed = await refused_with(b"", then_close=False)

    assert isinstance(closed, WebSocketClosed)
    assert trio.current_time() - start == pytest.approx(5)


async def test_a_server_that_does_not_read_the_request_is_given_up_after_two_seconds(
    autojump_clock: MockClock,
) -> None:
    ours, _ = trio.testing.memory_stream_pair()
    ours.send_stream.send_all_hook = trio.sleep_forever
    start = trio.current_time()

    with pytest.raises(WebSocketClosed):
        async with connect(URL, stream=ours):
            pytest.fail("connected")

    assert trio.current_time() - start == pytest.approx(2)
    assert await is_closed(ours)


@pytest.mark.parametrize(
    "url", ["http://voice.example", "voice.example", "ws://", "wss:///path", "ws://a:port"]
)
async def test_a_url_that_is_not_one_of_a_websocket_is_an_error(url: str) -> None:
    with pytest.raises(ValueError):
        async with connect(url):
            pytest.fail("connected")


async def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_quote_it() -> None:
    with pytest.raises(ValueError, match="Authorization") as raised:
        async with connect(URL, headers=[("Authorization", "Bearer secret\n")]):
            pytest.fail("connected")

    assert "secret" not in str(raised.value)


def _acceptance(client_key: bytes) -> bytes:
    """RFC 6455 §4.2.2."""
    token = base64.b64encode(hashlib.sha1(client_key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )

"""Whatever a peer sends, the connection gives messages and then ends; it never raises anything else."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, accept, connect
from tests.net.raw_peer import BINARY, CLOSE, PING, PONG, TEXT, UPGRADE, accepted, frame, is_closed


def run(main: Callable[[], Awaitable[None]]) -> None:
    with capture_logs() as logs:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert logs == []


async def receive_all(websocket: WebSocket, received: list[str | bytes]) -> None:
    while True:
        received.append(await websocket.receive())


SOME_FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([0, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
        st.binary(max_size=130),
        final=st.booleans(),
        masked=st.sampled_from([True, True, True, False]),
    )
    | st.binary(max_size=30),
    max_size=12,
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(sent=SOME_FRAMES)
def test_any_frames_are_messages_or_the_end(sent: bytes) -> None:
    async def main() -> None:
        received: list[str | bytes] = []
        async with accepted(max_message_bytes=200) as (websocket, client, _):
            await client.send_all(sent)
            await client.send_stream.aclose()  # type: ignore[attr-defined]
            with pytest.raises(WebSocketClosed):
                await receive_all(websocket, received)
        assert all(len(message) <= 200 for message in received)

    run(main)


@settings(max_examples=150, deadline=None)
@given(
    head=st.binary(max_size=200)
    | st.builds(
        lambda at, junk: UPGRADE[:at] + junk + UPGRADE[at:],
        st.integers(0, len(UPGRADE)),
        st.binary(max_size=20),
    )
)
def test_any_request_is_accepted_or_the_end(head: bytes) -> None:
    async def main() -> None:
        client, server = memory_stream_pair()
        await client.send_all(head)
        await client.aclose()
        try:
            async with accept(server) as websocket:
                await websocket.receive()
        except WebSocketClosed:
            assert await is_closed(server)

    run(main)


@settings(max_examples=150, deadline=None)
@given(
    answer=st.binary(max_size=200) | st.binary(max_size=100).map(lambda junk: b"HTTP/1.1 200 OK\r\n" + junk)
)
def test_any_answer_is_a_refusal_or_the_end(answer: bytes) -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(answer)
        await theirs.send_stream.aclose()
        try:
            async with connect("ws://any", stream=ours):
                raise AssertionError("connected")
        except (WebSocketClosed, WebSocketRefused):
            assert await is_closed(ours)

    run(main)

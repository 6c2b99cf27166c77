import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.net.websocket import WebSocketClosed, accept
from tests.net.raw_peer import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    accepted,
    closing,
    frame,
    is_closed,
    read_all,
    read_head,
    tasks_of,
)


async def test_text_and_bytes_arrive_as_they_were_sent(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        await client.send_all(frame(TEXT, "grüße".encode()) + frame(BINARY, b"\x00\xff"))

        received = [await websocket.receive(), await websocket.receive()]

        assert received == ["grüße", b"\x00\xff"]


async def test_text_and_bytes_leave_as_frames_of_their_kind(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        await websocket.send("grüße")
        await websocket.send(b"\x00\xff")

        assert await client.receive_some() == (
            frame(TEXT, "grüße".encode(), masked=False) + frame(BINARY, b"\x00\xff", masked=False)
        )


async def test_a_message_in_fragments_arrives_whole(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        await client.send_all(
            frame(TEXT, b"one ", final=False)
            + frame(PING)
            + frame(0, b"two ", final=False)
            + frame(0, b"three")
        )

        assert await websocket.receive() == "one two three"


async def test_messages_before_the_peers_close_are_given_and_then_its_code_and_reason(
    autojump_clock: MockClock,
) -> None:
    async with accepted() as (websocket, client, _):
        await client.send_all(frame(TEXT, b"last") + frame(CLOSE, closing(4001, "done")))

        assert await websocket.receive() == "last"
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

        assert (closed.value.code, closed.value.reason) == (4001, "done")
        assert await read_all(client) == frame(CLOSE, closing(4001, "done"), masked=False)


async def test_a_peer_that_vanishes_is_an_abnormal_close(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        await client.aclose()

        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()
        with pytest.raises(WebSocketClosed):
            await websocket.send("anyone?")

        assert closed.value.code == 1006


async def test_leaving_the_block_says_goodbye_and_leaves_nothing(autojump_clock: MockClock) -> None:
    said: list[bytes] = []

    async def answer_goodbye(client: trio.abc.Stream) -> None:
        said.append(bytes(await client.receive_some()))
        await client.send_all(frame(CLOSE, closing(1000)))

    start = trio.current_time()
    async with trio.open_nursery() as nursery, accepted() as (_, client, server):
        nursery.start_soon(answer_goodbye, client)

    assert said == [frame(CLOSE, closing(1000), masked=False)]
    assert trio.current_time() == start
    assert tasks_of() == []
    assert await is_closed(server)


async def test_a_peer_that_does_not_answer_the_goodbye_is_waited_for_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with accepted() as (websocket, client, server):
        start = trio.current_time()
        await websocket.aclose(4000, "enough")

        assert trio.current_time() - start == pytest.approx(2)
        assert await read_all(client) == frame(CLOSE, closing(4000, "enough"), masked=False)
        assert await is_closed(server)


async def test_a_block_that_is_cancelled_says_goodbye_within_two_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with accepted() as (websocket, client, server):
            await websocket.receive()

    assert scope.cancelled_caught
    assert trio.current_time() - start == pytest.approx(3)
    assert await is_closed(server)
    assert await read_all(client) == frame(CLOSE, closing(1000), masked=False)


async def test_a_block_that_is_cancelled_still_hears_the_peers_goodbye(autojump_clock: MockClock) -> None:
    async def answer_goodbye(client: trio.abc.Stream) -> None:
        await client.receive_some()
        await client.send_all(frame(CLOSE, closing(1000)))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            async with accepted() as (websocket, client, _):
                nursery.start_soon(answer_goodbye, client)
                await websocket.receive()

    assert trio.current_time() - start == pytest.approx(1)


async def test_a_released_connection_is_closed_at_once_and_wakes_its_receiver(
    autojump_clock: MockClock,
) -> None:
    closed: list[WebSocketClosed] = []

    async with accepted() as (websocket, _, server), trio.open_nursery() as nursery:

        async def receive() -> None:
            try:
                await websocket.receive()
            except WebSocketClosed as error:
                closed.append(error)

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        websocket.release()
        websocket.release()

        assert await is_closed(server)

    assert trio.current_time() == start
    assert [(error.code, error.reason) for error in closed] == [(1006, "released")]


async def test_a_peer_that_does_not_read_ends_the_connection_after_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with accepted() as (websocket, _, server):
        server.send_stream.send_all_hook = trio.sleep_forever  # type: ignore[attr-defined]
        start = trio.current_time()

        with pytest.raises(WebSocketClosed) as closed:
            await websocket.send("unread")

        assert trio.current_time() - start == pytest.approx(2)
        assert closed.value.reason == "the peer does not read"
        assert await is_closed(server)


async def test_a_send_that_is_cancelled_ends_the_connection(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, _, server):
        server.send_stream.send_all_hook = trio.sleep_forever  # type: ignore[attr-defined]

        with trio.move_on_after(0.5) as scope:
            await websocket.send("unread")

        assert scope.cancelled_caught
        assert await is_closed(server)
        with pytest.raises(WebSocketClosed, match="a send was cut short"):
            await websocket.receive()


async def test_senders_at_the_same_time_do_not_mix_their_frames(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        async with trio.open_nursery() as nursery:
            for text in ("aaaa", "bbbb", "cccc"):
                nursery.start_soon(websocket.send, text)

        frames = await client.receive_some()

    assert sorted(frames[i : i + 6] for i in range(0, 18, 6)) == [
        frame(TEXT, text, masked=False) for text in (b"aaaa", b"bbbb", b"cccc")
    ]


async def test_a_message_over_the_limit_is_closed_with_1009(autojump_clock: MockClock) -> None:
    async with accepted(max_message_bytes=100) as (websocket, client, _):
        await client.send_all(frame(TEXT, bytes(100)) + frame(TEXT, bytes(101)))

        assert len(await websocket.receive()) == 100
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

        assert closed.value.code == 1009
        assert (await client.receive_some())[2:4] == closing(1009)


async def test_what_follows_a_message_over_the_limit_ends_nothing_but_the_connection(
    autojump_clock: MockClock,
) -> None:
    async with accepted(max_message_bytes=100) as (websocket, client, _):
        # The library cannot answer a ping once it has sent its close, and raises.
        await client.send_all(frame(TEXT, bytes(101)) + frame(PING) + frame(TEXT, bytes(101)))

        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

        assert closed.value.code == 1009


async def test_a_ping_that_crosses_our_goodbye_ends_the_wait_for_the_answer(
    autojump_clock: MockClock,
) -> None:
    async with accepted() as (websocket, client, _), trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(websocket.aclose)
        await trio.testing.wait_all_tasks_blocked()
        await client.send_all(frame(PING))

    assert trio.current_time() == start


async def test_a_message_in_seventeen_fragments_ends_the_connection(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, server):
        await client.send_all(
            frame(TEXT, b"-", final=False) + 15 * frame(0, b"-", final=False) + frame(0, b"-")
        )
        with pytest.raises(WebSocketClosed, match="fragments"):
            await websocket.receive()

        assert await is_closed(server)


async def test_a_message_in_sixteen_fragments_is_a_message(autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, _):
        await client.send_all(
            frame(TEXT, b"-", final=False) + 14 * frame(0, b"-", final=False) + frame(0, b"-")
        )

        assert await websocket.receive() == 16 * "-"


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(3, b"opcode"), 1002),
        (frame(TEXT, b"unmasked", masked=False), 1002),
        (b"\xf1\x80\x00\x00\x00\x00", 1002),
        (frame(CLOSE, b"\x00"), 1002),
        (frame(0, b"a continuation of nothing"), 1002),
        (frame(PING, bytes(126)), 1002),
    ],
    ids=["utf-8", "opcode", "unmasked", "reserved bits", "short close", "continuation", "long ping"],
)
async def test_garbage_ends_the_connection(garbage: bytes, code: int, autojump_clock: MockClock) -> None:
    async with accepted() as (websocket, client, server):
        await client.send_all(garbage)

        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

        assert closed.value.code == code
        await trio.testing.wait_all_tasks_blocked()
        assert await is_closed(server)


async def test_a_ping_is_answered_while_sixty_three_messages_wait(autojump_clock: MockClock) -> None:
    async with accepted() as (_, client, _server):
        await client.send_all(63 * frame(TEXT, b"unread") + frame(PING, b"there?"))

        assert await client.receive_some() == frame(PONG, b"there?", masked=False)


async def test_a_ping_that_is_not_answered_ends_the_connection_after_fifteen_seconds(
    autojump_clock: MockClock,
) -> None:
    start = trio.current_time()
    async with accepted() as (websocket, _, server):
        with pytest.raises(WebSocketClosed, match="a ping was not answered") as closed:
            await websocket.receive()

        assert trio.current_time() - start == pytest.approx(15)
        assert closed.value.code == 1006
        assert await is_closed(server)


async def test_answered_pings_keep_a_silent_connection_open(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with accepted() as (websocket, client, _), trio.open_nursery() as nursery:
        nursery.start_soon(_answer_pings, client)
        with trio.move_on_after(3600):
            await websocket.receive()

        await websocket.send("still here")
        nursery.cancel_scope.cancel()

    assert trio.current_time() - start > 3600


async def test_pings_can_be_switched_off(autojump_clock: MockClock) -> None:
    async with accepted(ping_every_s=None) as (websocket, client, _):
        await trio.sleep(3600)
        await websocket.send("the first thing sent")

        assert await client.receive_some() == frame(TEXT, b"the first thing sent", masked=False)


async def test_what_the_block_raises_leaves_it_as_it_is(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        async with accepted() as (_, client, _server):
            await client.aclose()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as raised:
        await fail()

    assert type(raised.value) is KeyError
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b""), b" 400 "),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), b" 426 "),
        (UPGRADE.replace(b"GET", b"PUT"), b" 400 "),
        (UPGRADE.replace(b"Connection: Upgrade\r\n", b""), b" 400 "),
        (b"nonsense\r\n\r\n", b" 400 "),
    ],
)
async def test_a_bad_handshake_is_answered_and_refused_at_once(
    request_head: bytes, status: bytes, autojump_clock: MockClock
) -> None:
    client, server = trio.testing.memory_stream_pair()
    start = trio.current_time()

    with pytest.raises(WebSocketClosed):
        async with accept(server, head=request_head):
            pytest.fail("accepted")

    assert trio.current_time() == start
    assert status in await read_head(client)
    assert await is_closed(server)


async def test_a_header_that_the_library_cannot_read_ends_the_connection(autojump_clock: MockClock) -> None:
    _, server = trio.testing.memory_stream_pair()

    with pytest.raises(WebSocketClosed):
        async with accept(server, head=UPGRADE.replace(b"Connection: Upgrade", b"Connection: \xff")):
            pytest.fail("accepted")

    assert await is_closed(server)


async def test_a_handshake_that_stalls_is_given_up_after_five_seconds(autojump_clock: MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(UPGRADE[:40])
    start = trio.current_time()

    with pytest.raises(WebSocketClosed):
        async with accept(server):
            pytest.fail("accepted")

    assert trio.current_time() - start == pytest.approx(5)
    assert await is_closed(server)


async def test_a_peer_that_vanishes_in_the_handshake_is_not_waited_for(autojump_clock: MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(UPGRADE[:40])
    await client.aclose()
    start = trio.current_time()

    with pytest.raises(WebSocketClosed):
        async with accept(server):
            pytest.fail("accepted")

    assert trio.current_time() == start


async def test_a_handshake_that_is_cancelled_gives_its_stream_back(autojump_clock: MockClock) -> None:
    _, server = trio.testing.memory_stream_pair()

    with trio.move_on_after(1) as scope:
        async with accept(server):
            pytest.fail("accepted")

    assert scope.cancelled_caught
    assert await is_closed(server)


async def _answer_pings(client: trio.abc.Stream) -> None:
    while data := await client.receive_some():
        if data[0] == 0x80 | PING:
            await client.send_all(frame(PONG, bytes(data[2:])))

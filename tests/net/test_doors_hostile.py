"""Visitors who send too slowly, too much, nonsense, or nothing; and what is left of them: nothing."""

from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.net.doorway import Echo, doorway, post, visit
from tests.net.raw_peer import UPGRADE, is_closed, read_all, tasks_of

TICKET_UPGRADE = UPGRADE.replace(b"Host", b"X-Ticket: 1\r\nHost")


async def test_a_head_that_stalls_is_given_up_after_five_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    answer = await visit(doorway(), b"POST /echo HTTP/1.1\r\nHo")

    assert answer.startswith("HTTP/1.1 408 Request Timeout")
    assert trio.current_time() - start == pytest.approx(5)


async def test_a_silent_visitor_is_given_up_after_five_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    await visit(doorway(), b"")

    assert trio.current_time() - start == pytest.approx(5)


async def test_a_head_that_dribbles_is_given_up_after_five_seconds(autojump_clock: MockClock) -> None:
    async def dribble(client: trio.abc.Stream) -> None:
        try:
            while True:
                await trio.sleep(0.3)
                await client.send_all(b"a")
        except trio.BrokenResourceError:
            return

    start = trio.current_time()

    answer = await visit(doorway(), b"POST /echo HTTP/1.1\r\nX-Slow: ", then=dribble)

    assert answer.startswith("HTTP/1.1 408 Request Timeout")
    assert 5 <= trio.current_time() - start < 6


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["unfinished", "whole"])
async def test_a_head_over_sixteen_kilobytes_is_too_large(end: bytes, autojump_clock: MockClock) -> None:
    start = trio.current_time()

    answer = await visit(doorway(), b"POST /echo HTTP/1.1\r\nHost: a\r\nX: " + 17_000 * b"a" + end)

    assert answer.startswith("HTTP/1.1 431 Request Header Fields Too Large")
    assert trio.current_time() - start <= 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"POST /echo HTTP/1.1\r\n\r\n", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "400"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "403"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Folded: a\r\n b\r\n\r\n", "403"),
    ],
    ids=["garbage", "tls", "no host", "h2", "negative", "two lengths", "huge", "coding", "folded"],
)
async def test_nonsense_gets_its_status(sent: bytes, status: str, autojump_clock: MockClock) -> None:
    assert (await visit(doorway(), sent)).split(" ")[1] == status


async def test_a_request_for_http_1_0_is_served(autojump_clock: MockClock) -> None:
    answer = await visit(doorway(), b"POST /echo HTTP/1.0\r\nX-Ticket: 1\r\nContent-Length: 3\r\n\r\na=b")

    assert answer.startswith("HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"PO",
        post(b"a", announced=9),
        post(),
        UPGRADE,
        TICKET_UPGRADE,
        TICKET_UPGRADE + b"\x81",
        b"\r\n\r\n",
    ],
)
async def test_a_visitor_who_vanishes_leaves_nothing(sent: bytes, autojump_clock: MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(sent)
    await client.aclose()

    await doorway().serve_stream(server)

    assert await is_closed(server)
    assert tasks_of() == []


async def test_a_visitor_who_does_not_read_his_answer_is_given_up(autojump_clock: MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    server.send_stream.send_all_hook = trio.sleep_forever
    await client.send_all(post())
    start = trio.current_time()

    await doorway().serve_stream(server)

    assert trio.current_time() - start == pytest.approx(2)
    assert await is_closed(server)


async def test_a_connection_can_be_cancelled_at_any_time(autojump_clock: MockClock) -> None:
    for sent in (b"", post(b"a", announced=9), TICKET_UPGRADE):
        client, server = trio.testing.memory_stream_pair()
        await client.send_all(sent)

        with trio.move_on_after(0.1) as scope:
            await doorway().serve_stream(server)

        assert scope.cancelled_caught
        assert await is_closed(server)
        assert tasks_of() == []


async def test_a_crowd_without_a_word_is_turned_away_and_those_inside_stay(autojump_clock: MockClock) -> None:
    door = doorway(max_open=2)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            _, silent = trio.testing.memory_stream_pair()
            nursery.start_soon(door.serve_stream, silent)
        await trio.testing.wait_all_tasks_blocked()

        crowded = await visit(door, post())
        await trio.sleep(6)
        later = await visit(door, post())

    assert crowded.startswith("HTTP/1.1 503 Service Unavailable")
    assert later.startswith("HTTP/1.1 200 OK")


async def test_open_websockets_do_not_make_a_crowd(autojump_clock: MockClock) -> None:
    door = doorway(max_open=1)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            client, server = trio.testing.memory_stream_pair()
            await client.send_all(TICKET_UPGRADE)
            nursery.start_soon(door.serve_stream, server)
            await trio.testing.wait_all_tasks_blocked()

        assert (await visit(door, post())).startswith("HTTP/1.1 200 OK")
        nursery.cancel_scope.cancel()


@settings(max_examples=100, deadline=None)
@given(
    sent=st.binary(max_size=100)
    | st.builds(
        lambda whole, at, junk: whole[:at] + junk + whole[at:],
        st.sampled_from([post(), TICKET_UPGRADE]),
        st.integers(0, 200),
        st.binary(max_size=10),
    )
)
def test_any_bytes_get_an_answer_or_the_end(sent: bytes) -> None:
    async def main() -> None:
        client, server = trio.testing.memory_stream_pair()
        await client.send_all(sent)
        await client.send_stream.aclose()
        await doorway(Echo()).serve_stream(server)
        received = await read_all(client)

        assert received == b"" or received.startswith(b"HTTP/1.1 ")
        assert await is_closed(server)

    trio.run(partial(main), clock=MockClock(autojump_threshold=0))

"""One connection under virtual time: silence, keepalives, and peers that do not read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import trio
import trio.testing

from gateway.carriers.sip.connection import Connection
from gateway.carriers.sip.streams import read_first_line
from gateway.carriers.sip.transport import Message
from gateway.wire.sip.flow import Address, Flow

FLOW = Flow("TCP", Address("192.0.2.1", 5060), Address("198.51.100.7", 40_000), 1)
MESSAGE = (
    b"OPTIONS sip:gw@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=a\r\n"
    b"To: <sip:gw@h>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class User:
    def __init__(self) -> None:
        self.heard = 0
        self.told: list[str] = []

    def admits(self, flow: Flow) -> bool:
        return True

    def turned_away(self, first_line: bytes, flow: Flow) -> None:
        raise AssertionError(first_line)

    def flooded(self, flow: Flow) -> None:
        raise AssertionError(flow)

    def received(self, message: Message, flow: Flow) -> None:
        self.heard += 1

    def broken(self, flow: Flow, why: str) -> None:
        self.told.append(why)


class Lived(NamedTuple):
    connection: Connection
    peer: trio.abc.Stream
    user: User


@asynccontextmanager
async def connected(*, dialled: bool) -> AsyncIterator[Lived]:
    ours, theirs = trio.testing.memory_stream_pair()
    user = User()
    connection = Connection(ours, FLOW, user, dialled=dialled)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        yield Lived(connection, theirs, user)
        nursery.cancel_scope.cancel()


async def test_who_connects_and_says_nothing_is_closed_after_10_s(autojump_clock):
    async with connected(dialled=False) as lived:
        assert await lived.peer.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()

        assert trio.current_time() == pytest.approx(10.0)
        assert lived.user.told == ["it was silent for too long"]


async def test_who_has_said_something_may_be_silent_for_hours(autojump_clock):
    async with connected(dialled=False) as lived:
        await lived.peer.send_all(MESSAGE)
        await trio.sleep(4 * 3600 - 1)

        await lived.peer.send_all(MESSAGE)
        await trio.testing.wait_all_tasks_blocked()

        assert lived.user.heard == 2
        assert lived.user.told == []


async def test_a_part_of_a_message_does_not_count(autojump_clock):
    async with connected(dialled=False) as lived:
        await lived.peer.send_all(MESSAGE[:-4])

        assert await lived.peer.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()

        assert lived.user.told == ["it was silent for too long"]


async def test_a_connection_of_ours_is_kept_open(autojump_clock):
    async with connected(dialled=True) as lived:
        assert await lived.peer.receive_some() == b"\r\n\r\n"

        assert trio.current_time() == pytest.approx(95.0)


async def test_a_connection_of_ours_whose_peer_stops_answering_is_broken(autojump_clock):
    async with connected(dialled=True) as lived:
        await lived.peer.receive_some()
        await lived.peer.send_all(b"\r\n")
        await lived.peer.receive_some()

        assert await lived.peer.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()

        assert lived.user.told == ["it does not answer any more"]


async def test_keepalives_of_a_peer_that_we_dialled_are_not_answered(autojump_clock):
    async with connected(dialled=True) as lived:
        await lived.peer.send_all(10 * b"\r\n")

        assert await lived.peer.receive_some() == b"\r\n\r\n"

        assert trio.current_time() == pytest.approx(95.0)


async def test_what_is_sent_at_once_goes_out_in_order(autojump_clock):
    async with connected(dialled=True) as lived:
        for number in range(10):
            lived.connection.send(b"%d" % number)

        heard = b""
        while len(heard) < 10:
            heard += await lived.peer.receive_some()

        assert heard == b"0123456789"


async def test_what_ended_here_is_told_with_its_reason_once(autojump_clock):
    async with connected(dialled=True) as lived:
        lived.connection.end("enough")
        lived.connection.end("again")
        await trio.testing.wait_all_tasks_blocked()

        assert lived.user.told == ["enough"]
        assert not lived.connection.is_open
        assert not lived.connection.send(b"x")


async def test_a_connection_that_is_cancelled_is_closed_without_a_word(autojump_clock):
    async with connected(dialled=True) as lived:
        pass

    assert lived.user.told == []
    assert not lived.connection.is_open


async def test_a_peer_that_reads_nothing_for_2_s_is_cut_off(autojump_clock):
    ours, _unread = trio.testing.lockstep_stream_pair()  # whose sends wait for their reader
    user = User()
    connection = Connection(ours, FLOW, user, dialled=True)
    connection.send(b"x")

    await connection.run()

    assert trio.current_time() == pytest.approx(2.0)
    assert user.told == ["the peer does not read"]


async def test_a_stranger_who_says_nothing_is_waited_for_5_s(autojump_clock):
    ours, _silent = trio.testing.memory_stream_pair()

    assert await read_first_line(ours) == b""

    assert trio.current_time() == pytest.approx(5.0)


async def test_a_stranger_whose_first_line_never_ends_is_not_listened_to(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(1000 * b"x")

    assert await read_first_line(ours) == 120 * b"x"

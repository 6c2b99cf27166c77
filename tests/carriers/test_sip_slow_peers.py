"""Connections whose peers take their time, or ours, under virtual time."""

import pytest
import trio
import trio.testing

from gateway.carriers.sip.connection import Connection
from gateway.carriers.sip.shares import Shares
from tests.carriers.test_sip_connection import FLOW, MESSAGE, User, connected

LONGEST = MESSAGE.replace(b"Content-Length: 0\r\n\r\n", b"Content-Length: 65000\r\n\r\n" + bytes(65_000))


async def drip(peer: trio.abc.SendStream, data: bytes) -> None:
    """A byte a second."""
    for at in range(len(data)):
        await peer.send_all(data[at : at + 1])
        await trio.sleep(1)


async def test_who_says_a_byte_a_second_is_closed_after_10_s(autojump_clock):
    async with connected(dialled=False) as lived:
        with pytest.raises(trio.BrokenResourceError):
            await drip(lived.peer, MESSAGE)

        assert trio.current_time() == pytest.approx(10.0, abs=1.0)
        assert lived.user.heard == 0


async def test_a_byte_a_second_is_no_better_behind_a_whole_message(autojump_clock):
    async with connected(dialled=False) as lived:
        await lived.peer.send_all(MESSAGE)
        await trio.sleep(600)

        with pytest.raises(trio.BrokenResourceError):
            await drip(lived.peer, LONGEST)

        assert trio.current_time() == pytest.approx(610.0, abs=1.0)
        assert lived.user.heard == 1


async def test_a_long_message_may_come_in_pieces_if_it_comes_soon(autojump_clock):
    async with connected(dialled=False) as lived:
        await lived.peer.send_all(MESSAGE)
        for at in range(0, len(LONGEST), 8000):
            await lived.peer.send_all(LONGEST[at : at + 8000])
            await trio.sleep(1)

        assert lived.user.heard == 2
        assert lived.user.told == []


async def test_a_head_that_does_not_end_is_refused_at_its_64_kb(autojump_clock):
    async with connected(dialled=False) as lived:
        await lived.peer.send_all(b"OPTIONS sip:gw@h SIP/2.0\r\n" + b"X: y\r\n" * 12_000)
        await trio.testing.wait_all_tasks_blocked()

        assert lived.user.heard == 1  # what was refused
        assert await lived.peer.receive_some() == b""


async def test_who_takes_too_much_of_our_time_waits_and_loses_nothing(autojump_clock):
    ours, peer = trio.testing.memory_stream_pair()
    user, shares = User(), Shares()
    shares.spent(FLOW.remote.host, 2.8, trio.current_time())  # 2 s more than he may, at 0.4 s a second
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Connection(ours, FLOW, user, shares, dialled=False).run)
        await peer.send_all(MESSAGE)
        await trio.sleep(4.9)
        heard_before = user.heard

        await trio.sleep(0.2)

        assert (heard_before, user.heard) == (0, 1)
        nursery.cancel_scope.cancel()


async def test_others_do_not_wait_for_who_takes_too_much(autojump_clock):
    ours, peer = trio.testing.memory_stream_pair()
    user, shares = User(), Shares()
    shares.spent("203.0.113.9", 1.0, trio.current_time() - 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Connection(ours, FLOW, user, shares, dialled=False).run)

        await peer.send_all(MESSAGE)
        await trio.testing.wait_all_tasks_blocked()

        assert user.heard == 1
        nursery.cancel_scope.cancel()

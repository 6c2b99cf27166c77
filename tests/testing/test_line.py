"""A line carries bytes like any stream, until a fault is switched on."""

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.testing.line import Line


async def a_line(
    nursery: trio.Nursery,
    pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = trio.testing.memory_stream_pair,
) -> tuple[Line, trio.abc.Stream]:
    ours, peer = pair()
    line = Line(ours)
    nursery.start_soon(line.pump)
    return line, peer


async def test_bytes_pass_both_ways(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)

        await line.send_all(b"there")
        await peer.send_all(b"back")

        assert await peer.receive_some() == b"there"
        assert await line.receive_some() == b"back"
        line.cut()


async def test_sending_does_not_wait_for_a_peer_that_does_not_read(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery, trio.testing.lockstep_stream_pair)

        for _ in range(10):
            await line.send_all(b"x" * 100)
        waiting = line.unsent_bytes
        async with trio.open_nursery() as reading:
            reading.start_soon(line.wait_send_all_might_not_block)
            received = await peer.receive_some() + await peer.receive_some()
        await trio.testing.wait_all_tasks_blocked()

        assert waiting == 1000
        assert received == b"x" * 1000
        assert line.unsent_bytes == 0
        line.cut()


async def test_a_cut_ends_reading_on_both_sides(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)

        line.cut()

        assert await peer.receive_some() == b""
        with pytest.raises(trio.ClosedResourceError):
            await line.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await line.send_all(b"late")


async def test_on_a_dead_line_nothing_passes_and_nothing_ends(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)
        line.go_dead()

        await line.send_all(b"lost")
        await peer.send_all(b"lost")
        with trio.move_on_after(60) as towards_us:
            await line.receive_some()
        with trio.move_on_after(60) as towards_the_peer:
            await peer.receive_some()

        assert towards_us.cancelled_caught
        assert towards_the_peer.cancelled_caught
        line.cut()


async def test_a_dead_line_that_is_cut_lets_its_reader_go(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)
        line.go_dead()
        await peer.send_all(b"lost")

        async with trio.open_nursery() as reading:
            reading.start_soon(expect_closed, line)
            await trio.testing.wait_all_tasks_blocked()
            line.cut()


async def expect_closed(line: Line) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await line.receive_some()


async def test_a_slow_reader_takes_so_many_bytes_a_second(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)
        await peer.send_all(b"x" * 5000)
        line.read_slowly(1000)
        began = trio.current_time()

        read = 0
        while read < 4000:
            read += len(await line.receive_some())

        assert trio.current_time() - began == pytest.approx(4)
        line.cut()


async def test_a_peer_that_goes_away_breaks_sending(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        line, peer = await a_line(nursery)
        await trio.aclose_forcefully(peer)

        await line.send_all(b"into the void")
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(trio.BrokenResourceError):
            await line.send_all(b"again")

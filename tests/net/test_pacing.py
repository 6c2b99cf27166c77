import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.net.pacing import PHASES, TICK_S, PacingClock


@asynccontextmanager
async def running(clock: PacingClock) -> AsyncIterator[float]:
    """The clock at work; gives the time when it began."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        await trio.testing.wait_all_tasks_blocked()
        yield trio.current_time()
        nursery.cancel_scope.cancel()


def times_into(ticks: list[float]) -> Callable[[], None]:
    return lambda: ticks.append(trio.current_time())


async def test_a_member_ticks_every_twenty_milliseconds_without_drift(autojump_clock: MockClock) -> None:
    ticks: list[float] = []
    clock = PacingClock()
    clock.add(times_into(ticks))

    async with running(clock) as start:
        await trio.sleep(600)

    assert len(ticks) == pytest.approx(600 / TICK_S, abs=1)
    assert [tick - start for tick in ticks[:3]] == pytest.approx([0.0, 0.02, 0.04])
    assert ticks[-1] - ticks[0] == pytest.approx((len(ticks) - 1) * TICK_S, abs=1e-6)


async def test_members_are_spread_over_the_phases(autojump_clock: MockClock) -> None:
    ticks: list[float] = []
    clock = PacingClock()
    for _ in range(40):
        clock.add(times_into(ticks))

    async with running(clock):
        await trio.sleep(0.0199)

    instants = sorted(set(ticks))
    assert [ticks.count(instant) for instant in instants] == PHASES * [10]
    assert [later - earlier for earlier, later in itertools.pairwise(instants)] == pytest.approx(3 * [0.005])


async def test_a_member_fills_the_phase_that_another_left(autojump_clock: MockClock) -> None:
    kept: list[float] = []
    added: list[float] = []
    clock = PacingClock()
    removers = [clock.add(times_into(kept)) for _ in range(PHASES)]
    removers[2]()
    clock.add(times_into(added))

    async with running(clock) as start:
        await trio.sleep(0.0199)

    assert [tick - start for tick in added] == pytest.approx([2 * TICK_S / PHASES])


async def test_a_removed_member_is_not_called_again_however_often_it_is_removed(
    autojump_clock: MockClock,
) -> None:
    removed: list[float] = []
    kept: list[float] = []
    clock = PacingClock()
    remove = clock.add(times_into(removed))
    clock.add(times_into(kept))

    async with running(clock):
        await trio.sleep(0.1)
        remove()
        remove()
        before = len(removed)
        await trio.sleep(0.1)

    assert len(removed) == before > 0
    assert len(kept) == pytest.approx(0.2 / TICK_S, abs=1)


async def test_a_member_may_leave_or_have_others_leave_in_its_tick(autojump_clock: MockClock) -> None:
    ticks: list[str] = []
    clock = PacingClock()
    removers: list[Callable[[], None]] = []

    def leave_together(name: str) -> None:
        ticks.append(name)
        for remove in removers:
            remove()

    removers += [clock.add(lambda: leave_together("one"))]
    for _ in range(PHASES - 1):
        clock.add(lambda: None)
    removers += [clock.add(lambda: leave_together("the other"))]  # the same phase again

    async with running(clock):
        await trio.sleep(0.1)

    assert ticks == ["one"]


async def test_a_member_that_raises_is_logged_and_leaves_and_the_others_tick_on(
    autojump_clock: MockClock,
) -> None:
    calls: list[str] = []
    ticks: list[float] = []
    clock = PacingClock()

    def fail() -> None:
        calls.append("failed")
        raise ZeroDivisionError

    clock.add(fail)
    for _ in range(PHASES):
        clock.add(times_into(ticks))

    with capture_logs() as logs:
        async with running(clock):
            await trio.sleep(1)

    assert calls == ["failed"]
    assert [entry["event"] for entry in logs] == ["tick.broke"]
    assert len(ticks) == pytest.approx(PHASES / TICK_S, abs=PHASES)


async def test_after_a_stall_each_member_ticks_once_and_then_in_its_old_phase(mock_clock: MockClock) -> None:
    ticks: list[tuple[int, float]] = []
    clock = PacingClock()

    def add(member: int) -> None:
        clock.add(lambda: ticks.append((member, trio.current_time())))

    for member in range(PHASES):
        add(member)

    async with running(clock) as start:
        ticks.clear()
        for step_s in (0.997, 0.004, *8 * [0.005]):  # the first: nothing ran for fifty rounds
            mock_clock.jump(step_s)
            await trio.testing.wait_all_tasks_blocked()

    assert [(member, round(at - start, 3)) for member, at in ticks] == [
        *((1, 0.997), (2, 0.997), (3, 0.997), (0, 1.001)),
        *((1, 1.006), (2, 1.011), (3, 1.016), (0, 1.021)),
        *((1, 1.026), (2, 1.031), (3, 1.036), (0, 1.041)),
    ]


async def test_the_lateness_of_every_wake_up_is_told(mock_clock: MockClock) -> None:
    late: list[float] = []
    clock = PacingClock(on_late=late.append)
    clock.add(lambda: None)

    async with running(clock):
        mock_clock.jump(0.02)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.027)
        await trio.testing.wait_all_tasks_blocked()

    assert late == pytest.approx([0.0, 0.0, 0.007])


async def test_a_clock_without_members_sleeps_until_there_is_one(autojump_clock: MockClock) -> None:
    ticks: list[float] = []
    late: list[float] = []
    clock = PacingClock(on_late=late.append)

    async with running(clock) as start:
        await trio.sleep(3600)
        wake_ups = len(late)
        clock.add(times_into(ticks))
        await trio.sleep(0.1)

    assert wake_ups == 0
    assert 3600 <= ticks[0] - start <= 3600.02
    assert max(late) < 0.001


async def test_one_member_costs_one_wake_up_a_round(autojump_clock: MockClock) -> None:
    late: list[float] = []
    clock = PacingClock(on_late=late.append)
    clock.add(lambda: None)

    async with running(clock):
        await trio.sleep(10)

    assert len(late) == pytest.approx(10 / TICK_S, abs=1)

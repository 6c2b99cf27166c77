"""Connecting in all ways, and being cancelled while at it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.contracts import Agent, SessionBusy, SessionLost, SessionRefused, VoiceConnection
from gateway.testing.faulty_table import Busy, Drop, Fault, GoMute, Late, Refuse, Unreachable
from gateway.voice import VoiceSession
from gateway.voice.session import NotConnected, SessionState
from tests.net.raw_peer import is_closed
from tests.voice.session_voices import SPEECH, faulty, living_tasks, no_task_left, openai, scripted

Use = Callable[[VoiceSession], Awaitable[None]]
Form = Callable[[VoiceSession, Use], Awaitable[None]]


async def in_a_block(session: VoiceSession, use: Use) -> None:
    async with session.connect() as voice:
        await use(voice)


async def in_a_nursery(session: VoiceSession, use: Use) -> None:
    async with trio.open_nursery() as nursery:
        await session.connect(nursery)
        try:
            await use(session)
        finally:
            await session.disconnect()


async def in_a_block_over_a_nursery(session: VoiceSession, use: Use) -> None:
    async with trio.open_nursery() as nursery:
        async with session.connect(nursery=nursery) as voice:
            await use(voice)


async def by_itself(session: VoiceSession, use: Use) -> None:
    voice = await session.connect()
    try:
        await use(voice)
    finally:
        await session.disconnect()


every_form = pytest.mark.parametrize("form", [in_a_block, in_a_nursery, in_a_block_over_a_nursery, by_itself])


async def nothing(session: VoiceSession) -> None:
    assert session.is_connected


def stranger(
    *errors: type[BaseException],
) -> pytest.RaisesExc[BaseException] | pytest.RaisesGroup[BaseException]:
    """One of these, in as many groups as the user's own nurseries make of it."""
    return pytest.RaisesGroup(*errors, allow_unwrapped=True, flatten_subgroups=True)


# -- as it should be


@every_form
async def test_one_is_connected_and_afterwards_nothing_is_left(autojump_clock: MockClock, form: Form):
    session = VoiceSession(backend=scripted())

    async def use(voice: VoiceSession) -> None:
        assert voice is session
        assert (session.state, session.is_connected) == (SessionState.CONNECTED, True)
        assert session.session_id.startswith("sess_")

    async with no_task_left():
        await form(session, use)

    assert (session.state, session.is_connected) == (SessionState.DISCONNECTED, False)


@every_form
async def test_the_socket_is_given_back(autojump_clock: MockClock, form: Form):
    streams: list[trio.abc.Stream] = []

    async with openai() as (backend, fake), no_task_left():
        dial = fake.dial

        async def remembered() -> trio.abc.Stream:
            streams.append(await dial())
            return streams[-1]

        backend._dial = remembered
        await form(VoiceSession(backend=backend), nothing)

    assert len(streams) == 1
    assert await is_closed(streams[0])


def test_a_session_may_be_made_before_trio_runs():
    session = VoiceSession(backend=scripted("Where are you?"))

    async def main() -> str:
        async with session.connect() as voice:
            return (await voice.respond(SPEECH)).status

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == "completed"


def test_a_program_may_end_without_a_word_to_its_session():
    session = VoiceSession(backend=faulty())

    async def main() -> None:
        await session.connect()

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert session.state is SessionState.DISCONNECTED


async def test_a_nursery_that_is_closed_leaves_the_session_as_it_was(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    async with trio.open_nursery() as nursery:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await session.connect(nursery)

    assert session.state is SessionState.IDLE
    await by_itself(session, nothing)


# -- more than once


async def test_connecting_twice_is_harmless(autojump_clock: MockClock):
    voice = faulty()
    session = VoiceSession(backend=voice)

    async with no_task_left():
        await session.connect()
        await session.connect()
        await session.disconnect()

    assert len(voice.attempts) == 1


async def test_whoever_began_it_ends_it(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    async with session.connect():
        async with session.connect() as same:
            assert same is session
        assert session.is_connected
        await session.connect()
        assert session.is_connected

    assert session.state is SessionState.DISCONNECTED


async def test_a_block_in_between_does_not_end_what_was_awaited(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    async with no_task_left():
        await session.connect()
        async with session.connect():
            pass
        async with trio.open_nursery() as nursery, session.connect(nursery):
            pass
        assert session.is_connected
        await session.disconnect()


async def test_two_that_connect_at_once_have_one_connection(autojump_clock: MockClock):
    voice = faulty(Late(by_s=5))
    session = VoiceSession(backend=voice)

    async def connect() -> None:
        await session.connect()
        connected_at.append(trio.current_time())

    connected_at: list[float] = []
    async with no_task_left():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            nursery.start_soon(connect)
        await session.disconnect()

    assert len(voice.attempts) == 1
    assert connected_at[0] == connected_at[1]


async def test_who_waits_beside_one_that_is_cancelled_hears_that_it_is_over(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Late(by_s=5)))

    async def first(task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            await session.connect()

    async with no_task_left(), trio.open_nursery() as nursery:
        scope = await nursery.start(first)
        await trio.sleep(1)
        nursery.start_soon(trio.sleep, 0)
        with trio.move_on_after(1):
            await session.connect()
        assert session.state is SessionState.CONNECTING
        scope.cancel()
        with pytest.raises(NotConnected):
            await session.connect()


async def test_who_joins_and_is_cancelled_leaves_the_first_alone(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Late(by_s=5)))

    async def join() -> None:
        with trio.move_on_after(1) as patience:
            await session.connect()
        assert patience.cancelled_caught

    async with no_task_left():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            await session.connect()
        assert session.is_connected
        await session.disconnect()


@every_form
async def test_a_session_that_is_over_cannot_be_connected_again(autojump_clock: MockClock, form: Form):
    session = VoiceSession(backend=scripted())
    await by_itself(session, nothing)

    with stranger(NotConnected):
        await form(session, nothing)


async def test_a_block_is_entered_once(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())
    connecting = session.connect()

    async with connecting:
        with pytest.raises(RuntimeError, match="twice"):
            await connecting.__aenter__()

    with pytest.raises(RuntimeError, match="never entered"):
        await session.connect().__aexit__(None, None, None)


# -- a voice that cannot be had


@every_form
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Refuse(detail="not you"), SessionRefused),
        (Unreachable(after_s=3), SessionLost),
        (Busy(retry_after_s=2), SessionBusy),
        (Drop(), SessionLost),
        (Drop(at="session.created"), SessionLost),
        (Drop(at="session.update"), SessionLost),
        (GoMute(), SessionLost),
        (GoMute(at="session.created"), SessionLost),
        (Late(by_s=60), SessionLost),
    ],
)
async def test_that_it_cannot_be_had_is_raised_by_connect_and_nothing_is_left(
    autojump_clock: MockClock, form: Form, fault: Fault, error: type[Exception]
):
    session = VoiceSession(backend=faulty(fault))

    async with no_task_left():
        with stranger(error):
            await form(session, nothing)

    assert session.state is SessionState.DISCONNECTED
    with pytest.raises(error):
        await session.receive()


async def test_connect_has_ended_all_when_it_raises(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Refuse()))
    before = living_tasks()

    with pytest.raises(SessionRefused):
        await session.connect()

    assert living_tasks() == before


async def test_a_voice_has_thirty_seconds(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(GoMute(at="session.created")))
    began_at = trio.current_time()

    with pytest.raises(SessionLost, match="not ready within 30 s"):
        await session.connect()

    assert trio.current_time() - began_at == 30


async def test_after_that_it_has_all_the_time_in_the_world(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Late(by_s=29)))

    async with session.connect() as voice:
        await trio.sleep(60)
        assert (await voice.respond(SPEECH)).status == "completed"


# -- being cancelled


class Steps:
    """A voice that comes about in steps, each of which can be the one in which somebody is cancelled."""

    def __init__(self, steps: int = 4) -> None:
        self._inner = scripted("Where are you?")
        self._steps = steps
        self.traits = self._inner.traits
        self.open = 0

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        self.open += 1
        try:
            for _ in range(self._steps):
                await trio.sleep(1)
            async with self._inner.connect(agent) as connection:
                yield connection
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.sleep(0.5)  # to say goodbye
            self.open -= 1

    async def run(self) -> None:
        await self._inner.run()


@every_form
@pytest.mark.parametrize("after_s", [0, 0.5, 1, 2, 3.5, 4])
async def test_connecting_can_be_cancelled_anywhere(autojump_clock: MockClock, form: Form, after_s: float):
    voice = Steps()
    session = VoiceSession(backend=voice)

    async with no_task_left():
        with trio.move_on_after(after_s) as patience:
            await form(session, forever)

    assert patience.cancelled_caught
    assert voice.open == 0
    assert session.state is SessionState.DISCONNECTED


async def forever(session: VoiceSession) -> None:
    await trio.sleep_forever()


@every_form
@pytest.mark.parametrize("checkpoints", range(12))
async def test_connecting_can_be_cancelled_at_every_turn_of_the_loop(
    autojump_clock: MockClock, form: Form, checkpoints: int
):
    voice = Steps(steps=0)
    session = VoiceSession(backend=voice)

    async def cancel_soon(scope: trio.CancelScope) -> None:
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with no_task_left():
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_soon, scope)
                await form(session, forever)

    assert scope.cancelled_caught
    assert voice.open == 0
    assert session.state is SessionState.DISCONNECTED


@every_form
async def test_too_slow_a_voice_is_told_by_the_callers_own_scope(autojump_clock: MockClock, form: Form):
    session = VoiceSession(backend=faulty(Late(by_s=5)))

    async with no_task_left():
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(2):
                await form(session, nothing)


@every_form
async def test_the_callers_cancel_scopes_are_as_they_were(autojump_clock: MockClock, form: Form):
    """A nursery that is entered by hand, and left in another order, corrupts them."""
    with trio.CancelScope() as outer:
        with trio.move_on_after(1) as inner:
            await form(VoiceSession(backend=faulty(Late(by_s=5))), nothing)
        assert inner.cancelled_caught

        with trio.move_on_after(10) as inner:
            await form(VoiceSession(backend=faulty(Late(by_s=5))), nothing)
            await trio.sleep(1)
        assert not inner.cancelled_caught
        await trio.sleep(1)

    assert not outer.cancelled_caught


async def test_a_scope_around_a_bare_connect_does_not_reach_the_session_that_it_began(
    autojump_clock: MockClock,
):
    session = VoiceSession(backend=scripted("Where are you?"))

    with trio.move_on_after(5) as scope:
        await session.connect()
    scope.cancel()
    await trio.sleep(10)

    assert (await session.respond(SPEECH)).status == "completed"
    await session.disconnect()


async def test_connect_in_a_scope_that_is_cancelled_already_begins_nothing_that_stays(
    autojump_clock: MockClock,
):
    session = VoiceSession(backend=scripted())

    async with no_task_left():
        with trio.CancelScope() as scope:
            scope.cancel()
            await session.connect()

    assert session.state is SessionState.DISCONNECTED


async def test_a_nursery_that_is_cancelled_takes_the_session_along(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    async with no_task_left():
        async with trio.open_nursery() as nursery:
            await session.connect(nursery)
            nursery.cancel_scope.cancel()
        with pytest.raises(NotConnected):
            await session.receive()

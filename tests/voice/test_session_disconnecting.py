"""Ending a session, from everywhere and at any time."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.contracts import Agent, SessionLost
from gateway.testing.faulty_table import Drop, Late
from gateway.voice import VoiceSession
from gateway.voice.session import NotConnected, SessionState
from tests.voice.session_tools import forecaster
from tests.voice.session_voices import SPEECH, DeafVoice, faulty, living_tasks, no_task_left, openai, scripted


async def test_what_waits_for_it_ends_with_it(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())
    told: list[str] = []

    async def wait(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(NotConnected):
            await call()
        told.append("over")

    async with no_task_left(), trio.open_nursery() as nursery:
        await session.connect()
        nursery.start_soon(wait, session.receive)
        nursery.start_soon(wait, session.listen)
        await trio.sleep(1)
        await session.disconnect()

    assert told == ["over", "over"]


async def test_it_is_harmless_when_repeated(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    async with no_task_left():
        await session.connect()
        for _ in range(3):
            await session.disconnect()

    assert session.state is SessionState.DISCONNECTED


async def test_before_it_is_connected_it_is_over_at_once(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    await session.disconnect()

    assert session.state is SessionState.DISCONNECTED
    with pytest.raises(NotConnected):
        await session.connect()


@pytest.mark.parametrize("after_s", [0, 2])
async def test_while_it_is_being_connected_it_ends_at_once(autojump_clock: MockClock, after_s: float):
    session = VoiceSession(backend=faulty(Late(by_s=5)))

    async def connect() -> None:
        with pytest.raises(NotConnected):
            await session.connect()

    async with no_task_left(), trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(after_s)
        await session.disconnect()

    assert trio.current_time() == after_s


async def test_several_may_end_it_at_once_and_each_waits_for_the_end(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice())
    ended_at: list[float] = []

    async def end() -> None:
        await session.disconnect()
        ended_at.append(trio.current_time())

    async with no_task_left(), trio.open_nursery() as nursery:
        await session.connect()
        nursery.start_soon(_send, session)
        await trio.sleep(1)
        for _ in range(3):
            nursery.start_soon(end)

    assert len(ended_at) == 3
    assert min(ended_at) == max(ended_at)


async def _send(session: VoiceSession) -> None:
    with pytest.raises(NotConnected):
        await session.send_audio(bytes(960))


async def test_what_was_said_before_reaches_the_voice(autojump_clock: MockClock):
    async with openai() as (backend, fake):
        session = VoiceSession(backend=backend)
        async with session.connect():
            session.configure_turn_detection(silence_duration=500)
            with trio.move_on_after(0):
                await session.send_audio(bytes(48_000), commit=False)

    assert fake.records[0].caller_bytes == 0  # it was cancelled before it said anything
    assert len(fake.records[0].received_of("session.update")) == 2


async def test_a_voice_that_takes_nothing_has_a_second_for_that(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice())

    async with no_task_left():
        await session.connect()
        session.configure_turn_detection(silence_duration=500)
        await session.disconnect()

    assert trio.current_time() == 1


async def test_it_ends_also_where_the_caller_is_cancelled(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice())

    async with no_task_left():
        await session.connect()
        session.configure_turn_detection(silence_duration=500)  # which is not taken
        with trio.move_on_after(0):
            await session.disconnect()

    assert session.state is SessionState.DISCONNECTED


async def test_in_a_finally_it_masks_nothing(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice())

    async def fail() -> None:
        with trio.move_on_after(10) as scope:
            await session.connect()
            try:
                session.configure_turn_detection(silence_duration=500)
                scope.cancel()
                raise ZeroDivisionError
            finally:
                await session.disconnect()

    async with no_task_left():
        with pytest.raises(ZeroDivisionError):
            await fail()


async def test_in_a_finally_it_does_not_mask_that_the_session_was_lost(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async def receive() -> None:
        await session.connect()
        try:
            await session.receive()
        finally:
            await session.disconnect()

    async with no_task_left():
        with pytest.raises(SessionLost):
            await receive()


async def test_after_a_loss_it_is_harmless(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async with no_task_left():
        await session.connect()
        await trio.sleep(5)
        await session.disconnect()

    with pytest.raises(SessionLost):
        await session.receive()


# -- from its own tasks


@pytest.mark.parametrize("event", ["state_changed", "response_ended", "transcript_available"])
async def test_a_handler_may_end_it(autojump_clock: MockClock, event: str):
    session = VoiceSession(backend=scripted("Where are you?"))
    ended: list[float] = []

    @session.on(event)
    async def end() -> None:
        await session.disconnect()
        ended.append(trio.current_time())

    async with no_task_left():
        try:
            await session.connect()
            await session.send_audio(SPEECH)
        except NotConnected:
            pass
        await trio.sleep(3)

    assert ended
    assert session.state is SessionState.DISCONNECTED


async def test_a_handler_of_the_end_may_end_it_once_more(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice(lost_after_s=3))
    ended: list[float] = []

    @session.on("disconnected")
    async def end() -> None:
        await session.disconnect()
        ended.append(trio.current_time())

    async with no_task_left():
        await session.connect()
        session.configure_turn_detection(silence_duration=500)
        await trio.sleep(4)

    assert ended == [3]


async def test_a_handler_may_have_another_task_end_it_and_wait(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())
    living: list[int] = []

    async def end() -> None:
        await session.disconnect()
        living.append(living_tasks())

    async with no_task_left():
        async with trio.open_nursery() as nursery:
            await session.connect(nursery)
            before = living_tasks()

            @session.on("response_ended")
            def end_soon() -> None:
                nursery.start_soon(end)

            await session.send_audio(SPEECH)

    assert living[0] < before  # it has waited for the session's own tasks


async def test_a_session_in_a_handler_of_another_one_may_end_that(autojump_clock: MockClock):
    outer = VoiceSession(backend=scripted())
    inner = VoiceSession(backend=scripted())

    @outer.on("response_ended")
    async def hold() -> None:
        async with inner.connect():
            await inner.send_audio(SPEECH)
            await trio.sleep_forever()

    @inner.on("response_ended")
    async def end() -> None:
        await outer.disconnect()

    async with no_task_left():
        await outer.connect()
        await outer.send_audio(SPEECH)
        await trio.sleep(5)

    assert outer.state is inner.state is SessionState.DISCONNECTED


async def test_a_tool_may_end_it(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        await session.disconnect()
        return "Rain."

    session = VoiceSession(agent=Agent(name="agent", tools=[forecast]), backend=forecaster())

    async with no_task_left(), session.connect():
        await session.send_audio(SPEECH)
        with pytest.raises(NotConnected):
            await session.receive()

    assert session.state is SessionState.DISCONNECTED


async def test_a_tool_may_end_it_from_its_thread():
    def forecast(city: str) -> str:
        trio.from_thread.run(session.disconnect)
        return "Rain."

    session = VoiceSession(agent=Agent(name="agent", tools=[forecast]), backend=forecaster())

    with trio.fail_after(10):
        async with session.connect():
            await session.send_audio(SPEECH)
            with pytest.raises(NotConnected):
                await session.receive()

    assert session.state is SessionState.DISCONNECTED

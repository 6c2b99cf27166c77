"""A voice that goes away in the middle of it, and a voice with a bug."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.contracts import SessionLost
from gateway.testing.faulty_table import Drop, Expire, GoMute
from gateway.voice import VoiceSession
from gateway.voice.session import NotConnected, SessionState
from tests.voice.session_voices import (
    SPEECH,
    BrokenVoice,
    DeafVoice,
    faulty,
    no_task_left,
    openai,
    say,
    scripted,
)

Call = Callable[[VoiceSession], Awaitable[object]]


async def streams(session: VoiceSession) -> list[object]:
    return [chunk async for chunk in session.stream_receive()]


async def sends(session: VoiceSession) -> None:
    while True:
        await session.send_audio(bytes(960), commit=False)
        await trio.sleep(0.02)


CALLS: dict[str, Call] = {
    "receive": lambda session: session.receive(),
    "stream": streams,
    "listen": lambda session: session.listen(),
    "send": sends,
    "respond": lambda session: session.respond(SPEECH),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


# -- the voice goes away


@every_call
async def test_who_waits_is_told_that_it_is_lost(autojump_clock: MockClock, call: Call):
    session = VoiceSession(backend=faulty(Drop(after_s=3), GoMute(at="session.updated")))

    async with no_task_left(), session.connect():
        with pytest.raises(SessionLost, match="broke"):
            await call(session)

        assert session.state is SessionState.DISCONNECTED


@every_call
async def test_so_is_whoever_asks_later_and_each_time(autojump_clock: MockClock, call: Call):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async with no_task_left():
        await session.connect()
        await trio.sleep(5)
        for _ in range(3):
            with pytest.raises(SessionLost, match="broke"):
                await call(session)
        await session.disconnect()


async def test_the_traceback_does_not_grow_with_each_time(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async def depth() -> int:
        with pytest.raises(SessionLost) as caught:
            await session.receive()
        return len(caught.traceback)

    await session.connect()
    await trio.sleep(5)
    depths = [await depth() for _ in range(5)]

    assert len(set(depths)) == 1


async def test_what_the_server_says_of_it_is_the_error(autojump_clock: MockClock):
    async with openai(Expire(after_s=3)) as (backend, _):
        async with VoiceSession(backend=backend).connect() as session:
            with pytest.raises(SessionLost, match="maximum duration"):
                await session.receive()


async def test_what_was_answered_before_can_still_be_taken(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(at="response.done", after_s=1)))

    async with session.connect():
        await session.send_audio(SPEECH)
        await trio.sleep(5)
        response = await session.receive()
        with pytest.raises(SessionLost):
            await session.receive()

    assert response.status == "completed"


async def test_what_was_found_before_can_still_be_listened_to(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(at="response.done", after_s=1)))

    async with session.connect():
        await say(session)
        await trio.sleep(5)
        assert await session.listen()
        with pytest.raises(SessionLost):
            await session.listen(timeout=1)


async def test_and_so_can_the_response_to_it(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(at="response.done", after_s=1)))

    async with session.connect():
        await say(session)
        user_audio = await session.listen()
        await trio.sleep(5)
        assert (await session.respond(user_audio)).status == "completed"
        with pytest.raises(SessionLost):
            await session.respond(user_audio)


async def test_a_block_goes_on_that_does_not_ask(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async with session.connect():
        await trio.sleep(5)

    assert session.state is SessionState.DISCONNECTED


async def test_an_interruption_of_a_lost_session_is_harmless(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))

    async with session.connect():
        await trio.sleep(5)
        await session.interrupt()

    assert session.state is SessionState.DISCONNECTED


async def test_handlers_are_told_once_that_it_is_lost(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))
    told: list[object] = []
    session.on("error")(told.append)
    session.on("disconnected")(told.append)

    async with session.connect():
        await trio.sleep(5)
        await session.disconnect()

    assert [str(each) for each in told] == ["the connection broke", "the connection broke"]
    assert isinstance(told[0], SessionLost)


async def test_there_are_no_last_words_for_a_voice_that_is_lost(autojump_clock: MockClock):
    session = VoiceSession(backend=DeafVoice(lost_after_s=3))

    async with no_task_left():
        with pytest.raises(SessionLost):
            async with session.connect():
                await session.send_audio(bytes(960))

    assert trio.current_time() == pytest.approx(3)


# -- a voice with a bug


class Bug(Exception):
    pass


BUGS = {
    "connect": lambda: BrokenVoice("connect", error=Bug),
    "first receive": lambda: BrokenVoice("receive", error=Bug),
    "first send": lambda: BrokenVoice("send", error=Bug),
    "run": lambda: BrokenVoice("run", error=Bug),
}
LATER_BUGS = {
    "receive": lambda: BrokenVoice("receive", count=5, error=Bug),
    "send": lambda: BrokenVoice("send", count=3, error=Bug),
    "run": lambda: BrokenVoice("run", count=5, error=Bug),
}
every_bug = pytest.mark.parametrize("voice", BUGS.values(), ids=BUGS.keys())
every_later_bug = pytest.mark.parametrize("voice", LATER_BUGS.values(), ids=LATER_BUGS.keys())
Make = Callable[[], BrokenVoice]


async def until_it_fails(session: VoiceSession) -> None:
    await session.send_audio(SPEECH)
    for _ in range(10):
        await session.receive()


async def connected_until_it_fails(session: VoiceSession, nursery: trio.Nursery | None = None) -> None:
    await session.connect(nursery)
    await until_it_fails(session)


@every_bug
async def test_a_bug_while_connecting_is_raised_by_connect(autojump_clock: MockClock, voice: Make):
    session = VoiceSession(backend=voice())

    async with no_task_left():
        with capture_logs() as logs, pytest.raises(Bug):
            await connected_until_it_fails(session)

    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["session.failed"]
    with pytest.raises(Bug):
        await session.receive()
    await session.disconnect()


@every_bug
async def test_a_bug_while_connecting_leaves_the_block_as_it_is(autojump_clock: MockClock, voice: Make):
    session = VoiceSession(backend=voice())

    async with no_task_left():
        with pytest.raises(Bug):
            async with session.connect():
                await until_it_fails(session)


@every_bug
async def test_a_bug_while_connecting_in_a_nursery_ends_that(autojump_clock: MockClock, voice: Make):
    session = VoiceSession(backend=voice())

    async with no_task_left():
        with pytest.raises(ExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await connected_until_it_fails(session, nursery)

    assert {type(each) for each in caught.value.exceptions} == {Bug}


@every_later_bug
async def test_a_bug_is_contained_logged_and_raised_from_the_next_call(
    autojump_clock: MockClock, voice: Make
):
    session = VoiceSession(backend=voice())

    async with no_task_left():
        with capture_logs() as logs:
            await session.connect()
            await trio.sleep(3)
            with trio.move_on_after(10):
                await session.send_audio(SPEECH, commit=False)
                await trio.sleep(5)
            with pytest.raises(Bug):
                await until_it_fails(session)
        with pytest.raises(Bug):
            await session.listen()
        await session.disconnect()

    failed = [entry for entry in logs if entry["event"] == "session.failed"]
    assert len(failed) == 1
    assert isinstance(failed[0]["exc_info"], Bug)


@every_later_bug
async def test_a_bug_leaves_the_block_as_it_is_whether_one_waits_for_the_voice(
    autojump_clock: MockClock, voice: Make
):
    session = VoiceSession(backend=voice())

    async with no_task_left():
        with capture_logs() as logs, pytest.raises(Bug):
            async with session.connect():
                await until_it_fails(session)

    assert "session.failed" in [entry["event"] for entry in logs]


async def test_or_for_something_else(autojump_clock: MockClock):
    session = VoiceSession(backend=BrokenVoice("run", count=5, error=Bug))

    async with no_task_left():
        with pytest.raises(Bug):
            async with session.connect(), trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
        assert trio.current_time() == pytest.approx(5)


async def test_a_bug_that_comes_up_when_a_program_ends_is_no_internal_error(autojump_clock: MockClock):
    class Untidy(BrokenVoice):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Bug

    async def main() -> None:
        await session.connect()

    session = VoiceSession(backend=Untidy("nowhere"))
    with capture_logs() as logs:
        await trio.to_thread.run_sync(lambda: trio.run(main))

    assert [entry["event"] for entry in logs] == ["session.failed"]


async def test_a_bug_that_comes_up_when_a_session_ends_does_not_mask_what_ends_it(autojump_clock: MockClock):
    class Untidy(BrokenVoice):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Bug

    session = VoiceSession(backend=Untidy("nowhere"))

    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        async with session.connect():
            raise ZeroDivisionError
    assert [entry["event"] for entry in logs] == ["session.failed"]

    with pytest.raises(Bug):
        async with VoiceSession(backend=Untidy("nowhere")).connect():
            pass


async def test_what_exits_a_program_does_so_from_the_next_call(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())

    @session.on("response_ended")
    def leave() -> None:
        raise SystemExit(3)

    await session.connect()
    await session.send_audio(SPEECH)
    await trio.sleep(1)

    with pytest.raises(SystemExit):
        await session.listen()
    await session.disconnect()


async def test_two_bugs_at_once_are_no_group(autojump_clock: MockClock):
    class Twice(BrokenVoice):
        async def run(self) -> None:
            try:
                await trio.sleep(1)
            finally:
                raise Bug

    session = VoiceSession(backend=Twice("receive", count=2, error=Bug))

    with pytest.raises(Bug):
        async with session.connect():
            await session.receive()


# -- what the user's own block raises


class Mine(Exception):
    pass


@pytest.mark.parametrize(
    "error",
    [
        Mine("1"),
        SessionLost("mine"),
        ExceptionGroup("mine", [Mine("1")]),
        ExceptionGroup("mine", [Mine("1"), Mine("2")]),
        StopAsyncIteration(),
        StopIteration(),
        KeyboardInterrupt(),
        SystemExit(),
    ],
    ids=repr,
)
async def test_an_error_in_a_block_leaves_it_as_it_is(autojump_clock: MockClock, error: BaseException):
    session = VoiceSession(backend=scripted())

    async with no_task_left():
        with pytest.raises(type(error)) as caught:
            async with session.connect():
                raise error

    assert caught.value is error
    assert session.state is SessionState.DISCONNECTED


async def test_an_error_in_a_block_comes_before_the_bug_that_it_hides(autojump_clock: MockClock):
    session = VoiceSession(backend=BrokenVoice("run", count=5, error=Bug))

    async def receive() -> None:
        try:
            await session.receive()
        except Bug as bug:
            raise Mine from bug

    with pytest.raises(Mine) as caught:
        async with session.connect():
            await receive()

    assert isinstance(caught.value.__cause__, Bug)


async def test_after_the_end_one_is_told_to_make_a_new_one(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())
    async with session.connect():
        pass

    for call in CALLS.values():
        with pytest.raises(NotConnected, match="make a new VoiceSession"):
            await call(session)
    with pytest.raises(NotConnected):
        session.configure_turn_detection(silence_duration=500)
    await session.interrupt()


@every_call
async def test_before_it_is_connected_one_is_told_to_connect(autojump_clock: MockClock, call: Call):
    session = VoiceSession(backend=scripted())

    with pytest.raises(NotConnected, match="connect"):
        await call(session)

    await session.interrupt()
    assert session.state is SessionState.IDLE
    async with session.connect():
        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await session.receive()  # nothing was said

"""Functions that are called when something happens in a session."""

import pytest
import trio
from structlog.testing import capture_logs

from gateway.voice.handlers import Handlers
from gateway.voice.happenings import Happened

WORDS = Happened("transcript_available", "Hello.", {"who": "user", "item_id": "u1"})
SPEECH = Happened("speech_started", None, {"item_id": "u1", "at_ms": 300})
MISSED = 1000


# -- in which order


async def test_handlers_are_called_in_the_order_of_what_happened_and_of_their_registration():
    handlers = Handlers()
    calls = []

    @handlers.on("transcript_available")
    async def slow(text: str) -> None:
        await trio.lowlevel.checkpoint()
        calls.append(("slow", text))

    @handlers.on("transcript_available")
    def quick(text: str) -> None:
        calls.append(("quick", text))

    handlers.post(Happened("transcript_available", "one"))
    handlers.post(Happened("transcript_available", "two"))
    await handlers.finish()

    assert calls == [("slow", "one"), ("quick", "one"), ("slow", "two"), ("quick", "two")]


async def test_nobody_is_called_before_the_next_turn_of_the_loop():
    handlers = Handlers()
    calls: list[str] = []
    handlers.on("transcript_available")(calls.append)

    handlers.post(WORDS)

    assert calls == []


async def test_handlers_are_called_as_things_happen(autojump_clock: trio.testing.MockClock):
    handlers = Handlers()
    calls: list[str] = []
    handlers.on("transcript_available")(calls.append)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handlers.run)
        for _ in range(3):
            await trio.sleep(1)
            handlers.post(WORDS)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert calls == ["Hello."] * 3


async def test_a_handler_that_is_registered_by_another_one_is_called_from_then_on():
    handlers = Handlers()
    calls: list[str] = []

    @handlers.on("transcript_available")
    def first(text: str) -> None:
        calls.append(f"first {text}")
        handlers.on("transcript_available")(lambda text: calls.append(f"next {text}"))

    handlers.post(Happened("transcript_available", "one"))
    await handlers.finish()
    handlers.post(Happened("transcript_available", "two"))
    await handlers.finish()

    assert calls == ["first one", "first two", "next two"]


async def test_what_happens_in_a_handler_is_told_after_what_happened_before():
    handlers = Handlers()
    calls: list[str] = []

    @handlers.on("speech_started")
    def interrupt() -> None:
        handlers.post(Happened("interrupted"))

    handlers.on("interrupted")(lambda: calls.append("interrupted"))
    handlers.on("transcript_available")(calls.append)
    handlers.post(SPEECH)
    handlers.post(WORDS)
    await handlers.finish()

    assert calls == ["Hello.", "interrupted"]


async def test_those_who_were_not_called_when_the_session_ended_are_called_then(
    autojump_clock: trio.testing.MockClock,
):
    handlers = Handlers()
    calls: list[str] = []
    handlers.on("transcript_available")(trio.sleep_forever)
    handlers.on("transcript_available")(calls.append)
    handlers.post(WORDS)

    with trio.move_on_after(1):
        await handlers.run()
    await handlers.finish()

    assert calls == ["Hello."]


# -- what may go wrong


@pytest.mark.parametrize("name", ["speech", "", "Speech_started", "on"])
def test_an_event_that_does_not_exist_is_an_error_that_lists_those_that_do(name: str):
    with pytest.raises(ValueError, match=r"speech_started, speech_ended, .*disconnected"):
        Handlers().on(name)


def test_a_decorated_function_stays_what_it_is():
    def handler() -> None: ...

    assert Handlers().on("error")(handler) is handler


async def test_a_handler_that_raises_is_logged_and_counted_and_the_next_one_is_called():
    calls: list[str] = []

    def broken(text: str) -> None:
        raise RuntimeError(text)

    async def broken_later(text: str) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError(text)

    with capture_logs() as logs:
        handlers = Handlers()
        handlers.on("transcript_available")(broken)
        handlers.on("transcript_available")(broken_later)
        handlers.on("transcript_available")(calls.append)
        handlers.post(WORDS)
        await handlers.finish()

    assert calls == ["Hello."]
    assert handlers.failures == 2
    assert [line["event"] for line in logs] == ["handler.failed", "handler.failed"]
    assert "broken_later" in logs[1]["handler"]


async def test_a_handler_that_takes_what_there_is_not_is_logged():
    handlers = Handlers()
    handlers.on("transcript_available")(lambda text, colour: None)
    handlers.post(WORDS)

    await handlers.finish()

    assert handlers.failures == 1


async def test_a_handler_that_is_cancelled_is_cancelled(autojump_clock: trio.testing.MockClock):
    handlers = Handlers()
    handlers.on("speech_started")(trio.sleep_forever)
    handlers.post(SPEECH)

    with trio.move_on_after(1) as scope:
        await handlers.run()

    assert scope.cancelled_caught
    assert handlers.failures == 0


async def test_what_waits_behind_a_handler_that_hangs_is_bounded_and_that_is_said_once(
    autojump_clock: trio.testing.MockClock,
):
    handlers = Handlers()
    handlers.on("speech_started")(trio.sleep_forever)

    with capture_logs() as logs, trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handlers.run)
            for _ in range(MISSED + 50):
                handlers.post(SPEECH)

    assert handlers.failures == 50
    assert [line["event"] for line in logs] == ["handler.missed"]


async def test_what_nobody_wants_to_know_waits_for_nobody():
    handlers = Handlers()

    for _ in range(MISSED + 50):
        handlers.post(SPEECH)

    assert handlers.failures == 0

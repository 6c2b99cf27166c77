"""Functions of the user's that the agent calls."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.config import Secret
from gateway.contracts import Agent, Tool, VoiceBackend
from gateway.testing.fake_realtime import FakeRealtime
from gateway.voice import VoiceSession
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from tests.voice.session_tools import NOBODY_KNOWS, RAIN, forecaster
from tests.voice.session_voices import SPEECH, remember


def session_with(tool: Callable[..., Any] | Tool, backend: VoiceBackend | None = None) -> VoiceSession:
    return VoiceSession(agent=Agent(name="agent", tools=[tool]), backend=backend or forecaster())


async def test_an_async_function_is_called_and_its_answer_told(autojump_clock: MockClock):
    asked: list[str] = []

    async def forecast(city: str) -> str:
        asked.append(city)
        await trio.sleep(5)
        return "Rain."

    async with session_with(forecast).connect() as session:
        response = await session.respond(SPEECH)

    assert asked == ["Oslo"]
    assert RAIN in response.transcript
    assert response.status == "completed"


async def test_a_plain_function_is_called_in_a_thread():
    def forecast(city: str) -> dict[str, str]:
        trio.from_thread.run_sync(asked.append, city)
        return {"weather": "rain"}

    asked: list[str] = []
    async with session_with(forecast).connect() as session:
        response = await session.respond(SPEECH)

    assert asked == ["Oslo"]
    assert RAIN in response.transcript


async def test_what_it_says_before_and_after_is_one_response(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        return "Rain."

    session = session_with(forecast)
    told = remember(session, "response_started", "tool_called", "response_ended")
    async with session.connect():
        response = await session.respond(SPEECH)
        await trio.sleep(1)
        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await session.receive()

    assert response.transcript.startswith("One moment, please.")
    assert RAIN in response.transcript
    assert response.duration_ms == len(response.data) // 48
    assert told == ["response_started", "tool_called", "response_ended"]


async def test_handlers_are_told_of_the_call(autojump_clock: MockClock):
    told: list[Any] = []

    async def forecast(city: str) -> str:
        return "Rain."

    session = session_with(forecast)

    @session.on("tool_called")
    def called(name: str, arguments: str) -> None:
        told.append((name, json.loads(arguments)))

    async with session.connect():
        await session.respond(SPEECH)
        await trio.sleep(1)

    assert told == [("forecast", {"city": "Oslo"})]


async def test_a_tool_that_raises_is_logged_and_the_agent_is_told(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with session_with(forecast).connect() as session:
            response = await session.respond(SPEECH)
            again = await session.respond(SPEECH)

    assert NOBODY_KNOWS in response.transcript
    assert again.status == "completed"
    assert [entry["tool"] for entry in logs if entry["event"] == "tool.raised"] == ["forecast"] * 2


async def test_a_tool_that_takes_too_long_has_failed(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        await trio.sleep_forever()
        return ""

    async with session_with(forecast).connect() as session:
        response = await session.respond(SPEECH)

    assert NOBODY_KNOWS in response.transcript
    assert trio.current_time() == pytest.approx(30, abs=1)


async def test_arguments_that_do_not_fit_are_told_to_the_agent(autojump_clock: MockClock):
    async def forecast(city: int) -> str:
        pytest.fail("called")

    async with session_with(forecast).connect() as session:
        assert NOBODY_KNOWS in (await session.respond(SPEECH)).transcript


async def test_a_tool_that_nobody_can_run_has_failed(autojump_clock: MockClock):
    async with session_with(Tool(name="forecast")).connect() as session:
        response = await session.respond(SPEECH)

    assert response.status == "completed"


async def test_the_session_goes_on_while_a_tool_runs(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        await trio.sleep(5)
        return "Rain."

    async with session_with(forecast).connect() as session:
        await session.send_audio(SPEECH)
        first = session.stream_receive()
        await anext(first)
        came_at = trio.current_time()
        chunks = [chunk async for chunk in first]

    assert came_at < 1
    assert chunks
    assert trio.current_time() >= 5


async def test_an_answer_that_is_interrupted_while_its_tool_runs_is_over(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        await trio.sleep(5)
        return "Rain."

    async with session_with(forecast).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(2)
        await session.interrupt()
        with trio.fail_after(1):
            first = await session.receive()
        await trio.sleep(10)
        second = await session.respond(SPEECH)

    assert first.status == "cancelled"
    assert second.status == "completed"


async def test_a_tool_ends_with_the_session(autojump_clock: MockClock):
    ended: list[str] = []

    async def forecast(city: str) -> str:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(city)
        return ""

    async with session_with(forecast).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(1)

    assert ended == ["Oslo"]


async def test_a_tool_may_talk_with_the_session(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        await session.interrupt()
        session.configure_turn_detection(silence_duration=500)
        return "Rain."

    session = session_with(forecast)
    async with session.connect():
        await session.send_audio(SPEECH)
        with trio.fail_after(10):
            response = await session.receive()

    assert response.status == "cancelled"


async def test_tools_are_told_to_a_server_that_calls_them(autojump_clock: MockClock):
    async def forecast(city: str) -> str:
        """Tell the weather."""
        return "Rain."

    fake = FakeRealtime(forecaster(), commit_s=0.2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fake.run)
        backend = RealtimeBackend(RealtimeSettings(), Secret("sk-test"), dial=fake.dial)
        async with session_with(forecast, backend).connect() as session:
            response = await session.respond(SPEECH)
        nursery.cancel_scope.cancel()

    record = fake.records[0]
    (told,) = record.received_of("session.update")[0]["session"]["tools"]
    assert (told["name"], told["description"]) == ("forecast", "Tell the weather.")
    assert RAIN in response.transcript
    outputs = [event["item"] for event in record.received_of("conversation.item.create")]
    assert [item["output"] for item in outputs] == ["Rain."]
    assert len(record.received_of("response.create")) == 2

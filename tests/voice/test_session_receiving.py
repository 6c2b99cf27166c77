"""Taking what the agent says: whole or in pieces, by one at a time, and losing nothing of it."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.contracts import Agent
from gateway.testing.faulty_table import FailResponse
from gateway.voice import VoiceSession
from gateway.voice.session import NotConnected, Response, SessionState
from tests.voice.session_voices import QUESTION, SILENCE, SPEECH, faulty, openai, say, scripted, slow

GREETING = "Thank you for calling the Harbour Kitchen."


async def chunks_of(session: VoiceSession, most: int = 10_000) -> list[bytes]:
    found: list[bytes] = []
    async for chunk in session.stream_receive():
        found.append(chunk.data)
        if len(found) == most:
            break
    return found


async def test_a_response_is_complete(autojump_clock: MockClock):
    async with openai() as (backend, _), VoiceSession(backend=backend).connect() as session:
        response = await session.respond(SPEECH)

        assert isinstance(response, Response)
        assert response.status == "completed"
        assert response.transcript == session.messages[-1].text
        assert response.item_id == session.messages[-1].item_id
        assert len(response.data) == response.duration_ms * 48 > 0


async def test_its_chunks_are_the_response(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION, QUESTION)).connect() as session:
        whole = await session.respond(SPEECH)
        await session.send_audio(SPEECH)
        chunks = [chunk async for chunk in session.stream_receive()]

    assert b"".join(chunk.data for chunk in chunks) == whole.data
    assert all(chunk.data and chunk.item_id for chunk in chunks)


async def test_chunks_come_as_they_are_made(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        await session.send_audio(SPEECH)
        came_at = [trio.current_time() async for _ in session.stream_receive()]
        over_at = trio.current_time()

    assert came_at[0] < came_at[-1] <= over_at


async def test_responses_come_in_order(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        for _ in range(3):
            await session.send_audio(SPEECH)
            await trio.sleep(2)
        items = [(await session.receive()).item_id for _ in range(3)]

    agent_items = [message.item_id for message in session.messages if message.who == "agent"]
    assert items == agent_items


async def test_one_that_was_made_before_anybody_asked_is_there(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(60)

        with trio.fail_after(0.1):
            assert (await session.receive()).status == "completed"


async def test_a_greeting_is_the_first_response(autojump_clock: MockClock):
    agent = Agent(name="agent", greeting=GREETING)
    async with openai() as (backend, _):
        async with VoiceSession(agent=agent, backend=backend).connect() as session:
            greeting = await session.receive()
            answer = await session.respond(SPEECH)

    assert greeting.transcript == GREETING
    assert "Harbour Street" in answer.transcript


async def test_respond_drops_a_greeting_that_nobody_took(autojump_clock: MockClock):
    agent = Agent(name="agent", greeting=GREETING)
    async with VoiceSession(agent=agent, backend=scripted(QUESTION)).connect() as session:
        answer = await session.respond(SPEECH)

        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await session.receive()

    assert "Harbour Street" in answer.transcript


async def test_a_response_that_fails_is_one_too(autojump_clock: MockClock):
    async with VoiceSession(backend=faulty(FailResponse())).connect() as session:
        failed = await session.respond(SPEECH)
        answered = await session.respond(SPEECH)

    assert (failed.status, failed.data, failed.item_id) == ("failed", b"", "")
    assert answered.status == "completed"


# -- one at a time


async def test_two_that_take_responses_at_once_are_told(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.receive)
            await trio.testing.wait_all_tasks_blocked()
            for call in (session.receive, lambda: chunks_of(session), lambda: session.respond(SPEECH)):
                with pytest.raises(trio.BusyResourceError, match="another task takes the responses"):
                    await call()
            await session.send_audio(SPEECH)  # for the first one

        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await session.receive()  # who was told has said nothing, either


async def test_two_that_listen_at_once_are_told(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.listen)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await session.listen()
        await say(session)


async def test_one_may_listen_while_another_receives(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.listen)
            nursery.start_soon(session.receive)
            await say(session)


# -- nothing is lost


@pytest.mark.parametrize("step_s", [0.05, 0.11, 0.5])
async def test_a_receive_that_is_cancelled_loses_nothing(autojump_clock: MockClock, step_s: float):
    async with VoiceSession(backend=slow()).connect() as session:
        whole = await session.respond(SPEECH)
        await session.send_audio(SPEECH)
        response = None
        while response is None:
            with trio.move_on_after(step_s):
                response = await session.receive()

    assert response.data == whole.data


@pytest.mark.parametrize("step_s", [0.01, 0.05, 0.2])
async def test_a_stream_that_is_cancelled_loses_nothing(autojump_clock: MockClock, step_s: float):
    async with VoiceSession(backend=slow()).connect() as session:
        whole = await session.respond(SPEECH)
        await session.send_audio(SPEECH)
        stream = session.stream_receive()
        found = b""
        over = False
        while not over:
            over = True
            with trio.move_on_after(step_s) as scope:
                async for chunk in stream:
                    found += chunk.data
            over = not scope.cancelled_caught

    assert found == whole.data


async def test_who_is_cancelled_already_takes_nothing(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(1)
        for _ in range(3):
            with trio.move_on_after(0):
                await session.receive()
                pytest.fail("taken")
            with trio.move_on_after(0):
                await anext(session.stream_receive())
                pytest.fail("taken")

        assert (await session.receive()).status == "completed"


async def test_who_is_cancelled_already_listens_to_nothing(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        await say(session)
        await trio.sleep(1)
        with trio.move_on_after(0):
            await session.listen()
            pytest.fail("taken")

        assert await session.listen(timeout=0)


async def test_leaving_a_stream_leaves_the_rest(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION, QUESTION)).connect() as session:
        whole = await session.respond(SPEECH)
        await session.send_audio(SPEECH)
        some = b"".join(await chunks_of(session, most=3))
        more = b"".join(await chunks_of(session, most=2))
        rest = await session.receive()

    assert some + more + rest.data == whole.data
    assert rest.transcript == whole.transcript
    assert rest.duration_ms == len(rest.data) // 48


async def test_a_stream_is_of_one_response(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION, QUESTION)).connect() as session:
        await session.send_audio(SPEECH)
        first = session.stream_receive()
        await anext(first)
        await session.receive()
        await session.send_audio(SPEECH)
        await trio.sleep(1)

        assert [chunk async for chunk in first] == []
        with pytest.raises(StopAsyncIteration):
            await anext(first)
        assert (await session.receive()).data


async def test_who_stops_responding_has_the_response_still_to_come(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        with trio.move_on_after(0.1):
            await session.respond(SPEECH)
            pytest.fail("too fast")

        assert (await session.receive()).status == "completed"


# -- respond


async def test_what_was_listened_to_is_not_said_twice(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, session)
            user_audio = await session.listen()
        sent_bytes = fake.records[0].caller_bytes
        response = await session.respond(user_audio)

        assert "Harbour Street" in response.transcript
        assert fake.records[0].caller_bytes == sent_bytes
        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await session.receive()


async def test_a_part_of_what_was_listened_to_is_said(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        await say(session)
        user_audio = await session.listen()
        await session.receive()
        sent_bytes = fake.records[0].caller_bytes
        await session.respond(user_audio[: 48 * 500])

    assert fake.records[0].caller_bytes > sent_bytes


async def test_respond_gives_the_response_to_what_was_said(autojump_clock: MockClock):
    hears = ("When are you open?", QUESTION)
    async with VoiceSession(backend=scripted(*hears)).connect() as session:
        await say(session, SPEECH + SILENCE)
        await trio.sleep(1)
        response = await session.respond(SPEECH)

    assert "Harbour Street" in response.transcript


async def test_conversations_go_on_turn_by_turn(autojump_clock: MockClock):
    async with openai() as (backend, _), VoiceSession(backend=backend).connect() as session:
        for _ in range(10):
            assert (await session.respond(SPEECH)).status == "completed"
        states = session.state

    assert states is SessionState.CONNECTED
    assert [message.who for message in session.messages] == ["user", "agent"] * 10


async def test_a_stream_of_a_session_that_ends_is_over_with_an_error(autojump_clock: MockClock):
    session = VoiceSession(backend=slow())

    async def stream() -> None:
        with pytest.raises(NotConnected):
            await chunks_of(session)

    async with trio.open_nursery() as nursery:
        await session.connect()
        await session.send_audio(SPEECH)
        nursery.start_soon(stream)
        await trio.sleep(0.5)
        await session.disconnect()

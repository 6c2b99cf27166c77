"""Having the agent be silent."""

import math

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.contracts import Agent
from gateway.voice import VoiceSession
from gateway.voice.session import NotConnected
from tests.voice.session_voices import QUESTION, SPEECH, openai, scripted, slow


async def test_the_response_ends_as_cancelled(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(1)
        await session.interrupt()

        with trio.fail_after(1):
            response = await session.receive()

    assert response.status == "cancelled"


async def test_who_waits_for_it_has_it_at_once(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session, trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.sleep(1)
            await session.interrupt()

        nursery.start_soon(interrupt)
        response = await session.respond(SPEECH)

    assert response.status == "cancelled"
    assert trio.current_time() < 1.1


async def test_a_stream_ends_with_it(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        await session.send_audio(SPEECH)
        count = 0
        async for _ in session.stream_receive():
            count += 1
            await session.interrupt()

        assert count == 1
        assert (await session.respond(SPEECH)).status == "completed"


async def test_the_voice_is_told_what_was_heard(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        response = await session.respond(SPEECH)  # 8.9 s, played from now on
        await trio.sleep(2)
        await session.interrupt()
        await trio.sleep(1)

    assert fake.records[0].truncated == {response.item_id: 2000}
    spoken = session.messages[-1]
    assert spoken.interrupted
    assert 0 < len(spoken.text or "") < len(response.transcript)


async def test_who_plays_it_may_know_better(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        response = await session.respond(SPEECH)
        await trio.sleep(2)
        await session.interrupt(heard_ms=1234.5)
        await trio.sleep(1)

    assert fake.records[0].truncated == {response.item_id: 1234}


@pytest.mark.parametrize("heard_ms", [-1, -0.5, math.nan])
async def test_what_was_heard_is_no_less_than_nothing(autojump_clock: MockClock, heard_ms: float):
    async with VoiceSession(backend=scripted()).connect() as session:
        with pytest.raises(ValueError, match="at least 0"):
            await session.interrupt(heard_ms)


@pytest.mark.parametrize("heard_ms", [0, 8_880, 100_000, math.inf])
async def test_one_may_have_heard_nothing_or_all(autojump_clock: MockClock, heard_ms: float):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        response = await session.respond(SPEECH)
        await session.interrupt(heard_ms)
        await trio.sleep(1)

    assert fake.records[0].truncated == ({response.item_id: 0} if heard_ms == 0 else {})
    assert session.messages[-1].interrupted == (heard_ms == 0)


async def test_what_was_played_to_its_end_is_not_interrupted(autojump_clock: MockClock):
    told: list[str] = []
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        session.on("interrupted")(lambda: told.append("interrupted"))
        await session.respond(SPEECH)
        await trio.sleep(9)
        await session.interrupt()
        await trio.sleep(1)

    assert told == []
    assert fake.records[0].received_of("response.cancel") == []
    assert fake.records[0].truncated == {}


async def test_twice_is_once(autojump_clock: MockClock):
    told: list[str] = []
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        session.on("interrupted")(lambda: told.append("interrupted"))
        await session.respond(SPEECH)
        await trio.sleep(2)
        for _ in range(3):
            await session.interrupt()
        await trio.sleep(1)

    assert told == ["interrupted"]
    assert len(fake.records[0].received_of("conversation.item.truncate")) == 1


async def test_when_nothing_is_said_it_does_nothing(autojump_clock: MockClock):
    async with openai() as (backend, fake):
        session = VoiceSession(backend=backend)
        await session.interrupt()
        async with session.connect():
            await session.interrupt()
            assert (await session.respond(SPEECH)).status == "completed"
        await session.interrupt()

    assert fake.records[0].errors == []


async def test_a_greeting_can_be_interrupted(autojump_clock: MockClock):
    agent = Agent(name="agent", greeting=" ".join(f"{number}." for number in range(10, 30)))
    async with VoiceSession(agent=agent, backend=slow()).connect() as session:
        await trio.sleep(1)
        await session.interrupt()

        assert (await session.receive()).status == "cancelled"
        assert (await session.respond(SPEECH)).status == "completed"


@pytest.mark.parametrize("after_s", [0, 0.001, 0.19, 0.2, 0.21, 0.3])
async def test_each_commit_has_its_response_wherever_one_interrupts(
    autojump_clock: MockClock, after_s: float
):
    async with VoiceSession(backend=slow()).connect() as session:
        for _ in range(3):
            await session.send_audio(SPEECH)
        await trio.sleep(after_s)
        await session.interrupt()
        await session.interrupt()

        with trio.fail_after(30):
            found = [(await session.receive()).status for _ in range(3)]

    assert set(found) <= {"completed", "cancelled"}


async def test_who_is_cancelled_while_he_interrupts_has_interrupted(autojump_clock: MockClock):
    async with VoiceSession(backend=slow()).connect() as session:
        await session.send_audio(SPEECH)
        await trio.sleep(1)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.interrupt)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                scope.cancel()

        with trio.fail_after(1):
            assert (await session.receive()).status == "cancelled"


async def test_a_session_that_ends_before_it_is_sent_says_so(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(QUESTION))
    async with session.connect():
        await session.respond(SPEECH)

    await session.interrupt()
    with pytest.raises(NotConnected):
        await session.receive()

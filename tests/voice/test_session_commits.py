"""One response to each turn, whoever finds the end of it: with a voice that commits as OpenAI's does."""

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.testing.faulty_record import VoiceRecord
from gateway.voice import VoiceSession
from tests.voice.session_voices import QUESTION, SAID_IN_FULL, SILENCE, SPEECH, openai, say, scripted

EMPTY = "input_audio_buffer_commit_empty"
LATE, EARLY = 0.2, 0  # a commit is read after what was said before it was judged, or before
both_orders = pytest.mark.parametrize("commit_s", [LATE, EARLY])


def codes(record: VoiceRecord) -> list[str]:
    return [error["code"] for error in record.errors]


async def responses_to(session: VoiceSession, *, within_s: float = 5) -> list[str]:
    """The status of each response that there is within a while."""
    found: list[str] = []
    with trio.move_on_after(within_s):
        while True:
            found.append((await session.receive()).status)
    return found


# -- the server that is talked with commits as OpenAI's does


async def test_a_clients_commit_makes_an_item_and_no_response(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        session.configure_turn_detection(silence_duration=5000)
        await session.send_audio(SPEECH)
        await session.receive()

    record = fake.records[0]
    detection = record.received_of("session.update")[0]["session"]["audio"]["input"]["turn_detection"]
    assert detection["type"] == "server_vad"
    kinds = [event["type"] for _, event in record.sent]
    committed = kinds.index("input_audio_buffer.committed")
    asked = next(at for at, event in record.received if event["type"] == "response.create")
    began = next(at for at, event in record.sent if event["type"] == "response.created")
    assert kinds.index("response.created") > committed
    assert began >= asked
    assert kinds.count("conversation.item.added") == 2  # what was said, and the answer


async def test_after_the_servers_own_commit_a_clients_is_empty(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        await session.send_audio(SPEECH + bytes(48 * 850))
        await session.receive()

    assert codes(fake.records[0]) == [EMPTY]
    assert len(fake.records[0].sent_of("input_audio_buffer.committed")) == 1


# -- one response to a commit


@both_orders
@pytest.mark.parametrize("detected", [True, False])
@pytest.mark.parametrize(
    "clip",
    [
        SPEECH,
        SPEECH + bytes(48 * 700),
        SPEECH + bytes(48 * 800),
        SPEECH + bytes(48 * 832),
        SPEECH + bytes(48 * 900),
        SPEECH + SILENCE + SILENCE,
        SILENCE + SPEECH,
        SPEECH + SILENCE + SPEECH,
        SPEECH + SILENCE + SPEECH + SILENCE,
        SPEECH[:2],
        SPEECH[: 48 * 99],
        SILENCE,
        b"",
    ],
    ids=lambda clip: f"{len(clip) / 48:g} ms",
)
async def test_there_is_one_response_to_a_clip_whatever_is_in_it(
    autojump_clock: MockClock, commit_s: float, detected: bool, clip: bytes
):
    told: list[Any] = []
    async with openai(commit_s=commit_s) as (backend, fake):
        session = VoiceSession(backend=backend, turn_detection=detected)
        session.on("error")(told.append)
        async with session.connect():
            await session.send_audio(clip)

            assert await responses_to(session) == ["completed"]

    assert told == []
    assert set(codes(fake.records[0])) <= {EMPTY}


@both_orders
@pytest.mark.parametrize("detected", [True, False])
async def test_there_is_one_to_each_of_several(autojump_clock: MockClock, commit_s: float, detected: bool):
    async with openai(commit_s=commit_s) as (backend, _):
        async with VoiceSession(backend=backend, turn_detection=detected).connect() as session:
            for _ in range(4):
                await session.send_audio(SPEECH)

            assert await responses_to(session) == ["completed"] * 4


@both_orders
async def test_there_is_one_to_what_was_sent_in_pieces(autojump_clock: MockClock, commit_s: float):
    async with openai(commit_s=commit_s) as (backend, _):
        async with VoiceSession(backend=backend).connect() as session:
            await say(session, SPEECH)
            await session.send_audio(SPEECH)

            assert await responses_to(session) == ["completed"]


async def test_there_is_one_to_each_turn_that_turn_detection_finds(autojump_clock: MockClock):
    async with openai() as (backend, _), VoiceSession(backend=backend).connect() as session:
        await say(session, SAID_IN_FULL + SAID_IN_FULL)

        assert await responses_to(session) == ["completed", "completed"]


@both_orders
async def test_there_is_one_to_a_turn_that_was_found_and_one_to_what_is_said_then(
    autojump_clock: MockClock, commit_s: float
):
    async with openai(commit_s=commit_s) as (backend, _):
        async with VoiceSession(backend=backend).connect() as session:
            await say(session, SAID_IN_FULL)
            await trio.sleep(1)
            await session.send_audio(SPEECH)

            assert await responses_to(session) == ["completed", "completed"]


async def test_what_is_committed_while_the_agent_speaks_is_answered_after_that(autojump_clock: MockClock):
    hears = (QUESTION, "When are you open?")
    async with openai(hears=hears) as (backend, _), VoiceSession(backend=backend).connect() as session:
        begun = trio.Event()
        session.on("response_started")(begun.set)
        await session.send_audio(SPEECH)
        await begun.wait()
        await session.send_audio(SPEECH)
        first, second = await session.receive(), await session.receive()

    assert "Harbour Street" in first.transcript
    assert "Tuesday" in second.transcript


async def test_without_turn_detection_nobody_answers_before_a_commit(autojump_clock: MockClock):
    async with openai() as (backend, fake):
        async with VoiceSession(backend=backend, turn_detection=False).connect() as session:
            await say(session, SAID_IN_FULL)
            assert await responses_to(session) == []

            await session.send_audio(b"")
            assert await responses_to(session) == ["completed"]

    detection = fake.records[0].received_of("session.update")[0]["session"]["audio"]["input"]
    assert detection["turn_detection"] is None


async def test_turn_detection_is_switched_off_and_on_in_a_session(autojump_clock: MockClock):
    async with openai() as (backend, _), VoiceSession(backend=backend).connect() as session:
        session.configure_turn_detection(enabled=False)
        await say(session, SAID_IN_FULL)
        assert await responses_to(session) == []

        await session.send_audio(SPEECH)
        assert await responses_to(session) == ["completed"]

        session.configure_turn_detection()
        await say(session, SAID_IN_FULL)
        assert await responses_to(session) == ["completed"]


@pytest.mark.parametrize("switch_to", [True, False])
async def test_switching_it_while_the_user_speaks_costs_no_response(
    autojump_clock: MockClock, switch_to: bool
):
    async with openai() as (backend, _):
        session = VoiceSession(backend=backend, turn_detection=not switch_to)
        async with session.connect():
            await say(session, SPEECH)
            session.configure_turn_detection(enabled=switch_to)
            await session.send_audio(SPEECH)

            assert await responses_to(session) == ["completed"]


async def test_how_turns_are_found_is_told_to_the_voice(autojump_clock: MockClock):
    async with openai() as (backend, fake):
        session = VoiceSession(backend=backend)
        session.configure_turn_detection(
            enabled=True, threshold=0.7, prefix_padding=200, silence_duration=600
        )
        async with session.connect():
            session.configure_turn_detection(silence_duration=500)
            await trio.sleep(1)

    first, second = (
        event["session"]["audio"]["input"]["turn_detection"]
        for event in fake.records[0].received_of("session.update")
    )
    assert first == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 600,
        "create_response": False,
        "interrupt_response": False,
    }
    assert (second["silence_duration_ms"], second["threshold"]) == (500, 0.5)


# -- what cannot be said


@pytest.mark.parametrize("data", ["audio", None, 5, [0, 0], 1.5])
async def test_audio_is_bytes(autojump_clock: MockClock, data: Any):
    async with VoiceSession(backend=scripted()).connect() as session:
        for call in (session.send_audio, session.respond):
            with pytest.raises(TypeError, match="expected bytes"):
                await call(data)
        assert await responses_to(session) == []


async def test_half_a_sample_is_no_audio(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        for call in (session.send_audio, session.respond):
            with pytest.raises(ValueError, match="even number"):
                await call(bytes(3))
        assert await responses_to(session) == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_all_kinds_of_bytes_are_taken(autojump_clock: MockClock, kind: Any):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        assert "Harbour Street" in (await session.respond(kind(SPEECH))).transcript


async def test_who_is_cancelled_before_he_says_anything_has_said_nothing(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        with trio.move_on_after(0):
            await session.send_audio(SPEECH)

        assert await responses_to(session) == []


async def test_who_is_cancelled_while_it_is_sent_has_said_it_once(autojump_clock: MockClock):
    async with openai() as (backend, fake), VoiceSession(backend=backend).connect() as session:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.send_audio, SPEECH)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                scope.cancel()

        assert len(await responses_to(session)) <= 1

    assert fake.records[0].caller_bytes in {0, len(SPEECH) + 48 * 3}

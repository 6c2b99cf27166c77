"""What handlers are told, and in which order."""

from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.contracts import Agent, SessionLost
from gateway.testing.faulty_table import Drop, GoMute
from gateway.voice import VoiceSession
from gateway.voice.session import SessionState, VoiceError
from tests.voice.session_voices import (
    QUESTION,
    SPEECH,
    OddVoice,
    faulty,
    openai,
    remember,
    say,
    scripted,
    slow,
)

EVENTS = (
    "speech_started",
    "speech_ended",
    "response_started",
    "transcript_available",
    "response_ended",
    "interrupted",
    "tool_called",
    "state_changed",
    "error",
    "disconnected",
)


async def test_a_turn_is_told_in_its_order(autojump_clock: MockClock):
    async with openai() as (backend, _):
        session = VoiceSession(backend=backend)
        told = remember(session, *[event for event in EVENTS if event != "state_changed"])
        async with session.connect():
            await say(session)
            await session.receive()
            await trio.sleep(1)

    assert told == [
        "speech_started",
        "speech_ended",
        "transcript_available",
        "response_started",
        "transcript_available",
        "response_ended",
        "disconnected",
    ]


async def test_every_state_is_told_in_its_order(autojump_clock: MockClock):
    states: list[tuple[SessionState, SessionState]] = []
    async with openai() as (backend, _):
        session = VoiceSession(backend=backend)
        session.on("state_changed")(lambda state, before: states.append((before, state)))
        async with session.connect():
            await say(session)
            await session.receive()
            await trio.sleep(1)

    order = [before for before, _ in states] + [states[-1][1]]
    assert [state for _, state in states] == order[1:]
    assert order == [
        SessionState.IDLE,
        SessionState.CONNECTING,
        SessionState.CONNECTED,
        SessionState.LISTENING,
        SessionState.PROCESSING,
        SessionState.SPEAKING,
        SessionState.CONNECTED,
        SessionState.DISCONNECTED,
    ]


async def test_the_connection_is_told_before_the_voice_says_a_word(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(GoMute()))
    connected_at: list[float] = []

    @session.on("state_changed")
    def note(state: SessionState) -> None:
        if state is SessionState.CONNECTED:
            connected_at.append(trio.current_time())

    with pytest.raises(SessionLost):
        await session.connect()

    assert connected_at == [0]


async def test_a_handler_is_told_what_it_takes(autojump_clock: MockClock):
    told: dict[str, Any] = {}

    async with openai() as (backend, _):
        session = VoiceSession(backend=backend)

        @session.on("transcript_available")
        async def words(text: str, who: str) -> None:
            told[who] = text

        @session.on("response_ended")
        def ended(status: str, transcript: str, item_id: str) -> None:
            told["ended"] = (status, transcript, item_id)

        @session.on("speech_started")
        def started() -> None:
            told["started"] = True

        @session.on("disconnected")
        def gone(why: str | None) -> None:
            told["why"] = why

        async with session.connect():
            await say(session)
            response = await session.receive()

    assert told == {
        "user": QUESTION,
        "agent": response.transcript,
        "ended": (response.status, response.transcript, response.item_id),
        "started": True,
        "why": None,
    }


async def test_handlers_of_both_kinds_are_called_in_the_order_in_which_they_came(autojump_clock: MockClock):
    told: list[int] = []
    session = VoiceSession(backend=scripted(QUESTION))

    @session.on("response_ended")
    async def first() -> None:
        await trio.sleep(1)
        told.append(1)

    @session.on("response_ended")
    def second() -> None:
        told.append(2)

    async with session.connect():
        await session.respond(SPEECH)
        await trio.sleep(2)

    assert told == [1, 2]


async def test_a_handler_that_waits_holds_up_the_others_and_not_the_session(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(*[QUESTION] * 3))

    @session.on("response_started")
    async def wait() -> None:
        await trio.sleep(60)

    async with session.connect():
        for _ in range(3):
            await session.respond(SPEECH)

    assert trio.current_time() < 5


async def test_a_handler_that_raises_is_logged_and_counted(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(*[QUESTION] * 2))
    told = remember(session, "response_ended")

    @session.on("response_started")
    async def broken() -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with session.connect():
            await session.respond(SPEECH)
            await session.respond(SPEECH)

    assert told == ["response_ended", "response_ended"]
    assert session.handler_failures == 2
    failed = [entry for entry in logs if entry["event"] == "handler.failed"]
    assert [entry["event_name"] for entry in failed] == ["response_started"] * 2


def test_an_event_that_there_is_not_is_refused_at_once():
    session = VoiceSession(backend=scripted())

    with pytest.raises(ValueError, match="no event 'speech_begun'; there are: speech_started"):
        session.on("speech_begun")


async def test_a_handler_may_talk_with_the_session(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(*[QUESTION] * 2))
    responses: list[str] = []

    @session.on("response_ended")
    async def once_more() -> None:
        if not responses:
            responses.append("asked")
            await session.send_audio(SPEECH)

    async with session.connect():
        await session.respond(SPEECH)
        responses.append((await session.receive()).status)

    assert responses == ["asked", "completed"]


async def test_a_handler_may_talk_as_soon_as_it_is_told_of_the_connection(autojump_clock: MockClock):
    agent = Agent(name="agent", greeting="Hello.")
    async with openai() as (backend, _):
        session = VoiceSession(agent=agent, backend=backend)

        @session.on("state_changed")
        async def begin(state: SessionState, before: SessionState) -> None:
            if before is SessionState.CONNECTING and state is SessionState.CONNECTED:
                await session.send_audio(SPEECH)

        async with session.connect():
            with trio.fail_after(5):
                transcripts = {(await session.receive()).transcript for _ in range(2)}

    assert session.handler_failures == 0
    assert "Hello." in transcripts
    assert any("Harbour Street" in transcript for transcript in transcripts)


async def test_a_handler_may_interrupt_when_the_user_speaks(autojump_clock: MockClock):
    session = VoiceSession(backend=slow())
    session.on("speech_started")(session.interrupt)
    told = remember(session, "speech_started", "interrupted", "speech_ended")

    async with session.connect():
        await session.send_audio(SPEECH)
        await trio.sleep(1)
        await say(session)
        first, second = await session.receive(), await session.receive()

    assert (first.status, second.status) == ("cancelled", "completed")
    assert told == ["speech_started", "interrupted", "speech_ended"]


@pytest.mark.parametrize("count", [1, 2])
async def test_the_end_is_told_once(autojump_clock: MockClock, count: int):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))
    told = remember(session, "disconnected", "error")
    async with session.connect():
        await trio.sleep(2 if count == 1 else 5)

    assert told == ["disconnected"] if count == 1 else ["error", "disconnected"]


async def test_a_loss_is_told_as_the_error_that_it_is(autojump_clock: MockClock):
    session = VoiceSession(backend=faulty(Drop(after_s=3)))
    errors: list[Exception] = []
    session.on("error")(errors.append)
    async with session.connect():
        await trio.sleep(5)

    assert [type(error).__name__ for error in errors] == ["SessionLost"]
    assert not isinstance(errors[0], VoiceError)


async def test_a_handler_that_is_added_later_hears_what_comes_later(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(*[QUESTION] * 2))
    async with session.connect():
        await session.respond(SPEECH)
        await trio.sleep(1)
        told = remember(session, "response_started")
        await session.respond(SPEECH)
        await trio.sleep(1)

    assert told == ["response_started"]


async def test_a_handler_that_hangs_is_cancelled_with_the_session(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted(QUESTION))

    @session.on("response_ended")
    async def hang() -> None:
        await trio.sleep_forever()

    async with session.connect():
        await session.respond(SPEECH)
        await trio.sleep(1)
    over_at = trio.current_time()

    assert over_at < 2


async def test_a_handler_that_hangs_at_the_end_has_two_seconds(autojump_clock: MockClock):
    session = VoiceSession(backend=scripted())
    session.on("disconnected")(trio.sleep_forever)

    async with session.connect():
        pass

    assert trio.current_time() == 2


# -- a voice that says odd things

COMPLAINT = '{"type":"error","event_id":"e1","error":{"type":"invalid_request_error","code":"odd","message":"How odd."}}'


async def test_a_complaint_of_the_voice_is_told_and_the_session_goes_on(autojump_clock: MockClock):
    session = VoiceSession(backend=OddVoice(COMPLAINT))
    told: list[VoiceError] = []
    session.on("error")(told.append)

    async with session.connect():
        assert (await session.respond(SPEECH)).status == "completed"

    assert [(type(error), error.code, str(error)) for error in told] == [(VoiceError, "odd", "How odd.")]


@pytest.mark.parametrize("after", ["session.created", "session.updated", "response.created", "response.done"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"text"',
        '{"type":5}',
        '{"type":"no.such.event"}',
        '{"type":"session.created","event_id":"e","session":{"id":"sess_2","type":"realtime"}}',
        '{"type":"session.updated","event_id":"e","session":{"id":"sess_2","type":"realtime"}}',
        '{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":-5,"item_id":"i"}',
        '{"type":"input_audio_buffer.speech_stopped","event_id":"e","audio_end_ms":10000000,"item_id":"i"}',
        '{"type":"input_audio_buffer.committed","event_id":"e","item_id":"i"}',
        '{"type":"response.output_audio.delta","event_id":"e","item_id":"i","response_id":"r","delta":"AAA="}',
        '{"type":"response.done","event_id":"e","response":{"id":"r","status":"completed"}}',
        '{"type":"response.created","event_id":"e","response":{"id":"r","status":"in_progress"}}',
    ],
)
async def test_whatever_a_voice_says_is_no_bug_of_ours(autojump_clock: MockClock, after: str, text: str):
    session = VoiceSession(backend=OddVoice(text, text, after=after))

    with capture_logs() as logs:
        async with session.connect():
            await session.send_audio(SPEECH)
            with trio.move_on_after(5):
                while True:
                    await session.receive()
            assert session.is_connected
            await session.interrupt()

    assert [entry for entry in logs if entry["log_level"] == "error"] == []

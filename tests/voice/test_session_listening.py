"""What the user says, as turn detection finds it."""

import math

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.voice import VoiceSession
from gateway.voice.session import Utterance
from tests.voice.session_voices import QUESTION, SAID_IN_FULL, SILENCE, SPEECH, openai, say, scripted

QUIET = bytes(48 * 2000)


async def test_an_utterance_is_what_was_said_with_what_stood_before_and_after(autojump_clock: MockClock):
    audio = QUIET + SPEECH + QUIET
    async with openai() as (backend, _), VoiceSession(backend=backend).connect() as session:
        session.configure_turn_detection(prefix_padding=300, silence_duration=800)
        await say(session, audio)
        utterance = await session.listen()

    assert isinstance(utterance, Utterance)
    assert isinstance(utterance, bytes)
    begins_ms = audio.index(utterance) / 48
    assert begins_ms == pytest.approx(2000 - 300, abs=64)
    assert len(utterance) / 48 == pytest.approx(300 + 600 + 800, abs=96)
    assert utterance.item_id in {message.item_id for message in session.messages if message.who == "user"}


async def test_it_is_there_for_who_listens_late_and_in_order(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        await say(session, SAID_IN_FULL + SAID_IN_FULL)
        await trio.sleep(10)
        first, second = await session.listen(), await session.listen()

    users = [message.item_id for message in session.messages if message.who == "user"]
    assert [first.item_id, second.item_id] == users


async def test_after_the_timeout_nothing_was_said(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        with pytest.raises(TimeoutError, match=r"nothing for 2\.5 s"):
            await session.listen(timeout=2.5)

    assert trio.current_time() == 2.5


async def test_what_is_said_across_a_timeout_is_there_for_the_next_one(autojump_clock: MockClock):
    timeouts = 0
    async with VoiceSession(backend=scripted()).connect() as session, trio.open_nursery() as nursery:
        nursery.start_soon(say, session, SILENCE + SPEECH + SILENCE)
        utterance = None
        while utterance is None:
            try:
                utterance = await session.listen(timeout=0.3)
            except TimeoutError:
                timeouts += 1

    assert timeouts > 5
    assert len(utterance) / 48 == pytest.approx(300 + 600 + 800, abs=96)


async def test_listening_that_is_cancelled_loses_nothing(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session, trio.open_nursery() as nursery:
        nursery.start_soon(say, session, SILENCE + SPEECH + SILENCE)
        utterance = None
        while utterance is None:
            with trio.move_on_after(0.07):
                utterance = await session.listen()

    assert len(utterance) / 48 == pytest.approx(300 + 600 + 800, abs=96)


async def test_with_no_time_at_all_one_gets_what_is_there(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        with pytest.raises(TimeoutError):
            await session.listen(timeout=0)
        await say(session)
        assert await session.listen(timeout=0)


async def test_the_callers_own_deadline_is_no_timeout_of_listen(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted()).connect() as session:
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await session.listen(timeout=1)
        with trio.move_on_after(1) as scope:
            await session.listen(timeout=5)

    assert scope.cancelled_caught


@pytest.mark.parametrize("timeout_s", [-1, math.nan])
async def test_a_timeout_is_a_number_of_seconds(autojump_clock: MockClock, timeout_s: float):
    async with VoiceSession(backend=scripted()).connect() as session:
        with pytest.raises(ValueError, match="expected seconds"):
            await session.listen(timeout=timeout_s)


async def test_what_was_committed_was_not_found_and_is_not_listened_to(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        await session.respond(SPEECH)
        with pytest.raises(TimeoutError):
            await session.listen(timeout=5)


async def test_without_turn_detection_there_is_nothing_to_listen_to(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(), turn_detection=False).connect() as session:
        await say(session)
        with pytest.raises(TimeoutError):
            await session.listen(timeout=5)


@pytest.mark.parametrize(
    ("rate_hz", "name", "bytes_per_ms"), [(8000, "pcm16", 16), (16_000, "pcm16", 32), (8000, "pcmu", 8)]
)
async def test_an_utterance_is_in_the_format_of_the_session(
    autojump_clock: MockClock, rate_hz: int, name: str, bytes_per_ms: int
):
    pcm = SAID_IN_FULL
    stride = 2 * 24_000 // rate_hz
    audio = b"".join(pcm[at : at + 2] for at in range(0, len(pcm), stride))
    if name == "pcmu":
        audio = bytes(0xFF if pair == (0, 0) else 0x10 for pair in zip(audio[::2], audio[1::2], strict=True))
    async with VoiceSession(backend=scripted(QUESTION)).connect() as session:
        session.configure_audio(rate_hz, 1, name)
        for at in range(0, len(audio), 20 * bytes_per_ms):
            await session.send_audio(audio[at : at + 20 * bytes_per_ms], commit=False)
            await trio.sleep(0.02)
        utterance = await session.listen(timeout=5)

    assert audio.find(utterance) >= 0
    assert len(utterance) / bytes_per_ms == pytest.approx(600 + 800, abs=96)

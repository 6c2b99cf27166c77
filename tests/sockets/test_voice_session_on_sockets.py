"""What people type, as they type it: with the embedded voice in threads, and with a server on a socket."""

from functools import partial
from pathlib import Path

import pytest
import trio

from gateway.contracts import SessionLost, SessionRefused
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Drop
from gateway.testing.phrases import find_phrase, spoken_words
from gateway.voice import VoiceSession
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from tests.voice import session_examples as examples
from tests.voice.offline import needs_models, spoken_on_the_phone
from tests.voice.session_voices import QUESTION, SILENCE, SPEECH, living_tasks
from tests.voice.voice_caller import inline


def a_server(*faults: Drop) -> FakeRealtime:
    return FakeRealtime(ScriptedBackend(ScriptedSettings(hears=(QUESTION,) * 5), inline), faults)


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_VOICE__BACKEND", raising=False)


@needs_models
async def test_the_embedded_voice_answers_in_a_block_and_without_one():
    question = spoken_on_the_phone(QUESTION)

    with trio.fail_after(60):
        in_a_block = await examples.a_block(VoiceSession, question)
        by_itself = await examples.no_block(VoiceSession, question)

    for response in (in_a_block, by_itself):
        assert find_phrase("12 Harbour Street", spoken_words(response.transcript)) is not None
        assert len(response.data) / 48 == pytest.approx(response.duration_ms, abs=1)


@needs_models
async def test_it_finds_what_was_said_and_answers_that():
    async def microphone(session: VoiceSession) -> None:
        await session.send_audio(spoken_on_the_phone(QUESTION) + SILENCE, commit=False)

    with trio.fail_after(60):
        user_audio, response = await examples.listening(VoiceSession, microphone)

    assert len(user_audio) > 48 * 800
    assert find_phrase("12 Harbour Street", spoken_words(response.transcript)) is not None


@needs_models
async def test_two_sessions_talk_with_it_at_once():
    question = spoken_on_the_phone(QUESTION)
    found: list[str] = []

    async def ask() -> None:
        found.append((await examples.a_block(VoiceSession, question)).transcript)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)

    assert all("Harbour Street" in transcript for transcript in found)


async def test_a_server_is_named_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWAY_VOICE__BACKEND", "realtime")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    with trio.fail_after(20):
        async with a_server().listening() as url:
            monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", url + "?model={model}")
            in_a_block = await examples.a_block(VoiceSession, SPEECH)
            by_itself = await examples.no_block(VoiceSession, SPEECH)

    for response in (in_a_block, by_itself):
        assert "Harbour Street" in response.transcript


async def test_a_server_that_does_not_want_us_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")

    with trio.fail_after(20):
        async with a_server().listening() as url:
            monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", url + "?model={model}")
            before = living_tasks()
            session = VoiceSession(backend="realtime")
            with pytest.raises(SessionRefused):
                await session.connect()
            assert living_tasks() <= before


async def test_a_server_that_is_not_there_is_lost(monkeypatch: pytest.MonkeyPatch):
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", f"ws://127.0.0.1:{port}/")

    with trio.fail_after(20), pytest.raises(SessionLost):
        async with VoiceSession(backend="realtime").connect():
            pytest.fail("connected")


async def test_a_server_that_goes_away_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    with trio.fail_after(20):
        async with a_server(Drop(at="input_audio_buffer.commit")).listening() as url:
            monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", url + "?model={model}")
            async with VoiceSession(backend="realtime").connect() as session:
                with pytest.raises(SessionLost):
                    await session.respond(SPEECH)


async def test_being_cancelled_while_connecting_leaves_no_socket(monkeypatch: pytest.MonkeyPatch):
    """The fixture that looks for open files would find it."""

    async def never_answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await trio.sleep_forever()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, never_answer, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            port = listener.socket.getsockname()[1]
            monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", f"ws://127.0.0.1:{port}/")
            with trio.move_on_after(0.2):
                await VoiceSession(backend="realtime").connect()
            with trio.move_on_after(0.2):
                async with VoiceSession(backend="realtime").connect():
                    pytest.fail("connected")
            nursery.cancel_scope.cancel()

"""The examples that people are shown, with the embedded voice and with one that commits as OpenAI's does."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gateway.testing.phrases import find_phrase, spoken_words
from gateway.voice import VoiceSession
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from tests.voice import session_examples as examples
from tests.voice.offline import needs_models, spoken_on_the_phone, the_models
from tests.voice.session_voices import QUESTION, SILENCE, SPEECH, no_task_left, openai, say
from tests.voice.voice_caller import inline

THE_ADDRESS = "12 Harbour Street"


class Setting:
    """`make`: a session with the voice; `question`: how somebody asks it where they are."""

    def __init__(self, make: examples.Make, question: bytes) -> None:
        self.make = make
        self.question = question

    async def microphone(self, session: VoiceSession) -> None:
        await say(session, self.question + SILENCE)


Voice = Callable[[], AbstractAsyncContextManager[Setting]]


@asynccontextmanager
async def the_embedded_voice() -> AsyncIterator[Setting]:
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)
    yield Setting(partial(VoiceSession, backend=backend), spoken_on_the_phone(QUESTION))


@asynccontextmanager
async def one_that_commits_as_openai_does() -> AsyncIterator[Setting]:
    async with openai() as (backend, fake):
        yield Setting(partial(VoiceSession, backend=backend), SPEECH)
        harmless = {"input_audio_buffer_commit_empty"}
        assert {error["code"] for record in fake.records for error in record.errors} <= harmless


@pytest.fixture(
    params=[pytest.param(the_embedded_voice, marks=needs_models), one_that_commits_as_openai_does]
)
def voice(request: pytest.FixtureRequest) -> Voice:
    @asynccontextmanager
    async def tidy() -> AsyncIterator[Setting]:
        # A server whose client has gone while it waited for a pong finds out when that does not come: 5 s.
        async with request.param() as setting, no_task_left(patience_s=6):
            yield setting

    return tidy


def tells_the_address(words: str) -> bool:
    return find_phrase(THE_ADDRESS, spoken_words(words)) is not None


async def test_a_block(autojump_clock: MockClock, voice: Voice):
    async with voice() as setting:
        response = await examples.a_block(setting.make, setting.question)

    assert tells_the_address(response.transcript)
    assert (response.status, response.duration_ms) == ("completed", len(response.data) // 48)
    assert response.item_id


async def test_no_block(autojump_clock: MockClock, voice: Voice):
    async with voice() as setting:
        response = await examples.no_block(setting.make, setting.question)

    assert tells_the_address(response.transcript)


async def test_streaming(autojump_clock: MockClock, voice: Voice):
    played: list[bytes] = []

    async with voice() as setting:
        await examples.streaming(setting.make, setting.question, played.append)

    assert len(played) > 1
    assert all(isinstance(data, bytes) and data for data in played)


async def test_listening(autojump_clock: MockClock, voice: Voice):
    async with voice() as setting:
        user_audio, response = await examples.listening(setting.make, setting.microphone)

    assert user_audio in setting.question + SILENCE + SILENCE
    assert tells_the_address(response.transcript)


async def test_listening_for_ten_seconds(autojump_clock: MockClock, voice: Voice):
    began_at = trio.current_time()

    async with voice() as setting:
        with pytest.raises(TimeoutError):
            await examples.listening_for_ten_seconds(setting.make)

    assert trio.current_time() - began_at >= 10


async def test_interrupting(autojump_clock: MockClock, voice: Voice):
    async with voice() as setting:
        question, answer = await examples.interrupting(setting.make, setting.question)

    assert answer.interrupted
    assert not tells_the_address(answer.text or "")
    assert (question.who, answer.who) == ("user", "agent")


async def test_configuring(autojump_clock: MockClock, voice: Voice):
    async with voice() as setting:
        response = await examples.configuring(setting.make, setting.question)

    assert tells_the_address(response.transcript)


async def test_events(autojump_clock: MockClock, voice: Voice):
    printed: list[str] = []

    async with voice() as setting:
        await examples.events(setting.make, setting.microphone, printed.append)

    started, question, answer = printed
    assert started == "User started speaking"
    assert find_phrase(QUESTION, spoken_words(question)) is not None
    assert tells_the_address(answer)

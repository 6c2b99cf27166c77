"""The embedded voice with a model as its brain: whole sessions, with models of speech that do as they are told."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.config import Secret
from gateway.contracts import Agent
from gateway.testing.fake_chat import ChatReply, FakeChat
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import detect_loudness, tone
from gateway.voice.embedded.vad import SpeechStream
from tests.voice.offline import needs_models, spoken_on_the_phone, the_models
from tests.voice.voice_caller import Event, VoiceCaller, calling, inline, running

SETTINGS = EmbeddedSettings(brain="http://127.0.0.1:11434/v1/chat/completions", brain_model="a-model")
KEY = "sk-canary-Zx81Kc4nN0b0dySaysThis"
SPEECH = tone("Is anybody there?")
TOOL: dict[str, Any] = {"type": "function", "name": "hours", "description": "", "parameters": {}}


class Tones:
    """Hears what it is told to hear and speaks in tones."""

    def __init__(self, hears: Iterable[str] = ()) -> None:
        self.said: list[str] = []
        self._hears = iter(hears)

    def detect(self, streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
        return detect_loudness(streams, hops)

    def transcribe(self, pcm: bytes) -> str:
        return next(self._hears, "")

    def synthesize(self, text: str) -> bytes:
        self.said.append(text)
        return tone(text)

    def remembered(self, text: str) -> bytes | None:
        return None


@asynccontextmanager
async def talking(chat: FakeChat, *hears: str, agent: Agent | None = None) -> AsyncIterator[VoiceCaller]:
    """A caller of the embedded voice whose brain is at this server."""
    backend = EmbeddedBackend(
        SETTINGS, inline, Secret(KEY), load=lambda: Tones(hears), transport=chat.transport
    )
    async with running(backend), calling(backend, agent) as caller:
        yield caller


def said(chat: FakeChat) -> list[tuple[str, str]]:
    """Who said what, as the model was told last."""
    return [(line["role"], line["content"]) for line in chat.requests[-1]["messages"][1:]]


def responses(caller: VoiceCaller) -> list[Event]:
    return [event["response"] for event in caller.events if event["type"] == "response.done"]


async def test_a_caller_talks_with_a_model(autojump_clock: MockClock):
    chat = FakeChat(["Good day. How can I help?", "At nine."], api_key=KEY)

    async with talking(chat, "Hello", "When do you open?") as caller:
        await caller.say(SPEECH)
        await caller.wait_for("response.done")
        await caller.say(SPEECH)
        await caller.wait_for("response.done", 2)

    assert caller.transcripts == ["Hello", "Good day. How can I help?", "When do you open?", "At nine."]
    assert said(chat) == [
        ("user", "Hello"),
        ("assistant", "Good day. How can I help?"),
        ("user", "When do you open?"),
    ]
    assert chat.broken_off == 0


async def test_the_first_sentence_is_heard_while_the_rest_is_written(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Good day. " + "word " * 20, token_s=0.2)])

    async with talking(chat) as caller:
        began = trio.current_time()
        await caller.send("response.create")
        await caller.wait_for("response.output_audio.delta")
        first_s = trio.current_time() - began
        await caller.wait_for("response.done")
        whole_s = trio.current_time() - began

    assert first_s == pytest.approx(0.4)
    assert whole_s > 4


async def test_a_greeting_of_the_agent_is_said_without_the_model(autojump_clock: MockClock):
    chat = FakeChat()

    async with talking(chat) as caller:
        await caller.send("response.create", response={"metadata": {"say": "Good evening."}})
        await caller.wait_for("response.done")

    assert caller.transcripts == ["Good evening."]
    assert chat.requests == []


async def test_a_function_is_called_and_its_result_told(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Let me see.", calls=[("hours", '{"day":"today"}')]), "We open at nine."])

    async with talking(chat, "When do you open?") as caller:
        await caller.send("session.update", session={"type": "realtime", "tools": [TOOL]})
        await caller.say(SPEECH)
        called = await caller.wait_for("response.function_call_arguments.done")
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": "nine"}
        await caller.send("conversation.item.create", item=output)
        await caller.send("response.create")
        await caller.wait_for("response.done", 2)

    assert (called["name"], json.loads(called["arguments"])) == ("hours", {"day": "today"})
    assert caller.transcripts[-1] == "We open at nine."
    assert [line["role"] for line in chat.requests[-1]["messages"]] == ["system", "user", "assistant", "tool"]


async def test_a_key_is_told_to_the_model(autojump_clock: MockClock):
    chat = FakeChat(["You pressed five."])

    async with talking(chat) as caller:
        await caller.press("5")
        await caller.wait_for("response.done")

    assert said(chat) == [("user", "[DTMF] 5")]


async def test_a_caller_who_speaks_while_the_model_thinks_ends_its_request(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Never heard.", first_s=5.0), "At nine."])

    async with talking(chat, "Hello", "When do you open?") as caller:
        await caller.say(SPEECH)
        await caller.wait_for("response.created")
        await caller.say(SPEECH)
        broken_off = chat.broken_off
        await caller.wait_for("response.done", 2)

    first, second = responses(caller)
    assert broken_off == 1
    assert first["status_details"]["reason"] == "turn_detected"
    assert second["status"] == "completed"
    assert said(chat) == [("user", "Hello\nWhen do you open?")]
    assert "Never heard." not in caller.transcripts


async def test_a_client_that_cancels_ends_the_request_at_once(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="One. Two. Three.", token_s=1.0)])

    async with talking(chat) as caller:
        await caller.send("response.create")
        await caller.wait_for("response.output_audio.delta")
        await caller.send("response.cancel")
        done = await caller.wait_for("response.done")
        await trio.testing.wait_all_tasks_blocked()
        broken_off = chat.broken_off

    assert done["response"]["status"] == "cancelled"
    assert broken_off == 1


async def test_the_end_of_a_session_ends_the_request(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Never heard.", first_s=9.0)])
    began = trio.current_time()

    async with talking(chat) as caller:
        await caller.send("response.create")
        await trio.sleep(1)

    assert chat.broken_off == 1
    assert trio.current_time() - began == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (ChatReply(status=429), "rate_limit_exceeded"),
        (ChatReply(status=401), "invalid_api_key"),
        (ChatReply(status=503), "server_error"),
        (ChatReply(body=b"<html>"), "invalid_answer"),
        (ChatReply(text="Good day", breaks_after=1), "connection_lost"),
        (ChatReply(text="Good day", first_s=11.0), "timeout"),
        (ChatReply(calls=[("hours", "{}")]), "unknown_function"),
    ],
)
async def test_a_failure_ends_the_response_and_not_the_session(
    autojump_clock: MockClock, reply: ChatReply, code: str
):
    chat = FakeChat([reply, "Good day."])

    async with talking(chat) as caller:
        for count in (1, 2):
            await caller.send("response.create")
            await caller.wait_for("response.done", count)

    failed, answered = responses(caller)
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["code"] == code
    assert answered["status"] == "completed"
    assert caller.transcripts[-1] == "Good day."


async def test_callers_have_brains_of_their_own(autojump_clock: MockClock):
    chat = FakeChat(lambda request: request["messages"][-1]["content"])
    backend = EmbeddedBackend(SETTINGS, inline, load=Tones, transport=chat.transport)

    async with running(backend), calling(backend) as one, calling(backend) as other:
        await one.press("1")
        await other.press("2")
        await one.wait_for("response.done")
        await other.wait_for("response.done")

    assert (one.transcripts, other.transcripts) == (["[DTMF] 1"], ["[DTMF] 2"])


async def test_no_script_is_rehearsed_or_asked_for(autojump_clock: MockClock):
    models = Tones()
    chat = FakeChat(["Good day."])
    backend = EmbeddedBackend(SETTINGS, inline, load=lambda: models, transport=chat.transport)

    with capture_logs() as lines:
        async with running(backend):
            for _ in range(2):
                async with calling(backend, Agent(name="anna", script="pizza", instructions="Be brief.")):
                    await trio.sleep(1)

    assert models.said == []
    assert sorted(line["event"] for line in lines) == ["models.loaded", "script.unused"]


@needs_models
async def test_what_is_said_on_the_telephone_reaches_the_model(autojump_clock: MockClock):
    chat = FakeChat(["**We close** at ten."])
    backend = EmbeddedBackend(SETTINGS, inline, load=the_models, transport=chat.transport)

    async with running(backend), calling(backend) as caller:
        await caller.say(spoken_on_the_phone("What time do you close?"))
        await caller.wait_for("response.done")

    assert said(chat) == [("user", "What time do you close?")]
    assert caller.transcripts[-1] == "We close at ten."
    assert the_models().transcribe(caller.audio) == "We close at ten."


async def test_the_key_is_in_no_event_and_no_log(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(status=500, text=f"Bearer {KEY} is wrong")], api_key=KEY)

    with capture_logs() as lines:
        async with talking(chat) as caller:
            await caller.send("response.create")
            await caller.wait_for("response.done")

    assert KEY[:12] not in json.dumps([lines, caller.events], default=repr)

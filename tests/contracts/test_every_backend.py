"""What a call may rely on, whichever voice answers."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import trio
import trio.testing

from gateway.config import Secret
from gateway.contracts import Agent, SessionLost, VoiceBackend, VoiceConnection
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_voice import FaultyVoice
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, tone
from gateway.voice.session_core import SessionCore, SessionState
from tests.voice.offline import MISSING, the_models
from tests.voice.voice_caller import VoiceCaller, calling, inline, running

Clock = trio.testing.MockClock
AGENT = Agent(name="agent", greeting="Good evening.", voice="marin")
QUESTION = "What are your opening hours?"
LONG = "There is more to be said. " * 15
SPEECH = tone("Good evening, is anybody there?")


def scripted() -> ScriptedBackend:
    return ScriptedBackend(ScriptedSettings(), inline)


def message(role: str, kind: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


async def seed(caller: VoiceCaller) -> None:
    """Put a question and its answer into the conversation."""
    await caller.send("conversation.item.create", item=message("user", "input_text", QUESTION))
    answer = message("assistant", "output_text", "We are open from five.")
    await caller.send("conversation.item.create", item=answer)


class OverTheWire:
    """The realtime voice, and the server that it talks with over streams in memory."""

    def __init__(self) -> None:
        self._server = FakeRealtime(scripted(), api_key="sk-test", strict=False)
        self._client = RealtimeBackend(RealtimeSettings(), Secret("sk-test"), dial=self._server.dial)
        self.traits = self._client.traits

    def connect(self, agent: Agent) -> AbstractAsyncContextManager[VoiceConnection]:
        return self._client.connect(agent)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._server.run)
            nursery.start_soon(self._client.run)


# In place of those of the table: loading the models takes a second, which the tests share; a service is far away.
HERE: Mapping[str, Callable[[], VoiceBackend]] = {
    "embedded": lambda: EmbeddedBackend(EmbeddedSettings(), inline, load=the_models),
    "faulty": lambda: FaultyVoice(scripted(), strict=False),
    "realtime": OverTheWire,
}
NAMES = sorted({*BACKENDS, *HERE})

every_backend = pytest.mark.parametrize("name", NAMES)
every_dialogue = pytest.mark.parametrize("name", [name for name in NAMES if name != "echo"])


def make(name: str) -> VoiceBackend:
    if name == "embedded" and MISSING:
        pytest.skip(f"not installed: {', '.join(part.part for part in MISSING)}")
    if name in HERE:
        return HERE[name]()
    kind = BACKENDS[name]
    return kind.make(kind.settings(), inline)


@pytest.mark.parametrize("name", sorted(BACKENDS))
async def test_a_backend_is_called_as_in_the_table(name: str):
    assert make(name).traits.name == name


@every_backend
async def test_the_first_event_is_the_session(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.wait_for("session.created")

    assert caller.types[0] == "session.created"


@every_backend
async def test_what_our_session_asks_for_is_granted(autojump_clock: Clock, name: str):
    backend = make(name)
    session = SessionCore(AGENT, backend.traits)
    session.connect()
    session.opened()
    session.greet()

    async with running(backend), calling(backend, AGENT) as caller:
        for event, _ in session.outgoing():
            await caller.send_text(event)
        await caller.wait_for("session.updated")
        created = await caller.wait_for("response.created")
        session.receive(json.dumps(created))

    assert session.state is SessionState.PROCESSING
    assert "error" not in caller.types


@every_backend
async def test_whoever_speaks_hears_something(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.create")
        await caller.say(SPEECH)
        await caller.wait_for("response.output_audio.delta")

    assert any(caller.audio)


@every_backend
async def test_a_response_can_be_cancelled(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.create", response={"metadata": {"say": LONG}})
        await caller.send("response.cancel")
        done = await caller.wait_for("response.done")

    assert done["response"]["status"] == "cancelled"


@every_backend
async def test_what_was_heard_of_an_item_is_taken_note_of(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.create")
        await caller.say(SPEECH)
        delta = await caller.wait_for("response.output_audio.delta")
        heard = {"item_id": delta["item_id"], "content_index": 0, "audio_end_ms": 15}
        await caller.send("conversation.item.truncate", **heard)
        truncated = await caller.wait_for("conversation.item.truncated")

    assert {**truncated, **heard} == truncated


@every_backend
async def test_more_than_was_said_cannot_have_been_heard(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.create")
        await caller.say(SPEECH)
        item_id = (await caller.wait_for("response.output_audio.delta"))["item_id"]
        heard = {"item_id": item_id, "content_index": 0, "audio_end_ms": 600_000}
        await caller.send("conversation.item.truncate", event_id="too much", **heard)
        error = (await caller.wait_for("error"))["error"]

    assert error["event_id"] == "too much"
    assert "conversation.item.truncated" not in caller.types


@every_backend
async def test_to_cancel_when_nothing_is_said_is_an_error_and_harmless(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.cancel", event_id="too late")
        error = (await caller.wait_for("error"))["error"]
        await caller.send("response.create")
        await caller.wait_for("response.created")

    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "too late")


@every_backend
async def test_one_response_is_made_at_a_time(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await caller.send("response.create", response={"metadata": {"say": LONG}})
        await caller.send("response.create", event_id="too early")
        error = (await caller.wait_for("error"))["error"]

    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "too early"
    assert caller.types.count("response.created") == 1


@every_backend
async def test_what_was_said_before_the_session_is_put_into_it_in_order(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller:
        await seed(caller)
        await trio.sleep(1)

    done = [event for event in caller.events if event["type"] == "conversation.item.done"]
    assert [event["item"]["role"] for event in done] == ["user", "assistant"]
    assert done[1]["previous_item_id"] == done[0]["item"]["id"]
    assert "response.created" not in caller.types
    assert "error" not in caller.types


@every_dialogue
async def test_what_was_answered_before_the_session_is_not_answered_again(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as caller, calling(backend) as stranger:
        await seed(caller)
        await caller.send("response.create")
        await caller.wait_for("response.done")
        await stranger.send("conversation.item.create", item=message("user", "input_text", QUESTION))
        await stranger.send("response.create")
        await stranger.wait_for("response.done")

    assert stranger.transcripts != []
    assert caller.transcripts != stranger.transcripts


@every_backend
@pytest.mark.parametrize(
    "text", ["{", '{"type": "nonsense"}', '{"type": "input_audio_buffer.append", "audio": 5}']
)
async def test_a_mistake_is_told_and_the_session_goes_on(autojump_clock: Clock, name: str, text: str):
    backend = make(name)

    async with running(backend), backend.connect(AGENT) as connection:
        await connection.send(text)
        await connection.send('{"type": "session.update", "session": {"type": "realtime"}}')
        answers = [json.loads(await connection.receive())["type"] for _ in range(3)]

    assert answers == ["session.created", "error", "session.updated"]


@every_backend
async def test_an_answer_comes_in_a_later_turn_of_the_loop(autojump_clock: Clock, name: str):
    backend = make(name)
    order: list[str] = []

    async def read() -> None:
        while True:
            order.append(json.loads(await connection.receive())["type"])

    async with running(backend), backend.connect(AGENT) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await connection.send('{"type": "session.update", "session": {"type": "realtime"}}')
        order.append("sent")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert order == ["session.created", "sent", "session.updated"]


@every_backend
async def test_after_its_block_a_connection_is_lost(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend):
        async with backend.connect(AGENT) as connection:
            await connection.receive()

        with pytest.raises(SessionLost):
            await connection.send('{"type": "response.create"}')
        with pytest.raises(SessionLost):
            await connection.receive()


@every_backend
async def test_an_error_leaves_the_block_as_it_is(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it comes out of the block
            async with backend.connect(AGENT) as connection:
                await connection.send('{"type": "response.create"}')
                raise ZeroDivisionError


@every_backend
async def test_a_call_can_be_cancelled_at_any_moment(autojump_clock: Clock, name: str):
    backend = make(name)
    append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(SPEECH).decode()}

    async with running(backend):
        for moments in range(12):
            with trio.CancelScope() as scope:
                async with backend.connect(AGENT) as connection, trio.open_nursery() as nursery:
                    nursery.start_soon(connection.send, json.dumps(append))
                    for _ in range(moments):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
                    await connection.receive()

            assert scope.cancelled_caught


@every_backend
async def test_callers_do_not_hear_each_other(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), calling(backend) as one, calling(backend) as other:
        await one.send("response.create")
        await one.say(SPEECH)
        await one.wait_for("response.output_audio.delta")

    assert other.types == ["session.created"]


@every_backend
async def test_many_callers_are_served_at_once(autojump_clock: Clock, name: str):
    backend = make(name)

    async with running(backend), AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(backend)) for _ in range(10)]
        async with trio.open_nursery() as nursery:
            for caller in callers:
                await caller.send("response.create")
                nursery.start_soon(caller.say, SPEECH)
        for caller in callers:
            await caller.wait_for("response.output_audio.delta")

    assert all(any(caller.audio) for caller in callers)

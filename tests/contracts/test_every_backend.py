"""What a call may rely on, whichever voice answers."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from gateway.contracts import Agent, SessionLost, VoiceBackend
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import tone
from gateway.voice.session_core import SessionCore, SessionState
from tests.voice.offline import MISSING, the_models
from tests.voice.voice_caller import calling, inline, running

Clock = trio.testing.MockClock
AGENT = Agent(name="agent", greeting="Good evening.", voice="marin")
# Loading the models takes a second; the tests share them.
QUICKER: Mapping[str, Callable[[], VoiceBackend]] = {
    "embedded": lambda: EmbeddedBackend(EmbeddedSettings(), inline, load=the_models),
}
SPEECH = tone("Good evening, is anybody there?")

every_backend = pytest.mark.parametrize("name", sorted(BACKENDS))


def make(name: str) -> VoiceBackend:
    if name == "embedded" and MISSING:
        pytest.skip(f"not installed: {', '.join(part.part for part in MISSING)}")
    kind = BACKENDS[name]
    return QUICKER[name]() if name in QUICKER else kind.make(kind.settings(), inline)


@every_backend
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
    session = SessionCore(AGENT)
    session.connect()

    async with running(backend), calling(backend, AGENT) as caller:
        session.opened()
        for event, _ in session.outgoing():
            await caller.send_text(event)
        updated = await caller.wait_for("session.updated")
        session.receive(json.dumps(updated))

    assert session.state is SessionState.PROCESSING  # it asked for the greeting
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
        await caller.send("response.create", response={"metadata": {"say": "One. Two. Three. Four."}})
        await caller.send("response.cancel")
        done = await caller.wait_for("response.done")

    assert done["response"]["status"] == "cancelled"


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

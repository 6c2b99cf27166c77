"""Calls whose voice has a model as its brain: nothing of the brain enters the call but what it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from trio.testing import MockClock

from gateway.audio.tones import sine
from gateway.building import build_core
from gateway.contracts import Agent
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.plan import Dialplan, Plan
from gateway.testing.fake_chat import ChatReply, FakeChat
from gateway.testing.live import LiveGateway, inline, live_gateway
from gateway.testing.twilio_caller import Caller
from gateway.traces import replay
from gateway.voice.backends.embedded import EmbeddedBackend
from tests.voice.test_chat_brain_voice import SETTINGS, Tones

SPEECH = sine(300, 600, level_dbfs=-14)
PLAN = Dialplan(
    plans={
        "talk": Plan(
            name="talk",
            steps=(Answer(), Converse(agent="anna")),
            fallback=(HangUp(),),
            agents={"anna": Agent(name="anna", instructions="You are Anna.")},
        )
    },
    default="talk",
)


@asynccontextmanager
async def a_call(
    chat: FakeChat, *hears: str, folder: Path | None = None
) -> AsyncIterator[tuple[Caller, LiveGateway]]:
    """Somebody calls a gateway whose voice has its brain at this server."""
    backend = EmbeddedBackend(SETTINGS, inline, load=lambda: Tones(hears), transport=chat.transport)
    async with (
        live_gateway(PLAN, backend, folder=folder) as live,
        live.twilio.call(from_="+15550100001", to="+15550100002") as caller,
    ):
        yield caller, live


def written_in(folder: Path) -> Path:
    (written,) = folder.glob("2*")
    return written


def facts(live: LiveGateway, name: str) -> list[dict[str, object]]:
    return [fact.fields for fact in live.facts_named(name)]


async def test_a_caller_is_greeted_answered_and_taken_leave_of(autojump_clock: MockClock):
    chat = FakeChat(["Good day.", "We open at nine.", ChatReply(text="Goodbye.", calls=[("end_call", "{}")])])

    async with a_call(chat, "When do you open?", "Thank you") as (caller, live):
        for _ in range(2):
            await caller.speaking()
            await caller.quiet(0.5)
            await caller.says(SPEECH)
        await caller.ended()

    assert [fact["text"] for fact in facts(live, "agent.said")] == [
        "Good day.",
        "We open at nine.",
        "Goodbye.",
    ]
    assert "end_call" in [tool["function"]["name"] for tool in chat.requests[0]["tools"]]
    assert facts(live, "call.ending")[0]["reason"] == "agent_hung_up"


async def test_a_call_replays_without_the_brain(autojump_clock: MockClock, tmp_path: Path):
    chat = FakeChat(["Good day.", ChatReply(text="Goodbye.", calls=[("end_call", "{}")])])

    async with a_call(chat, "Goodbye", folder=tmp_path) as (caller, _):
        await caller.speaking()
        await caller.quiet(0.5)
        await caller.says(SPEECH)
        await caller.ended()

    written = written_in(tmp_path)
    asked = str(chat.requests[0]["messages"][0]["content"]).splitlines()[-1]
    assert replay(written, build_core).identical
    assert not any(
        text in path.read_bytes() for path in written.iterdir() for text in (b"completions", asked.encode())
    )


async def test_a_caller_who_interrupts_is_answered_to_what_he_heard(autojump_clock: MockClock):
    long = "Good day. We open at nine on every day of the week. And at ten on all of the others, I think."
    chat = FakeChat([long, "At nine."])

    async with a_call(chat, "When?") as (caller, live):
        await caller.speaking()
        await caller.silence(1.0)
        await caller.says(SPEECH)
        await caller.quiet(1.0)
        await caller.speaking()
        await caller.quiet(1.0)

    (cut,) = facts(live, "agent.interrupted")
    said = chat.requests[-1]["messages"][2]
    assert said["role"] == "assistant"
    assert len(said["content"]) < 40
    assert long.startswith(said["content"])
    assert abs(len(said["content"]) - len(str(cut["text"]))) < 12


async def test_a_server_without_room_is_a_voice_without_room(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(status=429), "Good day."])

    async with a_call(chat) as (caller, live):
        await caller.speaking()
        await caller.quiet(1.0)

    assert [fact["how"] for fact in facts(live, "session.lost")] == ["busy"]


async def test_a_server_that_has_nobody_in_is_a_voice_that_cannot_be_had(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(status=401)])

    async with a_call(chat) as (caller, live):
        await caller.ended()

    assert [fact["how"] for fact in facts(live, "session.lost")] == ["refused"]
    assert len(chat.requests) == 1


async def test_an_answer_that_fails_is_asked_for_once_more(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(status=503), "Good day."])

    async with a_call(chat) as (caller, live):
        await caller.speaking()
        await caller.quiet(1.0)

    assert [fact["status"] for fact in facts(live, "response.ended")] == ["failed", "completed"]
    assert facts(live, "session.lost") == []


async def test_an_answer_that_breaks_off_is_carried_on(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Good day. We open at", breaks_after=4), "We open at nine."])

    async with a_call(chat) as (caller, live):
        await caller.speaking()
        await caller.quiet(1.0)

    assert [fact["text"] for fact in facts(live, "agent.said")] == ["Good day.", "We open at nine."]
    assert "broke off after “Good day.”" in chat.requests[-1]["messages"][-1]["content"]

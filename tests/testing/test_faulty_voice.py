import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.contracts import Agent, SessionBusy, SessionLost, SessionRefused, VoiceConnection
from gateway.testing.faulty_table import (
    Busy,
    Drop,
    Expire,
    FailResponse,
    Fault,
    GoMute,
    Late,
    Refuse,
    Unreachable,
)
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.realtime_schema import SchemaError
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, tone
from tests.voice.voice_caller import VoiceCaller, inline, running

ANN, BOB = Agent(name="ann"), Agent(name="bob")
SPEECH = tone("Is anybody there?")


def faulty(*faults: Fault, hears: tuple[str, ...] = (), strict: bool = True) -> FaultyVoice:
    return FaultyVoice(ScriptedBackend(ScriptedSettings(hears=hears), inline), faults, strict=strict)


@asynccontextmanager
async def calling(voice: FaultyVoice, agent: Agent = ANN) -> AsyncIterator[VoiceCaller]:
    """A caller of a voice that runs."""
    async with running(voice), voice.connect(agent) as connection, trio.open_nursery() as nursery:
        caller = VoiceCaller(connection)
        nursery.start_soon(caller.read)
        yield caller
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(voice: FaultyVoice) -> AsyncIterator[VoiceConnection]:
    async with running(voice), voice.connect(ANN) as connection:
        yield connection


async def outcomes(voice: FaultyVoice, *agents: Agent, every_s: float = 0) -> list[str]:
    """What comes of one attempt after the other."""
    found: list[str] = []
    for agent in agents:
        try:
            async with voice.connect(agent):
                found.append("connected")
        except (SessionLost, SessionRefused) as error:
            found.append(type(error).__name__)
        await trio.sleep(every_s)
    return found


async def types_until_lost(connection: VoiceConnection) -> list[str]:
    found: list[str] = []
    with pytest.raises(SessionLost):  # noqa: PT012 - which of them it is, is what is asked
        while True:
            found.append(json.loads(await connection.receive())["type"])
    return found


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


# -- whom a row strikes


async def test_a_row_strikes_the_first_connection(autojump_clock: MockClock):
    assert await outcomes(faulty(Refuse()), ANN, ANN) == ["SessionRefused", "connected"]


async def test_a_row_strikes_several_connections_in_a_row(autojump_clock: MockClock):
    voice = faulty(Busy(connection=2, times=2))

    found = await outcomes(voice, ANN, ANN, ANN, ANN)

    assert found == ["connected", "SessionBusy", "SessionBusy", "connected"]


async def test_a_row_strikes_every_connection_from_one_on(autojump_clock: MockClock):
    voice = faulty(Unreachable(connection=2, times=None))

    assert await outcomes(voice, ANN, ANN, ANN) == ["connected", "SessionLost", "SessionLost"]


async def test_a_row_for_one_agent_leaves_the_others_alone(autojump_clock: MockClock):
    voice = faulty(Refuse(agent="bob", connection=2))

    found = await outcomes(voice, BOB, ANN, ANN, BOB)

    assert found == ["connected", "connected", "connected", "SessionRefused"]


async def test_a_row_strikes_for_so_long(autojump_clock: MockClock):
    voice = faulty(Busy(times=None, for_s=5))

    found = await outcomes(voice, ANN, ANN, ANN, ANN, every_s=2)

    assert found == ["SessionBusy", "SessionBusy", "SessionBusy", "connected"]


async def test_every_attempt_is_kept_with_its_time(autojump_clock: MockClock):
    voice = faulty(Refuse())
    began_s = trio.current_time()

    await outcomes(voice, ANN, BOB, every_s=3)

    assert [(at - began_s, agent) for at, agent in voice.attempts] == [(0, "ann"), (3, "bob")]
    assert [record.agent for record in voice.records] == ["bob"]


# -- what it does to a connection that is asked for


async def test_a_busy_voice_says_when_to_come_back():
    voice = faulty(Busy(retry_after_s=2.5))

    with pytest.raises(SessionBusy) as busy:
        await voice.connect(ANN).__aenter__()

    assert busy.value.retry_after_s == 2.5


async def test_a_late_voice_comes_late(autojump_clock: MockClock):
    voice = faulty(Late(by_s=7))
    began_s = trio.current_time()

    async with voice.connect(ANN):
        late_s = trio.current_time() - began_s

    assert late_s == 7


async def test_it_can_take_long_to_find_that_nobody_is_there(autojump_clock: MockClock):
    voice = faulty(Unreachable(after_s=4))
    began_s = trio.current_time()

    await outcomes(voice, ANN)

    assert trio.current_time() - began_s == 4


# -- what it does to one that stands


async def test_a_connection_drops_after_so_long(autojump_clock: MockClock):
    voice = faulty(Drop(after_s=3))

    async with connected(voice) as connection:
        began_s = trio.current_time()
        await types_until_lost(connection)
        lasted_s = trio.current_time() - began_s

    assert lasted_s == pytest.approx(3)
    assert voice.records[0].ended == "the connection broke"


async def test_a_connection_drops_right_after_an_event_of_the_voice(autojump_clock: MockClock):
    voice = faulty(Drop(at="response.output_audio.delta", count=2))

    async with connected(voice) as connection:
        await connection.send(event("response.create"))
        types = await types_until_lost(connection)

    assert types.count("response.output_audio.delta") == 2
    assert types[-1] == "response.output_audio.delta"


async def test_a_connection_drops_right_after_an_event_of_the_client(autojump_clock: MockClock):
    voice = faulty(Drop(at="response.create"))

    async with connected(voice) as connection:
        await connection.send(event("response.create"))

        assert await types_until_lost(connection) == []
        with pytest.raises(SessionLost):
            await connection.send(event("response.create"))


async def test_a_connection_drops_some_time_after_an_event(autojump_clock: MockClock):
    voice = faulty(Drop(at="response.done", after_s=2))

    async with connected(voice) as connection:
        await connection.send(event("response.create"))
        await types_until_lost(connection)

    done_at_s = next(at for at, sent in voice.records[0].sent if sent["type"] == "response.done")
    assert voice.records[0].ended_at_s == pytest.approx(done_at_s + 2)


async def test_all_connections_drop_at_once(autojump_clock: MockClock):
    voice = faulty()

    async with voice.connect(ANN) as one, voice.connect(BOB) as other:
        voice.drop_all()

        for connection in (one, other):
            with pytest.raises(SessionLost):
                await connection.receive()


async def test_whoever_waits_for_an_event_sees_the_drop(autojump_clock: MockClock):
    voice = faulty()

    async with calling(voice) as caller:
        await caller.wait_for("session.created")
        voice.drop_all()
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(SessionLost):
            await caller.send("response.create")


async def test_a_mute_voice_takes_everything_and_says_nothing(autojump_clock: MockClock):
    voice = faulty(GoMute(at="session.created"))

    async with calling(voice) as caller:
        await caller.send("response.create")
        await caller.say(SPEECH)
        await trio.sleep(60)

    assert caller.types == ["session.created"]
    assert len(voice.records[0].received_of("response.create")) == 1
    assert voice.records[0].caller_bytes > len(SPEECH)


async def test_a_voice_falls_silent_in_the_middle_of_a_word(autojump_clock: MockClock):
    voice = faulty(GoMute(at="response.output_audio.delta", count=3))

    async with calling(voice) as caller:
        await caller.send("response.create")
        await trio.sleep(60)

    assert caller.types[-1] == "response.output_audio.delta"
    assert caller.types.count("response.output_audio.delta") == 3


async def test_a_session_that_expires_says_so_and_is_gone(autojump_clock: MockClock):
    voice = faulty(Expire(after_s=60))

    async with connected(voice) as connection:
        await connection.receive()
        began_s = trio.current_time()
        last = json.loads(await connection.receive())
        lasted_s = trio.current_time() - began_s
        with pytest.raises(SessionLost, match="maximum duration of 60 minutes"):
            await connection.receive()

    assert lasted_s == 60
    assert last["error"]["code"] == "session_expired"
    assert last["error"]["message"] == "Your session hit the maximum duration of 60 minutes."


async def test_nothing_more_can_be_said_in_a_session_that_expired(autojump_clock: MockClock):
    voice = faulty(Expire())

    async with connected(voice) as connection:
        with pytest.raises(SessionLost):
            await connection.send(event("response.create"))


async def test_a_row_for_the_second_connection_leaves_the_first_alone(autojump_clock: MockClock):
    voice = faulty(Drop(connection=2))

    async with running(voice), voice.connect(ANN) as first, voice.connect(ANN) as second:
        await first.receive()
        with pytest.raises(SessionLost):
            await second.receive()

    assert [record.ended for record in voice.records] == ["the connection was closed", "the connection broke"]


# -- what it keeps


async def test_the_words_put_into_a_session_are_known(autojump_clock: MockClock):
    voice = faulty()
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}

    async with calling(voice) as caller:
        await caller.send("conversation.item.create", item=asked)
        await caller.send("conversation.item.create", item=said)

    assert voice.records[0].seeded == [("user", "Hello?"), ("assistant", "Hi.")]


async def test_all_that_was_sent_counts_as_heard(autojump_clock: MockClock):
    voice = faulty()

    async with calling(voice) as caller:
        await caller.send("response.create")
        item_id = (await caller.wait_for("response.output_audio.done"))["item_id"]

    assert voice.heard_ms(item_id) == len(caller.audio) // 48


async def test_of_an_item_that_was_cut_only_that_much_was_heard(autojump_clock: MockClock):
    voice = faulty()

    async with calling(voice) as caller:
        await caller.send("response.create")
        item_id = (await caller.wait_for("response.done"))["response"]["output"][0]["id"]
        said_before = dict(voice.records[0].said)
        await caller.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=120)
        await caller.wait_for("conversation.item.truncated")

    assert voice.heard_ms(item_id) == 120
    assert voice.records[0].truncated == {item_id: 120}
    assert said_before == {item_id: caller.transcripts[0]}
    assert voice.records[0].said == {}


async def test_the_words_of_an_item_that_was_cut_are_gone(autojump_clock: MockClock):
    voice = faulty()

    async with calling(voice) as caller:
        await caller.send("response.create")
        item_id = (await caller.wait_for("response.done"))["response"]["output"][0]["id"]
        await caller.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=120)
        await caller.send("conversation.item.retrieve", item_id=item_id)
        retrieved = await caller.wait_for("conversation.item.retrieved")

    assert retrieved["item"]["content"] == [{"type": "output_audio"}]


async def test_what_the_voice_complained_of_is_known(autojump_clock: MockClock):
    voice = faulty()

    async with calling(voice) as caller:
        await caller.send("response.cancel", event_id="c1")
        await caller.wait_for("error")

    assert [error["event_id"] for error in voice.records[0].errors] == ["c1"]


# -- what it insists on


async def test_an_event_that_no_client_may_send_is_raised_where_it_is_sent(autojump_clock: MockClock):
    voice = faulty()

    async with voice.connect(ANN) as connection:
        with pytest.raises(SchemaError, match="no session"):
            await connection.send(
                event("session.update", session={"type": "realtime", "modalities": ["audio"]})
            )


async def test_and_by_the_voice_itself_since_a_gateway_goes_on_without_a_call(autojump_clock: MockClock):
    voice = faulty()

    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - it comes out of the block
        async with running(voice), voice.connect(ANN) as connection:
            with pytest.raises(SchemaError):
                await connection.send("{")
            await trio.sleep_forever()

    assert raised.group_contains(SchemaError, match="no JSON")


async def test_a_mistake_passes_where_that_is_wanted(autojump_clock: MockClock):
    voice = faulty(strict=False)

    async with calling(voice) as caller:
        await caller.send_text("{")
        error = await caller.wait_for("error")

    assert error["error"]["code"] == "invalid_json"


# -- responses that fail


async def test_a_response_fails_before_a_word(autojump_clock: MockClock):
    voice = faulty(FailResponse())

    async with calling(voice) as caller:
        await caller.send("response.create")
        done = await caller.wait_for("response.done")
        await trio.sleep(1)

    assert caller.types == ["session.created", "response.created", "response.done"]
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"


async def test_who_asks_again_gets_what_was_withheld(autojump_clock: MockClock):
    voice = faulty(FailResponse())

    async with calling(voice) as caller, calling(faulty()) as stranger:
        await caller.send("response.create")
        await caller.wait_for("response.done")
        await trio.sleep(2)
        await caller.send("response.create")
        done = await caller.wait_for("response.done", 2)
        await stranger.send("response.create")
        await stranger.wait_for("response.done")

    assert done["response"]["status"] == "completed"
    assert caller.transcripts == stranger.transcripts
    assert caller.audio == stranger.audio


async def test_who_asks_again_in_the_middle_of_it_gets_it_whole(autojump_clock: MockClock):
    voice = faulty(FailResponse())

    async with calling(voice) as caller, calling(faulty()) as stranger:
        await caller.send("response.create")
        await caller.wait_for("response.done")
        await caller.send("response.create")
        await caller.wait_for("response.done", 2)
        await stranger.send("response.create")
        await stranger.wait_for("response.done")

    assert caller.audio == stranger.audio


async def test_several_responses_in_a_row_fail(autojump_clock: MockClock):
    voice = faulty(FailResponse(response=2, in_a_row=2))

    async with calling(voice) as caller:
        for count in range(1, 4):
            await caller.send("response.create", response={"metadata": {"say": f"Sentence {count}."}})
            await caller.wait_for("response.done", count)
        await caller.send("response.create")
        await caller.wait_for("response.done", 4)

    done = [event["response"]["status"] for event in caller.events if event["type"] == "response.done"]
    assert done == ["completed", "failed", "failed", "completed"]
    assert caller.transcripts == ["Sentence 1.", "Sentence 3."]


async def test_rows_for_several_responses_do_not_mind_each_other(autojump_clock: MockClock):
    voice = faulty(FailResponse(), FailResponse(response=3, code="server_error"))

    async with calling(voice) as caller:
        for count in range(1, 5):
            await caller.send("response.create", response={"metadata": {"say": f"Sentence {count}."}})
            await caller.wait_for("response.done", count)

    details = [event["response"]["status_details"] for event in voice.records[0].sent_of("response.done")]
    codes = [(detail.get("error") or {}).get("code") for detail in details]
    assert codes == ["rate_limit_exceeded", None, "server_error", None]
    assert caller.transcripts == ["Sentence 2.", "Sentence 4."]


async def test_a_response_that_was_asked_for_again_can_be_cancelled(autojump_clock: MockClock):
    voice = faulty(FailResponse())

    async with calling(voice) as caller:
        await caller.send("response.create", response={"metadata": {"say": "On and on it goes. " * 20}})
        await caller.wait_for("response.done")
        await caller.send("response.create")
        again = (await caller.wait_for("response.created", 2))["response"]["id"]
        await caller.send("response.cancel", response_id=again)
        done = await caller.wait_for("response.done", 2)

    assert (done["response"]["id"], done["response"]["status"]) == (again, "cancelled")
    assert voice.records[0].errors == []


async def test_an_answer_to_the_caller_fails_and_is_not_given_to_what_he_says_next(
    autojump_clock: MockClock,
):
    voice = faulty(FailResponse(), hears=("What are your opening hours?", "I would like a table."))

    async with calling(voice) as caller, calling(faulty(hears=("I would like a table.",))) as stranger:
        await caller.say(SPEECH)
        await caller.wait_for("response.done")
        await caller.say(SPEECH)
        await caller.wait_for("response.done", 2)
        await stranger.say(SPEECH)
        await stranger.wait_for("response.done")

    assert caller.transcripts[0] == "What are your opening hours?"
    assert caller.transcripts[1:] == stranger.transcripts

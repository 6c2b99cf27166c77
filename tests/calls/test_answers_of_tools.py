"""Tools in a whole call core: when the agent goes on after them, and how often."""

import json
from typing import Any

import pytest

from gateway import contracts as c
from gateway.calls.barge_in import BargeInSettings
from tests.calls.ladder import Ladder

HOURS = {"name": "hours", "call_id": "call_1", "arguments": "{}"}
KEYS = {"name": "send_digits", "call_id": "call_2", "arguments": '{"digits":"1"}'}
MOON = {"name": "transfer_call", "call_id": "call_3", "arguments": '{"destination":"the moon"}'}


def calling(*calls: dict[str, str], greets_ms: int = 100, **settings: Any) -> Ladder:
    """The agent greets and calls tools."""
    agent = c.Agent(name="reception", tools=(c.Tool(name="hours"),))
    call = Ladder(agent=agent, **settings).start().voice_opens()
    return call.responds("r0", "i0", greets_ms, "Hello.", done=False).response_done("r0", "i0", *calls)


def told_after(call: Ladder, kind: str) -> list[str]:
    """What the voice was told, by type, from the first event of one kind on."""
    kinds = [json.loads(message.data)["type"] for message in call.all(c.VoiceMessage)]
    kinds = [kind for kind in kinds if kind != "input_audio_buffer.append"]
    return kinds[kinds.index(kind) :]


def test_the_agent_goes_on_once_and_knows_all_answers():
    call = calling(HOURS, KEYS).frames(10)

    call.command(c.ToolDone(id="call_1", output="nine")).frames(10)

    assert told_after(call, "conversation.item.create") == [
        "conversation.item.create",
        "conversation.item.create",
        "response.create",
    ]


def test_answers_that_are_there_at_once_are_told_together():
    call = calling(KEYS, MOON).frames(10)

    assert told_after(call, "conversation.item.create") == [
        "conversation.item.create",
        "conversation.item.create",
        "response.create",
    ]


def test_a_tool_that_takes_longer_than_dead_air_keeps_its_session():
    call = calling(HOURS, HOURS | {"call_id": "call_4"}, dead_air_s=3.0)

    call.command(c.ToolDone(id="call_1", output="nine")).frames(200)

    assert call.facts("session.lost") == []


@pytest.mark.parametrize(("lasted_ms", "asked"), [(100, 1), (1000, 0)], ids=["a cough", "a turn"])
def test_an_answer_that_came_during_a_sound_is_asked_for_if_nothing_follows(lasted_ms: int, asked: int):
    waits = BargeInSettings(min_speech_ms=400)
    call = calling(HOURS, greets_ms=2000, barge_in=waits).frames(20)
    before = len(call.told("response.create"))

    call.speech_starts().command(c.ToolDone(id="call_1", output="nine")).frames(20)
    call.speech_stops(300 + lasted_ms + 500)

    assert len(call.told("response.create")) - before == asked


def test_a_filler_is_no_answer():
    call = Ladder().start().voice_opens().responds("r0", "i0", 100).frames(20)
    call.speech_starts().frames(30).speech_stops(900).turn_taken().caller_said("When?")

    call.voice_is_lost().clips_load().frames(30)
    assert call.facts("filler.played")
    assert call.facts("turn.answered") == []
    call.voice_opens().responds("r1", "i1", 500).frames(40)

    (answered,) = call.facts("turn.answered")
    assert answered["latency_ms"] > 1000

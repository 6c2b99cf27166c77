"""Interruptions through a whole call core: what is cut, what the voice is told, and what was none."""

import json

import pytest

from gateway import contracts as c
from gateway.calls.barge_in import BargeInSettings
from gateway.dialplan.actions.converse import Converse
from tests.calls.ladder import Ladder

WAITS = BargeInSettings(min_speech_ms=400)
WORDS = "We are open from nine to five every day"


def talking(*steps: Converse, barge_in: BargeInSettings | None = None) -> Ladder:
    """The agent has nothing to greet with, and is ready."""
    call = Ladder(*steps, barge_in=barge_in or BargeInSettings()).start().voice_opens()
    call.voice(type="response.created", response={"id": "r0", "status": "in_progress"})
    return call.response_done("r0", "i0")


def truncated(call: Ladder) -> dict[str, int]:
    return {event["item_id"]: event["audio_end_ms"] for event in call.told("conversation.item.truncate")}


def played(call: Ladder) -> bytes:
    return b"".join(call.sent_audio())


# -- what the voice is told


def test_what_the_caller_did_not_hear_is_truncated_where_he_stopped_hearing():
    call = talking().responds("r1", "i1", 2000, WORDS).frames(50).marks_return()

    call.speech_starts()

    (interrupted,) = call.facts("agent.interrupted")
    assert 0 <= interrupted["heard_low_ms"] - truncated(call)["i1"] <= 3
    assert interrupted["estimated"]


def test_the_truncation_follows_the_cancellation():
    call = talking().responds("r1", "i1", 2000, done=False).frames(50).speech_starts()

    kinds = [json.loads(message.data)["type"] for message in call.all(c.VoiceMessage)]

    assert kinds[-2:] == ["response.cancel", "conversation.item.truncate"]


def test_every_queued_item_that_was_not_heard_is_truncated_at_0():
    call = talking().responds("r1", "i1", 1000).responds("r2", "i2", 1000).responds("r3", "i3", 1000)
    call.frames(20).marks_return()

    call.speech_starts()

    assert truncated(call)["i1"] > 0
    assert (truncated(call)["i2"], truncated(call)["i3"]) == (0, 0)


def test_an_item_whose_audio_was_on_its_way_when_the_caller_spoke_is_truncated_at_0():
    call = talking().responds("r1", "i1", 1000, done=False).frames(20).speech_starts()

    call.delta("r1", "i2", 200).delta("r1", "i2", 200)

    assert truncated(call)["i2"] == 0
    assert [event["item_id"] for event in call.told("conversation.item.truncate")].count("i2") == 1


def test_what_was_heard_to_its_end_is_not_truncated():
    call = talking().responds("r1", "i1", 500).frames(40).marks_return().frames(2)

    call.speech_starts()

    assert call.told("conversation.item.truncate") == []
    assert call.sent("clear") == []


def test_a_truncation_never_reaches_beyond_the_audio_there_was():
    call = talking().responds("r1", "i1", 500, done=False).frames(40).marks_return()

    call.speech_starts()

    assert truncated(call).get("i1", 0) <= 500


# -- sounds that are no interruptions


def test_the_agent_falls_silent_at_once_and_nothing_is_cancelled_until_it_is_sure():
    call = talking(barge_in=WAITS).responds("r1", "i1", 2000, done=False).frames(20)

    call.speech_starts().frames(10)

    assert len(call.sent("clear")) == 1
    assert call.told("response.cancel") == []
    assert call.sent_ms() <= 200 + 400


def test_after_a_cough_the_agent_goes_on_where_it_was_cut():
    call = talking(barge_in=WAITS).responds("r1", "i1", 2000).frames(25).marks_return()
    whole = played(talking().responds("r1", "i1", 2000).frames(100))
    call.speech_starts()
    before = played(call)
    frame_ms = int(call.heard_ms() // 20 * 20)

    call.frames(40).speech_stops(500 + 300 + 300).frames(150)

    resumed = played(call)[len(before) :]
    assert resumed == whole[frame_ms * 8 :]
    assert call.told("conversation.item.truncate") == []
    assert len(call.facts("caller.ignored")) == 1


def test_what_the_voice_says_during_a_cough_is_kept():
    call = talking(barge_in=WAITS).responds("r1", "i1", 500, done=False).frames(10).speech_starts()

    call.delta("r1", "i1", 500).frames(40).speech_stops(800 + 100).frames(100)

    assert call.sent_ms() >= 1000


def test_speech_that_lasts_interrupts():
    call = talking(barge_in=WAITS).responds("r1", "i1", 3000, done=False).frames(25).marks_return()

    call.speech_starts().frames(46)

    assert [event["response_id"] for event in call.told("response.cancel")] == ["r1"]
    assert list(truncated(call)) == ["i1"]


def test_a_confirmed_interruption_is_truncated_where_the_agent_fell_silent():
    call = talking(barge_in=WAITS).responds("r1", "i1", 3000).frames(25).marks_return()
    call.speech_starts()
    heard_ms = call.heard_ms()

    call.frames(46)

    assert 0 <= heard_ms - truncated(call)["i1"] <= 3


def test_we_ask_for_the_answer_to_a_turn_when_sounds_may_be_none():
    call = talking(barge_in=WAITS).frames(10).speech_starts().frames(50).speech_stops(1200)
    before = len(call.told("response.create"))

    call.turn_taken()

    session = call.told("session.update")[0]["session"]
    assert not session["audio"]["input"]["turn_detection"]["create_response"]
    assert len(call.told("response.create")) == before + 1


def test_a_cough_is_not_answered():
    call = talking(barge_in=WAITS).responds("r1", "i1", 2000).frames(20).speech_starts()
    before = len(call.told("response.create"))

    call.frames(30).speech_stops(900).turn_taken().frames(10)

    assert len(call.told("response.create")) == before


def test_an_interruption_is_answered_once():
    call = talking(barge_in=WAITS).responds("r1", "i1", 2000).frames(20).speech_starts().frames(60)
    before = len(call.told("response.create"))

    call.speech_stops(2000).turn_taken().frames(10)

    assert len(call.told("response.create")) == before + 1


@pytest.mark.parametrize(("text", "interrupts"), [("uh huh", False), ("wait a moment please", True)])
def test_words_can_decide(text: str, interrupts: bool):
    words = BargeInSettings(min_speech_ms=100, min_words=3)
    call = talking(barge_in=words).responds("r1", "i1", 3000).frames(25).speech_starts().frames(40)

    call.speech_stops(1500).turn_taken()
    assert call.told("conversation.item.truncate") == []
    call.caller_said(text).frames(2)

    assert bool(call.told("conversation.item.truncate")) is interrupts
    assert bool(call.facts("caller.ignored")) is not interrupts


def test_words_that_are_never_written_down_interrupt_after_all():
    words = BargeInSettings(min_speech_ms=100, min_words=3)
    call = talking(barge_in=words).responds("r1", "i1", 9000).frames(25).speech_starts().frames(40)

    call.speech_stops(1500).turn_taken().frames(102)

    assert list(truncated(call)) == ["i1"]


# -- speech that must be heard


def test_what_must_be_heard_is_not_interrupted():
    call = talking(Converse(agent="reception", interruptible=False)).responds("r1", "i1", 1000).frames(20)

    call.speech_starts().frames(60)

    assert call.sent("clear") == []
    assert call.sent_ms() >= 1000


def test_a_key_does_not_interrupt_what_must_be_heard():
    call = talking(Converse(agent="reception", interruptible=False)).responds("r1", "i1", 1000).frames(20)

    call.digit("1").frames(60)

    assert call.sent("clear") == []
    assert len(call.told("conversation.item.create")) == 1

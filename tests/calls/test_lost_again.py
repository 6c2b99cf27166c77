"""A voice that is lost again: what counts as one trouble, and what the caller hears of it."""

import json
from typing import Any

from gateway import contracts as c
from tests.calls.ladder import Ladder

GREETING = "Good morning. This is the Harbour Kitchen. How can I help you?"


def greeted(**settings: Any) -> Ladder:
    agent = c.Agent(name="reception", greeting="Good morning.")
    call = Ladder(agent=agent, **settings).start().voice_opens()
    return call.responds("r0", "i0", 1300, "Good morning.").frames(80).marks_return()  # 100 ms a character


def asked(call: Ladder) -> Ladder:
    """The caller has asked something that nobody has written down yet."""
    return call.speech_starts().frames(50).speech_stops(2600).turn_taken()


def wish(call: Ladder) -> dict[str, Any]:
    response: dict[str, Any] = call.told("response.create")[-1].get("response", {})
    return response


def wishes_of_the_newest(call: Ladder) -> int:
    session = call.last(c.OpenVoice).session
    messages = [message for message in call.all(c.VoiceMessage) if message.session == session]
    return sum(json.loads(message.data)["type"] == "response.create" for message in messages)


def breaks_off(call: Ladder, response: str, words: str, audio_ms: int) -> Ladder:
    call.voice(type="response.created", response={"id": response})
    call.says_in(response, f"item of {response}", words)
    for _ in range(audio_ms // 100):
        call.delta(response, f"item of {response}", 100)
    return call.voice_is_lost().frames(20).voice_opens()


# -- what breaks off


def test_a_greeting_that_breaks_off_twice_is_said_to_its_end():
    call = Ladder(agent=c.Agent(name="reception", greeting=GREETING)).start().voice_opens()

    breaks_off(call, "r0", "Good morning.", 1000)
    breaks_off(call, "r1", "This is the", 800)

    assert wish(call)["metadata"] == {"say": "Harbour Kitchen. How can I help you?"}


def test_an_agent_that_does_not_quite_keep_its_pace_repeats_no_word():
    call = asked(greeted()).caller_said("When do you open?")

    breaks_off(call, "r1", "We are open from nine", 2000)  # at its pace, it would be 2.1 s

    assert "the words “We are open from nine”" in wish(call)["instructions"]


# -- a question that the next session has to hear again


def test_a_caller_whose_question_is_heard_again_hears_a_filler():
    call = asked(greeted()).voice_is_lost().clips_load().frames(5).voice_opens().frames(8)
    assert call.facts("filler.played") == []

    call.frames(5)

    assert len(call.facts("filler.played")) == 1


def test_a_question_that_the_next_session_did_not_hear_is_asked_for_at_last():
    call = asked(greeted(dead_air_s=5.0)).voice_is_lost().clips_load().frames(5).voice_opens()
    assert wishes_of_the_newest(call) == 0

    call.frames(260)

    assert wishes_of_the_newest(call) == 1
    assert len(call.all(c.OpenVoice)) == 2


def test_a_question_that_was_heard_again_and_written_down_is_asked_for_when_that_session_is_lost_too():
    call = asked(greeted()).voice_is_lost().frames(5).voice_opens()
    call.speech_starts("u2").speech_stops(1500, "u2").turn_taken("u2").caller_said("When do you open?", "u2")

    call.voice_is_lost().frames(20).voice_opens()

    assert wishes_of_the_newest(call) == 1


# -- how often it may happen


def test_sessions_that_lasted_do_not_count_as_one_trouble():
    call = greeted(idle_s=0.0)

    for _ in range(10):
        call.voice_is_lost().frames(60).voice_opens().frames(300)

    assert call.reason is None
    assert [clip.name for clip in call.all(c.LoadClip)] == ["filler"]


def test_sessions_that_do_not_last_are_one_trouble():
    call = greeted(idle_s=0.0)

    for _ in range(6):
        call.voice_is_lost().frames(150)
        if len(call.all(c.OpenVoice)) > len(call.all(c.CloseVoice)):
            call.voice_opens().frames(50)

    assert call.all(c.LoadClip)[-1].name == "apology"

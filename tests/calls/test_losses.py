"""A voice that fails and comes back, through a whole call core."""

import base64
import json
from typing import Any

from gateway import contracts as c
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.say import Say
from tests.calls.ladder import Ladder

GREETING = "Good morning. How can I help you?"


def ready(*, greeting: str | None = None, **settings: Any) -> Ladder:
    agent = c.Agent(name="reception", greeting=greeting, instructions="Be brief.")
    return Ladder(agent=agent, **settings).start().voice_opens()


def greeted(**settings: Any) -> Ladder:
    """The agent has greeted, and all of it was heard."""
    call = ready(greeting=GREETING, **settings).responds("r0", "i0", 500, GREETING)
    return call.frames(30).marks_return().frames(2)


def asked(call: Ladder, words: str = "When do you open?") -> Ladder:
    """The caller has asked something, which is written down."""
    call.speech_starts().frames(50).speech_stops(1500).turn_taken()
    return call.caller_said(words)


def told_now(call: Ladder) -> list[dict[str, Any]]:
    """What the newest session was told, in order."""
    session = call.last(c.OpenVoice).session
    return [json.loads(message.data) for message in call.all(c.VoiceMessage) if message.session == session]


def seeded(call: Ladder) -> list[tuple[str, str]]:
    items = [event["item"] for event in told_now(call) if event["type"] == "conversation.item.create"]
    return [(item["role"], item["content"][0]["text"]) for item in items]


def wishes(call: Ladder) -> list[dict[str, Any]]:
    """The responses that the newest session was asked for."""
    return [event.get("response", {}) for event in told_now(call) if event["type"] == "response.create"]


def appended_ms(call: Ladder) -> int:
    appends = [event for event in told_now(call) if event["type"] == "input_audio_buffer.append"]
    return sum(len(base64.b64decode(event["audio"])) for event in appends) // 48


# -- what the next session knows


def test_a_lost_session_is_followed_by_another_at_once():
    call = greeted().voice_is_lost().frames(1)

    assert [request.session for request in call.all(c.OpenVoice)] == [1, 3]
    assert [request.session for request in call.all(c.CloseVoice)] == [1]


def test_the_next_session_is_told_what_was_said():
    call = asked(greeted()).responds("r1", "i1", 500, "At nine.").frames(30).marks_return()

    call.voice_is_lost().frames(1).voice_opens()

    assert seeded(call) == [("assistant", GREETING), ("user", "When do you open?"), ("assistant", "At nine.")]


def test_of_an_interrupted_answer_the_next_session_is_told_what_was_heard():
    call = asked(greeted()).responds("r1", "i1", 4000, "We open at nine and close at five.")
    call.frames(100).marks_return().speech_starts()
    heard = call.facts("agent.interrupted")[0]["text"]

    call.voice_is_lost().frames(1).voice_opens()

    assert seeded(call)[-1] == ("assistant", heard)
    assert "We open at nine and close at five.".startswith(heard)


def test_a_call_that_owes_nothing_asks_for_nothing():
    call = greeted()

    call.voice_is_lost().frames(1).voice_opens().frames(20)

    assert wishes(call) == []
    assert call.facts("filler.played") == []


def test_a_greeting_that_never_came_is_asked_for_again():
    call = ready(greeting=GREETING).voice_is_lost().frames(1).voice_opens()

    assert [wish["metadata"]["say"] for wish in wishes(call)] == [GREETING]


def test_a_greeting_that_broke_off_is_finished_and_not_said_twice():
    call = ready(greeting=GREETING)
    call.voice(type="response.created", response={"id": "r0"}).delta("r0", "i0", 500)
    call.says_in("r0", "i0", "Good morning.")

    call.voice_is_lost().frames(1).voice_opens()

    assert [wish["metadata"]["say"] for wish in wishes(call)] == ["How can I help you?"]


def test_an_answer_that_was_owed_is_asked_for():
    call = asked(greeted()).voice_is_lost().frames(1).voice_opens()

    assert seeded(call)[-1] == ("user", "When do you open?")
    assert wishes(call) == [{}]


def test_an_answer_that_broke_off_is_carried_on():
    call = asked(greeted()).responds("r1", "i1", 500, done=False).says_in("r1", "i1", "We are open")

    call.voice_is_lost().frames(1).voice_opens()

    (wish,) = wishes(call)
    assert wish["metadata"] == {"carry_on": "yes"}
    assert "We are open" in wish["instructions"]
    assert wish["instructions"].startswith("Be brief.")


def test_what_had_come_of_a_broken_answer_is_played_to_its_end():
    call = asked(greeted()).responds("r1", "i1", 500, done=False)
    before = call.sent_ms()

    call.voice_is_lost().frames(60)

    assert call.sent_ms() - before >= 300


def test_words_that_nobody_has_written_down_are_heard_again():
    call = greeted().frames(50).speech_starts().frames(50).speech_stops(2000).turn_taken()

    call.voice_is_lost().frames(1).voice_opens()

    assert appended_ms(call) >= 1500
    assert wishes(call) == []  # the voice answers by itself what it hears


def test_a_caller_who_speaks_while_the_voice_is_away_is_heard_by_the_next_session():
    call = greeted().voice_is_lost().frames(30)

    call.voice_opens()

    assert appended_ms(call) >= 600


def test_a_tool_that_ran_meanwhile_is_answered_to_the_new_session():
    agent = c.Agent(name="reception", tools=(c.Tool(name="hours"),))
    call = Ladder(agent=agent).start().voice_opens().responds("r0", "i0", 200, "Hello.", done=False)
    call.response_done("r0", "i0", {"name": "hours", "call_id": "call_7", "arguments": "{}"})
    call.voice_is_lost().frames(1).voice_opens()

    call.command(c.ToolDone(id="call_7", output="nine"))

    items = [event["item"] for event in told_now(call) if event["type"] == "conversation.item.create"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]
    assert items[-1]["call_id"] == "call_7"
    assert wishes(call) == [{}]


def test_a_session_that_was_told_more_than_the_caller_heard_is_corrected():
    call = asked(greeted()).responds("r1", "i1", 4000, "We open at nine and close at five.").frames(10)
    call.voice_is_lost().frames(1).voice_opens().frames(60).marks_return()

    call.speech_starts("u2")

    (interrupted,) = call.facts("agent.interrupted")
    assert "We open at nine and close at five.".startswith(interrupted["text"])
    corrected, deleted = told_now(call)[-2:]
    assert corrected["item"]["content"][0]["text"] == interrupted["text"]
    assert corrected["previous_item_id"] == deleted["item_id"]
    assert deleted["type"] == "conversation.item.delete"
    assert call.told("conversation.item.truncate") == []


def test_a_tool_that_is_done_while_the_voice_is_away_is_answered_when_it_is_back():
    agent = c.Agent(name="reception", tools=(c.Tool(name="hours"),))
    call = Ladder(agent=agent).start().voice_opens().responds("r0", "i0", 200, "Hello.", done=False)
    call.response_done("r0", "i0", {"name": "hours", "call_id": "call_7", "arguments": "{}"})

    call.voice_is_lost().command(c.ToolDone(id="call_7", output="nine")).frames(1).voice_opens()

    items = [event["item"] for event in told_now(call) if event["type"] == "conversation.item.create"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]
    assert wishes(call) == [{}]


def test_a_key_that_is_pressed_while_the_voice_is_away_is_answered_when_it_is_back():
    call = greeted().voice_is_lost().digit("5").frames(1).voice_opens()

    assert seeded(call)[-1] == ("user", "[DTMF] 5")
    assert wishes(call) == [{}]


def test_what_a_standby_has_to_answer_it_is_asked_for():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)
    standby = call.last(c.OpenVoice).session
    asked(call)
    call.command(c.VoiceOpened(session=standby))
    call.command(c.StandbySaid(session=standby, event=json.dumps({"type": "session.updated", "session": {}})))

    call.command(c.VoiceEnded(session=1, refused=False))

    assert seeded(call)[-1] == ("user", "When do you open?")
    assert wishes(call) == [{}]


# -- how often, and where


def test_tries_are_made_further_and_further_apart():
    call = asked(greeted(dead_air_s=60.0))
    opened_at: list[float] = []
    for _ in range(3):
        call.voice_is_lost()
        while len(call.all(c.OpenVoice)) == len(opened_at) + 1:
            call.frames(1)
        opened_at.append(call.now)

    assert opened_at[1] - opened_at[0] >= 0.1
    assert opened_at[2] - opened_at[1] > opened_at[1] - opened_at[0]


def test_after_the_last_try_the_call_apologizes():
    call = greeted()

    for _ in range(6):
        call.voice_is_lost().frames(150)

    assert call.last(c.LoadClip).name == "apology"


def test_a_voice_that_answers_again_has_all_its_tries_back():
    call = greeted()

    for number in range(10):
        call.voice_is_lost().frames(60).voice_opens()
        call.responds(f"again{number}", f"again{number}", 200).frames(20)

    assert call.reason is None
    assert not [clip for clip in call.all(c.LoadClip) if clip.name == "apology"]


def test_a_voice_that_refuses_is_not_asked_again():
    call = Ladder().start().command(c.VoiceEnded(session=1, refused=True, detail="invalid key")).frames(60)

    assert len(call.all(c.OpenVoice)) == 1
    assert call.last(c.LoadClip).name == "apology"


def test_the_plan_can_say_what_happens_without_a_voice():
    fallback = (Say(text="Please call again."), HangUp())
    call = Ladder(Converse(agent="reception"), fallback=fallback).start()

    call.command(c.VoiceEnded(session=1, refused=True))

    assert call.last(c.Synthesize).text == "Please call again."
    call.command(c.ClipReady(id=call.last(c.Synthesize).id, pcm=bytes(4800))).frames(20).marks_return()
    assert call.frames(3).reason is c.EndReason.VOICE_UNAVAILABLE


def test_a_fallback_that_cannot_speak_ends_with_an_apology():
    call = Ladder(Converse(agent="reception"), fallback=(Say(text="Please call again."), HangUp())).start()
    call.command(c.VoiceEnded(session=1, refused=True))

    call.command(c.ClipFailed(id=call.last(c.Synthesize).id, detail="mute"))

    assert call.last(c.LoadClip).name == "apology"


def test_the_next_voice_of_the_list_answers_when_the_first_one_refuses():
    call = Ladder(voices=("hosted", "embedded")).start()

    call.command(c.VoiceEnded(session=1, refused=True)).frames(1)

    assert [request.backend for request in call.all(c.OpenVoice)] == ["hosted", "embedded"]


def test_a_voice_without_room_is_waited_for_and_then_the_next_one_answers():
    call = Ladder(voices=("hosted", "embedded")).start().clips_load()

    while call.last(c.OpenVoice).backend == "hosted":
        call.command(c.VoiceEnded(session=call.last(c.OpenVoice).session, refused=False, busy_s=0.0))
        opened = len(call.all(c.OpenVoice))
        while len(call.all(c.OpenVoice)) == opened and call.now < 10:
            call.clips_load().frames(1)

    assert 1.5 <= call.now <= 3.1
    assert call.facts("filler.played") == [{"clip": "welcome"}]


def test_a_voice_that_asks_for_more_patience_than_a_caller_has_is_left_at_once():
    call = Ladder(voices=("hosted", "embedded")).start()

    call.command(c.VoiceEnded(session=1, refused=False, busy_s=20.0)).frames(1)

    assert call.last(c.OpenVoice).backend == "embedded"


def test_a_response_that_failed_for_want_of_room_leads_to_another_try():
    call = asked(greeted())
    error = {"type": "tokens", "code": "rate_limit_exceeded"}
    details = {"type": "failed", "error": error}

    call.voice(type="response.created", response={"id": "r1"})
    call.voice(type="response.done", response={"id": "r1", "status": "failed", "status_details": details})
    call.frames(60).voice_opens()

    assert wishes(call) == [{}]


def test_an_expired_session_is_followed_at_once():
    call = greeted()

    call.voice(type="error", error={"type": "x", "code": "session_expired", "message": "60 minutes"})
    call.frames(1)

    assert len(call.all(c.OpenVoice)) == 2


# -- silence


def test_a_caller_who_waits_hears_a_filler_after_300_ms():
    call = asked(greeted())
    before = call.sent_ms()

    call.voice_is_lost().clips_load().frames(14)
    assert call.sent_ms() == before
    call.frames(3)

    assert call.sent_ms() > before
    assert len(call.facts("filler.played")) == 1


def test_the_filler_waits_until_what_had_come_is_played():
    call = asked(greeted()).responds("r1", "i1", 1000, done=False)

    call.voice_is_lost().clips_load().frames(50)
    assert call.facts("filler.played") == []

    assert call.frames(20).facts("filler.played")


def test_the_answer_is_heard_after_the_filler():
    call = asked(greeted()).voice_is_lost().clips_load().frames(20).voice_opens()
    before = call.sent_ms()

    call.responds("r1", "i1", 500, "At nine.").frames(80)

    assert call.sent_ms() - before >= 500


# -- the hour


def test_a_session_is_renewed_in_a_silence_before_its_hour_is_over():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)
    standby = call.last(c.OpenVoice).session
    assert standby != 1
    assert call.all(c.CloseVoice) == []

    call.command(c.VoiceOpened(session=standby))
    call.command(c.StandbySaid(session=standby, event=json.dumps({"type": "session.updated", "session": {}})))
    call.frames(1)

    assert [request.session for request in call.all(c.CloseVoice)] == [1]
    assert seeded(call) == [("assistant", GREETING)]
    assert len(call.facts("session.renewed")) == 1


def test_a_session_is_not_renewed_while_somebody_speaks():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)
    standby = call.last(c.OpenVoice).session
    call.speech_starts()
    call.command(c.VoiceOpened(session=standby))
    call.command(c.StandbySaid(session=standby, event=json.dumps({"type": "session.updated", "session": {}})))

    call.frames(100)
    assert call.all(c.CloseVoice) == []

    call.speech_stops(62_000).turn_taken().caller_said("Hello?").responds("r1", "i1", 200, "Yes?")
    call.frames(20).marks_return().frames(2)
    assert len(call.all(c.CloseVoice)) == 1
    assert seeded(call)[1:] == [("user", "Hello?"), ("assistant", "Yes?")]


def test_no_sound_of_the_caller_is_lost_by_a_renewal():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)
    old, standby = 1, call.last(c.OpenVoice).session
    call.command(c.VoiceOpened(session=standby))
    call.command(c.StandbySaid(session=standby, event=json.dumps({"type": "session.updated", "session": {}})))

    call.frames(50)

    messages = [(m.session, json.loads(m.data)) for m in call.all(c.VoiceMessage)]
    audio = {
        session: b"".join(base64.b64decode(e["audio"]) for s, e in messages if s == session and "audio" in e)
        for session in (old, standby)
    }
    assert len(audio[old]) + len(audio[standby]) >= 48 * 20 * call.frame_count


def test_a_standby_that_cannot_be_had_is_asked_for_again():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)

    call.command(c.VoiceEnded(session=call.last(c.OpenVoice).session, refused=False)).frames(800)

    assert len(call.all(c.OpenVoice)) == 3
    assert call.facts("session.lost") == []


def test_when_the_old_session_ends_the_standby_talks_at_once():
    call = greeted(renew_s=60.0, idle_s=0.0).frames(3000)
    standby = call.last(c.OpenVoice).session
    call.speech_starts()
    call.command(c.VoiceOpened(session=standby))
    call.command(c.StandbySaid(session=standby, event=json.dumps({"type": "session.updated", "session": {}})))

    call.command(c.VoiceEnded(session=1, refused=False)).frames(1)

    assert len(call.all(c.OpenVoice)) == 2
    assert seeded(call) == [("assistant", GREETING)]


# -- nobody speaks


def test_a_caller_who_says_nothing_is_asked_whether_he_is_there():
    call = greeted(idle_s=4.0).frames(195)
    assert len(call.told("response.create")) == 1

    call.frames(10)

    assert call.told("response.create")[-1]["response"]["metadata"] == {"idle": "yes"}


def test_the_silence_counts_from_when_the_agent_was_heard():
    call = ready(idle_s=4.0).responds("r0", "i0", 3000).frames(200)

    assert call.facts("caller.idle") == []

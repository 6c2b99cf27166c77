import base64
import json
from typing import Any

import pytest

from gateway import contracts as c
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from tests.calls.ladder import Ladder

PCM_100_MS = bytes(4800)


def talking(**settings: Any) -> Ladder:
    """A call whose agent has nothing to greet with, and is ready."""
    call = Ladder(**settings).start().voice_opens()
    call.voice(type="response.created", response={"id": "r0", "status": "in_progress"})
    return call.response_done("r0", "i0")


# -- the voice and the caller


def test_the_session_is_configured_before_the_first_audio():
    call = Ladder().start().frames(3).voice_opens()

    kinds = [json.loads(message.data)["type"] for message in call.all(c.VoiceMessage)]

    assert kinds[:3] == ["session.update", "input_audio_buffer.append", "response.create"]


def test_every_frame_of_the_caller_reaches_the_voice_at_24_khz():
    call = talking().frames(5)

    audio = b"".join(base64.b64decode(event["audio"]) for event in call.told("input_audio_buffer.append"))

    assert len(audio) == 5 * 960


def test_the_agent_greets_in_its_own_words_once_the_session_is_ready():
    call = Ladder(agent=c.Agent(name="reception", greeting="Good morning.")).start().voice_opens()

    assert [event["response"]["metadata"]["say"] for event in call.told("response.create")] == [
        "Good morning."
    ]


def test_agent_audio_runs_at_most_200_ms_ahead():
    call = talking().responds("r1", "i1", 3000)

    assert call.sent_ms() == 200
    for frame in range(1, 100):
        call.frames(1)
        assert call.sent_ms() <= 200 + 20 * frame


def test_agent_audio_goes_out_in_whole_frames_with_a_mark_at_least_every_200_ms():
    call = talking().responds("r1", "i1", 3000).frames(200)

    unmarked_ms = 0
    for message in (json.loads(output.data) for output in call.all(c.CarrierMessage)):
        if message["event"] == "media":
            size = len(base64.b64decode(message["media"]["payload"]))
            assert size % 160 == 0
            unmarked_ms += size // 8
            assert unmarked_ms <= 200
        else:
            unmarked_ms = 0
    assert call.sent_ms() >= 3000


def test_the_latency_of_a_turn_counts_from_when_the_caller_stopped():
    call = talking().frames(100).speech_starts().frames(50).speech_stops(3000)

    call.frames(10).responds("r1", "i1", 200)

    # The silence that ended the turn is 500 ms; the answer came 200 ms after it was known.
    assert call.facts("turn.answered") == [{"latency_ms": 700}]


# -- barge-in


def test_an_interruption_cuts_clears_and_cancels():
    call = talking().responds("r1", "i1", 3000, done=False).frames(20)

    call.speech_starts()

    assert len(call.sent("clear")) == 1
    assert [event["response_id"] for event in call.told("response.cancel")] == ["r1"]
    assert len(call.all(c.Cut)) == 1


def test_nothing_of_a_cut_response_is_sent_after_the_clear():
    call = talking().responds("r1", "i1", 3000, done=False).frames(20).speech_starts()
    sent_ms = call.sent_ms()

    call.delta("r1", "i1", 500).frames(50)

    assert call.sent_ms() == sent_ms


def test_clear_follows_the_media_that_it_discards_and_comes_before_the_cut_is_declared():
    call = talking().responds("r1", "i1", 3000, done=False).frames(20).speech_starts()

    last = [o for o in call.out if isinstance(o, c.CarrierMessage | c.Cut)][-2:]

    assert isinstance(last[0], c.CarrierMessage)
    assert json.loads(last[0].data)["event"] == "clear"
    assert isinstance(last[1], c.Cut)


def test_an_interruption_says_what_was_heard_by_then():
    call = (
        talking()
        .responds("r1", "i1", 2000, "We are open from nine to five every day")
        .frames(50)
        .marks_return()
    )

    call.speech_starts()

    (interrupted,) = call.facts("agent.interrupted")
    assert interrupted["item"] == "i1"
    assert 900 <= interrupted["heard_low_ms"] <= interrupted["heard_high_ms"] <= 1200
    assert "We are open from nine to five every day".startswith(interrupted["text"])
    assert 0 < len(interrupted["text"]) < 30


def test_speech_while_the_agent_is_silent_cuts_nothing():
    call = talking().frames(10).speech_starts()

    assert call.sent("clear") == []
    assert call.all(c.Cut) == []


def test_a_response_of_which_nothing_was_sent_yet_is_cancelled_without_a_clear():
    call = talking()
    call.voice(type="response.created", response={"id": "r1", "status": "in_progress"})

    call.speech_starts()

    assert len(call.told("response.cancel")) == 1
    assert call.sent("clear") == []


def test_the_answer_after_an_interruption_is_heard():
    call = talking().responds("r1", "i1", 3000, done=False).frames(20).speech_starts()
    before_ms = call.sent_ms()
    call.voice(type="response.done", response={"id": "r1", "status": "cancelled"})

    call.responds("r2", "i2", 400).frames(30)

    assert call.sent_ms() - before_ms >= 400


def test_a_key_interrupts_and_reaches_the_agent_as_a_turn():
    call = talking().responds("r1", "i1", 3000).frames(20)

    call.digit("5")

    (item,) = call.told("conversation.item.create")
    assert item["item"]["content"][0]["text"] == "[DTMF] 5"
    assert len(call.sent("clear")) == 1


def test_a_key_is_never_named_in_a_fact():
    call = talking().digit("7")

    assert call.facts("digit.pressed") == [{}]


def test_a_response_without_an_end_is_cancelled():
    call = talking()
    call.voice(type="response.created", response={"id": "r1", "status": "in_progress"})

    for _ in range(310):
        call.delta("r1", "i1", 1000)

    assert len(call.told("response.cancel")) == 1
    assert len(call.facts("response.overran")) == 1


# -- tools, transfer, the end


def end_call(call: str = "call_1") -> dict[str, str]:
    return {"name": "end_call", "call_id": call, "arguments": "{}"}


def transfer_call(destination: str) -> dict[str, str]:
    return {
        "name": "transfer_call",
        "call_id": "call_2",
        "arguments": json.dumps({"destination": destination}),
    }


def test_the_goodbye_is_heard_before_the_call_ends():
    call = talking().responds("r1", "i1", 1000, done=False).response_done("r1", "i1", end_call())

    call.frames(50)
    assert call.reason is None

    call.frames(4).marks_return().frames(2)
    assert call.reason is c.EndReason.AGENT_HUNG_UP


def test_a_goodbye_that_is_never_confirmed_ends_the_call_all_the_same():
    call = talking().responds("r1", "i1", 1000, done=False).response_done("r1", "i1", end_call())

    call.frames(120)

    assert call.reason is c.EndReason.AGENT_HUNG_UP


def test_the_goodbye_is_not_interrupted():
    call = talking().responds("r1", "i1", 1000, done=False).response_done("r1", "i1", end_call())

    call.frames(5).speech_starts()

    assert call.sent("clear") == []


def test_a_transfer_waits_until_its_announcement_is_heard():
    call = (
        talking().responds("r1", "i1", 500, done=False).response_done("r1", "i1", transfer_call("front_desk"))
    )
    assert call.all(c.TransferCall) == []

    call.frames(30).marks_return().frames(2)

    assert call.all(c.TransferCall) == [c.TransferCall(destination="front_desk")]


def test_a_transfer_that_is_taken_ends_the_call():
    call = talking().response_done("r1", "i1", transfer_call("front_desk")).frames(60)

    call.command(c.TransferTaken(destination="front_desk"))

    assert call.reason is c.EndReason.TRANSFERRED


def test_a_transfer_that_is_refused_is_told_to_the_agent_and_the_call_goes_on():
    call = talking().response_done("r1", "i1", transfer_call("front_desk")).frames(60)

    call.command(c.TransferRefused(destination="front_desk", detail="busy")).frames(60)

    assert call.reason is None
    assert "busy" in call.told("conversation.item.create")[0]["item"]["output"]
    assert len(call.all(c.TransferCall)) == 1


def test_a_model_cannot_name_a_destination_that_the_plan_does_not_have():
    call = talking().response_done("r1", "i1", transfer_call("+19005550100")).frames(60)

    assert call.all(c.TransferCall) == []
    assert "front_desk" in call.told("conversation.item.create")[0]["item"]["output"]


def test_a_tool_of_the_agent_is_run_and_its_answer_goes_to_the_voice():
    agent = c.Agent(name="reception", tools=(c.Tool(name="weather"),))
    call = Ladder(agent=agent).start().voice_opens()
    call.response_done("r1", "i1", {"name": "weather", "call_id": "call_3", "arguments": "{}"})
    assert call.all(c.RunTool) == [c.RunTool(id="call_3", name="weather", arguments="{}")]

    call.command(c.ToolDone(id="call_3", output="sunny"))

    (item,) = call.told("conversation.item.create")
    assert (item["item"]["call_id"], item["item"]["output"]) == ("call_3", "sunny")


def test_a_tool_that_nobody_declared_is_answered_and_not_run():
    call = talking().response_done("r1", "i1", {"name": "rm", "call_id": "call_4", "arguments": "{}"})

    assert call.all(c.RunTool) == []
    assert "rm" in call.told("conversation.item.create")[0]["item"]["output"]


# -- steps


def test_a_plan_runs_its_steps_in_order_and_then_hangs_up():
    call = Ladder(Answer(), Say(text="Hello."), HangUp()).start()
    assert call.all(c.AnswerCall) == [c.AnswerCall()]
    assert call.last(c.Synthesize).text == "Hello."

    call.command(c.ClipReady(id=1, pcm=PCM_100_MS * 5)).frames(31).marks_return().frames(2)

    assert call.sent_ms() >= 500
    assert call.reason is c.EndReason.PLAN_ENDED


@pytest.mark.parametrize(
    "step",
    [Say(text="Closed."), Converse(agent="reception"), Transfer(to="front_desk")],
    ids=["say", "converse", "transfer"],
)
def test_who_speaks_has_taken_the_call(step: Any):
    call = Ladder(step).start()

    assert len(call.all(c.AnswerCall)) == 1


def test_a_call_is_taken_once():
    call = Ladder(Answer(), Answer(), Say(text="Closed.")).start()

    assert len(call.all(c.AnswerCall)) == 1


def test_a_plan_that_only_hangs_up_never_takes_the_call():
    call = Ladder(HangUp()).start()

    assert call.all(c.AnswerCall) == []


def test_a_say_step_waits_for_its_clip_however_long_that_takes():
    call = Ladder(Say(text="Hello."), HangUp()).start()

    call.frames(200)

    assert call.reason is None


def test_a_transfer_step_asks_the_carrier():
    call = Ladder(Transfer(to="front_desk")).start().frames(2)

    assert call.all(c.TransferCall) == [c.TransferCall(destination="front_desk")]


def test_after_the_conversation_the_plan_goes_on():
    call = Ladder(Converse(agent="reception"), Say(text="Please rate us.")).start().voice_opens()

    call.response_done("r1", "i1", end_call()).frames(60)

    assert call.all(c.CloseVoice) == [c.CloseVoice(session=1)]
    assert call.last(c.Synthesize).text == "Please rate us."


# -- what goes wrong


def test_a_voice_that_will_not_have_us_is_apologized_for_and_never_met_with_silence():
    call = Ladder().start()
    call.command(c.VoiceEnded(session=1, refused=True, detail="no models"))
    assert call.last(c.LoadClip).name == "apology"

    call.command(c.ClipReady(id=call.last(c.LoadClip).id, pcm=PCM_100_MS * 10)).frames(
        54
    ).marks_return().frames(2)

    assert call.sent_ms() >= 1000
    assert call.reason is c.EndReason.VOICE_UNAVAILABLE


def test_a_prompt_that_cannot_be_made_is_apologized_for():
    call = Ladder(Say(text="Hello.")).start()

    call.command(c.ClipFailed(id=1, detail="no synthesizer"))

    assert call.last(c.LoadClip).name == "apology"


def test_without_even_an_apology_the_call_ends_and_the_carrier_says_one():
    call = Ladder().start().command(c.VoiceEnded(session=1, refused=True))

    call.command(c.ClipFailed(id=call.last(c.LoadClip).id, detail="file is gone"))

    assert call.reason is c.EndReason.UNAPOLOGIZED


def test_news_of_an_older_session_means_nothing():
    call = talking().command(c.VoiceEnded(session=99, refused=False))

    assert call.all(c.LoadClip) == []


@pytest.mark.parametrize(
    ("news", "reason"),
    [
        (c.CarrierClosed(), c.EndReason.CARRIER_LOST),
        (c.HangUp(reason=c.EndReason.OPERATOR), c.EndReason.OPERATOR),
    ],
)
def test_what_the_driver_reports_ends_the_call(news: c.Command, reason: c.EndReason):
    assert talking().command(news).reason is reason


def test_the_caller_hanging_up_ends_the_call_and_closes_the_voice():
    call = talking().stop()

    assert call.reason is c.EndReason.CALLER_HUNG_UP
    assert len(call.all(c.CloseVoice)) == 1


def test_of_several_ends_the_first_one_counts_and_nothing_comes_after_it():
    call = talking().stop()
    count = len(call.out)

    call.command(c.CarrierClosed()).frames(5).command(c.HangUp(reason=c.EndReason.OPERATOR))

    assert len(call.out) == count


def test_a_call_that_never_ends_is_ended():
    call = Ladder(longest_s=1.0).start().voice_opens().frames(51)

    assert call.reason is c.EndReason.TOO_LONG


def test_what_is_no_event_of_the_voice_is_counted_and_survived():
    call = talking()

    call.voice(type="response.output_audio.delta", delta="***").voice(type="rate_limits.updated")
    call._feed("voice", "{")

    assert [fact["code"] for fact in call.facts("voice.troubled")] == ["malformed_event", "malformed_event"]
    assert call.reason is None


# -- a voice that misbehaves


def test_a_voice_that_owes_an_answer_for_too_long_is_taken_for_lost():
    call = talking().frames(100).speech_starts().frames(50).speech_stops(3000)

    call.frames(502)

    assert [lost["detail"] for lost in call.facts("session.lost")] == ["no answer for 10 s"]
    assert len(call.all(c.OpenVoice)) == 2


def test_a_voice_that_never_gets_ready_is_taken_for_lost():
    call = Ladder().start().command(c.VoiceOpened(session=1)).frames(502)

    assert len(call.facts("session.lost")) == 1


def test_a_voice_that_owes_nothing_may_be_silent():
    call = talking(idle_s=0.0).responds("r1", "i1", 500).frames(1500)

    assert call.facts("session.lost") == []


def test_a_failed_response_is_asked_for_once_more():
    call = talking()

    for response in ("r1", "r2"):
        call.voice(type="response.created", response={"id": response})
        call.voice(type="response.done", response={"id": response, "status": "failed"})

    assert len(call.told("response.create")) == 2  # the greeting, and one more try


def test_a_transfer_goes_through_although_the_voice_is_lost_meanwhile():
    call = (
        talking().responds("r1", "i1", 500, done=False).response_done("r1", "i1", transfer_call("front_desk"))
    )

    call.command(c.VoiceEnded(session=1, refused=False)).frames(30).marks_return().frames(2)

    assert call.all(c.TransferCall) == [c.TransferCall(destination="front_desk")]
    assert call.all(c.LoadClip) == []


def test_what_was_asked_for_before_the_caller_spoke_is_not_heard_after_it():
    call = Ladder().start().voice_opens().frames(2).speech_starts()

    call.responds("r1", "i1", 1000, done=False)

    assert call.sent_ms() == 0
    assert [event["response_id"] for event in call.told("response.cancel")] == ["r1"]


def test_keys_pressed_in_a_row_ask_for_one_answer_at_a_time():
    call = talking()

    for digit in "1234":
        call.digit(digit)

    assert len(call.told("conversation.item.create")) == 4
    assert len(call.told("response.create")) == 2  # the greeting's, and one


def test_a_response_that_fails_in_the_middle_of_a_frame_does_not_hold_up_the_plan():
    call = talking()
    call.voice(type="response.created", response={"id": "r1"}).delta("r1", "i1", 105)
    call.voice(type="response.done", response={"id": "r1", "status": "cancelled"})

    call.response_done("r2", "i2", end_call()).frames(100)

    assert call.reason is c.EndReason.AGENT_HUNG_UP


def test_of_two_responses_at_once_both_are_cut():
    call = talking()
    for response in ("r1", "r2"):
        call.voice(type="response.created", response={"id": response})
        call.delta(response, f"i{response}", 2000)
    call.frames(5).speech_starts()
    sent_ms = call.sent_ms()

    call.delta("r1", "ir1", 500).delta("r2", "ir2", 500).frames(50)

    assert call.sent_ms() == sent_ms


def test_a_tool_of_a_response_that_did_not_come_to_its_end_is_not_called():
    call = talking()
    output = [{"type": "function_call", "id": "f"} | end_call()]

    call.voice(type="response.done", response={"id": "r1", "status": "incomplete", "output": output}).frames(
        100
    )

    assert call.reason is None


def test_after_its_goodbye_the_agent_says_nothing_more():
    call = talking().responds("r1", "i1", 400, done=False).response_done("r1", "i1", end_call())

    call.responds("r2", "i2", 5000).frames(30).marks_return().frames(2)

    assert call.sent_ms() < 500
    assert call.reason is c.EndReason.AGENT_HUNG_UP


def test_a_caller_who_speaks_before_the_voice_is_there_is_heard_from_fifteen_seconds_back():
    call = Ladder(dead_air_s=60.0).start().frames(800)

    call.command(c.VoiceOpened(session=1))

    appended = call.told("input_audio_buffer.append")
    assert sum(len(base64.b64decode(event["audio"])) for event in appended) == 15_000 * 48


def test_an_answer_without_audio_does_not_count_the_next_prompt_as_its_own():
    call = talking().frames(10).speech_starts().frames(10).speech_stops(400).frames(10)
    call.voice(type="response.created", response={"id": "r1"}).response_done("r1", "i1")

    call.frames(300).responds("r2", "i2", 400).frames(5)

    assert call.facts("turn.answered") == []


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"error","error":5',
        "[" * 100_000,
        '{"type":"input_audio_buffer.speech_stopped","audio_end_ms":1' + "0" * 400 + ',"item_id":"u"}',
    ],
)
def test_no_text_of_the_voice_breaks_the_call(event: str):
    call = talking()

    call._feed("voice", event)

    assert len(call.facts("voice.troubled")) == 1
    assert call.reason is None

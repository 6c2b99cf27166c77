"""Histories that random ones found (test_core_machine), each as short as it can be."""

import base64

from gateway import contracts as c
from gateway.calls.barge_in import BargeInSettings
from tests.calls.ladder import Ladder

WAITS = BargeInSettings(min_speech_ms=400)
WORDS = BargeInSettings(min_speech_ms=100, min_words=2)
TRANSFER = {"name": "transfer_call", "call_id": "call_1", "arguments": '{"destination":"front_desk"}'}
END = {"name": "end_call", "call_id": "call_1", "arguments": "{}"}


def talking(**settings: object) -> Ladder:
    """The agent has nothing to greet with, and is ready."""
    call = Ladder(**settings).start().voice_opens()  # type: ignore[arg-type]
    call.voice(type="response.created", response={"id": "r0", "status": "in_progress"})
    return call.response_done("r0", "i0")


def closed(call: Ladder) -> list[int]:
    return [request.session for request in call.all(c.CloseVoice)]


def test_a_session_that_is_lost_while_no_other_can_be_had_is_closed_once():
    call = talking().voice_is_lost()

    call.command(c.HangUp(reason=c.EndReason.OPERATOR))

    assert closed(call) == [1]


def test_a_session_that_was_to_follow_and_is_lost_is_closed():
    call = talking(renew_s=1.0, idle_s=0.0).frames(60)
    standby = call.last(c.OpenVoice).session

    call.command(c.VoiceEnded(session=standby, refused=False))

    assert closed(call) == [standby]


def test_what_was_played_is_not_played_again_because_nobody_has_said_so_yet():
    call = talking(barge_in=WAITS).responds("r1", "i1", 200).frames(15)
    call.voice(type="response.created", response={"id": "r2", "status": "in_progress"})

    call.speech_starts().frames(10).speech_stops(850).frames(30)

    assert len(call.facts("caller.ignored")) == 1
    assert call.sent_ms() == 220  # 2 ms bring out the last of what the filter holds, in a frame of their own


def test_what_was_played_before_a_pause_is_not_played_again():
    call = talking(barge_in=WAITS).responds("r1", "i1", 200).frames(15)
    before_ms = call.sent_ms()
    call.responds("r2", "i2", 200).frames(1)

    call.speech_starts().frames(10).speech_stops(850).frames(30)

    assert call.sent_ms() <= before_ms + 2 * 220


def test_a_goodbye_that_a_sound_has_stopped_is_heard_and_ends_the_call():
    call = talking(barge_in=WORDS).responds("r1", "i1", 400, done=False).frames(5)
    call.speech_starts().response_done("r1", "i1", END)

    call.frames(40).marks_return().frames(3)

    assert call.sent_ms() >= 400
    assert call.reason is c.EndReason.AGENT_HUNG_UP


def test_a_transfer_that_is_refused_after_the_voice_was_lost_leaves_nobody_in_silence():
    call = talking().responds("r1", "i1", 200, done=False).response_done("r1", "i1", TRANSFER)
    call.frames(20).marks_return().frames(2).voice_is_lost()

    call.command(c.TransferRefused(destination="front_desk", detail="engaged"))

    assert call.last(c.LoadClip).name == "apology"


def test_a_response_that_never_ends_is_played_to_its_last_frame_and_keeps_nobody_waiting():
    call = talking(idle_s=2.0)
    audio = base64.b64encode(bytes(48 * 300_005)).decode()
    call.voice(type="response.created", response={"id": "r1"})
    call.voice(type="response.output_audio.delta", response_id="r1", item_id="i1", delta=audio)
    call.voice(type="response.done", response={"id": "r1", "status": "cancelled"})
    assert call.facts("response.overran")

    call.frames(50 * 304)

    assert call.facts("caller.idle")

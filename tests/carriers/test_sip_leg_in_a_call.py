"""A whole call core over a SIP leg: RTP out at every tick, hold, keys as events, reports, how it ends.

What is the same on every carrier is in tests/calls/test_every_carrier.py.
"""

import base64

import numpy as np
import pytest

from gateway import contracts as c
from gateway.carriers.sip import leg_messages as sip
from gateway.wire import rtcp
from gateway.wire.sdp.media import Direction
from tests.calls.phone_call import PCMU, QUIET, PhoneCall
from tests.contracts.leg_peers import SipPeer, tones_in

HOLD = [{"direction": Direction.RECVONLY}, {"direction": Direction.INACTIVE}, {"rtp": None}]


def calling(*, seed: int = 0, min_speech_ms: int = 0) -> PhoneCall[SipPeer]:
    return PhoneCall(SipPeer(), seed=seed, min_speech_ms=min_speech_ms).answered()


def spoken(call: PhoneCall[SipPeer]) -> list[bool]:
    """Of each packet to the phone, whether the agent is in it."""
    return [packet.payload != QUIET for packet in call.phone.received]


def goodbyes(call: PhoneCall[SipPeer]) -> list[c.Output]:
    """The outputs that take leave of the phone's RTCP."""
    return [
        output
        for output in call.out
        if isinstance(output, c.CarrierMessage)
        and isinstance(output.data, bytes)
        and (datagram := sip.decode_datagram(output.data)).rtcp
        and any(isinstance(packet, rtcp.Goodbye) for packet in rtcp.decode(datagram.data))
    ]


def test_media_that_is_agreed_answers_the_call():
    call = calling()

    assert next(type(output) for output in call.out if isinstance(output, c.Request)) is c.AnswerCall
    assert call.facts("call.started") == [{"carrier_call": "a84b4c76e66710", "codec": "pcmu"}]


# -- packets


def test_an_answer_goes_out_as_rtp_whole_and_in_one_piece():
    call = calling().ticks(10).responds(3000)

    call.ticks(200)

    first = spoken(call).index(True)
    assert len(call.phone.received) == 210
    assert spoken(call)[first : first + 150] == [True] * 150
    assert first <= 11


@pytest.mark.parametrize("seed", range(5))
def test_ticks_that_come_late_leave_no_hole_in_what_the_agent_says(seed: int):
    call = calling(seed=seed).ticks(10, mute=True, late_s=0.019).responds(3000)

    call.ticks(200, mute=True, late_s=0.019)

    first = spoken(call).index(True)
    assert spoken(call)[first : first + 150] == [True] * 150


def test_where_the_machine_stalls_the_agent_says_the_rest_later_and_nothing_twice():
    call = calling().ticks(10).responds(2000).ticks(20)

    call.stalls(160).ticks(10).stalls(60).ticks(200)

    assert [call.heard.count(tenth) for tenth in range(20)] == [5] * 20


@pytest.mark.parametrize("hold", HOLD)
@pytest.mark.parametrize("stalled_ms", [60, 100, 200, 400])
def test_a_hold_that_is_read_before_the_tick_of_a_stall_costs_no_word(
    hold: dict[str, object], stalled_ms: int
):
    call = calling().ticks(10).responds(2000).ticks(41)

    call.stalls(stalled_ms).say(call.phone.agrees(**hold)).ticks(20)
    call.say(call.phone.agrees()).ticks(200)

    assert min(call.heard.count(tenth) for tenth in range(20)) >= 5


def test_however_often_the_machine_stalls_the_end_of_an_answer_can_be_interrupted():
    call = calling().ticks(10).responds(2000).ticks(20)
    for _ in range(8):
        call.stalls(160).ticks(3)
    while spoken(call).count(True) < 97:
        call.ticks(1)

    call.interrupts().ticks(20)

    [cut] = call.facts("agent.interrupted")
    assert cut["heard_low_ms"] <= call.heard_ms <= cut["heard_high_ms"] == 1940


def test_an_interruption_cuts_the_agent_within_one_frame():
    call = calling().ticks(10).responds(3000).ticks(50, talking=True)
    before = len(call.phone.received)

    call.interrupts().ticks(20, talking=True)

    assert spoken(call)[before - 1] is True
    assert spoken(call)[before:] == [False] * 20


def test_the_caller_reaches_the_voice_at_24_khz():
    call = calling().ticks(5)

    call.ticks(100, talking=True)

    audio = b"".join(base64.b64decode(event["audio"]) for event in call.told("input_audio_buffer.append"))
    heard = np.frombuffer(audio, "<i2").astype(float)[-24_000:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert len(audio) == 105 * 960
    assert spectrum.argmax() == 400


def test_once_a_report_told_the_round_trip_the_truth_is_known_closer():
    before = calling().ticks(10).responds(3000).ticks(50).interrupts()
    after = calling().ticks(400).responds(3000).ticks(50).interrupts()

    [wide], [narrow] = before.facts("agent.interrupted"), after.facts("agent.interrupted")

    assert narrow["heard_high_ms"] <= wide["heard_high_ms"]
    assert narrow["heard_low_ms"] >= wide["heard_low_ms"]


# -- on hold


@pytest.mark.parametrize("hold", HOLD)
def test_what_the_agent_was_saying_when_it_was_put_on_hold_is_said_afterwards(hold: dict[str, object]):
    call = calling().ticks(10).responds(2000).ticks(50)

    call.say(call.phone.agrees(**hold)).ticks(100)
    on_hold_ms = call.heard_ms
    call.say(call.phone.agrees()).ticks(100)

    again_ms = call.heard_ms - 2000
    assert on_hold_ms <= 1020
    assert set(call.heard) >= set(range(20))
    assert (
        0 <= again_ms <= 360
    )  # a third of a second of which nobody knows whether it was heard is said again
    assert (call.facts("call.held"), call.facts("call.resumed")) == ([{}], [{}])


def test_what_the_agent_says_on_hold_is_said_afterwards():
    call = calling().ticks(10)

    call.say(call.phone.agrees(direction=Direction.RECVONLY)).responds(1000).ticks(100)
    on_hold = spoken(call).count(True)
    call.say(call.phone.agrees()).ticks(100)

    assert (on_hold, spoken(call).count(True)) == (0, 51)


def test_music_on_hold_is_recorded_and_no_voice_has_to_listen_to_it():
    call = calling().ticks(10)

    call.say(call.phone.agrees(direction=Direction.RECVONLY)).ticks(100, talking=True)

    audio = b"".join(base64.b64decode(event["audio"]) for event in call.told("input_audio_buffer.append"))
    recorded = np.frombuffer(call.mix.finish(call.now), "<i2")[::2]
    assert len(audio) == 110 * 960
    assert not np.abs(np.frombuffer(audio, "<i2")).max() > 10
    assert np.abs(recorded).max() > 1000


def test_a_caller_who_holds_is_not_asked_whether_he_is_there():
    call = calling().ticks(10).responds(500).ticks(50)

    call.say(call.phone.agrees(direction=Direction.RECVONLY)).ticks(20 * 50)
    on_hold = call.facts("caller.idle")
    call.say(call.phone.agrees()).ticks(7 * 50)

    assert (on_hold, len(call.facts("caller.idle"))) == ([], 1)


def test_a_cough_before_a_hold_lets_nobody_speak_on_it():
    call = calling(min_speech_ms=300).ticks(10).responds(3000).ticks(50)

    call.interrupts().say(call.phone.agrees(direction=Direction.RECVONLY)).stops(90).ticks(50)
    on_hold = call.heard_ms
    call.say(call.phone.agrees()).ticks(200)

    assert call.facts("caller.ignored") == [{}]
    assert on_hold <= 1020
    assert set(call.heard) >= set(range(30))


# -- keys


def test_keys_reach_the_call_once_though_they_come_in_two_ways():
    call = calling().ticks(10)

    call.say(*call.phone.press("5")).ticks(10)

    assert call.facts("digit.pressed") == [{}]


def test_keys_of_the_agent_sound_where_no_events_are_agreed_on():
    call = calling().ticks(10).say(SipPeer().agrees(event_payload_type=None))
    keys = {"name": "send_digits", "call_id": "call_1", "arguments": '{"digits":"1"}'}

    call.responds(500, "r1", keys).ticks(100)

    assert call.phone.digits == ""
    assert tones_in(PCMU.decode(call.phone.played)) == "1"


# -- the end


def test_who_hangs_up_ends_the_call():
    call = calling().ticks(10)

    call.say(sip.encode(sip.CallOver(why="hung up", cause=16)))

    assert call.core.ended is c.EndReason.CALLER_HUNG_UP
    assert call.facts("call.released") == [{"why": "hung up", "cause": 16}]


@pytest.mark.parametrize("by_us", [True, False])
def test_however_a_call_ends_its_media_takes_leave_and_is_judged_before_the_last_word(*, by_us: bool):
    call = calling().ticks(100)

    if by_us:
        call.feed("command", '{"type":"hang_up","reason":"drained"}')
    else:
        call.say(*call.phone.hang_up())

    [quality] = call.facts("media.quality")
    names = [output.name for output in call.out if isinstance(output, c.Fact)]
    assert quality["received_packets"] >= 99
    assert names.index("media.quality") < names.index("call.ending")
    assert len(goodbyes(call)) == 1
    assert isinstance(call.out[-1], c.Ended)


def test_after_the_end_whatever_comes_has_no_effect():
    call = calling().ticks(10).say(*SipPeer().hang_up())
    out = [*call.out]

    call.ticks(10).say(call.phone.agrees(direction=Direction.RECVONLY))

    assert call.out == out

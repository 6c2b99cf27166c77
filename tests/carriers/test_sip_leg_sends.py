"""What a SIP leg sends: the agent, silence, keys."""

from typing import Any

import pytest

from gateway.audio.g711 import CODECS
from gateway.contracts import (
    Heard,
    LegDelayed,
)
from gateway.wire import rtp
from gateway.wire.rtp import RtpPacket
from gateway.wire.sdp.media import Direction
from gateway.wire.telephone_event import DigitReceiver
from tests.carriers.sip_leg import MOVED, PHONE, QUIET, WORD, Leg, timestamps

# -- what we send


def test_a_packet_goes_out_at_every_tick_whether_or_not_anybody_speaks():
    leg = Leg().tick(3).play(WORD * 2).tick(5)

    assert [packet.payload for packet in leg.packets] == [QUIET] * 3 + [WORD] * 2 + [QUIET] * 3
    assert timestamps(leg.packets) == [160 * number for number in range(8)]
    assert [(packet.sequence - leg.packets[0].sequence) & 0xFFFF for packet in leg.packets] == [*range(8)]
    assert [packet.marker for packet in leg.packets] == [True] + [False] * 7
    assert {datagram.address for datagram in leg.sent} == {PHONE}


def test_on_hold_nothing_is_sent_and_the_clock_of_the_stream_goes_on():
    leg = Leg().tick(2).agree(direction=Direction.RECVONLY).tick(100)
    sent_on_hold = len(leg.packets) - 2

    leg.agree().tick(1)

    assert (leg.core.held, sent_on_hold) == (False, 0)
    assert timestamps(leg.packets) == [0, 160, 160 * 102]
    assert rtp.sequence_step(leg.packets[2].sequence, leg.packets[1].sequence) == 1
    assert leg.packets[2].marker


@pytest.mark.parametrize(
    "hold", [{"direction": Direction.INACTIVE, "rtp": None, "rtcp": None}, {"rtp": None, "rtcp": None}]
)
def test_what_is_played_on_hold_waits_and_is_not_counted_as_heard(hold: dict[str, Any]):
    leg = Leg().tick().agree(**hold).play(WORD * 3).tick(100)
    bounds = [event for event in leg.events if isinstance(event, Heard)]

    leg.agree().tick(40)

    assert bounds == []
    assert [packet.payload for packet in leg.packets[1:5]] == [WORD] * 3 + [QUIET]
    assert leg.heard == Heard(60, 60)


def test_another_codec_goes_on_in_the_same_stream():
    leg = Leg().play(WORD * 4).tick(1).agree(codec="pcma", payload_type=8).tick(2)

    first, second, third, fourth = leg.packets
    assert [packet.payload_type for packet in leg.packets] == [0, 0, 8, 8]
    assert third.payload == CODECS["pcma"].encode(CODECS["pcmu"].decode(WORD))
    assert timestamps([first, second, third, fourth]) == [0, 160, 320, 480]
    assert {packet.ssrc for packet in leg.packets} == {first.ssrc}


def test_media_that_moves_is_followed_at_once():
    leg = Leg().tick().agree(rtp=MOVED).tick()

    assert [datagram.address for datagram in leg.sent] == [PHONE, MOVED]


def test_what_ticks_missed_is_sent_up_to_30_ms_late_and_is_silence_before_and_costs_no_frame():
    leg = Leg().play(WORD * 5).tick().tick(after_s=0.09).tick(after_s=0.01).tick()

    assert timestamps(leg.packets) == [0, 160, 4 * 160, 5 * 160, 6 * 160, 7 * 160]
    assert [packet.payload for packet in leg.packets] == [WORD] * 5 + [QUIET]


def test_what_late_ticks_have_not_sent_is_told():
    leg = Leg().play(WORD * 8).tick().tick(after_s=0.09).tick(after_s=0.01).tick()

    assert [event for event in leg.events if isinstance(event, LegDelayed)] == [LegDelayed(queued_ms=80)]


def test_who_puts_us_on_hold_does_not_hear_what_is_under_way():
    leg = Leg().play(WORD * 50).tick(40)
    before = leg.heard

    leg.agree(direction=Direction.RECVONLY).clear()

    assert leg.heard == before
    assert before == Heard(500, 820)


def test_the_timestamp_keeps_with_the_clock_however_late_ticks_are():
    leg = Leg().tick().tick(after_s=0.033).tick(after_s=0.005).tick(after_s=0.004).tick(after_s=0.018)

    assert timestamps(leg.packets) == [0, 160, 320, 480, 640]
    assert leg.caller == QUIET * 5


def test_what_is_cleared_is_not_sent_and_silence_follows_within_a_frame():
    leg = Leg().play(WORD * 10).tick(3).clear().tick(3)

    assert [packet.payload for packet in leg.packets] == [WORD] * 4 + [QUIET] * 3
    assert leg.heard == Heard(60, 80)


def test_what_waits_is_bounded():
    leg = Leg().agree(direction=Direction.INACTIVE)

    for _ in range(301):
        leg.play(WORD * 50)

    assert leg.troubles == ["queue_full"]


def test_what_was_too_much_keeps_its_place_on_the_axis():
    leg = Leg().agree(direction=Direction.INACTIVE)
    for _ in range(301):
        leg.play(WORD * 50)

    leg.clear().agree().play(WORD).tick(40)

    assert leg.heard == Heard(301_020, 301_020)


# -- digits out


def test_digits_go_out_as_events_of_their_number_and_the_agent_waits_meanwhile():
    leg = Leg().tick()
    leg.core.send_digits("1#")

    leg.play(WORD * 30).tick(60)

    receiver = DigitReceiver()
    events = [packet for packet in leg.packets if packet.payload_type == 96]
    digits = [receiver.receive(packet, 0.0) for packet in events]
    assert [digit for digit in digits if digit] == ["1", "#"]
    assert [packet.payload for packet in leg.packets].count(WORD) == 30
    assert [packet.payload_type for packet in leg.packets[:9]] == [0] + [96] * 7 + [0]


def keys_in(packets: list[RtpPacket]) -> str:
    receiver = DigitReceiver()
    events = [packet for packet in packets if packet.payload_type == 96]
    return "".join(filter(None, (receiver.receive(packet, 0.0) for packet in events)))


def test_digits_are_sent_behind_what_was_played_and_take_the_place_of_silence():
    leg = Leg().tick().play(WORD * 3)
    leg.core.send_digits("12")

    leg.play(QUIET * 18 + WORD * 2).tick(24)

    kinds = [packet.payload_type for packet in leg.packets[1:]]
    assert keys_in(leg.packets) == "12"
    assert kinds == [0] * 3 + ([96] * 7 + [0] * 2) * 2 + [0] * 3
    assert [packet.payload for packet in leg.packets[22:24]] == [WORD] * 2


@pytest.mark.parametrize("change", [{"direction": Direction.RECVONLY}, {"event_payload_type": None}])
def test_a_key_that_a_hold_or_another_agreement_cuts_short_is_not_pressed_again(change: dict[str, Any]):
    leg = Leg().tick(2)
    leg.core.send_digits("5")
    leg.tick(3).agree(**change).tick(50)
    sent = len(leg.packets)

    leg.agree().tick(20)

    assert [packet for packet in leg.packets[sent:] if packet.payload_type == 101] == []


def test_digits_are_sent_even_if_the_agent_is_cut_before_their_turn():
    leg = Leg().tick().play(WORD * 3)
    leg.core.send_digits("7")
    leg.play(QUIET * 9)

    leg.clear().tick(12)

    assert keys_in(leg.packets) == "7"
    assert leg.packets[1].payload_type == 96


def test_digits_whose_turn_had_come_are_not_sent_again_after_a_cut():
    leg = Leg().tick()
    leg.core.send_digits("7")
    leg.play(QUIET * 9).tick(2)

    leg.clear().play(QUIET * 9).tick(20)

    assert keys_in(leg.packets) == "7"


def test_what_is_no_digit_is_not_sent():
    with pytest.raises(ValueError, match="no digits"):
        Leg().core.send_digits("1w")


def test_where_events_are_not_agreed_on_there_are_no_digits_out():
    leg = Leg().agree(event_payload_type=None)

    leg.core.send_digits("1")
    leg.settle()

    assert not leg.core.traits.sends_digits
    assert leg.troubles == ["digits_lost"]


def test_the_traits_say_that_digits_can_be_sent_where_they_can():
    assert Leg().core.traits.sends_digits

"""What a SIP leg hears: the caller, his keys, and where he is."""

import random

import msgspec
import pytest

from gateway.audio.g711 import CODECS
from gateway.carriers.sip import leg_messages as sip
from gateway.contracts import (
    CallerAudio,
    LegStarted,
)
from gateway.media.latch import Address
from gateway.wire import rtcp
from gateway.wire.sdp.media import Direction
from tests.carriers.sip_leg import (
    AGREED,
    MOVED,
    PHONE,
    QUIET,
    WORD,
    Leg,
)

# -- the caller


def test_a_caller_who_says_nothing_is_silence_from_the_start():
    leg = Leg().tick(5)

    audio = [event for event in leg.events if isinstance(event, CallerAudio)]
    assert [event.at_ms for event in audio] == [0, 20, 40, 60, 80]
    assert leg.caller == QUIET * 5


def test_a_caller_who_begins_while_we_stall_is_in_time():
    leg = Leg().tick(5)
    leg.now = round(leg.now + 0.52, 6)
    leg.talk(WORD).tick(after_s=0).tick(10)

    assert len(leg.caller) == 160 * 41


def test_a_tick_that_was_missed_is_made_up_for():
    leg = Leg().tick().tick(after_s=0.06).tick(after_s=0.02)

    assert leg.caller == QUIET * 5


@pytest.mark.parametrize("first_tick", range(0, 12, 3))
def test_the_caller_is_gapless_whenever_he_begins_and_whatever_is_lost(first_tick: int):
    rng = random.Random(first_tick)
    leg = Leg().tick(first_tick)

    for tick in range(200):
        if rng.random() < 0.1:
            leg.phone.frame(WORD, payload_type=0, event_payload_type=None)  # lost on its way
            leg.tick(after_s=0.02 if tick % 50 else 0.06)
        else:
            leg.run([WORD])

    audio = [event for event in leg.events if isinstance(event, CallerAudio)]
    ends = [event.at_ms + len(event.payload) // 8 for event in audio]
    assert [event.at_ms for event in audio] == [0, *ends[:-1]]
    assert abs(ends[-1] - leg.now * 1000) <= 20


def test_music_on_hold_is_heard():
    leg = Leg().run([QUIET] * 10).agree(direction=Direction.RECVONLY).run([WORD] * 20)

    assert WORD * 10 in leg.caller


def test_the_other_law_is_heard_in_that_of_the_call():
    alaw = CODECS["pcma"].encode(CODECS["pcmu"].decode(WORD))
    leg = Leg().run([QUIET] * 10)

    leg.agree(codec="pcma", payload_type=8).run([alaw] * 10, kind=8)

    translated = CODECS["pcmu"].encode(CODECS["pcma"].decode(alaw))
    assert translated * 5 in leg.caller
    assert len([event for event in leg.events if isinstance(event, LegStarted)]) == 1


def test_a_key_that_comes_as_an_event_and_by_info_is_pressed_once():
    leg = Leg().run([QUIET] * 3)
    leg.phone.digits.press("7")
    leg.run([QUIET] * 3).say(sip.DigitInformed(digit="7")).run([QUIET] * 10)

    assert leg.digits == "7"


def test_keys_come_by_info_alone():
    leg = Leg()

    for digit in "1a#":
        leg.say(sip.DigitInformed(digit=digit, duration_ms=160))

    assert leg.digits == "1A#"


def test_a_key_before_the_answer_is_none():
    leg = Leg(msgspec.structs.replace(AGREED, early=True)).say(sip.DigitInformed(digit="1"))

    assert leg.agree().digits == ""


def test_an_info_without_a_key_is_trouble():
    leg = Leg().say(sip.DigitInformed(digit="flash"))

    assert (leg.digits, leg.troubles) == ("", ["odd_digit"])


# -- where they are


def test_audio_goes_to_where_theirs_comes_from():
    leg = Leg().run([QUIET] * 10, source=MOVED)

    assert [datagram.address for datagram in leg.sent][-1] == MOVED


def test_reports_go_to_where_theirs_come_from():
    behind_a_nat = Address(PHONE.host, 40_001)

    leg = Leg().report(rtcp.ReceiverReport(ssrc=1), source=behind_a_nat).run([QUIET] * 500)

    assert {datagram.address for datagram in leg.sent if datagram.rtcp} == {behind_a_nat}


def test_a_new_address_is_sent_to_before_anything_comes_from_there():
    leg = Leg().run([QUIET] * 10, source=MOVED)
    there = Address("192.0.2.77", 4000)

    leg.agree(rtp=there).tick()

    assert leg.sent[-1].address == there


def test_a_refreshed_session_is_sent_to_where_it_was():
    leg = Leg().run([QUIET] * 10, source=MOVED)

    leg.agree(ptime_ms=30).tick()

    assert leg.sent[-1].address == MOVED

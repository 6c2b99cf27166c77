"""A SIP leg, walked like a ladder: what its far end and its user agent say and when, and what comes of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carriers.sip import leg_messages as sip
from gateway.contracts import (
    CallerAudio,
    EndReason,
    LegEnded,
    LegFact,
    LegHeld,
    LegPreviewed,
    LegStarted,
)
from gateway.wire import rtcp, rtp
from gateway.wire.rtp import RtpPacket
from gateway.wire.sdp.media import Direction
from tests.carriers.sip_leg import AGREED, CALL, MOVED, PHONE, PHONE_RTCP, WORD, Leg

# -- the beginning


def test_the_call_starts_with_the_first_agreement_and_its_codec():
    leg = Leg(msgspec.structs.replace(AGREED, codec="pcma", payload_type=8))

    assert leg.events == [LegStarted(codec="pcma", carrier_call_id=CALL)]


def test_early_media_is_heard_but_no_start_and_lets_nobody_time_out():
    leg = Leg(msgspec.structs.replace(AGREED, early=True))
    leg.say(sip.Ringing(status=183)).run([WORD] * 10).tick(100 * 50)
    before = [*leg.events]

    leg.agree()

    assert not any(isinstance(event, LegStarted | LegEnded) for event in before)
    assert WORD in b"".join(event.payload for event in before if isinstance(event, CallerAudio))
    assert leg.events[len(before) :] == [LegStarted(codec="pcmu", carrier_call_id=CALL)]
    assert len(leg.packets) == 5010


def test_how_far_a_call_of_ours_is_is_told_once_and_not_that_the_next_hop_tries():
    leg = Leg(None).say(sip.Ringing(status=100)).say(sip.Ringing(status=180)).say(sip.Ringing(status=180))

    leg.say(sip.Ringing(status=183)).agree(early=True)

    assert leg.events == [
        LegFact("call.progressed", {"status": 180}),
        LegFact("call.progressed", {"status": 183}),
        LegPreviewed(codec="pcmu"),
    ]


def test_whoever_rings_is_waited_for():
    leg = Leg(None).say(sip.Ringing(status=180)).tick(200 * 50)
    waited = leg.ends

    leg.tick(101 * 50)

    assert (waited, leg.ends) == ([], [LegEnded(EndReason.NO_ANSWER)])


def test_who_takes_a_call_and_never_says_where_its_media_goes_never_starts_it():
    leg = Leg(None).say(sip.Ringing(status=200)).tick(301 * 50)

    assert leg.ends == [LegEnded(EndReason.NEVER_STARTED)]


def test_nothing_can_be_played_before_media_is_agreed_on():
    with pytest.raises(ValueError, match="before media"):
        Leg(None).play(WORD)


# -- hold


@pytest.mark.parametrize(
    "hold", [{"direction": Direction.RECVONLY}, {"direction": Direction.INACTIVE}, {"rtp": None}]
)
def test_a_hold_is_told_once_and_so_is_its_end(hold: dict[str, Any]):
    leg = Leg().agree(**hold).agree(**hold).agree().agree(ptime_ms=30)

    assert leg.holds == [True, False]


def test_one_who_only_listens_has_not_put_us_on_hold():
    assert Leg().agree(direction=Direction.SENDONLY).holds == []


def test_a_call_that_begins_on_hold_says_so_behind_its_start():
    leg = Leg(msgspec.structs.replace(AGREED, direction=Direction.RECVONLY))

    assert leg.events == [LegStarted(codec="pcmu", carrier_call_id=CALL), LegHeld(held=True)]


def test_early_media_that_is_held_is_no_hold():
    leg = Leg(msgspec.structs.replace(AGREED, early=True, direction=Direction.RECVONLY)).agree()

    assert leg.holds == []


# -- silence


def test_a_caller_of_whom_no_rtp_comes_is_gone_after_half_a_minute():
    leg = Leg().tick(29 * 50)
    before = leg.ends

    leg.tick(51)

    assert (before, leg.ends) == ([], [LegEnded(EndReason.CARRIER_SILENT)])


@pytest.mark.parametrize("direction", [Direction.RECVONLY, Direction.INACTIVE, Direction.SENDONLY])
def test_on_hold_nobody_times_out_and_after_it_the_time_begins_anew(direction: Direction):
    leg = Leg().agree(direction=direction).tick(100 * 50).agree().tick(29 * 50)
    before = leg.ends

    leg.tick(51)

    assert (before, leg.ends) == ([], [LegEnded(EndReason.CARRIER_SILENT)])


def test_reports_are_a_sign_of_life():
    leg = Leg()

    for _ in range(10):
        leg.tick(10 * 50).report(rtcp.ReceiverReport(ssrc=1))

    assert leg.ends == []


def test_a_refreshed_session_is_no_sign_of_life_of_its_media():
    leg = Leg()

    for _ in range(4):
        leg.tick(10 * 50).agree()

    assert leg.ends == [LegEnded(EndReason.CARRIER_SILENT)]


# -- the end


@pytest.mark.parametrize(
    ("over", "ended"),
    [
        (sip.CallOver(why="hung up"), LegEnded(EndReason.CALLER_HUNG_UP)),
        (sip.CallOver(why="hung up", cause=31), LegEnded(EndReason.CALLER_HUNG_UP, "Q.850 31")),
        (sip.CallOver(why="cancelled"), LegEnded(EndReason.CALLER_HUNG_UP, "cancelled")),
        (
            sip.CallOver(why="refused", status=486, cause=17, text="Busy Here"),
            LegEnded(EndReason.BUSY, "refused, SIP 486, Q.850 17"),
        ),
        (sip.CallOver(why="unacknowledged"), LegEnded(EndReason.CARRIER_LOST, "unacknowledged")),
        (sip.CallOver(why="expired"), LegEnded(EndReason.CARRIER_SILENT, "expired")),
        (sip.CallOver(why="lost", status=481), LegEnded(EndReason.CARRIER_LOST, "lost, SIP 481")),
        (sip.CallOver(why="no answer"), LegEnded(EndReason.CARRIER_INVALID, "no answer")),
        (sip.MediaFailed(detail="no route"), LegEnded(EndReason.CARRIER_LOST, "no route")),
    ],
)
@pytest.mark.parametrize("starts", [True, False])
def test_each_end_has_its_reason(over: sip.FromSip, ended: LegEnded, *, starts: bool):
    leg = Leg(AGREED if starts else None).say(over).say(over).tick(2000)

    assert leg.ends == [ended]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([sip.TransferTold(status=100), sip.TransferTold(status=200, last=True)], EndReason.TRANSFERRED),
        ([sip.TransferTold(last=True)], EndReason.TRANSFERRED),
        ([sip.TransferTold(status=180)], EndReason.CALLER_HUNG_UP),
        ([sip.TransferTold(status=200), sip.TransferTold(status=486, last=True)], EndReason.CALLER_HUNG_UP),
    ],
)
def test_who_hangs_up_after_a_transfer_was_transferred(told: list[sip.FromSip], reason: EndReason):
    leg = Leg()
    for message in told:
        leg.say(message)

    leg.say(sip.CallOver(why="hung up"))

    assert leg.ends == [LegEnded(reason)]


def test_a_transfer_that_they_ask_for_is_told():
    assert Leg().say(sip.TransferAsked()).events[1:] == [LegFact("transfer.asked", {"taken": False})]


def test_how_a_transfer_of_ours_goes_is_told():
    leg = Leg().say(sip.TransferTold(status=180)).say(sip.TransferTold(status=200, last=True))

    assert leg.facts("transfer.told") == [{"status": 180, "last": False}, {"status": 200, "last": True}]


def test_what_the_far_end_said_at_the_end_is_told_and_its_words_are_in_no_detail():
    over = sip.CallOver(why="refused", status=403, cause=21, text="+15550001999 is not for you")

    leg = Leg(None).say(over)

    released = {"why": "refused", "status": 403, "cause": 21, "text": "+15550001999 is not for you"}
    assert leg.facts("call.released") == [released]
    assert leg.ends == [LegEnded(EndReason.REFUSED, "refused, SIP 403, Q.850 21")]


@pytest.mark.parametrize("ends", [sip.CallOver(why="hung up"), sip.MediaFailed(), None])
def test_the_quality_of_the_media_is_told_once_at_the_end(ends: sip.FromSip | None):
    leg = Leg().run([WORD] * 50)

    if ends is not None:
        leg.say(ends)
    leg.core.leave(leg.now)
    leg.core.leave(leg.now)
    leg.settle()

    [told] = leg.facts("media.quality")
    assert told == msgspec.to_builtins(leg.core.quality)
    assert told["received_packets"] == 49  # the first one is no proof of a stream


def test_where_no_media_was_agreed_on_there_is_no_quality():
    leg = Leg(None).say(sip.CallOver(why="refused", status=486))

    assert leg.facts("media.quality") == []


def test_the_far_end_is_told_goodbye_however_the_call_ends():
    hung_up, left = Leg().tick(), Leg().tick()

    hung_up.say(sip.CallOver(why="hung up"))
    left.core.leave(left.now)
    left.core.leave(left.now)
    left.settle().tick(50)

    for leg in (hung_up, left):
        [report] = leg.reports
        assert report[-1] == rtcp.Goodbye(ssrcs=(leg.packets[0].ssrc,))
        assert leg.sent[-1].address == PHONE_RTCP
    assert left.ends == []


# -- whatever comes


messages: list[sip.FromSip] = [
    AGREED,
    msgspec.structs.replace(AGREED, codec="pcma", payload_type=8, event_payload_type=None),
    msgspec.structs.replace(AGREED, direction=Direction.INACTIVE, rtp=None, rtcp=None),
    msgspec.structs.replace(AGREED, rtp=MOVED, secure=True),
    msgspec.structs.replace(AGREED, early=True, rtcp_mux=True),
    sip.Ringing(status=180),
    sip.DigitInformed(digit="1"),
    sip.TransferAsked(),
    sip.TransferTold(status=200),
    sip.CallOver(why="lost"),
    sip.MediaFailed(),
]
words = st.sampled_from(messages).map(sip.encode)
packets = st.builds(
    RtpPacket,
    payload_type=st.sampled_from([0, 8, 13, 18, 101]),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    ssrc=st.integers(0, 3),
    payload=st.binary(max_size=400),
    marker=st.booleans(),
)
blocks = st.builds(
    rtcp.ReportBlock,
    ssrc=st.integers(0, 3),
    fraction_lost=st.integers(0, 255),
    lost=st.integers(-5, 5),
    highest_sequence=st.integers(0, 0xFFFF_FFFF),
    jitter=st.integers(0, 0xFFFF_FFFF),
    last_report=st.integers(0, 0xFFFF_FFFF),
    delay=st.integers(0, 0xFFFF_FFFF),
)
reports = st.builds(
    lambda ntp, block: rtcp.encode(
        (rtcp.SenderReport(ssrc=1, ntp=ntp, timestamp=0, packets=0, octets=0, blocks=(block,)),)
    ),
    st.integers(0, 2**64 - 1),
    blocks,
)
datagrams = st.builds(
    lambda address, data, rtcp_too, authentic: sip.encode_datagram(
        sip.Datagram(address, data, rtcp_too, authentic)
    ),
    st.sampled_from([PHONE, PHONE_RTCP, MOVED]),
    packets.map(rtp.encode) | reports | st.binary(max_size=60),
    st.booleans(),
    st.booleans(),
)
deeds = st.sampled_from(["tick", "late tick", "play", "clear", "digits"])


@settings(deadline=None)
@given(st.lists(words | datagrams | deeds | st.text(max_size=20), max_size=60))
def test_whatever_comes_in_whatever_order_nothing_is_raised_and_the_caller_is_gapless(inputs: list[Any]):
    leg = Leg(None)

    for data in inputs:
        started = any(isinstance(event, LegStarted) for event in leg.events)
        match data:
            case "tick":
                leg.tick()
            case "late tick":
                leg.tick(after_s=0.13)
            case "play" if started:
                leg.play(WORD * 3)
            case "clear":
                leg.clear()
            case "digits" if started and leg.core.traits.sends_digits:
                leg.core.send_digits("12")
            case _:
                leg.feed(data)

    at_ms = 0
    for event in leg.events:
        if isinstance(event, CallerAudio):
            assert event.at_ms == at_ms
            at_ms += len(event.payload) // 8
    assert len(leg.ends) <= 1
    assert not leg.ends or leg.events[-1] is leg.ends[0]

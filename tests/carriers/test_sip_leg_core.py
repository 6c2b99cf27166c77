"""A SIP leg, walked like a ladder: what its far end and its user agent say and when, and what comes of it."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS
from gateway.carriers.sip import leg_messages as sip
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    EndReason,
    Heard,
    LegDelayed,
    LegEnded,
    LegEvent,
    LegFact,
    LegHeld,
    LegPreviewed,
    LegStarted,
    LegTrouble,
)
from gateway.media.latch import Address
from gateway.media.rtp_sender import RtpSender
from gateway.wire import rtcp, rtp
from gateway.wire.rtp import RtpPacket
from gateway.wire.sdp.media import Direction
from gateway.wire.telephone_event import DigitReceiver

CALL = "a84b4c76e66710"
WALL_S = 1_764_000_000.0
PHONE = Address("192.0.2.1", 17_000)
PHONE_RTCP = Address("192.0.2.1", 17_001)
MOVED = Address("2001:db8::7", 30_000)
AGREED = sip.MediaAgreed(
    codec="pcmu",
    payload_type=0,
    event_payload_type=96,
    receives={0: "pcmu", 8: "pcma", 13: "cn", 101: "telephone-event"},
    rtp=PHONE,
    rtcp=PHONE_RTCP,
)
QUIET = b"\xff" * 160
WORD = bytes(range(1, 101)) + bytes(60)


class Leg:
    """A leg core on a clock of its own, and a phone that sends it RTP."""

    def __init__(self, agreed: sip.MediaAgreed | None = AGREED) -> None:
        self.core = SipLegCore(CALL, rng=random.Random(0), wall_s=WALL_S)
        self.phone = RtpSender(random.Random(1))
        self.now = 0.0
        self.events: list[LegEvent] = []
        self.sent: list[sip.Datagram] = []
        if agreed is not None:
            self.say(agreed)

    def say(self, message: sip.FromSip) -> "Leg":
        return self.feed(sip.encode(message))

    def agree(self, **changes: Any) -> "Leg":
        return self.say(msgspec.structs.replace(AGREED, **changes))

    def feed(self, data: str | bytes) -> "Leg":
        self.core.receive(data, self.now)
        return self.settle()

    def talk(self, frame: bytes = QUIET, source: Address = PHONE, kind: int = 0) -> "Leg":
        return self.packet(self.phone.frame(frame, payload_type=kind, event_payload_type=101), source)

    def packet(self, packet: RtpPacket, source: Address = PHONE) -> "Leg":
        return self.feed(sip.encode_datagram(sip.Datagram(source, rtp.encode(packet), authentic=True)))

    def report(self, *packets: rtcp.RtcpPacket, source: Address = PHONE_RTCP) -> "Leg":
        return self.feed(sip.encode_datagram(sip.Datagram(source, rtcp.encode(packets), rtcp=True)))

    def play(self, payload: bytes) -> "Leg":
        self.core.play(payload, self.now)
        return self.settle()

    def clear(self) -> "Leg":
        self.core.clear(self.now)
        return self.settle()

    def tick(self, count: int = 1, *, after_s: float = 0.02) -> "Leg":
        """Ticks without a word of the phone."""
        for _ in range(count):
            self.now = round(self.now + after_s, 6)
            self.core.advance(self.now)
            self.settle()
        return self

    def run(self, frames: Iterable[bytes], **talk: Any) -> "Leg":
        """The phone talks, a frame before each tick."""
        for frame in frames:
            self.now = round(self.now + 0.02, 6)
            self.talk(frame, **talk)
            self.core.advance(self.now)
            self.settle()
        return self

    def settle(self) -> "Leg":
        self.events += self.core.events()
        self.sent += map(sip.decode_datagram, self.core.outgoing())
        return self

    @property
    def packets(self) -> list[RtpPacket]:
        return [rtp.decode(datagram.data) for datagram in self.sent if not datagram.rtcp]

    @property
    def reports(self) -> list[tuple[rtcp.RtcpPacket, ...]]:
        return [rtcp.decode(datagram.data) for datagram in self.sent if datagram.rtcp]

    @property
    def caller(self) -> bytes:
        return b"".join(event.payload for event in self.events if isinstance(event, CallerAudio))

    @property
    def digits(self) -> str:
        return "".join(event.digit for event in self.events if isinstance(event, DigitPressed))

    @property
    def troubles(self) -> list[str]:
        return [event.what for event in self.events if isinstance(event, LegTrouble)]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.events if isinstance(event, LegFact) and event.name == name]

    @property
    def holds(self) -> list[bool]:
        return [event.held for event in self.events if isinstance(event, LegHeld)]

    @property
    def heard(self) -> Heard:
        return [event for event in self.events if isinstance(event, Heard)][-1]

    @property
    def ends(self) -> list[LegEnded]:
        return [event for event in self.events if isinstance(event, LegEnded)]


def timestamps(packets: list[RtpPacket]) -> list[int]:
    """In samples after the first."""
    return [rtp.timestamp_step(packet.timestamp, packets[0].timestamp) for packet in packets]


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


# -- reports


def test_reports_go_out_about_every_five_seconds_and_name_us():
    leg = Leg().run([WORD] * 50 * 60)

    names = {item for report in leg.reports for item in report[1].items}  # type: ignore[union-attr]
    first, last = leg.reports[0][0], leg.reports[-1][0]
    assert 8 <= len(leg.reports) <= 24
    assert len(names) == 1
    assert isinstance(first, rtcp.SenderReport)
    assert isinstance(last, rtcp.SenderReport)
    assert last.packets > first.packets
    assert [block.ssrc for block in last.blocks] == [leg.phone.ssrc]


def told_round_trip(leg: Leg, round_trip_s: float, lost: int = 0) -> Leg:
    """The phone answers our last report, which took so long there and back."""
    [ours, *_] = leg.reports[-1]
    assert isinstance(ours, rtcp.SenderReport)
    sent_at_s = ours.ntp / 2**32 - rtcp.ntp_time(WALL_S) / 2**32
    block = rtcp.ReportBlock(
        ssrc=ours.ssrc,
        fraction_lost=0,
        lost=lost,
        highest_sequence=0,
        jitter=0,
        last_report=rtcp.ntp_middle(ours.ntp),
        delay=round((leg.now - sent_at_s - round_trip_s) * 65_536),
    )
    return leg.report(rtcp.ReceiverReport(ssrc=1, blocks=(block,)))


def test_a_measured_round_trip_makes_the_bounds_narrower():
    leg = told_round_trip(Leg().run([QUIET] * 50 * 8), 0.03).play(WORD)

    begun = leg.tick().heard
    nearly, all_of_it = leg.tick(12).heard, leg.tick().heard

    assert (begun, nearly, all_of_it) == (Heard(0, 20), Heard(0, 20), Heard(20, 20))


def test_with_one_port_for_both_reports_go_where_media_goes():
    behind_nat = Address("198.51.100.9", 40_000)
    leg = Leg(msgspec.structs.replace(AGREED, rtcp_mux=True, rtcp=PHONE))

    leg.run([QUIET] * 50 * 8, source=behind_nat)

    assert {datagram.address for datagram in leg.sent if datagram.rtcp} == {behind_nat}


def test_reports_go_to_where_another_agreement_has_them():
    moved_too = Address(MOVED.host, MOVED.port + 1)
    leg = Leg().run([QUIET] * 10).report(rtcp.ReceiverReport(ssrc=1), source=PHONE_RTCP)

    leg.agree(rtp=MOVED, rtcp=moved_too).run([QUIET] * 50 * 8, source=MOVED)

    assert {datagram.address for datagram in leg.sent if datagram.rtcp} == {moved_too}


def test_reports_go_back_to_where_theirs_come_from():
    behind_nat = Address(PHONE.host, 40_001)
    leg = Leg().run([QUIET] * 10).report(rtcp.ReceiverReport(ssrc=1), source=behind_nat)

    leg.run([QUIET] * 50 * 8)

    assert {datagram.address for datagram in leg.sent if datagram.rtcp} == {behind_nat}


def test_the_quality_of_a_call_is_known_at_its_end():
    leg = Leg()
    for tick in range(1000):
        if tick % 50 == 49:
            leg.phone.frame(WORD, payload_type=0, event_payload_type=None)  # lost on its way
            leg.tick()
        else:
            leg.run([WORD])

    quality = leg.say(sip.CallOver(why="hung up")).core.quality

    assert quality is not None
    assert (quality.received_packets, quality.lost_packets, quality.late_packets) == (979, 19, 0)
    assert quality.loss_percent == pytest.approx(2, abs=0.2)
    assert quality.jitter_ms < 0.1
    assert quality.mos is not None
    assert 3.5 < quality.mos < 4.4


def test_a_long_way_makes_a_call_worse():
    near = told_round_trip(Leg().run([WORD] * 50 * 8), 0.02, lost=1).core.quality
    far = told_round_trip(Leg().run([WORD] * 50 * 8), 0.6, lost=3).core.quality

    assert near is not None
    assert far is not None
    assert near.round_trip_ms == pytest.approx(20, abs=0.5)
    assert far.round_trip_ms == pytest.approx(600, abs=0.5)
    assert (near.far_lost_packets, far.far_lost_packets) == (1, 3)
    assert near.mos is not None
    assert far.mos is not None
    assert near.mos - far.mos > 0.5


def test_what_comes_too_late_makes_a_call_worse():
    leg = Leg().run([WORD] * 200)
    before = leg.core.quality

    for _ in range(20):
        late = leg.phone.frame(WORD, payload_type=0, event_payload_type=None)
        leg.run([WORD] * 20).packet(late)

    quality = leg.core.quality
    assert before is not None
    assert quality is not None
    assert (quality.lost_packets, quality.late_packets) == (0, 20)
    assert before.mos is not None
    assert quality.mos is not None
    assert before.mos - quality.mos > 0.3


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

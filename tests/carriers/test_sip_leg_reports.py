"""What a SIP leg and its far end report of the media."""

import msgspec
import pytest

from gateway.carriers.sip import leg_messages as sip
from gateway.contracts import (
    Heard,
)
from gateway.media.latch import Address
from gateway.wire import rtcp
from tests.carriers.sip_leg import AGREED, MOVED, PHONE, PHONE_RTCP, QUIET, WALL_S, WORD, Leg

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

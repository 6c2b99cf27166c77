import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.rtcp_reports import RtcpReports
from gateway.media.rtp_source import RtpSource
from gateway.media.rtp_stats import ReceptionStats
from gateway.wire import rtcp
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtcp import CNAME, Goodbye, ReceiverReport, ReportBlock, SenderReport, SourceDescription
from gateway.wire.rtp import RtpPacket

WALL_S = 1_700_000_000.0


class End:
    """One end of a call: what it sends, receives and reports."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.source = RtpSource()
        self.stats = ReceptionStats(self.source)
        self.reports = RtcpReports(
            ssrc=ssrc, cname=f"end{ssrc}", stats=self.stats, rng=random.Random(ssrc), wall_s=WALL_S
        )
        self.number = 0

    def speak_to(self, other: "End", now: float) -> None:
        self.number += 1
        packet = RtpPacket(
            payload_type=0,
            sequence=self.number,
            timestamp=160 * self.number,
            ssrc=self.ssrc,
            payload=bytes(160),
        )
        self.reports.sent(packet, now)
        if other.source.accept(packet, now):
            other.stats.arrived(packet, now)


def next_report(end: End, from_s: float = 0.0) -> tuple[float, bytes]:
    for tick in range(1000):
        report = end.reports.due(from_s + tick * 0.02)
        if report is not None:
            return from_s + tick * 0.02, report
    raise AssertionError("no report in 20 s")


def test_the_first_report_comes_within_four_seconds():
    at_s, _ = next_report(End(1))

    assert 1.25 <= at_s <= 3.76


def test_reports_come_every_five_seconds_give_or_take_a_half():
    end = End(1)
    times = [tick * 0.02 for tick in range(50 * 600) if end.reports.due(tick * 0.02) is not None]

    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert 2.49 <= min(gaps) <= max(gaps) <= 7.53
    assert sum(gaps) / len(gaps) == pytest.approx(5, abs=0.5)


def test_who_only_listens_reports_what_he_receives_and_who_he_is():
    speaker, listener = End(1), End(2)
    for tick in range(10):
        speaker.speak_to(listener, tick * 0.02)

    report, name = rtcp.decode(next_report(listener)[1])

    assert isinstance(report, ReceiverReport)
    assert [(block.ssrc, block.highest_sequence) for block in report.blocks] == [(1, 10)]
    assert name == SourceDescription(ssrc=2, items=((CNAME, "end2"),))


def test_who_speaks_reports_what_he_sent_and_the_media_clock_of_now():
    speaker, listener = End(1), End(2)
    for tick in range(10):
        speaker.speak_to(listener, tick * 0.02)

    at_s, data = next_report(speaker)
    report = rtcp.decode(data)[0]

    assert isinstance(report, SenderReport)
    assert (report.packets, report.octets) == (10, 1600)
    assert report.timestamp == 1600 + round((at_s - 0.18) * 8000)


def test_while_a_key_is_pressed_the_media_clock_goes_on():
    end = End(1)
    for tick in range(10):
        event = RtpPacket(payload_type=101, sequence=tick, timestamp=800, ssrc=1, payload=bytes(4))
        end.reports.sent(event, tick * 0.02)

    at_s, data = next_report(end)
    report = rtcp.decode(data)[0]

    assert isinstance(report, SenderReport)
    assert report.timestamp == 800 + round(at_s * 8000)


def test_who_no_longer_speaks_reports_as_a_listener():
    speaker = End(1)
    speaker.speak_to(End(2), 0.0)
    at_s, _ = next_report(speaker)

    _, again = next_report(speaker, at_s + 0.02)

    assert isinstance(rtcp.decode(again)[0], ReceiverReport)


def test_two_reports_measure_the_round_trip():
    one, other = End(1), End(2)
    for tick in range(10):
        one.speak_to(other, tick * 0.02)
    sent_at_s, report = next_report(one)

    other.reports.receive(report, sent_at_s + 0.03)
    answered_at_s, answer = next_report(other, sent_at_s + 0.03)
    one.reports.receive(answer, answered_at_s + 0.045)

    assert one.reports.round_trip_s == pytest.approx(0.075, abs=0.001)
    assert one.reports.far is not None
    assert one.reports.far.highest_sequence == 10


def test_a_round_trip_that_cannot_be_is_not_believed():
    end = End(1)
    block = ReportBlock(
        ssrc=1, fraction_lost=0, lost=0, highest_sequence=0, jitter=0, last_report=0x1234_5678, delay=0
    )

    end.reports.receive(rtcp.encode((ReceiverReport(ssrc=2, blocks=(block,)),)), 5.0)

    assert end.reports.round_trip_s is None


def test_blocks_about_others_are_not_about_us():
    end = End(1)
    block = ReportBlock(ssrc=9, fraction_lost=0, lost=0, highest_sequence=0, jitter=0)

    end.reports.receive(rtcp.encode((ReceiverReport(ssrc=2, blocks=(block,)),)), 5.0)

    assert end.reports.far is None


def test_a_goodbye_ends_with_the_source_that_leaves():
    end = End(1)

    packets = rtcp.decode(end.reports.goodbye(1.0))

    assert packets[-1] == Goodbye(ssrcs=(1,))


def test_a_far_end_that_says_goodbye_is_gone():
    end = End(1)

    end.reports.receive(End(2).reports.goodbye(1.0), 1.0)

    assert end.reports.gone


@given(st.binary(max_size=80))
def test_any_bytes_are_taken_or_a_remote_protocol_error(data: bytes):
    end = End(1)

    try:
        end.reports.receive(data, 1.0)
    except RemoteProtocolError:
        assert end.reports.round_trip_s is None

import random

import pytest

from gateway.media.rtp_source import RtpSource
from gateway.media.rtp_stats import ReceptionStats
from gateway.testing.rtp_network import RtpNetwork, talk
from gateway.wire.rtcp import SenderReport
from gateway.wire.rtp import RtpPacket

FRAME = b"\xff" * 160


def packet(number: int, *, timestamp: int | None = None, ssrc: int = 1) -> RtpPacket:
    stamp = number * 160 if timestamp is None else timestamp
    return RtpPacket(payload_type=0, sequence=number, timestamp=stamp, ssrc=ssrc, payload=FRAME)


class Reception:
    """A source, its statistics, and what arrives."""

    def __init__(self) -> None:
        self.source = RtpSource()
        self.stats = ReceptionStats(self.source)

    def arrive(self, one: RtpPacket, at_s: float) -> None:
        if self.source.accept(one, at_s):
            self.stats.arrived(one, at_s)


def after(network: RtpNetwork, *, seconds: float = 60) -> Reception:
    reception = Reception()
    for at_s, one in network.carry(talk(FRAME, seconds=seconds)):
        reception.arrive(one, at_s)
    return reception


def test_a_network_that_takes_always_as_long_has_no_jitter():
    assert after(RtpNetwork(random.Random(1))).stats.jitter_ms < 0.01


def test_jitter_is_the_mean_of_the_differences_between_neighbours():
    reception = after(RtpNetwork(random.Random(1), jitter_s=0.012))

    # The difference of two that are evenly spread over 12 ms is 4 ms on average; no packet overtakes another.
    assert reception.stats.jitter_ms == pytest.approx(4, abs=1.5)
    assert reception.stats.jitter_ms <= reception.stats.worst_jitter_ms < 8


def test_packets_that_share_a_timestamp_are_no_jitter():
    reception = Reception()
    for number in range(10):
        reception.arrive(packet(number, timestamp=0), number * 0.02)

    assert reception.stats.jitter_ms == 0


def test_a_clock_that_is_set_is_no_jitter():
    reception = Reception()
    for number in range(10):
        reception.arrive(packet(number, timestamp=number * 160 + (number > 5) * 10**9), number * 0.02)

    assert reception.stats.jitter_ms < 0.01


def test_loss_is_what_share_of_the_packets_never_came():
    assert after(RtpNetwork(random.Random(1), loss=0.05)).stats.loss_share == pytest.approx(0.05, abs=0.01)


def test_nothing_is_reported_of_nobody():
    reception = Reception()

    assert reception.stats.block(0.0) is None
    assert reception.stats.loss_share == 0


def test_a_block_tells_the_loss_since_the_last_one_and_of_all():
    reception = Reception()
    for number in range(1, 6):
        reception.arrive(packet(number), number * 0.02)
    reception.stats.block(0.2)
    for number in (6, 8, 10, 12):
        reception.arrive(packet(number), number * 0.02)

    block = reception.stats.block(0.3)

    assert block is not None
    assert (block.fraction_lost, block.lost, block.highest_sequence) == (256 * 3 // 7, 3, 12)


def test_a_block_tells_a_sender_when_his_report_came():
    reception = Reception()
    reception.arrive(packet(1), 0.0)
    reception.arrive(packet(2), 0.02)
    reception.stats.heard_from(
        SenderReport(ssrc=1, ntp=0x1111_2222_3333_4444, timestamp=0, packets=0, octets=0), 1.0
    )

    block = reception.stats.block(1.5)

    assert block is not None
    assert (block.last_report, block.delay) == (0x2222_3333, 0x8000)


def test_the_report_of_another_source_is_not_answered():
    reception = Reception()
    reception.arrive(packet(1), 0.0)
    reception.arrive(packet(2), 0.02)
    reception.stats.heard_from(SenderReport(ssrc=9, ntp=2**40, timestamp=0, packets=0, octets=0), 1.0)

    block = reception.stats.block(1.5)

    assert block is not None
    assert (block.last_report, block.delay) == (0, 0)

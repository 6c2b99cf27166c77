"""How well a source arrives, as its receiver reports it. RFC 3550 A.3, A.8."""

from typing import Final

from gateway.media.rtp_source import RtpSource
from gateway.wire.rtcp import ReportBlock, SenderReport, ntp_middle
from gateway.wire.rtp import RtpPacket, timestamp_step

__all__ = ["ReceptionStats"]

_CLOCK_HZ: Final = 8000
_REPORT_HZ: Final = 65_536

# Between packets of one talkspurt; what is apart further is a pause or another clock, and says nothing of the network.
_LONGEST_STEP: Final = _CLOCK_HZ


class ReceptionStats:
    """Loss and jitter of the source that `source` accepts.

    `jitter_ms`: smoothed over about 16 packets; `worst_jitter_ms`: the most there was after the first second.
    """

    def __init__(self, source: RtpSource) -> None:
        self._source = source
        self._jitter = 0.0
        self._worst_jitter = 0.0
        self._ssrc: int | None = None  # of the last packet, whose timestamp and arrival these are
        self._timestamp = 0
        self._arrived_at = 0.0
        self._heard_from: SenderReport | None = None
        self._heard_at = 0.0
        self._reported_expected = 0
        self._reported_received = 0

    @property
    def jitter_ms(self) -> float:
        return self._jitter * 1000 / _CLOCK_HZ

    @property
    def worst_jitter_ms(self) -> float:
        return self._worst_jitter * 1000 / _CLOCK_HZ

    @property
    def loss_share(self) -> float:
        """Of all packets that should have come, 0 to 1."""
        expected = self._source.expected
        return max(self._source.lost, 0) / expected if expected else 0.0

    def arrived(self, packet: RtpPacket, now: float) -> None:
        """Take a packet that the source accepted. RFC 3550 A.8."""
        if self._ssrc == packet.ssrc:
            step = timestamp_step(packet.timestamp, self._timestamp)
            if step and abs(step) < _LONGEST_STEP:  # packets of one event share their timestamp
                transit = (now - self._arrived_at) * _CLOCK_HZ - step
                self._jitter += (abs(transit) - self._jitter) / 16
                if self._jitter > self._worst_jitter and self._source.received > _CLOCK_HZ // 160:
                    self._worst_jitter = self._jitter
        self._ssrc, self._timestamp, self._arrived_at = packet.ssrc, packet.timestamp, now

    def heard_from(self, report: SenderReport, now: float) -> None:
        """Take a report of the sender; the next block tells him when, from which he has his round trip."""
        self._heard_from = report
        self._heard_at = now

    def block(self, now: float) -> ReportBlock | None:
        """What to report now, after which the fraction lost counts anew. None: there is no source yet."""
        if self._source.ssrc is None:
            return None
        expected = self._source.expected - self._reported_expected
        lost = expected - (self._source.received - self._reported_received)
        self._reported_expected = self._source.expected
        self._reported_received = self._source.received
        heard_from = self._heard_from
        if heard_from is not None and heard_from.ssrc != self._source.ssrc:
            heard_from = None
        return ReportBlock(
            ssrc=self._source.ssrc,
            fraction_lost=min(max(lost, 0) * 256 // expected, 255) if expected > 0 else 0,
            lost=self._source.lost,
            highest_sequence=self._source.highest & 0xFFFF_FFFF,
            jitter=int(self._jitter),
            last_report=ntp_middle(heard_from.ntp) if heard_from else 0,
            delay=round((now - self._heard_at) * _REPORT_HZ) & 0xFFFF_FFFF if heard_from else 0,
        )

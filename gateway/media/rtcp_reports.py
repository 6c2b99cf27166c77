"""The reports that two ends of a call exchange, and what they tell. RFC 3550 §6."""

from typing import TYPE_CHECKING, Final

from gateway.media.rtp_stats import ReceptionStats
from gateway.wire.rtcp import (
    CNAME,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    decode,
    encode,
    ntp_middle,
    ntp_time,
)
from gateway.wire.rtp import RtpPacket

if TYPE_CHECKING:
    from random import Random

__all__ = ["RtcpReports"]

# RFC 3550 §6.2: five seconds at least, times 0.5 to 1.5 so that ends do not fall into step.
_INTERVAL_S: Final = 5.0
_CLOCK_HZ: Final = 8000
# What is longer is a clock that was set, or a report about another stream of ours.
_LONGEST_ROUND_TRIP_S: Final = 10.0


class RtcpReports:
    """Our side of RTCP. `ssrc`: ours; `cname`: names us, and no person (RFC 7022). `wall_s`: of `now` 0, since 1970.

    `round_trip_s`: the last that was measured. `far`: the newest block about us: what the far end receives.
    `gone`: the far end said goodbye.
    """

    def __init__(self, *, ssrc: int, cname: str, stats: ReceptionStats, rng: "Random", wall_s: float) -> None:
        self.round_trip_s: float | None = None
        self.far: ReportBlock | None = None
        self.gone = False
        self._ssrc = ssrc
        self._cname = cname
        self._stats = stats
        self._rng = rng
        self._wall_s = wall_s
        self._packets = 0
        self._octets = 0
        self._timestamp = 0  # of the packet sent last, and when
        self._sent_at = 0.0
        self._reported_packets = 0
        self._due_at: float | None = None

    def sent(self, packet: RtpPacket, now: float) -> None:
        """Count a packet of ours."""
        self._packets += 1
        self._octets += len(packet.payload)
        if packet.timestamp != self._timestamp:  # all packets of an event have that of its begin
            self._timestamp, self._sent_at = packet.timestamp, now

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram of the far end. Raises `RemoteProtocolError`."""
        for packet in decode(data):
            self._received(packet, now)

    def _received(self, packet: RtcpPacket, now: float) -> None:
        match packet:
            case SenderReport():
                self._stats.heard_from(packet, now)
                self._told(packet.blocks, now)
            case ReceiverReport():
                self._told(packet.blocks, now)
            case Goodbye():
                self.gone = True
            case SourceDescription():
                pass

    def _told(self, blocks: tuple[ReportBlock, ...], now: float) -> None:
        for block in blocks:
            if block.ssrc != self._ssrc:
                continue
            self.far = block
            if block.last_report:
                arrived = ntp_middle(ntp_time(self._wall_s + now))
                units = arrived - block.last_report - block.delay & 0xFFFF_FFFF
                if units / 65_536 < _LONGEST_ROUND_TRIP_S:
                    self.round_trip_s = units / 65_536

    def due(self, now: float) -> bytes | None:
        """The report to send now; None: it is not time."""
        if self._due_at is None:  # RFC 3550 §6.2: the first comes after half of the time
            self._due_at = now + _INTERVAL_S / 2 * (0.5 + self._rng.random())
        if now < self._due_at:
            return None
        self._due_at = now + _INTERVAL_S * (0.5 + self._rng.random())
        return encode(self._report(now))

    def goodbye(self, now: float) -> bytes:
        """The last report, with which we leave."""
        return encode((*self._report(now), Goodbye(ssrcs=(self._ssrc,))))

    def _report(self, now: float) -> tuple[RtcpPacket, ...]:
        block = self._stats.block(now)
        blocks = (block,) if block is not None else ()
        name = SourceDescription(ssrc=self._ssrc, items=((CNAME, self._cname),))
        if self._packets == self._reported_packets:
            return ReceiverReport(ssrc=self._ssrc, blocks=blocks), name
        self._reported_packets = self._packets
        return (
            SenderReport(
                ssrc=self._ssrc,
                ntp=ntp_time(self._wall_s + now),
                timestamp=self._timestamp + round((now - self._sent_at) * _CLOCK_HZ) & 0xFFFF_FFFF,
                packets=self._packets & 0xFFFF_FFFF,
                octets=self._octets & 0xFFFF_FFFF,
                blocks=blocks,
            ),
            name,
        )

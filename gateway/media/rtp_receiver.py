"""The far end's RTP, sorted: the caller's audio into one gapless stream, and keys."""

from collections.abc import Mapping
from typing import Final

from gateway.audio.g711 import CODECS
from gateway.media.jitter import JitterBuffer
from gateway.media.rtp_source import RtpSource
from gateway.media.rtp_stats import ReceptionStats
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtp import RtpPacket
from gateway.wire.telephone_event import DigitReceiver

__all__ = ["RtpReceiver"]

_NOISE: Final = "cn"


class RtpReceiver:
    """The receiving half of a call's media. `codec`: that of the call, a key of `gateway.audio.g711.CODECS`.

    Packets in the other law are translated into it. `unknown`: packets of a type that nobody agreed on. `broken`:
    events that are none.
    """

    def __init__(self, codec: str, *, least_ms: int = 20, most_ms: int = 200) -> None:
        self.source = RtpSource()
        self.stats = ReceptionStats(self.source)
        self.jitter = JitterBuffer(CODECS[codec], least_ms=least_ms, most_ms=most_ms)
        self.unknown = 0
        self.broken = 0
        self._codec = codec
        self._types: Mapping[int, str] = {}
        self._digits = DigitReceiver()

    def expect(self, types: Mapping[int, str]) -> None:
        """Take what an SDP agreed on: what each payload type is, as `Agreed.receives`."""
        self._types = types

    def receive(self, packet: RtpPacket, now: float) -> str | None:
        """Take a packet; the digit that it brings, if any. Nothing is raised."""
        kind = self._types.get(packet.payload_type)
        if kind is None:
            self.unknown += 1
        elif kind == "telephone-event":
            return self._digit(packet, now)
        elif self._is_ours(packet, now):
            if kind == self._codec:  # nearly always
                self.jitter.receive(packet, now)
            elif kind == _NOISE:
                self.jitter.rest(packet, now)
            else:
                self.jitter.receive(_translated(packet, kind, self._codec), now)
        return None

    def take(self, now: float) -> list[bytes]:
        """The caller's frames that are due, as `JitterBuffer.take`."""
        return self.jitter.take(now)

    def _digit(self, packet: RtpPacket, now: float) -> str | None:
        """Events may come from a source of their own, which then is not that of the audio."""
        if packet.ssrc == self.source.ssrc and self._is_ours(packet, now):
            self.jitter.rest(packet, now)
        try:
            return self._digits.receive(packet, now)
        except RemoteProtocolError:
            self.broken += 1
            return None

    def _is_ours(self, packet: RtpPacket, now: float) -> bool:
        if not self.source.accept(packet, now):
            return False
        self.stats.arrived(packet, now)
        return True


def _translated(packet: RtpPacket, law: str, codec: str) -> RtpPacket:
    return RtpPacket(
        payload_type=packet.payload_type,
        sequence=packet.sequence,
        timestamp=packet.timestamp,
        ssrc=packet.ssrc,
        payload=packet.payload.translate(_TRANSLATIONS[law, codec]),
        marker=packet.marker,
    )


_TRANSLATIONS: Final = {
    (law, codec): CODECS[codec].encode(CODECS[law].decode(bytes(range(256))))
    for law in CODECS
    for codec in CODECS
}

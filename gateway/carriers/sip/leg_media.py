"""The media of a SIP leg, both ways: RTP and RTCP in and out, as one agreement after the other has it. A core."""

from typing import TYPE_CHECKING, Final

from gateway.audio.g711 import CODECS
from gateway.carriers.sip.leg_messages import Datagram, MediaAgreed
from gateway.carriers.sip.leg_quality import MediaQuality, quality
from gateway.carriers.sip.leg_stream import LegStream
from gateway.media.latch import Address
from gateway.media.playout import FRAME_BYTES
from gateway.media.rtcp_reports import RtcpReports
from gateway.media.rtp_receiver import RtpReceiver
from gateway.wire import rtp
from gateway.wire.errors import RemoteProtocolError

if TYPE_CHECKING:
    from random import Random

__all__ = ["LegMedia"]

_CNAME_BITS: Final = 96  # RFC 7022 §4.2


class LegMedia:
    """Begins with the first agreement, whose law is that of all audio in and out; what comes in the other is translated.

    `outgoing`: datagrams to send, to be taken out. `wall_s`: the time of `now` 0, since 1970.
    """

    def __init__(self, media: MediaAgreed, now: float, *, rng: "Random", wall_s: float) -> None:
        self.media = media
        self.codec = media.codec
        self.stream = LegStream(media.codec, rng)
        self.outgoing: list[Datagram] = []
        self._receiver = RtpReceiver(media.codec)
        self._reports = RtcpReports(
            ssrc=self.stream.sender.ssrc,
            cname=f"{rng.getrandbits(_CNAME_BITS):x}",
            stats=self._receiver.stats,
            rng=rng,
            wall_s=wall_s,
        )
        self._alive_at_s = now
        self._rtcp_source: Address | None = None
        self._broken = 0
        self._strangers = 0
        self._has_heard = False
        self._receiver.expect(media.rtp, media.receives)

    @property
    def quality(self) -> MediaQuality:
        return quality(
            self._receiver, self._reports, strangers=self._strangers + self._receiver.latch.strangers
        )

    @property
    def oddities(self) -> dict[str, int]:
        """What should not have come, counted."""
        return {
            "stranger": self._strangers + self._receiver.latch.strangers,
            "unknown_payload_type": self._receiver.unknown,
            "broken_media": self._broken + self._receiver.broken,
        }

    def agree(self, media: MediaAgreed, now: float) -> None:
        """Go on as `media` has it. One that says the same again, as a refresh does, changes nothing."""
        if media == self.media:
            return
        if media.rtcp != self.media.rtcp:
            self._rtcp_source = None
        self.media = media
        self._alive_at_s = now
        self._receiver.expect(media.rtp, media.receives)

    def silent_s(self, now: float) -> float:
        """For how long nothing has come that should: 0 while on hold, and before the answer."""
        direction = self.media.direction
        if self.media.early or not (direction.sends and direction.receives):
            self._alive_at_s = now
        return now - self._alive_at_s

    # -- in

    def receive(self, datagram: Datagram, now: float) -> str | None:
        """Take a datagram; the digit that it brings, if any. Nothing is raised."""
        if self.media.secure and not datagram.authentic:
            self._strangers += 1
            return None
        try:
            if not datagram.rtcp:
                return self._rtp(datagram, now)
            self._rtcp(datagram, now)
        except RemoteProtocolError:
            self._broken += 1
        return None

    def _rtp(self, datagram: Datagram, now: float) -> str | None:
        packet = rtp.decode(datagram.data)
        digit = self._receiver.receive(packet, datagram.address, now, authentic=datagram.authentic)
        if self._receiver.heard_at == now:
            self._alive_at_s = now
        return digit

    def _rtcp(self, datagram: Datagram, now: float) -> None:
        if not self._is_theirs(datagram):
            self._strangers += 1
            return
        self._reports.receive(datagram.data, now)
        self._alive_at_s = now
        self._rtcp_source = datagram.address
        if self._reports.round_trip_s is not None:
            self.stream.far.measured(self._reports.round_trip_s)

    def _is_theirs(self, datagram: Datagram) -> bool:
        """RTCP has no sequence to prove itself by: it has to come from where their media comes from, or goes to."""
        known = (self._receiver.latch.address, self.media.rtcp)
        return datagram.authentic or datagram.address.host in {address.host for address in known if address}

    def hear(self, now: float) -> bytes:
        """The caller's audio that is due; silence before his first packet. After `send`, once a tick."""
        frames = self._receiver.take(now)
        self._has_heard = self._has_heard or bool(frames)
        if not self._has_heard:
            return CODECS[self.codec].silence * FRAME_BYTES * self.stream.passed
        return b"".join(frames)

    # -- out

    def send(self, now: float) -> None:
        """The packet of this tick, and a report if one is due."""
        address = self._receiver.latch.address
        packet = self.stream.tick(self.media, now, reachable=address is not None)
        if packet is not None and address is not None:
            self._reports.sent(packet, now)
            self.outgoing.append(Datagram(address, rtp.encode(packet)))
        report = self._reports.due(now)
        if report is not None:
            self._report(report)
        self.stream.far.advance(now)

    def leave(self, now: float) -> None:
        """Say goodbye to the far end. RFC 3550 §6.6."""
        self._report(self._reports.goodbye(now))

    def _report(self, report: bytes) -> None:
        """Reports go on while on hold. RFC 3264 §5.1."""
        address = (
            self._receiver.latch.address if self.media.rtcp_mux else self._rtcp_source or self.media.rtcp
        )
        if address is not None:
            self.outgoing.append(Datagram(address, report, rtcp=True))

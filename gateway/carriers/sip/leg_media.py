"""The media of a SIP leg, both ways: RTP and RTCP in and out, as one agreement after the other has it. A core."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.audio.g711 import CODECS
from gateway.carriers.sip.leg_messages import Datagram, MediaAgreed, head_of
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

    What comes in is the far end's: the gate before it lets nobody else through (media_gate.py), and has decrypted it.
    `outgoing`: takes datagrams to send, as leg_messages.py frames them. `wall_s`: the time of `now` 0, since 1970.
    `held`: they want to hear nothing. RFC 3264 §8.4; an address of zeros is how RFC 2543 had it.
    """

    def __init__(
        self, media: MediaAgreed, now: float, outgoing: list[bytes], *, rng: "Random", wall_s: float
    ) -> None:
        self.codec = media.codec
        self.stream = LegStream(media.codec, rng)
        self._outgoing = outgoing
        self._receiver = RtpReceiver(media.codec)
        self._reports = RtcpReports(
            ssrc=self.stream.sender.ssrc,
            cname=f"{rng.getrandbits(_CNAME_BITS):x}",
            stats=self._receiver.stats,
            rng=rng,
            wall_s=wall_s,
        )
        self._alive_at_s = now
        self._rtp_source: Address | None = None
        self._rtcp_source: Address | None = None
        self._broken = 0
        self._has_heard = False
        self._take(media, now)

    @property
    def quality(self) -> MediaQuality:
        return quality(self._receiver, self._reports)

    @property
    def oddities(self) -> Sequence[str]:
        """What has come that should not."""
        unknown, broken = self._receiver.unknown, self._broken + self._receiver.broken
        if not unknown and not broken:
            return ()
        return [*["unknown_payload_type"] * (unknown > 0), *["broken_media"] * (broken > 0)]

    def agree(self, media: MediaAgreed, now: float) -> None:
        """Go on as `media` has it. One that says the same again, as a refresh does, changes nothing."""
        if media == self._media:
            return
        if media.rtp != self._media.rtp:
            self._rtp_source = None
        if media.rtcp != self._media.rtcp:
            self._rtcp_source = None
        self._take(media, now)

    def _take(self, media: MediaAgreed, now: float) -> None:
        self._media = media
        self.held = not media.direction.sends or media.rtp is None
        self._mute = not media.direction.sends
        self._may_be_silent = media.early or self.held or not media.direction.receives
        self._alive_at_s = now
        self._receiver.expect(media.receives)

    def silent_s(self, now: float) -> float:
        """For how long nothing has come that should: 0 while on hold, and before the answer."""
        if self._may_be_silent:
            self._alive_at_s = now
        return now - self._alive_at_s

    # -- in

    def receive(self, datagram: Datagram, now: float) -> str | None:
        """Take a datagram; the digit that it brings, if any. Nothing is raised."""
        try:
            if datagram.rtcp:
                self._rtcp(datagram, now)
                return None
            packet = rtp.decode(datagram.data)
        except RemoteProtocolError:
            self._broken += 1
            return None
        self._alive_at_s = now
        self._rtp_source = datagram.address
        return self._receiver.receive(packet, now)

    def _rtcp(self, datagram: Datagram, now: float) -> None:
        self._reports.receive(datagram.data, now)
        self._alive_at_s = now
        self._rtcp_source = datagram.address
        if self._reports.round_trip_s is not None:
            self.stream.far.measured(self._reports.round_trip_s)

    def hear(self, now: float) -> bytes:
        """The caller's audio that is due; silence before his first packet. After `send`, once a tick."""
        frames = self._receiver.take(now)
        if self._has_heard:
            return b"".join(frames)
        self._has_heard = bool(frames)
        before = max(self.stream.passed - len(frames), 0)  # the first packet may have come in a stall of ours
        return CODECS[self.codec].silence * FRAME_BYTES * before + b"".join(frames)

    # -- out

    def send(self, now: float) -> None:
        """The packets of this tick, and a report if one is due.

        It goes where they send from, which a NAT lets through; before anything came, where they say that they receive.
        """
        address = self._rtp_source or self._media.rtp
        for packet in self.stream.tick(self._media, now, held=self._mute or address is None):
            assert address is not None
            self._reports.sent(packet, now)
            self._outgoing.append(head_of(address, False, False) + rtp.encode(packet))
        report = self._reports.due(now)
        if report is not None:
            self._report(report)
        self.stream.far.advance(now)

    def leave(self, now: float) -> None:
        """Say goodbye to the far end. RFC 3550 §6.6."""
        self._report(self._reports.goodbye(now))

    def _report(self, report: bytes) -> None:
        """Reports go on while on hold. RFC 3264 §5.1."""
        if self._media.rtcp_mux:
            address = self._rtp_source or self._media.rtp
        else:
            address = self._rtcp_source or self._media.rtcp
        if address is not None:
            self._outgoing.append(head_of(address, True, False) + report)

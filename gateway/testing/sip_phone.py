"""A telephone on the network: what its owner says and presses as RTP, and what he hears of what comes. No clock."""

from random import Random
from typing import Any

import msgspec

from gateway.audio.g711 import CODECS
from gateway.carriers.sip.leg_messages import Datagram, MediaAgreed
from gateway.media.latch import Address
from gateway.media.rtcp_reports import RtcpReports
from gateway.media.rtp_receiver import RtpReceiver
from gateway.media.rtp_sender import RtpSender
from gateway.testing.microphone import Microphone
from gateway.wire import rtp

__all__ = ["SipPhone"]

_RTP = Address("192.0.2.10", 16_384)
_RTCP = Address("192.0.2.10", 16_385)
# It numbers its types in another way than we do ours, as RFC 3264 §5.1 allows: whoever mixes them up shows it.
_THEIR_EVENTS = 96
_OUR_EVENTS = 101
_AUDIBLE = 500


class SipPhone:
    """PCMU in packets of 20 ms; it sends silence when nobody speaks, as most do. Times are seconds on any one clock.

    `keys`: those that were sent to it as events. `muted`: not a packet leaves it.
    """

    def __init__(self, rng: Random) -> None:
        self.microphone = Microphone()
        self.muted = False
        self.heard = bytearray()
        self.last_audible_s: float | None = None
        self.keys = ""
        self._sender = RtpSender(rng)
        self._receiver = RtpReceiver("pcmu")
        self._receiver.expect({0: "pcmu", _THEIR_EVENTS: "telephone-event"})
        self._reports = RtcpReports(
            ssrc=self._sender.ssrc, cname="a phone", stats=self._receiver.stats, rng=rng, wall_s=0.0
        )

    def agrees(self, **changes: Any) -> MediaAgreed:
        """What comes of its SDP and ours, less what it changes."""
        agreed = MediaAgreed(
            codec="pcmu",
            payload_type=0,
            event_payload_type=_THEIR_EVENTS,
            receives={0: "pcmu", 8: "pcma", 13: "cn", _OUR_EVENTS: "telephone-event"},
            rtp=_RTP,
            rtcp=_RTCP,
        )
        return msgspec.structs.replace(agreed, **changes)

    def tick(self, now: float) -> list[Datagram]:
        """20 ms pass: what it sends, from its own addresses."""
        self._hear(now)
        payload, digit = self.microphone.frame()
        if digit is not None:
            self._sender.digits.press(digit)
        if self.muted:
            self._sender.skip()
            return []
        packet = self._sender.frame(payload, payload_type=0, event_payload_type=_OUR_EVENTS)
        self._reports.sent(packet, now)
        report = self._reports.due(now)
        reports = [] if report is None else [Datagram(_RTCP, report, rtcp=True, authentic=True)]
        return [Datagram(_RTP, rtp.encode(packet), authentic=True), *reports]

    def receive(self, datagram: Datagram, now: float) -> None:
        """A datagram has arrived. Raises `AssertionError` for one that a phone could do nothing with."""
        assert datagram.address == (_RTCP if datagram.rtcp else _RTP)
        if datagram.rtcp:
            self._reports.receive(datagram.data, now)
            return
        self.keys += self._receiver.receive(rtp.decode(datagram.data), now) or ""
        assert not self._receiver.unknown

    def _hear(self, now: float) -> None:
        for frame in self._receiver.take(now):
            self.heard += frame
            samples = memoryview(CODECS["pcmu"].decode(frame)).cast("h")
            if max(samples, default=0) > _AUDIBLE:
                self.last_audible_s = now

"""What our side of a captured call sent, for the right side of the call's recording. A core."""

from collections.abc import Mapping
from typing import Final

from gateway.audio.g711 import CODECS, Codec
from gateway.media.rtp_receiver import RtpReceiver
from gateway.media.stereo import StereoMix
from gateway.wire import rtp
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.agreement import Agreed

__all__ = ["OtherSide"]

# RFC 3551 §6, RFC 3389 §4: what is not numbered by an SDP.
_STATIC: Final[Mapping[int, str]] = {0: "pcmu", 8: "pcma", 13: "cn"}


class OtherSide:
    """Plays it as a telephone would, into `mix`."""

    def __init__(self, mix: StereoMix) -> None:
        self._mix = mix
        self._codec: Codec | None = None
        self._receiver: RtpReceiver | None = None

    def agree(self, agreed: Agreed) -> None:
        """What may be sent from now on. The law of the first agreement is that of all that follows."""
        if self._receiver is None:
            self._codec = CODECS[agreed.codec]
            self._receiver = RtpReceiver(agreed.codec)
        types = {**_STATIC, agreed.payload_type: agreed.codec}
        if agreed.event_payload_type is not None:
            types[agreed.event_payload_type] = "telephone-event"
        self._receiver.expect(types)

    def take(self, data: bytes, now: float) -> None:
        """A datagram of RTP."""
        try:
            packet = rtp.decode(data)
        except RemoteProtocolError:
            return
        if self._receiver is not None:
            self._receiver.receive(packet, now)

    def advance(self, now: float) -> None:
        """Once a tick, behind the caller's."""
        if self._receiver is None or self._codec is None:
            return
        for frame in self._receiver.take(now):
            self._mix.agent(self._codec.decode(frame), now)

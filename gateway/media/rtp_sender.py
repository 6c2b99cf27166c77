"""What we send: one RTP stream of G.711 and digits, a packet for every 20 ms. RFC 3550 §5.1, RFC 3551 §4.1."""

from typing import TYPE_CHECKING, Final

from gateway.media.playout import FRAME_BYTES
from gateway.wire.rtp import RtpPacket
from gateway.wire.telephone_event import DigitSender

if TYPE_CHECKING:
    from random import Random

__all__ = ["RtpSender"]

_WRAP: Final = 0xFFFF_FFFF


class RtpSender:
    """One source, whose timestamp runs with the clock whether or not something is sent. `ssrc`: who it is.

    `rng`: for the values to begin with, which an attacker should not know (RFC 3550 §5.1). `digits`: what of keys is
    to be sent; while one is, it takes the place of the audio.
    """

    def __init__(self, rng: "Random") -> None:
        self.ssrc = rng.getrandbits(32)
        self.digits = DigitSender()
        self._sequence = rng.getrandbits(16)
        self._timestamp = rng.getrandbits(32)
        self._talking = False

    def frame(self, payload: bytes, *, payload_type: int, event_payload_type: int | None) -> RtpPacket:
        """The packet for the next 20 ms: 160 bytes of G.711, or a digit where `event_payload_type` allows one.

        Payload types are the far end's, as its SDP numbers them.
        """
        if event_payload_type is None:
            self.digits.let_go()
            event = None
        else:
            event = self.digits.take(self._timestamp)
        if event is None or event_payload_type is None:
            packet = self._packet(payload_type, payload, self._timestamp, marker=not self._talking)
        else:
            packet = self._packet(event_payload_type, event.payload, event.timestamp, marker=event.marker)
        self._talking = event is None
        self._timestamp = self._timestamp + FRAME_BYTES & _WRAP
        return packet

    def skip(self) -> None:
        """Send nothing for the next 20 ms; the first packet after it has the marker."""
        self._talking = False
        self._timestamp = self._timestamp + FRAME_BYTES & _WRAP

    def pause(self) -> None:
        """As `skip`, while nobody is to hear us: a key that is held is let go, and not pressed once more afterwards."""
        self.digits.let_go()
        self.skip()

    def _packet(self, payload_type: int, payload: bytes, timestamp: int, *, marker: bool) -> RtpPacket:
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self._sequence,
            timestamp=timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
        )
        self._sequence = self._sequence + 1 & 0xFFFF
        return packet

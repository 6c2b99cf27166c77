"""A SIP leg core on a clock of its own, and the phone at its far end."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.carriers.sip import leg_messages as sip
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    Heard,
    LegEnded,
    LegEvent,
    LegFact,
    LegHeld,
    LegTrouble,
)
from gateway.media.latch import Address
from gateway.media.rtp_sender import RtpSender
from gateway.wire import rtcp, rtp
from gateway.wire.rtp import RtpPacket

__all__ = [
    "AGREED",
    "CALL",
    "MOVED",
    "PHONE",
    "PHONE_RTCP",
    "QUIET",
    "WALL_S",
    "WORD",
    "Leg",
    "timestamps",
]

CALL = "a84b4c76e66710"
WALL_S = 1_764_000_000.0
PHONE = Address("192.0.2.1", 17_000)
PHONE_RTCP = Address("192.0.2.1", 17_001)
MOVED = Address("2001:db8::7", 30_000)
AGREED = sip.MediaAgreed(
    codec="pcmu",
    payload_type=0,
    event_payload_type=96,
    receives={0: "pcmu", 8: "pcma", 13: "cn", 101: "telephone-event"},
    rtp=PHONE,
    rtcp=PHONE_RTCP,
)
QUIET = b"\xff" * 160
WORD = bytes(range(1, 101)) + bytes(60)


class Leg:
    """A leg core on a clock of its own, and a phone that sends it RTP."""

    def __init__(self, agreed: sip.MediaAgreed | None = AGREED) -> None:
        self.core = SipLegCore(CALL, rng=random.Random(0), wall_s=WALL_S)
        self.phone = RtpSender(random.Random(1))
        self.now = 0.0
        self.events: list[LegEvent] = []
        self.sent: list[sip.Datagram] = []
        if agreed is not None:
            self.say(agreed)

    def say(self, message: sip.FromSip) -> "Leg":
        return self.feed(sip.encode(message))

    def agree(self, **changes: Any) -> "Leg":
        return self.say(msgspec.structs.replace(AGREED, **changes))

    def feed(self, data: str | bytes) -> "Leg":
        self.core.receive(data, self.now)
        return self.settle()

    def talk(self, frame: bytes = QUIET, source: Address = PHONE, kind: int = 0) -> "Leg":
        return self.packet(self.phone.frame(frame, payload_type=kind, event_payload_type=101), source)

    def packet(self, packet: RtpPacket, source: Address = PHONE) -> "Leg":
        return self.feed(sip.encode_datagram(sip.Datagram(source, rtp.encode(packet), authentic=True)))

    def report(self, *packets: rtcp.RtcpPacket, source: Address = PHONE_RTCP) -> "Leg":
        return self.feed(sip.encode_datagram(sip.Datagram(source, rtcp.encode(packets), rtcp=True)))

    def play(self, payload: bytes) -> "Leg":
        self.core.play(payload, self.now)
        return self.settle()

    def clear(self) -> "Leg":
        self.core.clear(self.now)
        return self.settle()

    def tick(self, count: int = 1, *, after_s: float = 0.02) -> "Leg":
        """Ticks without a word of the phone."""
        for _ in range(count):
            self.now = round(self.now + after_s, 6)
            self.core.advance(self.now)
            self.settle()
        return self

    def run(self, frames: Iterable[bytes], **talk: Any) -> "Leg":
        """The phone talks, a frame before each tick."""
        for frame in frames:
            self.now = round(self.now + 0.02, 6)
            self.talk(frame, **talk)
            self.core.advance(self.now)
            self.settle()
        return self

    def settle(self) -> "Leg":
        self.events += self.core.events()
        self.sent += map(sip.decode_datagram, self.core.outgoing())
        return self

    @property
    def packets(self) -> list[RtpPacket]:
        return [rtp.decode(datagram.data) for datagram in self.sent if not datagram.rtcp]

    @property
    def reports(self) -> list[tuple[rtcp.RtcpPacket, ...]]:
        return [rtcp.decode(datagram.data) for datagram in self.sent if datagram.rtcp]

    @property
    def caller(self) -> bytes:
        return b"".join(event.payload for event in self.events if isinstance(event, CallerAudio))

    @property
    def digits(self) -> str:
        return "".join(event.digit for event in self.events if isinstance(event, DigitPressed))

    @property
    def troubles(self) -> list[str]:
        return [event.what for event in self.events if isinstance(event, LegTrouble)]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.events if isinstance(event, LegFact) and event.name == name]

    @property
    def holds(self) -> list[bool]:
        return [event.held for event in self.events if isinstance(event, LegHeld)]

    @property
    def heard(self) -> Heard:
        return [event for event in self.events if isinstance(event, Heard)][-1]

    @property
    def ends(self) -> list[LegEnded]:
        return [event for event in self.events if isinstance(event, LegEnded)]


def timestamps(packets: list[RtpPacket]) -> list[int]:
    """In samples after the first."""
    return [rtp.timestamp_step(packet.timestamp, packets[0].timestamp) for packet in packets]

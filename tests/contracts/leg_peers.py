"""The far end of each carrier, for the suite over every leg core. A new carrier is one class and one line here."""

import random
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Protocol

import msgspec
import numpy as np

from gateway.audio.g711 import CODECS
from gateway.audio.tones import DTMF_HZ
from gateway.carriers.sip import leg_messages as sip
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.contracts import LegCore
from gateway.media.latch import Address
from gateway.media.rtp_sender import RtpSender
from gateway.testing.twilio_stream import TwilioStream
from gateway.wire import rtcp, rtp
from gateway.wire.rtp import RtpPacket
from gateway.wire.telephone_event import DigitReceiver, DigitSender

__all__ = ["PEERS", "Message", "Peer", "SipPeer"]

Message = str | bytes


class Peer(Protocol):
    """What a carrier says, as messages, and what it makes of ours. Times are seconds since the call began."""

    def leg(self) -> LegCore:
        """A new leg core that expects this peer's call."""

    def start(self) -> list[Message]: ...

    def caller_frame(self, payload: bytes) -> list[Message]:
        """20 ms of the caller: 160 bytes of G.711."""

    def press(self, digit: str) -> list[Message]: ...

    def receive(self, message: Message, now: float) -> list[Message]:
        """Take one message of ours; the answers."""

    def advance(self, now: float) -> list[Message]:
        """Play up to `now`; what is to be said because of it."""

    def hang_up(self) -> list[Message]: ...

    @property
    def played(self) -> bytes:
        """All that the caller heard of us."""

    @property
    def digits(self) -> str:
        """The keys of ours that reached him."""


class TwilioPeer:
    """Twilio, as the fake for tests knows it."""

    CALL_SID = "CA" + "2" * 32

    def __init__(self) -> None:
        self._stream = TwilioStream(
            account_sid="AC" + "1" * 32, call_sid=self.CALL_SID, stream_sid="MZ" + "3" * 32
        )

    def leg(self) -> LegCore:
        return TwilioLegCore(self.CALL_SID)

    def start(self) -> list[Message]:
        return [*self._stream.start_messages()]

    def caller_frame(self, payload: bytes) -> list[Message]:
        return [self._stream.caller_frame(payload)]

    def press(self, digit: str) -> list[Message]:
        return [self._stream.digit(digit)]

    def receive(self, message: Message, now: float) -> list[Message]:
        answers = self._stream.receive(message, now)
        assert self._stream.warnings == []
        return [*answers]

    def advance(self, now: float) -> list[Message]:
        return [*self._stream.advance(now)]

    def hang_up(self) -> list[Message]:
        return [self._stream.stop()]

    @property
    def played(self) -> bytes:
        return b"".join(audio for _, audio in self._stream.played)

    @property
    def digits(self) -> str:
        """Those that sounded."""
        return tones_in(CODECS["pcmu"].decode(self.played))


class SipPeer:
    """A telephone: what comes waits in a jitter buffer, of which it plays 190 ms later what is there by then.

    It reports, but only with what it says: who says nothing sends nothing.
    """

    ADDRESS = Address("192.0.2.1", 17_000)
    RTCP = Address("192.0.2.1", 17_001)
    EVENTS = 96
    BUFFER_S = 0.19

    def __init__(self) -> None:
        self._sender = RtpSender(random.Random(1))
        self._now = 0.0
        self._first: tuple[float, int] | None = None  # when what was sent with which timestamp is played
        self._waiting: list[tuple[float, bytes]] = []
        self._played = bytearray()
        self._reported: tuple[rtcp.SenderReport, float] | None = None
        self.received: list[RtpPacket] = []

    def leg(self) -> SipLegCore:
        return SipLegCore("a84b4c76e66710", rng=random.Random(2))

    def agrees(self, **changes: Any) -> str:
        """What its SDP and ours come to."""
        agreed = sip.MediaAgreed(
            codec="pcmu",
            payload_type=0,
            event_payload_type=self.EVENTS,
            receives={0: "pcmu", 8: "pcma", 13: "cn", 101: "telephone-event"},
            rtp=self.ADDRESS,
            rtcp=self.RTCP,
        )
        return sip.encode(msgspec.structs.replace(agreed, **changes))

    def start(self) -> list[Message]:
        return [self.agrees(), *self.caller_frame(b"\xff" * 160)]

    def caller_frame(self, payload: bytes) -> list[Message]:
        packet = self._sender.frame(payload, payload_type=0, event_payload_type=101)
        return [self.says(packet), *self._report()]

    def press(self, digit: str) -> list[Message]:
        """A key that is held for 60 ms, meanwhile nothing else is sent; and the same key by INFO."""
        self._sender.digits = DigitSender(press_ms=60, gap_ms=20)
        self._sender.digits.press(digit)
        events = [self._sender.frame(b"", payload_type=0, event_payload_type=101) for _ in range(5)]
        return [*map(self.says, events), sip.encode(sip.DigitInformed(digit=digit, duration_ms=60))]

    def receive(self, message: Message, now: float) -> list[Message]:
        assert isinstance(message, bytes)
        datagram = sip.decode_datagram(message)
        if datagram.rtcp:
            assert datagram.address == self.RTCP
            for report in rtcp.decode(datagram.data):
                if isinstance(report, rtcp.SenderReport):
                    self._reported = (report, now)
            return []
        assert datagram.address == self.ADDRESS
        packet = rtp.decode(datagram.data)
        self.received.append(packet)
        if packet.payload_type in (0, 8):
            self._hear(packet, now)
        return []

    def advance(self, now: float) -> list[Message]:
        self._now = now
        for at_s, frame in self._waiting:
            due = min(max(int((now - at_s) * 8000 + 1e-3), 0), len(frame))
            self._played += frame[:due]
        self._waiting = [
            (at_s + due / 8000, frame[due:])
            for at_s, frame in self._waiting
            if (due := max(int((now - at_s) * 8000 + 1e-3), 0)) < len(frame)
        ]
        return []

    def hang_up(self) -> list[Message]:
        return [sip.encode(sip.CallOver(why="hung up"))]

    @property
    def played(self) -> bytes:
        """Without the silence that RTP is never without."""
        return bytes(self._played)

    @property
    def digits(self) -> str:
        """Those that came as events."""
        receiver = DigitReceiver()
        events = [packet for packet in self.received if packet.payload_type == self.EVENTS]
        return "".join(filter(None, (receiver.receive(packet, 0.0) for packet in events)))

    def says(self, packet: RtpPacket) -> bytes:
        """One packet of its own."""
        return sip.encode_datagram(sip.Datagram(self.ADDRESS, rtp.encode(packet)))

    def _hear(self, packet: RtpPacket, now: float) -> None:
        if self._first is None:
            self._first = (now + self.BUFFER_S, packet.timestamp)
        first_s, first = self._first
        at_s = first_s + rtp.timestamp_step(packet.timestamp, first) / 8000
        if at_s >= now and packet.payload.strip(b"\xff\xd5"):
            self._waiting.append((at_s, packet.payload))

    def _report(self) -> list[Message]:
        if self._reported is None:
            return []
        (heard, at_s), self._reported = self._reported, None
        block = rtcp.ReportBlock(
            ssrc=heard.ssrc,
            fraction_lost=0,
            lost=0,
            highest_sequence=self.received[-1].sequence,
            jitter=0,
            last_report=rtcp.ntp_middle(heard.ntp),
            delay=round((self._now - at_s) * 65_536),
        )
        report = rtcp.encode((rtcp.ReceiverReport(ssrc=self._sender.ssrc, blocks=(block,)),))
        return [sip.encode_datagram(sip.Datagram(self.RTCP, report, rtcp=True))]


def tones_in(pcm: bytes) -> str:
    """The keys that sound in audio of 8000 Hz, each once however long it is held."""
    frames = np.frombuffer(pcm[: len(pcm) // 320 * 320], "<i2").reshape(-1, 160).astype(float)
    turns = np.arange(160) / 8000
    pairs = np.array([*DTMF_HZ.values()]).T
    low, high = (np.abs(frames @ np.exp(-2j * np.pi * np.outer(turns, pair))) ** 2 for pair in pairs)
    share = np.minimum(low, high) / (80 * (frames**2).sum(axis=1) + 1)[:, None]
    best = zip(share.argmax(axis=1), share.max(axis=1), strict=True)
    keys = [[*DTMF_HZ][at] if of_all > 0.2 else " " for at, of_all in best]
    return "".join(key for key, _ in groupby(keys)).replace(" ", "")


PEERS: Mapping[str, Callable[[], Peer]] = {"sip": SipPeer, "twilio": TwilioPeer}

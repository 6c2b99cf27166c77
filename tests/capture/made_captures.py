"""Captures for tests: files written by dpkt, and the messages of a call by our own encoders."""

import random
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

import dpkt  # type: ignore[import-untyped]

from gateway.media.latch import Address
from gateway.media.rtp_sender import RtpSender
from gateway.wire import rtp
from gateway.wire.sdp.crypto import Crypto
from gateway.wire.sdp.description import Origin, SessionDescription, encode
from gateway.wire.sdp.media import Direction, Encoding, Media
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.uri import parse_uri

__all__ = ["CALLED", "CALLED_RTP", "CALLER", "CALLER_RTP", "MadeCall", "MadeCapture", "sdp"]

CALLER: Final = Address("192.0.2.1", 5060)
CALLED: Final = Address("198.51.100.7", 5060)
CALLER_RTP: Final = Address("192.0.2.1", 17_000)
CALLED_RTP: Final = Address("198.51.100.7", 16_000)
BEGAN_S: Final = 1_790_000_000

Link = Literal["ethernet", "vlan", "cooked", "cooked 2", "raw", "null"]
_LINKS: Final = {"ethernet": 1, "vlan": 1, "cooked": 113, "cooked 2": 276, "raw": 101, "null": 0}


class MadeCapture:
    """Frames, in the order in which they were added, of one link type. `at_s`: since the capture began."""

    def __init__(self, link: Link = "ethernet") -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._link = link

    def udp(self, at_s: float, source: Address, destination: Address, data: bytes) -> None:
        datagram = dpkt.udp.UDP(sport=source.port, dport=destination.port, data=data, ulen=8 + len(data))
        self.ip(at_s, source, destination, 17, datagram)

    def tcp(
        self,
        at_s: float,
        source: Address,
        destination: Address,
        data: bytes,
        *,
        sequence: int,
        flags: int = 0x18,
    ) -> None:
        segment = dpkt.tcp.TCP(
            sport=source.port, dport=destination.port, seq=sequence, flags=flags, data=data
        )
        self.ip(at_s, source, destination, 6, segment)

    def ip(
        self, at_s: float, source: Address, destination: Address, protocol: int, data: dpkt.Packet
    ) -> None:
        if ":" in source.host:
            packet = dpkt.ip6.IP6(src=_packed(source), dst=_packed(destination), nxt=protocol, data=data)
            packet.plen = len(bytes(data))
        else:
            packet = dpkt.ip.IP(src=_packed(source), dst=_packed(destination), p=protocol, data=data)
        self.packet(at_s, bytes(packet))

    def fragments(
        self, at_s: float, source: Address, destination: Address, data: bytes, *, size: int
    ) -> None:
        """A UDP datagram in pieces of IPv4, the last one first."""
        datagram = bytes(
            dpkt.udp.UDP(sport=source.port, dport=destination.port, data=data, ulen=8 + len(data), sum=1)
        )
        for at in reversed(range(0, len(datagram), size)):
            piece = datagram[at : at + size]
            packet = dpkt.ip.IP(src=_packed(source), dst=_packed(destination), p=17, id=77, data=piece)
            packet.mf = int(at + size < len(datagram))
            packet.offset = at // 8
            self.packet(at_s, bytes(packet))

    def packet(self, at_s: float, packet: bytes) -> None:
        """One of IP."""
        self.frames.append((at_s, _framed(packet, self._link)))

    def write(self, path: Path, form: Literal["pcap", "nanoseconds", "pcapng"] = "pcap") -> Path:
        with path.open("wb") as file:
            link = _LINKS[self._link]
            if form == "pcapng":
                writer = dpkt.pcapng.Writer(file, linktype=link)
            else:
                writer = dpkt.pcap.Writer(file, linktype=link, nano=form == "nanoseconds")
            for at_s, frame in self.frames:
                writer.writepkt(frame, BEGAN_S + at_s)
        return path


def _packed(address: Address) -> bytes:
    return ip_address(address.host).packed


def _framed(packet: bytes, link: Link) -> bytes:
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    type_bytes = kind.to_bytes(2)
    match link:
        case "ethernet":
            return bytes(12) + type_bytes + packet
        case "vlan":
            return bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + type_bytes + packet
        case "cooked":
            return bytes(dpkt.sll.SLL(ethtype=kind)) + packet
        case "cooked 2":
            return bytes(dpkt.sll2.SLL2(ethtype=kind)) + packet
        case "raw":
            return packet
        case "null":
            return (30 if kind == 0x86DD else 2).to_bytes(4, "little") + packet


def sdp(
    address: Address,
    encodings: Sequence[tuple[int, str]] = ((0, "pcmu"), (8, "pcma"), (101, "telephone-event")),
    *,
    direction: Direction | None = None,
    protocol: str = "RTP/AVP",
    cryptos: tuple[Crypto, ...] = (),
    host: str | None = None,
) -> bytes:
    """A description with one line of audio. `host`: another address than the one where packets go."""
    media = Media(
        kind="audio",
        port=address.port,
        protocol=protocol,
        formats=tuple(str(number) for number, _ in encodings),
        encodings={number: Encoding(name, 8000) for number, name in encodings},
        direction=direction,
        cryptos=cryptos,
    )
    place = host or address.host
    return encode(
        SessionDescription(
            origin=Origin(session_id=1, version=1, address=place), address=place, media=(media,)
        )
    )


class MadeCall:
    """A call from +15550100001 to +15550100002, message by message, into `capture`."""

    def __init__(
        self,
        capture: MadeCapture,
        *,
        call_id: str = "one@192.0.2.1",
        caller: Address = CALLER,
        called: Address = CALLED,
        caller_rtp: Address = CALLER_RTP,
        called_rtp: Address = CALLED_RTP,
    ) -> None:
        self.capture = capture
        self._call_id = call_id
        self._sides = {True: caller, False: called}
        self._rtp = {True: caller_rtp, False: called_rtp}
        self._senders = {True: RtpSender(random.Random(1)), False: RtpSender(random.Random(2))}
        self._cseq = {True: 0, False: 100}

    def ask(
        self,
        at_s: float,
        method: str,
        body: bytes = b"",
        *,
        by_caller: bool = True,
        cseq: int | None = None,
        tagged: bool = True,
        body_type: str = "application/sdp",
        rows: Sequence[tuple[str, str]] = (),
    ) -> Request:
        """A request of either side. `tagged`: within the dialog. `cseq`: None: the next one."""
        if cseq is None:
            self._cseq[by_caller] += 1
            cseq = self._cseq[by_caller]
        headers = self._headers(f"{cseq} {method}", by_caller=by_caller, tagged=tagged)
        if body:
            headers.add("Content-Type", body_type)
        for name, text in rows:
            headers.add(name, text)
        user = "+15550100002" if by_caller else "+15550100001"
        request = Request(method, parse_uri(f"sip:{user}@example.com"), headers, body)
        self.send(at_s, request.encode(), by_caller=by_caller)
        return request

    def answer(
        self,
        at_s: float,
        request: Request,
        status: int,
        body: bytes = b"",
        *,
        rows: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        """A response of the side that was asked."""
        by_caller = "tag=caller" not in request.headers["From"]
        headers = HeaderMap()
        headers.copy_from(request.headers, "Via", "From", "To", "Call-ID", "CSeq")
        if status > 100 and "tag=" not in headers["To"]:
            headers["To"] = f"{headers['To']};tag=called"
        if body:
            headers.add("Content-Type", "application/sdp")
        for name, text in rows:
            headers.add(name, text)
        data = Response(status, "Whatever", headers, body).encode()
        self.send(at_s, data, by_caller=by_caller)
        return data

    def send(self, at_s: float, data: bytes, *, by_caller: bool) -> None:
        self.capture.udp(at_s, self._sides[by_caller], self._sides[not by_caller], data)

    def talk(
        self,
        at_s: float,
        audio: bytes,
        *,
        by_caller: bool = True,
        payload_type: int = 0,
        source: Address | None = None,
        destination: Address | None = None,
    ) -> None:
        """G.711 in packets of 20 ms."""
        for number, at in enumerate(range(0, len(audio), 160)):
            packet = self._senders[by_caller].frame(
                audio[at : at + 160], payload_type=payload_type, event_payload_type=None
            )
            here, there = source or self._rtp[by_caller], destination or self._rtp[not by_caller]
            self.capture.udp(at_s + number * 0.02, here, there, rtp.encode(packet))

    def begin(self, at_s: float = 0.0, *, answer: bytes | None = None, answered_s: float = 0.2) -> Request:
        """INVITE, 180, 200, ACK."""
        invite = self.ask(at_s, "INVITE", sdp(self._rtp[True]), tagged=False)
        self.answer(at_s + 0.05, invite, 180)
        description = (
            answer if answer is not None else sdp(self._rtp[False], ((0, "pcmu"), (101, "telephone-event")))
        )
        self.answer(at_s + answered_s, invite, 200, description)
        self.ask(at_s + answered_s + 0.01, "ACK", cseq=self._cseq[True])
        return invite

    def end(self, at_s: float, *, by_caller: bool = True) -> None:
        """BYE and its 200."""
        bye = self.ask(at_s, "BYE", by_caller=by_caller)
        self.answer(at_s + 0.01, bye, 200)

    def _headers(self, cseq: str, *, by_caller: bool, tagged: bool) -> HeaderMap:
        caller = "<sip:+15550100001@192.0.2.1>;tag=caller"
        called = f"<sip:+15550100002@198.51.100.7>{';tag=called' if tagged else ''}"
        return HeaderMap(
            [
                ("Via", f"SIP/2.0/UDP pc.example.com;branch=z9hG4bK{cseq.replace(' ', '')}"),
                ("Max-Forwards", "70"),
                ("From", caller if by_caller else called),
                ("To", called if by_caller else caller),
                ("Call-ID", self._call_id),
                ("CSeq", cseq),
            ]
        )

"""Somebody who speaks SIP and RTP to a gateway on loopback, as well or as badly as a test wants him to."""

import itertools
import re
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import trio

from gateway.wire.sip.flow import Address
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.stream import Keepalive, StreamParser

__all__ = [
    "FOREIGN",
    "Caller",
    "Media",
    "Talk",
    "TcpPeer",
    "UdpPeer",
    "media",
    "packet",
    "talking",
    "tcp_peer",
    "udp_peer",
]

NUMBERS = itertools.count(1)
FIRST, NUMBERED = 20, 100  # the first byte of PCMU that frames are numbered by, and how many there are
FOREIGN = 0xEE  # what only those say who have no business in a call
QUIET_S = 0.15  # within which a gateway on the same machine would have said something
PATIENCE_S = 3.0
NOTHING: Mapping[str, str] = MappingProxyType({})


class UdpPeer:
    """A UDP socket. `address`: where it is."""

    transport = "UDP"

    def __init__(self, socket: trio.socket.SocketType, gateway: Address | None) -> None:
        self.address = Address(*socket.getsockname()[:2])
        self._socket = socket
        self._gateway = gateway

    def calls(self, gateway: Address) -> None:
        """From now on it speaks to this one."""
        self._gateway = gateway

    async def send(self, data: bytes) -> None:
        assert self._gateway is not None
        await self._socket.sendto(data, self._gateway)

    async def datagram(self) -> bytes:
        return await self._socket.recv(65_536)

    async def hear(self) -> Request | Response:
        with trio.fail_after(PATIENCE_S):
            return parse_datagram(await self.datagram())

    async def is_left_alone(self, within_s: float = QUIET_S) -> bool:
        """Whether not a byte comes."""
        with trio.move_on_after(within_s):
            await self.datagram()
            return False
        return True


class TcpPeer:
    """A TCP or TLS connection."""

    def __init__(self, stream: trio.abc.Stream, address: Address, transport: str) -> None:
        self.address = address
        self.transport = transport
        self._stream = stream
        self._parser = StreamParser()

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def hear(self) -> Request | Response:
        with trio.fail_after(PATIENCE_S):
            while True:
                event = self._parser.next_message()
                if event is not None and not isinstance(event, Keepalive):
                    return event
                data = await self._stream.receive_some()
                assert data, "the gateway closed the connection"
                self._parser.receive_data(bytes(data))

    async def status(self) -> int | None:
        """Of the first answer, which need be no message that can be read; None: it was closed without one."""
        data = await self._stream.receive_some()
        found = re.match(rb"SIP/2.0 (\d{3}) ", data)
        return int(found[1]) if found else None

    async def everything(self) -> bytes:
        """All that comes until the gateway closes it."""
        found = b""
        try:
            while data := await self._stream.receive_some():
                found += data
        except trio.BrokenResourceError:
            pass
        return found

    async def is_closed(self, within_s: float = PATIENCE_S) -> bool:
        """Whether the gateway closes it, whatever it says before."""
        with trio.move_on_after(within_s):
            await self.everything()
            return True
        return False


@asynccontextmanager
async def udp_peer(gateway: Address | None, host: str = "127.0.0.1") -> AsyncIterator[UdpPeer]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind((host, 0))
        yield UdpPeer(socket, gateway)


@asynccontextmanager
async def tcp_peer(gateway: Address, host: str = "127.0.0.1") -> AsyncIterator[TcpPeer]:
    async with await trio.open_tcp_stream(*gateway, local_address=host) as stream:
        yield TcpPeer(stream, Address(*stream.socket.getsockname()[:2]), "TCP")


class Caller:
    """One call of somebody, made of texts. `last`: what was heard last of the gateway's final answers."""

    def __init__(
        self, peer: UdpPeer | TcpPeer, *, number: str = "+15550100001", who: str = "+15550100000"
    ) -> None:
        self.peer = peer
        self.name = f"call{next(NUMBERS)}"
        self.call_id = f"{self.name}@tests"
        self.uri = f"sip:{number}@127.0.0.1"
        self.local = f"<sip:{who}@127.0.0.1>;tag=from-{self.name}"
        self.remote = f"<{self.uri}>"
        self.target = self.uri
        self.contact = f"<sip:peer@{peer.address.host}:{peer.address.port}{self._transport}>"
        self.number = 0
        self.media: Address | None = None

    @property
    def _transport(self) -> str:
        return ";transport=tcp" if self.peer.transport == "TCP" else ""

    def text(
        self,
        method: str,
        *,
        number: int | None = None,
        branch: str = "",
        body: str = "",
        rows: Mapping[str, str] = NOTHING,
        body_type: str = "application/sdp",
    ) -> bytes:
        """A request of this call, as it stands. `rows`: in the place of those of that name, or more."""
        number = self.number if number is None else number
        branch = branch or f"z9hG4bK-{self.name}-{number}-{'INVITE' if method == 'CANCEL' else method}"
        headers = {
            "Via": f"SIP/2.0/{self.peer.transport} {self.peer.address.host}:{self.peer.address.port};branch={branch};rport",
            "Max-Forwards": "70",
            "From": self.local,
            "To": self.remote,
            "Call-ID": self.call_id,
            "CSeq": f"{number} {method}",
            "Contact": self.contact,
        }
        if body:
            headers["Content-Type"] = body_type
        headers |= rows
        headers["Content-Length"] = str(len(body.encode()))
        lines = [f"{method} {self.target} SIP/2.0", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    async def request(self, method: str, **changes: object) -> Response:
        """Ask, and hear the final answer to it. `changes`: as `text` has them."""
        self.number += 1
        await self.peer.send(self.text(method, **changes))  # type: ignore[arg-type]
        return await self.answer(method)

    async def answer(self, method: str) -> Response:
        while True:
            message = await self.peer.hear()
            if isinstance(message, Response) and self._is_final(message, f"{self.number} {method}"):
                return message

    def _is_final(self, response: Response, cseq: str) -> bool:
        headers = response.headers
        return response.status >= 200 and (headers["Call-ID"], headers["CSeq"]) == (self.call_id, cseq)

    async def invite(self, sdp: str, **changes: object) -> Response:
        response = await self.request("INVITE", body=sdp, **changes)
        tag = re.search(r";tag=[^;>]+", response.headers["To"])
        if response.status < 300:
            self.remote = f"<{self.uri}>{tag[0] if tag else ''}"
            self.target = response.headers["Contact"].strip("<>")
            media = re.search(rb"c=IN IP4 (\S+).*m=audio (\d+)", response.body, re.DOTALL)
            self.media = Address(media[1].decode(), int(media[2])) if media else None
            await self.ack()
        else:
            await self.peer.send(
                self.text(
                    "ACK",
                    branch=f"z9hG4bK-{self.name}-{self.number}-INVITE",
                    rows={"To": response.headers["To"]},
                )
            )
        return response

    async def ack(self) -> None:
        await self.peer.send(self.text("ACK"))

    async def hang_up(self) -> Response:
        return await self.request("BYE")


class Media:
    """A socket of RTP, and the packets that come to it. `silence` and `voice`: 20 ms each, of PCMU."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.address = Address(*socket.getsockname()[:2])
        self.packets: list[bytes] = []
        self._socket = socket

    def sdp(
        self, *, host: str | None = None, port: int | None = None, more: str = "", version: int = 1
    ) -> str:
        host = host or self.address.host
        return (
            f"v=0\r\no=- 1 {version} IN IP4 {self.address.host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {self.address.port if port is None else port} RTP/AVP 0 101\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\n{more}"
        )

    async def send(
        self, to: Address, sequence: int, payload: bytes, *, ssrc: int = 1, payload_type: int = 0
    ) -> None:
        await self._socket.sendto(packet(sequence, payload, ssrc=ssrc, payload_type=payload_type), to)

    async def send_raw(self, data: bytes, to: Address) -> None:
        await self._socket.sendto(data, to)

    async def receive(self) -> None:
        """Until cancelled."""
        while True:
            self.packets.append(await self._socket.recv(2048))

    def payloads(self) -> list[bytes]:
        return [each[12:] for each in self.packets]


def packet(sequence: int, payload: bytes, *, ssrc: int = 1, payload_type: int = 0) -> bytes:
    head = struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc)
    return head + payload


@asynccontextmanager
async def media(host: str = "127.0.0.1") -> AsyncIterator[Media]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind((host, 0))
        yield Media(socket)


class Talk:
    """A call with an echo, and what came of it. Each frame is made of a number of its own, so that none can be missed."""

    def __init__(self, caller: Caller, ears: Media) -> None:
        self.caller = caller
        self.ears = ears
        self.sent = 0

    async def run(self) -> None:
        """Talk until cancelled."""
        assert self.caller.media is not None
        began_s = trio.current_time()
        while True:
            await self.ears.send(self.caller.media, self.sent, bytes([FIRST + self.sent % NUMBERED]) * 160)
            self.sent += 1
            await trio.sleep_until(began_s + self.sent * 0.02)

    @property
    def heard(self) -> list[int]:
        """The number of each frame that came back, as most of a packet has it: the echo has its own frames."""
        most = [Counter(each).most_common(1)[0] for each in self.ears.payloads()]
        return [code - FIRST for code, count in most if FIRST <= code < FIRST + NUMBERED and count >= 70]

    def __repr__(self) -> str:
        return (
            f"<talk: {self.sent} sent, {len(self.heard)} of them heard in {len(self.ears.packets)} packets>"
        )

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing came that was not said, and most of what was: a busy machine loses some all by itself."""
        foreign = any(bytes([FOREIGN]) * 20 in each for each in self.ears.payloads())
        return not foreign and len(self.heard) > 0.5 * self.sent - 10


@asynccontextmanager
async def talking(peer: UdpPeer | TcpPeer, host: str = "127.0.0.1", **changes: str) -> AsyncIterator[Talk]:
    """Somebody talks with the echo as long as the block, and a little longer; then he hangs up."""
    async with media(host) as ears, trio.open_nursery() as nursery:
        caller = Caller(peer, **changes)
        assert (await caller.invite(ears.sdp())).status == 200
        talk = Talk(caller, ears)
        nursery.start_soon(ears.receive)
        nursery.start_soon(talk.run)
        yield talk
        await trio.sleep(0.15)
        nursery.cancel_scope.cancel()
    assert (await caller.hang_up()).status == 200

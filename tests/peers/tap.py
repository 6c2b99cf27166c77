"""What passes over the loopback interface, with the kernel's time of it: what the far end of a call was sent."""

import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

__all__ = ["Datagram", "Tap", "is_allowed", "tapping"]

_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35  # not in the socket module; asm-generic/socket.h
_SO_ATTACH_FILTER = 26
_TIMESPEC = struct.Struct("@ll")
_INSTRUCTION = struct.Struct("@HBBI")
_BATCH_S = 0.05
_BUFFER_BYTES = 16 * 1024 * 1024


class Datagram(NamedTuple):
    """`at_s`: since 1970."""

    at_s: float
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes


@dataclass
class Tap:
    """`datagrams`: all of UDP, in order."""

    datagrams: list[Datagram] = field(default_factory=list)

    def to(self, port: int) -> list[Datagram]:
        return [datagram for datagram in self.datagrams if datagram.target[1] == port]


def is_allowed() -> bool:
    """Whether this process may look at what passes (CAP_NET_RAW); sipp needs the same to play a capture."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)).close()
    except (AttributeError, PermissionError):
        return False
    return True


@asynccontextmanager
async def tapping() -> AsyncIterator[Tap]:
    """A tap that has seen everything when the block is left."""
    tap = Tap()
    with _open() as raw:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, raw, tap)
            yield tap
            nursery.cancel_scope.cancel()
        _read(raw, tap)


def _open() -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    _attach(raw, _UDP_THAT_COMES)
    raw.bind(("lo", _ETH_P_IP))
    return raw


# What is sent over loopback passes twice, once as outgoing: that is left out. In the kernel, since most is not ours.
_UDP_THAT_COMES = (
    (0x28, 0, 0, 0xFFFFF004),  # load the packet's type (SKF_AD_PKTTYPE)
    (0x15, 3, 0, 4),  # outgoing: none of it
    (0x30, 0, 0, 9),  # load the IP header's protocol
    (0x15, 0, 1, socket.IPPROTO_UDP),
    (0x06, 0, 0, 0xFFFF),  # all of it
    (0x06, 0, 0, 0),
)


def _attach(raw: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    import ctypes

    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
    kept = ctypes.create_string_buffer(code)
    head = struct.pack("@HP", len(program), ctypes.addressof(kept))
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


async def _listen(raw: socket.socket, tap: Tap) -> None:
    while True:
        await trio.lowlevel.wait_readable(raw)
        _read(raw, tap)
        await trio.sleep(_BATCH_S)  # a wake-up a packet would be felt by whoever is measured


def _read(raw: socket.socket, tap: Tap) -> None:
    while True:
        try:
            packet, ancillary, _, _ = raw.recvmsg(65_535, 64)
        except BlockingIOError:
            return
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2][: _TIMESPEC.size])
        tap.datagrams.append(_parse(seconds + nanoseconds / 1e9, packet))


def _parse(at_s: float, packet: bytes) -> Datagram:
    udp = 4 * (packet[0] & 0x0F)
    source, target, length = struct.unpack_from("!HHH", packet, udp)
    return Datagram(
        at_s,
        (socket.inet_ntoa(packet[12:16]), source),
        (socket.inet_ntoa(packet[16:20]), target),
        packet[udp + 8 : udp + length],
    )

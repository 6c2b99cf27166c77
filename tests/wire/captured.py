"""RTP out of capture files: pcap of Ethernet and IPv4, as tcpdump writes it with nanoseconds."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.wire import rtp
from gateway.wire.rtp import RtpPacket

DATA = Path(__file__).parent / "data"
_MAGIC = 0xA1B2_3C4D
_ETHERNET, _UDP = 14, 8


class Captured(NamedTuple):
    at_s: float
    packet: RtpPacket


def captured(name: str) -> list[Captured]:
    """The RTP of a file, the first packet at 0 s."""
    datagrams = list(_datagrams((DATA / name).read_bytes()))
    return [Captured(at_s - datagrams[0][0], rtp.decode(data)) for at_s, data in datagrams]


def _datagrams(data: bytes) -> Iterator[tuple[float, bytes]]:
    assert struct.unpack_from("<I", data) == (_MAGIC,)
    at = 24
    while at < len(data):
        seconds, nanoseconds, size, _ = struct.unpack_from("<4I", data, at)
        frame = data[at + 16 : at + 16 + size]
        header = 4 * (frame[_ETHERNET] & 0x0F)
        yield seconds + nanoseconds / 1e9, frame[_ETHERNET + header + _UDP :]
        at += 16 + size

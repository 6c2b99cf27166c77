"""Captures: RTP of our own making for sipp to play, and what a tap has seen for `gateway import` to read."""

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from gateway.audio.g711 import CODECS
from tests.peers.tap import Datagram

__all__ = ["rtp", "write_capture"]

_PCMA = 8
_LINK_ETHERNET = 1
_RATE_HZ = 8000
_ANYWHERE = ("127.0.0.1", 5000)  # sipp puts in addresses, ports and checksums itself


def rtp(
    pcm: bytes,
    *,
    frame_ms: int = 20,
    start_s: float = 0.0,
    sequence: int = 100,
    timestamp: int = 16_000,
    ssrc: int = 0x1234_5678,
) -> list[Datagram]:
    """A stream of PCMA from the time `start_s` on. `pcm`: PCM16 at 8000 Hz."""
    payload = CODECS["pcma"].encode(pcm)
    frame = frame_ms * _RATE_HZ // 1000
    packets = []
    for number, at in enumerate(range(0, len(payload) - frame + 1, frame)):
        marker = 0x80 if number == 0 else 0
        header = struct.pack(
            "!BBHII", 0x80, marker | _PCMA, (sequence + number) & 0xFFFF, (timestamp + at) & 0xFFFF_FFFF, ssrc
        )
        packet = header + payload[at : at + frame]
        packets.append(Datagram(start_s + at / _RATE_HZ, _ANYWHERE, _ANYWHERE, packet))
    return packets


def write_capture(path: Path, datagrams: Iterable[Datagram]) -> Path:
    """Write a pcap file, without the checksums of UDP, which may be left out (RFC 768)."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, _LINK_ETHERNET))
        for datagram in datagrams:
            frame = _ethernet(datagram)
            seconds, rest = divmod(datagram.at_s, 1)
            file.write(struct.pack("<IIII", int(seconds), int(rest * 1e6), len(frame), len(frame)))
            file.write(frame)
    return path


def _ethernet(datagram: Datagram) -> bytes:
    source, target = datagram.source, datagram.target
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(datagram.payload), 0) + datagram.payload
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + udp

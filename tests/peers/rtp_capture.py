"""Captures for sipp to play: RTP of our own making in a pcap file."""

import struct
from collections.abc import Iterable
from pathlib import Path

from gateway.audio.g711 import CODECS

__all__ = ["rtp", "write_capture"]

_PCMA = 8
_LINK_ETHERNET = 1
_RATE_HZ = 8000


def rtp(  # noqa: PLR0913 - what an RTP stream has
    pcm: bytes,
    *,
    frame_ms: int = 20,
    start_s: float = 0.0,
    sequence: int = 100,
    timestamp: int = 16_000,
    ssrc: int = 0x1234_5678,
) -> list[tuple[float, bytes]]:
    """A stream of PCMA: when each packet leaves, and the packet. `pcm`: PCM16 at 8000 Hz."""
    payload = CODECS["pcma"].encode(pcm)
    frame = frame_ms * _RATE_HZ // 1000
    packets = []
    for number, at in enumerate(range(0, len(payload) - frame + 1, frame)):
        marker = 0x80 if number == 0 else 0
        header = struct.pack(
            "!BBHII", 0x80, marker | _PCMA, (sequence + number) & 0xFFFF, (timestamp + at) & 0xFFFF_FFFF, ssrc
        )
        packets.append((start_s + at / _RATE_HZ, header + payload[at : at + frame]))
    return packets


def write_capture(path: Path, packets: Iterable[tuple[float, bytes]]) -> Path:
    """Write a pcap file. sipp puts in addresses, ports and checksums itself."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, _LINK_ETHERNET))
        for at_s, data in packets:
            frame = _ethernet(data)
            seconds, rest = divmod(at_s, 1)
            file.write(struct.pack("<IIII", int(seconds), round(rest * 1e6), len(frame), len(frame)))
            file.write(frame)
    return path


def _ethernet(data: bytes) -> bytes:
    udp = struct.pack("!HHHH", 5000, 5002, 8 + len(data), 0) + data
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes((127, 0, 0, 1)), bytes((127, 0, 0, 1))
    )
    return bytes(12) + b"\x08\x00" + ip + udp

"""RTP packets: bytes <-> packets, and arithmetic on numbers that wrap. RFC 3550 §5.1."""

from struct import Struct as Layout
from typing import Final

import msgspec

from gateway.wire.errors import RemoteProtocolError

__all__ = ["RtpPacket", "decode", "encode", "sequence_step", "timestamp_step"]

_HEADER: Final = Layout(">BBHII")
_EXTENSION: Final = Layout(">HH")
_VERSION: Final = 2


class RtpPacket(msgspec.Struct, frozen=True, kw_only=True):
    """One packet. `timestamp`: samples of its clock; `extension`: its profile and content, whole words of 32 bits.

    `payload` is empty in a packet that is nothing but padding, which some send to keep a NAT open.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding_bytes: int = 0


def decode(data: bytes) -> RtpPacket:
    """Decode one datagram. Raises `RemoteProtocolError` on what is no RTP packet of version 2 (RFC 3550 §5.1)."""
    if len(data) < _HEADER.size:
        raise RemoteProtocolError(f"{len(data)} bytes are no RTP packet")
    flags, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if flags >> 6 != _VERSION:
        raise RemoteProtocolError(f"RTP version {flags >> 6}")
    if flags == _VERSION << 6:  # neither padding nor extension nor contributing sources: nearly every packet
        return RtpPacket(
            payload_type=kind & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[_HEADER.size :],
            marker=kind > 0x7F,
        )
    start = _HEADER.size + 4 * (flags & 0x0F)
    csrcs = tuple(int.from_bytes(data[at : at + 4]) for at in range(_HEADER.size, start, 4))
    extension = None
    if flags & 0x10:
        extension, start = _extension(data, start)
    padding_bytes = data[-1] if flags & 0x20 else 0
    end = len(data) - padding_bytes
    if start > end or (flags & 0x20 and not padding_bytes):
        raise RemoteProtocolError(f"an RTP packet of {len(data)} bytes has no room for what its header tells")
    return RtpPacket(
        payload_type=kind & 0x7F,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=data[start:end],
        marker=kind > 0x7F,
        csrcs=csrcs,
        extension=extension,
        padding_bytes=padding_bytes,
    )


def _extension(data: bytes, at: int) -> tuple[tuple[int, bytes], int]:
    start = at + _EXTENSION.size
    if start > len(data):
        raise RemoteProtocolError("the RTP header extension is cut off")
    profile, words = _EXTENSION.unpack_from(data, at)
    end = start + 4 * words
    if end > len(data):
        raise RemoteProtocolError("the RTP header extension is longer than its packet")
    return (profile, data[start:end]), end


def encode(packet: RtpPacket) -> bytes:
    """The datagram of one packet. Padding is zeros and their number. RFC 3550 §5.1."""
    flags = _VERSION << 6 | len(packet.csrcs)
    kind = packet.marker << 7 | packet.payload_type
    if packet.extension is None and not (packet.csrcs or packet.padding_bytes):  # all of ours
        return _HEADER.pack(flags, kind, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload
    parts = [b"".join(csrc.to_bytes(4) for csrc in packet.csrcs)]
    if packet.extension is not None:
        profile, content = packet.extension
        flags |= 0x10
        parts += [_EXTENSION.pack(profile, len(content) // 4), content]
    parts.append(packet.payload)
    if packet.padding_bytes:
        flags |= 0x20
        parts.append(packet.padding_bytes.to_bytes(packet.padding_bytes))
    header = _HEADER.pack(flags, kind, packet.sequence, packet.timestamp, packet.ssrc)
    return header + b"".join(parts)


def sequence_step(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older`, -32 768 to 32 767: sequence numbers wrap at 2**16."""
    return (newer - older + 0x8000 & 0xFFFF) - 0x8000


def timestamp_step(newer: int, older: int) -> int:
    """How many samples `newer` is ahead of `older`, less than 2**31 either way: timestamps wrap at 2**32."""
    return (newer - older + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000

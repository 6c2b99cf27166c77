"""RTCP reports: compound packets <-> what they hold. RFC 3550 §6.4-6.6.

Kinds that we do not use (APP, extended reports, feedback) are passed over, and so is anything an endpoint of
RFC 5506 sends without a report in front.
"""

from struct import Struct as Layout
from typing import Final, assert_never

import msgspec

from gateway.wire.errors import RemoteProtocolError

__all__ = [
    "CNAME",
    "Goodbye",
    "ReceiverReport",
    "ReportBlock",
    "RtcpPacket",
    "SenderReport",
    "SourceDescription",
    "decode",
    "encode",
    "is_rtcp",
    "ntp_middle",
    "ntp_time",
]

_HEADER: Final = Layout(">BBH")
_SSRC: Final = Layout(">I")
_SENDER: Final = Layout(">QIII")
_BLOCK: Final = Layout(">IB3sIIII")
_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_MOST_LOST: Final = 0x7F_FFFF
# RFC 5761 §4: the second byte of an RTP packet never has these values when both share a port.
_KINDS: Final = range(192, 224)

CNAME: Final = 1
"""The item of a source description that names an endpoint beyond its SSRC. RFC 3550 §6.5.1."""

# From the epoch of NTP (1900) to that of Unix. RFC 868.
_NTP_EPOCH_S: Final = 2_208_988_800


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver says of one source. RFC 3550 §6.4.1.

    `fraction_lost`: of 256, since the last report. `lost`: ever; duplicates count against it. `jitter`: in units
    of the timestamp. `last_report`: `ntp_middle` of the source's last sender report, 0 without one; `delay`:
    since then, in 1/65 536 s.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int = 0
    delay: int = 0


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """`ntp`: 32 bits of seconds and 32 of their fraction; `timestamp`: the same instant on the media clock."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """`items`: pairs of kind and text, such as `CNAME`."""

    ssrc: int
    items: tuple[tuple[int, str], ...] = ()


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    ssrcs: tuple[int, ...]
    reason: str = ""


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram from a port that RTP and RTCP share is RTCP. RFC 5761 §4."""
    return len(data) > 1 and data[1] in _KINDS


def ntp_time(seconds: float) -> int:
    """The 64 bits of NTP for a time. `seconds`: since 1970. RFC 3550 §4."""
    return round((seconds + _NTP_EPOCH_S) * 2**32) % 2**64


def ntp_middle(ntp: int) -> int:
    """The middle 32 bits, in which reports count: 1/65 536 s, and a turn every 18 hours."""
    return ntp >> 16 & 0xFFFF_FFFF


# -- bytes -> packets ---------------------------------------------------------------------------------


def decode(data: bytes) -> tuple[RtcpPacket, ...]:
    """Decode one datagram. Raises `RemoteProtocolError` on what is no RTCP. RFC 3550 §6.1, A.2."""
    packets: list[RtcpPacket] = []
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise RemoteProtocolError("the RTCP header is cut off")
        flags, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if flags >> 6 != 2 or kind not in _KINDS or end > len(data):
            raise RemoteProtocolError(f"no RTCP packet at byte {at} of {len(data)}")
        body = data[at + _HEADER.size : end]
        if flags & 0x20:
            body = _without_padding(body)
        packets += _packets(kind, flags & 0x1F, body)
        at = end
    if not at:
        raise RemoteProtocolError("an empty datagram is no RTCP")
    return tuple(packets)


def _without_padding(body: bytes) -> bytes:
    if not body or not 0 < body[-1] <= len(body):
        raise RemoteProtocolError("the padding of an RTCP packet is longer than it")
    return body[: -body[-1]]


def _packets(kind: int, count: int, body: bytes) -> list[RtcpPacket]:
    match kind:
        case 200:
            _need(body, _SSRC.size + _SENDER.size)
            (ssrc,) = _SSRC.unpack_from(body)
            ntp, timestamp, packets, octets = _SENDER.unpack_from(body, _SSRC.size)
            blocks = _blocks(body[_SSRC.size + _SENDER.size :], count)
            return [
                SenderReport(
                    ssrc=ssrc, ntp=ntp, timestamp=timestamp, packets=packets, octets=octets, blocks=blocks
                )
            ]
        case 201:
            _need(body, _SSRC.size)
            (ssrc,) = _SSRC.unpack_from(body)
            return [ReceiverReport(ssrc=ssrc, blocks=_blocks(body[_SSRC.size :], count))]
        case 202:
            return list(_descriptions(body, count))
        case 203:
            _need(body, 4 * count)
            ssrcs = tuple(int.from_bytes(body[at : at + 4]) for at in range(0, 4 * count, 4))
            return [Goodbye(ssrcs=ssrcs, reason=_reason(body[4 * count :]))]
        case _:
            return []


def _need(body: bytes, size_bytes: int) -> None:
    if len(body) < size_bytes:
        raise RemoteProtocolError("an RTCP packet is shorter than what it says to hold")


def _blocks(body: bytes, count: int) -> tuple[ReportBlock, ...]:
    _need(body, count * _BLOCK.size)
    return tuple(_block(body, at) for at in range(0, count * _BLOCK.size, _BLOCK.size))


def _block(body: bytes, at: int) -> ReportBlock:
    ssrc, fraction, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, at)
    return ReportBlock(
        ssrc=ssrc,
        fraction_lost=fraction,
        lost=int.from_bytes(lost, signed=True),
        highest_sequence=highest,
        jitter=jitter,
        last_report=last_report,
        delay=delay,
    )


def _descriptions(body: bytes, count: int) -> list[SourceDescription]:
    found: list[SourceDescription] = []
    at = 0
    for _ in range(count):
        _need(body, at + 5)
        ssrc, at = int.from_bytes(body[at : at + 4]), at + 4
        items: list[tuple[int, str]] = []
        while at < len(body) and body[at]:
            _need(body, at + 2)
            text_end = at + 2 + body[at + 1]
            _need(body, text_end)
            items.append((body[at], body[at + 2 : text_end].decode(errors="replace")))
            at = text_end
        found.append(SourceDescription(ssrc=ssrc, items=tuple(items)))
        at += 4 - at % 4  # at least one zero ends the items of a chunk, and it goes up to a whole word
    return found


def _reason(rest: bytes) -> str:
    if not rest:
        return ""
    _need(rest, 1 + rest[0])
    return rest[1 : 1 + rest[0]].decode(errors="replace")


# -- packets -> bytes ---------------------------------------------------------------------------------


def encode(packets: tuple[RtcpPacket, ...]) -> bytes:
    """The datagram of a compound packet, a report first (RFC 3550 §6.1). Raises `ValueError` on a text over 255 bytes."""
    return b"".join(map(_encode, packets))


def _encode(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            sender = _SENDER.pack(packet.ntp, packet.timestamp, packet.packets, packet.octets)
            return _framed(_SR, len(packet.blocks), _SSRC.pack(packet.ssrc), sender, *_reports(packet.blocks))
        case ReceiverReport():
            return _framed(_RR, len(packet.blocks), _SSRC.pack(packet.ssrc), *_reports(packet.blocks))
        case SourceDescription():
            items = b"".join(bytes([kind]) + _text(text) for kind, text in packet.items)
            return _framed(_SDES, 1, _SSRC.pack(packet.ssrc), items, bytes(4 - len(items) % 4))
        case Goodbye():
            reason = _text(packet.reason) if packet.reason else b""
            ssrcs = map(_SSRC.pack, packet.ssrcs)
            return _framed(_BYE, len(packet.ssrcs), *ssrcs, reason, bytes(-len(reason) % 4))
        case _:
            assert_never(packet)


def _framed(kind: int, count: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _HEADER.pack(2 << 6 | count, kind, len(body) // 4) + body


def _reports(blocks: tuple[ReportBlock, ...]) -> list[bytes]:
    return [
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost,
            max(min(block.lost, _MOST_LOST), -_MOST_LOST - 1).to_bytes(3, signed=True),
            block.highest_sequence,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    ]


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > 0xFF:
        raise ValueError(f"{len(data)} bytes of text: RTCP takes 255")
    return bytes([len(data)]) + data

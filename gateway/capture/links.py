"""Frames as UDP datagrams and TCP segments: link layers, IPv4 and IPv6, fragments put together.

Link types: tcpdump.org/linktypes.html. What is no UDP and no TCP is passed over, and so is what was cut off.
"""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import ip_address
from struct import Struct as Layout
from typing import Final, NamedTuple

from gateway.capture.frames import Frame
from gateway.media.latch import Address

__all__ = ["LINKS", "Packet", "PacketReader"]

_NULL, _ETHERNET, _RAW, _LOOP, _COOKED, _IPV4, _IPV6, _COOKED_2 = 0, 1, 101, 108, 113, 228, 229, 276
# Some systems write their own number of raw IP into files.
_RAW_OF_OLD: Final = frozenset({12, 14})
LINKS: Final = frozenset({_NULL, _ETHERNET, _RAW, _LOOP, _COOKED, _IPV4, _IPV6, _COOKED_2}) | _RAW_OF_OLD

_ETHER_IPV4, _ETHER_IPV6 = b"\x08\x00", b"\x86\xdd"
_TYPES_AT: Final = {_ETHERNET: 12, _COOKED: 14}  # where the type stands of what is carried
_VLANS: Final = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_MOST_VLANS: Final = 4

_TCP, _UDP = 6, 17
_FRAGMENT: Final = 44
# RFC 8200 §4.1: those that may stand before what is carried, each with its length; RFC 4302: AH counts otherwise.
_EXTENSIONS: Final = frozenset({0, 43, 60, 135, 139, 140})
_AUTHENTICATION: Final = 51
_MOST_EXTENSIONS: Final = 8

# A SIP message of 64 kB is 44 fragments; whatever else is in pieces does not stay long.
_MOST_IN_PIECES: Final = 256
_MOST_BYTES: Final = 65_535

_PORTS: Final = Layout(">HHH")
_TCP_HEAD: Final = Layout(">HHIIBB")


class Packet(NamedTuple):
    """One datagram, or one TCP segment: `sequence` of its first byte; None for UDP. `opens`: it is a SYN.

    `whole`: False: the capture cut it off.
    """

    number: int
    at_ns: int
    source: Address
    destination: Address
    data: bytes
    sequence: int | None = None
    opens: bool = False
    whole: bool = True


class _Carried(NamedTuple):
    """What an IP packet carries, or a piece of it. `key`: what is the same in all pieces."""

    source: str
    destination: str
    protocol: int
    data: bytes
    whole: bool
    at: int = 0
    more: bool = False
    key: bytes = b""

    @property
    def in_pieces(self) -> bool:
        return self.more or self.at > 0


class _Pieces:
    """A datagram that came in fragments, so far."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._parts: dict[int, bytes] = {}
        self._total: int | None = None

    def add(self, piece: _Carried) -> bytes | None:
        """All of it, once it is there."""
        if piece.at not in self._parts:
            self._parts[piece.at] = piece.data
            self.size_bytes += len(piece.data)
        if not piece.more:
            self._total = piece.at + len(piece.data)
        if self.size_bytes != self._total:
            return None
        whole = b""
        for at, part in sorted(self._parts.items()):
            if at != len(whole):  # they overlap, which nobody's network does
                return None
            whole += part
        return whole


class PacketReader:
    """Takes frames in their order. `cut`: datagrams of which the capture has only the beginning."""

    def __init__(self) -> None:
        self.cut = 0
        self._in_pieces: OrderedDict[bytes, _Pieces] = OrderedDict()

    def take(self, frame: Frame) -> Packet | None:
        """The datagram or segment that is complete with this frame, if one is."""
        start = _network_at(frame)
        if start is None:
            return None
        carried = _carried(frame.data, start)
        if carried is None:
            return None
        if carried.in_pieces:
            data = self._put_together(carried)
            if data is None:
                return None
            carried = carried._replace(data=data, whole=True)
        return self._packet(frame, carried)

    def _put_together(self, piece: _Carried) -> bytes | None:
        if not piece.whole or not piece.data or piece.at + len(piece.data) > _MOST_BYTES:
            return None
        pieces = self._in_pieces.setdefault(piece.key, _Pieces())
        data = pieces.add(piece)
        if data is not None or pieces.size_bytes > _MOST_BYTES:
            del self._in_pieces[piece.key]
        elif len(self._in_pieces) > _MOST_IN_PIECES:
            self._in_pieces.popitem(last=False)
        return data

    def _packet(self, frame: Frame, carried: _Carried) -> Packet | None:
        data = carried.data
        if carried.protocol == _UDP and len(data) >= 8:
            source_port, port, size = _PORTS.unpack_from(data)
            # 0: longer than the field can say (RFC 2675).
            end = size or len(data)
            whole = carried.whole and 8 <= end <= len(data)
            self.cut += not whole
            source, destination = Address(carried.source, source_port), Address(carried.destination, port)
            return Packet(frame.number, frame.at_ns, source, destination, data[8:end], whole=whole)
        if carried.protocol == _TCP and len(data) >= 20:
            source_port, port, sequence, _acknowledged, offset, flags = _TCP_HEAD.unpack_from(data)
            self.cut += not carried.whole
            return Packet(
                frame.number,
                frame.at_ns,
                Address(carried.source, source_port),
                Address(carried.destination, port),
                data[max(20, offset >> 4 << 2) :],
                sequence=sequence,
                opens=bool(flags & 0x02),
                whole=carried.whole,
            )
        return None


def _network_at(frame: Frame) -> int | None:
    """Where the IP packet begins; None: it has none, or its link type is not known."""
    if frame.link in _TYPES_AT:
        return _behind_vlans(frame.data, _TYPES_AT[frame.link])
    if frame.link == _COOKED_2:
        return 20 if frame.data[:2] in {_ETHER_IPV4, _ETHER_IPV6} else None
    if frame.link in {_NULL, _LOOP}:
        return 4  # an address family, for which each system has its own number: IP says its version itself
    return 0 if frame.link in LINKS else None


def _behind_vlans(data: bytes, at: int) -> int | None:
    for _ in range(_MOST_VLANS):
        kind = data[at : at + 2]
        if kind in {_ETHER_IPV4, _ETHER_IPV6}:
            return at + 2
        if kind not in _VLANS:
            return None
        at += 4
    return None


def _carried(data: bytes, at: int) -> _Carried | None:
    version = data[at] >> 4 if len(data) > at else 0
    if version == 4 and len(data) >= at + 20:
        return _of_ipv4(data, at)
    if version == 6 and len(data) >= at + 40:
        return _of_ipv6(data, at)
    return None


def _of_ipv4(data: bytes, at: int) -> _Carried | None:
    """RFC 791 §3.1. A length of 0 is one that the network card would have written."""
    start = at + (data[at] & 0x0F) * 4
    total = int.from_bytes(data[at + 2 : at + 4]) or len(data) - at
    flags = int.from_bytes(data[at + 6 : at + 8])
    if not at + 20 <= start <= at + total:
        return None
    return _Carried(
        source=_host(data[at + 12 : at + 16]),
        destination=_host(data[at + 16 : at + 20]),
        protocol=data[at + 9],
        data=data[start : at + total],
        whole=at + total <= len(data),
        at=(flags & 0x1FFF) * 8,
        more=bool(flags & 0x2000),
        key=data[at + 4 : at + 6] + data[at + 9 : at + 10] + data[at + 12 : at + 20],
    )


def _of_ipv6(data: bytes, at: int) -> _Carried | None:
    """RFC 8200 §3, §4."""
    size = int.from_bytes(data[at + 4 : at + 6])
    end = at + 40 + size if size else len(data)
    protocol, start = data[at + 6], at + 40
    key, offset, more = b"", 0, False
    for _ in range(_MOST_EXTENSIONS):
        if len(data) < start + 8:
            break
        if protocol == _FRAGMENT:
            flags = int.from_bytes(data[start + 2 : start + 4])
            offset, more = flags & 0xFFF8, bool(flags & 1)
            key = data[start + 4 : start + 8] + data[at + 8 : at + 40]
            protocol, start = data[start], start + 8
        elif protocol in _EXTENSIONS:
            protocol, start = data[start], start + 8 + data[start + 1] * 8
        elif protocol == _AUTHENTICATION:
            protocol, start = data[start], start + 8 + data[start + 1] * 4
        else:
            break
        if offset:  # behind a later piece's header nothing says what is next
            break
    if start > end:
        return None
    return _Carried(
        source=_host(data[at + 8 : at + 24]),
        destination=_host(data[at + 24 : at + 40]),
        protocol=protocol,
        data=data[start:end],
        whole=end <= len(data),
        at=offset,
        more=more,
        key=key,
    )


@lru_cache(4096)
def _host(packed: bytes) -> str:
    return str(ip_address(packed))

"""Session descriptions: text <-> what is in it. RFC 8866, and RFC 4566 before it.

Read with patience: lines may end in LF alone, stand in another order, or be missing where nothing hangs on them; what
is not known is passed over, and so is an attribute that cannot be read. The line that it would describe must be right,
if it is one of audio that is not refused: of all others no more is needed than what refuses them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp import crypto
from gateway.wire.sdp.media import Direction, Encoding, Media, Rtcp

__all__ = ["Origin", "SessionDescription", "decode", "encode"]

# A SIP message has at most this, and nobody who makes a telephone call needs more of the rest.
_MOST_BYTES: Final = 65_536
_MOST_MEDIA: Final = 32
_MOST_FORMATS: Final = 128

_LINE: Final = re.compile(r"([a-z])=(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)
_RTPMAP: Final = re.compile(r"(\d{1,3})\s+([^\s/]+)/(\d{1,7})(?:/(\d{1,3}))?", re.ASCII)
_FMTP: Final = re.compile(r"(\d{1,3})\s+(.+)", re.ASCII)
_RTCP: Final = re.compile(r"(\d{1,5})(?:\s+IN\s+IP[46]\s+(\S+))?", re.ASCII)
_MS: Final = re.compile(r"(\d{1,4})(?:\.\d+)?", re.ASCII)
_DIRECTIONS: Final = frozenset(Direction)
_MOST_PAYLOAD_TYPE: Final = 127
_MOST_PORT: Final = 65_535


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who made the session; `version` grows with each change. RFC 8866 §5.2."""

    session_id: int
    version: int
    address: str
    user: str = "-"


class SessionDescription(msgspec.Struct, frozen=True, kw_only=True):
    """`address` and `direction`: for the media that have none of their own."""

    origin: Origin
    name: str = "-"
    address: str | None = None
    direction: Direction | None = None
    media: tuple[Media, ...] = ()

    def address_of(self, media: Media) -> str | None:
        """Where its packets go; None: nobody said."""
        return media.address or self.address

    def direction_of(self, media: Media) -> Direction:
        return media.direction or self.direction or Direction.SENDRECV


class _Line(NamedTuple):
    kind: str
    value: str


def decode(data: bytes) -> SessionDescription:
    """Read a description. Raises `RemoteProtocolError` on what is none, or is beyond all bounds."""
    if len(data) > _MOST_BYTES:
        raise RemoteProtocolError(f"{len(data)} bytes of SDP")
    session, *media = _sections(_lines(data.decode(errors="replace")))
    return SessionDescription(
        origin=_origin(_required(session, "o")),
        name=_first(session, "s") or "-",
        address=_address(session),
        direction=_direction(session),
        media=tuple(map(_media, media)),
    )


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    for line in filter(None, map(str.strip, re.split(r"[\r\n]+", text.rstrip("\0")))):
        found = _LINE.fullmatch(line)
        if found is None:
            raise RemoteProtocolError("a line of SDP that is none")
        lines.append(_Line(found[1], found[2].strip()))
    if not lines or lines[0] != _Line("v", "0"):
        raise RemoteProtocolError("SDP does not begin with v=0")
    return lines


def _sections(lines: list[_Line]) -> list[list[_Line]]:
    """The lines of the session, then those of each medium."""
    sections: list[list[_Line]] = [[]]
    for line in lines:
        if line.kind == "m":
            sections.append([])
        sections[-1].append(line)
    if len(sections) > _MOST_MEDIA + 1:
        raise RemoteProtocolError(f"{len(sections) - 1} media in one SDP")
    return sections


def _first(lines: Iterable[_Line], kind: str) -> str | None:
    return next((line.value for line in lines if line.kind == kind), None)


def _required(lines: Iterable[_Line], kind: str) -> str:
    value = _first(lines, kind)
    if value is None:
        raise RemoteProtocolError(f"SDP without {kind}=")
    return value


def _attributes(lines: Iterable[_Line], name: str) -> Iterator[str]:
    for line in lines:
        found, _, value = line.value.partition(":")
        if line.kind == "a" and found == name:
            yield value.strip()


def _origin(value: str) -> Origin:
    words = value.split()
    if len(words) != 6 or not (_NUMBER.fullmatch(words[1]) and _NUMBER.fullmatch(words[2])):
        raise RemoteProtocolError("o= is not a user, two numbers and an address")
    return Origin(user=words[0], session_id=int(words[1]), version=int(words[2]), address=words[5])


def _address(lines: Iterable[_Line]) -> str | None:
    value = _first(lines, "c")
    if value is None:
        return None
    words = value.split()
    if len(words) != 3 or words[0] != "IN" or words[1] not in {"IP4", "IP6"}:
        raise RemoteProtocolError("c= is not an address of the Internet")
    return words[2].partition("/")[0]  # behind it a multicast group has how far it reaches


def _readable_address(lines: Iterable[_Line]) -> str | None:
    try:
        return _address(lines)
    except RemoteProtocolError:
        return None


def _direction(lines: list[_Line]) -> Direction | None:
    values = (line.value for line in lines if line.kind == "a")
    return next((Direction(value) for value in values if value in _DIRECTIONS), None)


def _media(lines: list[_Line]) -> Media:
    words = lines[0].value.split()
    if not 3 <= len(words) <= 3 + _MOST_FORMATS:
        raise RemoteProtocolError("m= is not a kind, a port, a protocol and formats")
    kind = words[0].lower()
    port = _port(words[1].partition("/")[0])
    if port is None and kind == "audio":
        raise RemoteProtocolError("m= with a port that is none")
    may_be_taken = kind == "audio" and port != 0
    if may_be_taken and len(words) == 3:
        raise RemoteProtocolError("m= without formats")
    return Media(
        kind=kind,
        port=port or 0,
        protocol=words[2],
        formats=tuple(words[3:]),
        address=_address(lines) if may_be_taken else _readable_address(lines),
        direction=_direction(lines),
        encodings=dict(_encodings(lines)),
        parameters=dict(_parameters(lines)),
        ptime_ms=_milliseconds(lines, "ptime"),
        maxptime_ms=_milliseconds(lines, "maxptime"),
        rtcp=_rtcp(lines),
        rtcp_mux=any(True for _ in _attributes(lines, "rtcp-mux")),
        cryptos=tuple(_cryptos(lines)),
    )


def _port(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= _MOST_PORT else None


def _encodings(lines: list[_Line]) -> Iterator[tuple[int, Encoding]]:
    for value in _attributes(lines, "rtpmap"):
        found = _RTPMAP.fullmatch(value)
        if found is not None and int(found[1]) <= _MOST_PAYLOAD_TYPE:
            yield int(found[1]), Encoding(found[2].lower(), int(found[3]), int(found[4] or 1))


def _parameters(lines: list[_Line]) -> Iterator[tuple[int, str]]:
    for value in _attributes(lines, "fmtp"):
        found = _FMTP.fullmatch(value)
        if found is not None and int(found[1]) <= _MOST_PAYLOAD_TYPE:
            yield int(found[1]), found[2]


def _milliseconds(lines: list[_Line], name: str) -> int | None:
    found = _MS.fullmatch(next(_attributes(lines, name), ""))
    return int(found[1]) or None if found else None


def _rtcp(lines: list[_Line]) -> Rtcp | None:
    found = _RTCP.fullmatch(next(_attributes(lines, "rtcp"), ""))
    return Rtcp(int(found[1]), found[2]) if found and int(found[1]) <= _MOST_PORT else None


def _cryptos(lines: list[_Line]) -> Iterator[crypto.Crypto]:
    for value in _attributes(lines, "crypto"):
        try:
            yield crypto.decode(value)
        except RemoteProtocolError:
            continue  # RFC 4568 §7.1.1: one that cannot be read is passed over; there may be others


# -- what is written ----------------------------------------------------------------------------------


def encode(description: SessionDescription) -> bytes:
    """The text of a description."""
    origin = description.origin
    lines = [
        "v=0",
        f"o={origin.user} {origin.session_id} {origin.version} {_network(origin.address)}",
        f"s={description.name}",
    ]
    if description.address is not None:
        lines.append(f"c={_network(description.address)}")
    lines.append("t=0 0")
    if description.direction is not None:
        lines.append(f"a={description.direction}")
    for media in description.media:
        lines += _media_lines(media)
    return "".join(f"{line}\r\n" for line in lines).encode()


def _network(address: str) -> str:
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def _media_lines(media: Media) -> Iterator[str]:
    yield f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}"
    if media.address is not None:
        yield f"c={_network(media.address)}"
    if media.rtcp is not None:
        address = "" if media.rtcp.address is None else f" {_network(media.rtcp.address)}"
        yield f"a=rtcp:{media.rtcp.port}{address}"
    if media.rtcp_mux:
        yield "a=rtcp-mux"
    for number, encoding in media.encodings.items():
        channels = "" if encoding.channels == 1 else f"/{encoding.channels}"
        yield f"a=rtpmap:{number} {_written(encoding.name)}/{encoding.clock_hz}{channels}"
    for number, parameters in media.parameters.items():
        yield f"a=fmtp:{number} {parameters}"
    if media.ptime_ms is not None:
        yield f"a=ptime:{media.ptime_ms}"
    if media.maxptime_ms is not None:
        yield f"a=maxptime:{media.maxptime_ms}"
    for offered in media.cryptos:
        yield f"a=crypto:{crypto.encode(offered)}"
    if media.direction is not None:
        yield f"a={media.direction}"


def _written(name: str) -> str:
    """As RFC 3551 writes them, for peers that compare letter by letter."""
    return name if name == "telephone-event" else name.upper()

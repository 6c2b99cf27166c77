"""What an offer and its answer come to, both as they were captured. RFC 3264."""

from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.media.latch import Address
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sdp.description import SessionDescription
from gateway.wire.sdp.media import Direction, Encoding, Media

__all__ = ["Agreement", "Unusable", "agreement"]

_CLOCK_HZ: Final = 8000
_CODECS: Final = ("pcmu", "pcma")
_EVENTS: Final = "telephone-event"
_USED: Final = (*_CODECS, _EVENTS, "cn")
_PTIME_MS: Final = 20
_PLAIN: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
# The address of hold before there were directions. RFC 3264 §8.4.
_NOWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound to it


class Unusable(Exception):
    """Media that cannot be imported: encrypted, or of a codec that we do not have. The text says which."""


class Agreement(NamedTuple):
    """`agreed`: as our side has it. `ours`, `theirs`: where RTP and RTCP of each side arrive."""

    agreed: Agreed
    ours: tuple[Address, Address]
    theirs: tuple[Address, Address]


def agreement(ours: SessionDescription, theirs: SessionDescription, *, we_offered: bool) -> Agreement:
    """What both sides do from now on. Raises `Unusable`."""
    our_line, their_line = _audio(ours, theirs)
    if our_line.profile not in _PLAIN or (our_line.cryptos and their_line.cryptos):
        raise Unusable(f"its media is encrypted ({_secured(our_line)})")
    offered, answered = (our_line, their_line) if we_offered else (their_line, our_line)
    codec = _codec(offered, answered)
    payload_type = their_line.find(codec)
    our_host, their_host = _host(ours, our_line), _host(theirs, their_line)
    held = their_host in _NOWHERE
    our_ports, their_ports = _ports(our_line), _ports(their_line)
    their_rtcp_host = (their_line.rtcp.address if their_line.rtcp else None) or their_host
    our_direction, their_direction = ours.direction_of(our_line), theirs.direction_of(their_line)
    assert payload_type is not None
    agreed = Agreed(
        codec=codec,
        address=None if held else their_host,
        port=their_line.port,
        payload_type=payload_type,
        event_payload_type=their_line.find(_EVENTS),
        receives=_receives(our_line, their_line),
        direction=Direction.of(
            sends=our_direction.sends and their_direction.receives and not held,
            receives=our_direction.receives and their_direction.sends,
        ),
        rtcp_address=None if held else their_rtcp_host,
        rtcp_port=their_ports[1],
        rtcp_mux=our_line.rtcp_mux and their_line.rtcp_mux,
        ptime_ms=their_line.ptime_ms or _PTIME_MS,
    )
    return Agreement(
        agreed,
        (Address(our_host, our_ports[0]), Address(our_host, our_ports[1])),
        (Address(their_host, their_ports[0]), Address(their_rtcp_host, their_ports[1])),
    )


def _audio(ours: SessionDescription, theirs: SessionDescription) -> tuple[Media, Media]:
    """The first line of audio that both have; offers and answers have theirs in the same places (RFC 3264 §6)."""
    refused = False
    for our_line, their_line in zip(ours.media, theirs.media, strict=False):
        if our_line.kind == their_line.kind == "audio":
            if our_line.port and their_line.port:
                return our_line, their_line
            refused = True
    raise Unusable("its audio is refused" if refused else "it has no audio")


def _secured(line: Media) -> str:
    return "SRTP" if line.profile in {*_PLAIN, "RTP/SAVP", "RTP/SAVPF"} else line.profile


def _codec(offered: Media, answered: Media) -> str:
    """The first G.711 of the answer that was offered."""
    encodings = [encoding for each in answered.payload_types if (encoding := answered.encoding(each))]
    for encoding in encodings:
        if (
            encoding in {Encoding(name, _CLOCK_HZ) for name in _CODECS}
            and offered.find(encoding.name) is not None
        ):
            return encoding.name
    spoken = [f"{encoding.name}/{encoding.clock_hz}" for encoding in encodings if encoding.name != _EVENTS]
    what = ", ".join(spoken[:4]) or "of payload types that nobody named"
    raise Unusable(f"its media is {what}; PCMU and PCMA can be imported")


def _receives(ours: Media, theirs: Media) -> dict[int, str]:
    """What may come, by our numbers, in our order."""
    named = {ours.find(name): name for name in _USED if theirs.find(name) is not None}
    return {number: named[number] for number in ours.payload_types if number in named}


def _host(description: SessionDescription, line: Media) -> str:
    try:
        return str(ip_address(description.address_of(line) or ""))
    except ValueError:
        raise Unusable("its SDP names no IP address") from None


def _ports(line: Media) -> tuple[int, int]:
    """Of RTP and of RTCP."""
    if line.rtcp_mux:
        return line.port, line.port
    return line.port, line.rtcp.port if line.rtcp else line.port + 1

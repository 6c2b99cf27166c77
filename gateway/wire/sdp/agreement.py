"""What is brought to an offer or an answer, and what comes of both."""

import enum
from typing import Final

import msgspec

from gateway.wire.sdp.crypto import Crypto
from gateway.wire.sdp.media import Direction

__all__ = ["Agreed", "NotAcceptable", "OurMedia", "Srtp", "SrtpPolicy"]

_PTIME_MS: Final = 20


class NotAcceptable(Exception):
    """Offer and answer have nothing in common: 488 to a request, or the end of the call. The text says what lacked."""


class SrtpPolicy(enum.StrEnum):
    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class OurMedia(msgspec.Struct, frozen=True, kw_only=True):
    """What we have to offer. `address` and `port`: where we receive; `codecs`: of ours, the preferred one first.

    `near`: the far end is on this machine, and may name its loopback.
    """

    address: str
    port: int
    codecs: tuple[str, ...] = ("pcmu", "pcma")
    direction: Direction = Direction.SENDRECV
    srtp: SrtpPolicy = SrtpPolicy.OFF
    near: bool = False


class Srtp(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a stream: we send under `ours` and receive under `theirs`. Another key than before: begin anew."""

    ours: Crypto
    theirs: Crypto


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides do now.

    `address` of None: they can receive nothing (a hold of old). `payload_type`, `event_payload_type`: what to send
    with, theirs. `receives`: what may come, by our numbers: a codec, "telephone-event", or "cn". `direction`: ours.
    `rtcp_address` and `rtcp_port`: where reports go; with `rtcp_mux` they come on the port of RTP too.
    """

    codec: str
    address: str | None
    port: int
    payload_type: int
    event_payload_type: int | None
    receives: dict[int, str]
    direction: Direction
    rtcp_address: str | None
    rtcp_port: int
    rtcp_mux: bool = False
    srtp: Srtp | None = None
    ptime_ms: int = _PTIME_MS

    @property
    def held(self) -> bool:
        """The peer wants to hear nothing."""
        return not self.direction.sends

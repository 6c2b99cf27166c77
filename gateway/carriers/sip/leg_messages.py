"""What crosses the carrier port of a SIP call: what its trace holds, and what a replay is fed.

Text, in only: a `FromSip` as JSON, which the user agent tells. It holds what was agreed, never how: no message of SIP,
no key, no credential, and nobody's number.

Bytes, both ways: one datagram of RTP or RTCP, decrypted, behind where it comes from or goes to.

    flags 1 | IP address 4 or 16 | port 2 | RTP or RTCP

    flags:  0x01  RTCP; else RTP
            0x02  it is the far end's: SRTP vouches for it, or where it came from (in only; nothing else gets so far)
            0x04  the address has 16 bytes, IPv6; else 4, IPv4
"""

from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from gateway.media.latch import Address
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.media import Direction

__all__ = [
    "CallOver",
    "Datagram",
    "DigitInformed",
    "FromSip",
    "MediaAgreed",
    "MediaFailed",
    "MessagePassed",
    "Ringing",
    "TransferAsked",
    "TransferTold",
    "Why",
    "decode",
    "decode_datagram",
    "encode",
    "encode_datagram",
    "head_of",
]

PayloadType = Annotated[int, msgspec.Meta(ge=0, le=127)]
Status = Annotated[int, msgspec.Meta(ge=100, le=699)]

# -- text: what the user agent tells ------------------------------------------------------------------


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Any of them."""


class Ringing(_Message, frozen=True, tag="call.ringing"):
    """Somebody will answer, or acknowledge, and media will be agreed on then. `status`: of the last response."""

    status: Status


class MediaAgreed(_Message, frozen=True, kw_only=True, tag="media.agreed"):
    """What both sides do from now on: the first agreement, or another one. `Agreed` of the SDP, without its keys.

    `payload_type`, `event_payload_type`: to send with, by their numbers; `receives`: what may come, by ours: a codec,
    "telephone-event" or "cn". `direction`: ours. `rtp`, `rtcp`: where they receive; None: nowhere, as in a hold of
    old. `secure`: only what SRTP vouches for is theirs. `early`: before the call is answered.
    """

    codec: Literal["pcmu", "pcma"]
    payload_type: PayloadType
    event_payload_type: PayloadType | None = None
    receives: dict[PayloadType, Literal["pcmu", "pcma", "cn", "telephone-event"]]
    direction: Direction = Direction.SENDRECV
    rtp: Address | None
    rtcp: Address | None = None
    rtcp_mux: bool = False
    ptime_ms: int = 20
    secure: bool = False
    early: bool = False

    def __post_init__(self) -> None:
        for address in (self.rtp, self.rtcp):
            if address is not None:
                _check(address)


class DigitInformed(_Message, frozen=True, tag="digit.informed"):
    """A key came by INFO."""

    digit: str
    duration_ms: int | None = None


class TransferAsked(_Message, frozen=True, tag="transfer.asked"):
    """They want us to call somebody else (REFER). `taken`: the user agent said yes."""

    taken: bool = False


class TransferTold(_Message, frozen=True, tag="transfer.told"):
    """How our REFER goes, as NOTIFY tells. `status` of None: they took it, and say no more. `last`: likewise."""

    status: Status | None = None
    last: bool = False


Why = Literal["hung up", "cancelled", "refused", "unacknowledged", "expired", "lost", "no answer"]


class CallOver(_Message, frozen=True, tag="call.over"):
    """The session has ended, and not by us.

    `why`: they hung up; they cancelled before the answer; they refused; they never acknowledged; they did not refresh
    the session (RFC 4028); they know nothing of it, or cannot be reached; they never answered our offer.
    `status`: of their refusal. `cause`: Q.850, where a Reason header says it (RFC 3326). `text`: of either.
    """

    why: Why
    status: Status | None = None
    cause: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None
    text: str = ""


class MediaFailed(_Message, frozen=True, tag="media.failed"):
    """Our sockets cannot be used any more."""

    detail: str = ""


class MessagePassed(_Message, frozen=True, tag="sip.message"):
    """A message of SIP passed, for the report's ladder; nothing follows from it.

    `sent`: by us. `line`: what it is, without any address: "INVITE", "180 Ringing". `cseq`: "1 INVITE". `transport`:
    "UDP", "TCP", "TLS". `headers`: those that name nobody, as they were; credentials as "<hidden>". `sdp`: its body,
    where that is a description, its keys hidden.
    """

    sent: bool
    line: str
    cseq: str
    transport: str = "UDP"
    headers: tuple[tuple[str, str], ...] = ()
    sdp: str = ""


FromSip = (
    Ringing
    | MediaAgreed
    | DigitInformed
    | TransferAsked
    | TransferTold
    | CallOver
    | MediaFailed
    | MessagePassed
)

_decoder: msgspec.json.Decoder[FromSip] = msgspec.json.Decoder(FromSip)


def encode(message: FromSip) -> str:
    """The text of one message."""
    return msgspec.json.encode(message).decode()


def decode(text: str) -> FromSip:
    """Decode one message. Raises `RemoteProtocolError`."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise RemoteProtocolError(str(error)) from error


# -- bytes: datagrams ---------------------------------------------------------------------------------

_RTCP: Final = 0x01
_AUTHENTIC: Final = 0x02
_IPV6: Final = 0x04
_PORT_BYTES: Final = 2
_HEAD_BYTES: Final = 1 + 4 + _PORT_BYTES
_LONG_HEAD_BYTES: Final = 1 + 16 + _PORT_BYTES
# As many addresses are about as there are calls, twice over; each is written 50 times a second.
_MOST_ADDRESSES: Final = 4096


class Datagram(NamedTuple):
    """One packet, and where it comes from or goes to. `authentic`: it is the far end's, as media_gate.py has it."""

    address: Address
    data: bytes
    rtcp: bool = False
    authentic: bool = False


def encode_datagram(datagram: Datagram) -> bytes:
    """The bytes of one datagram. Raises `ValueError` on an address that is none."""
    return head_of(datagram.address, datagram.rtcp, datagram.authentic) + datagram.data


def decode_datagram(framed: bytes) -> Datagram:
    """Decode what `encode_datagram` wrote. Raises `RemoteProtocolError`."""
    size = _LONG_HEAD_BYTES if framed and framed[0] & _IPV6 else _HEAD_BYTES
    address, rtcp, authentic = _read_head(framed[:size])
    return Datagram(address, framed[size:], rtcp, authentic)


@lru_cache(_MOST_ADDRESSES)
def head_of(address: Address, rtcp: bool, authentic: bool) -> bytes:
    """What stands before each datagram from or to an address. Raises `ValueError` on one that is none."""
    host = ip_address(address.host).packed
    flags = rtcp * _RTCP | authentic * _AUTHENTIC | (len(host) == 16) * _IPV6
    return bytes([flags]) + host + address.port.to_bytes(_PORT_BYTES)


@lru_cache(_MOST_ADDRESSES)
def _read_head(head: bytes) -> tuple[Address, bool, bool]:
    flags = head[0] if head else 0xFF
    size = _LONG_HEAD_BYTES if flags & _IPV6 else _HEAD_BYTES
    if flags > _RTCP | _AUTHENTIC | _IPV6 or len(head) < size:
        raise RemoteProtocolError(f"{len(head)} bytes are no datagram with its address")
    host, port = head[1:-_PORT_BYTES], head[-_PORT_BYTES:]
    address = Address(str(ip_address(host)), int.from_bytes(port))
    return address, flags & _RTCP > 0, flags & _AUTHENTIC > 0


def _check(address: Address) -> None:
    ip_address(address.host)
    if not 0 < address.port <= 0xFFFF:
        raise ValueError(f"port {address.port}")

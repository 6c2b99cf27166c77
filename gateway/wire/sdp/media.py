"""One media line of a session description, with what its attributes say."""

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.wire.sdp.crypto import Crypto

__all__ = ["Direction", "Encoding", "Media", "Rtcp"]


class Direction(enum.StrEnum):
    """What the one who writes it does. RFC 8866 §6.7."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> "Direction":
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    @property
    def sends(self) -> bool:
        return self in {Direction.SENDRECV, Direction.SENDONLY}

    @property
    def receives(self) -> bool:
        return self in {Direction.SENDRECV, Direction.RECVONLY}


class Encoding(NamedTuple):
    """What a payload type stands for. `name`: in lower case, as encodings are compared without case (RFC 8866 §6.6)."""

    name: str
    clock_hz: int
    channels: int = 1


class Rtcp(NamedTuple):
    """Where RTCP goes, if not to the port above that of RTP. `address` of None: as that of RTP. RFC 3605."""

    port: int
    address: str | None = None


# RFC 3551 §6, tables 4 and 5, and RFC 3389 §4: those that telephones offer without `a=rtpmap`.
_STATIC: Final[Mapping[int, Encoding]] = {
    0: Encoding("pcmu", 8000),
    3: Encoding("gsm", 8000),
    4: Encoding("g723", 8000),
    8: Encoding("pcma", 8000),
    9: Encoding("g722", 8000),
    13: Encoding("cn", 8000),
    15: Encoding("g728", 8000),
    18: Encoding("g729", 8000),
}


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An `m=` line and what follows it, as far as telephony needs it. RFC 8866 §5.14.

    `port` 0: refused. `protocol`: as it is written, for our answer to repeat; compare by `profile`. `formats`: payload
    types where that is one of RTP's; none: somebody forgot them. `address`: None where the session's
    counts; likewise `direction`. `parameters`: `a=fmtp` by format.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    address: str | None = None
    direction: Direction | None = None
    encodings: dict[int, Encoding] = {}
    parameters: dict[int, str] = {}
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    rtcp: Rtcp | None = None
    rtcp_mux: bool = False
    cryptos: tuple[Crypto, ...] = ()

    @property
    def profile(self) -> str:
        """The protocol in capitals: `RTP/AVP`."""
        return self.protocol.upper()

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The formats as numbers, in order of preference; none where the protocol is not RTP's."""
        if "RTP/" not in self.profile:
            return ()
        return tuple(
            int(text) for text in self.formats if text.isascii() and text.isdigit() and len(text) < 4
        )

    def encoding(self, payload_type: int) -> Encoding | None:
        """What a payload type stands for: as the line maps it, or as RFC 3551 does."""
        return self.encodings.get(payload_type) or _STATIC.get(payload_type)

    def find(self, name: str, clock_hz: int = 8000) -> int | None:
        """The first payload type of an encoding, with one channel."""
        wanted = Encoding(name, clock_hz)
        return next((number for number in self.payload_types if self.encoding(number) == wanted), None)

    @property
    def refused(self) -> "Media":
        """This line as an answer that will have none of it. RFC 3264 §6: one format at least, which means nothing there."""
        return Media(kind=self.kind, port=0, protocol=self.protocol, formats=self.formats or ("0",))

"""The texts in SIP's settings: where to listen, which ports, whose networks, which address, which headers.

Each reader raises `ValueError` that says what would be right.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from gateway.config.shape import Unshown
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import DEFAULT_PORTS, Transport
from gateway.wire.sip.grammar import check_token
from gateway.wire.sip.headers import key_of
from gateway.wire.sip.hosts import write_host
from gateway.wire.sip.uri import SipUri, parse_uri

__all__ = [
    "Listen",
    "Network",
    "PortRange",
    "read_address",
    "read_caller_id",
    "read_header",
    "read_ip_address",
    "read_network",
    "read_user",
    "transport_of",
]

Network = IPv4Network | IPv6Network

_TRANSPORTS: Final[dict[str, Transport]] = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
_LISTEN = re.compile(r"(\w+):(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_EXPECTED_HOST: Final = (
    "expected an IP address of this machine, or 0.0.0.0 for all; IPv6 in brackets, as udp:[::]:5060"
)
_BROADCAST: Final = ip_address("255.255.255.255")
_EXPECTED_ADDRESS: Final = "expected a SIP URI without a user, as sip:carrier.example;transport=tcp"
_LONGEST_USER: Final = 128
# A number as it is dialled, or the name of an account.
_CALLER_ID = re.compile(r"[+*#]?[A-Za-z0-9._*#-]{1,64}")

# What the SIP stack says itself, and what proves who one is: nobody else writes them, nor reads them.
_OURS: Final = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "max-forwards", "contact", "route", "record-route"),
        *("content-type", "content-length", "content-encoding", "content-disposition", "mime-version"),
        *(
            "allow",
            "supported",
            "require",
            "proxy-require",
            "unsupported",
            "accept",
            "expires",
            "min-expires",
        ),
        *("session-expires", "min-se", "refer-to", "referred-by", "replaces", "rseq", "rack", "event"),
        *("subscription-state", "retry-after", "timestamp", "path", "service-route"),
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info"),
    }
)


class Listen(NamedTuple):
    """One way in. `host`: an IP address, IPv6 without brackets. `port` 0: a free one."""

    transport: Transport
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Listen":
        found = _LISTEN.fullmatch(text)
        transport = _TRANSPORTS.get(found[1].lower()) if found else None
        if found is None or transport is None:
            raise ValueError("expected udp, tcp or tls, an address and a port, as udp:0.0.0.0:5060")
        port = int(found[3]) if found[3] else DEFAULT_PORTS[transport]
        if port > _HIGHEST_PORT:
            raise ValueError(f"expected a port up to {_HIGHEST_PORT}")
        try:
            address = ip_address(found[2].strip("[]"))
        except ValueError:
            raise ValueError(_EXPECTED_HOST) from None
        if _is_many(address) or _has_zone(address):
            raise ValueError(_EXPECTED_HOST)
        return cls(transport, str(address), port)

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{write_host(self.host, self.port)}"


class PortRange(NamedTuple):
    """Both ends belong to it. 0 to 0: any that are free."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "PortRange":
        if text == "0":
            return cls(0, 0)
        found = _PORTS.fullmatch(text)
        ports = cls(int(found[1]), int(found[2])) if found else None
        if ports is None or not 0 < ports.first < ports.last <= _HIGHEST_PORT or not ports.pairs:
            raise ValueError(
                "expected the first and the last port, an even one and its odd one among them, as 10000-20000"
            )
        return ports

    @property
    def pairs(self) -> int:
        """How many calls at a time have ports: an even one for RTP and the next for RTCP."""
        return (self.last + 1) // 2 - (self.first + 1) // 2

    @property
    def ports(self) -> range:
        """Empty: any that are free."""
        return range(self.first, self.last + 1) if self.last else range(0)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.last else "0"


def read_network(text: str) -> Network:
    """`192.0.2.0/24`, or one address."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            "expected an IP address or a network, as 192.0.2.0/24; names are not looked up"
        ) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None:
        raise ValueError(f'IPv4 is written as IPv4; did you mean "{mapped}"?')
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f'a network ends in zeros; did you mean "{network}"?')
    return network


def read_ip_address(text: str) -> str:
    """An address that others can send to, or nothing."""
    if not text:
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or _is_many(address) or _has_zone(address):
        raise ValueError("expected the IP address that the outside reaches this machine by, as 203.0.113.7")
    return str(address)


def _is_many(address: IPv4Address | IPv6Address) -> bool:
    """Whether more than one machine is there."""
    return address.is_multicast or address == _BROADCAST


def _has_zone(address: IPv4Address | IPv6Address) -> bool:
    """It means something on one machine alone (RFC 4007 §11.2), and has no place in a SIP message."""
    return isinstance(address, IPv6Address) and address.scope_id is not None


def read_address(text: str) -> SipUri:
    """Where requests go: a SIP URI without a user."""
    try:
        uri = parse_uri(text)
    except SipSyntaxError as error:
        if "@" in text:
            raise Unshown(_EXPECTED_ADDRESS) from None
        raise ValueError(f"{_EXPECTED_ADDRESS} ({error})") from None
    if not isinstance(uri, SipUri):
        raise ValueError(_EXPECTED_ADDRESS)  # noqa: TRY004 - of a text, whose type is right
    if uri.user is not None:  # and a password, perhaps
        raise Unshown("expected no user here; user and the password have settings of their own")
    transport = uri.parameter("transport")
    if transport is not None and transport.lower() not in _TRANSPORTS:
        raise ValueError("expected transport=udp, transport=tcp or transport=tls")
    if uri.secure and transport is not None and transport.lower() == "udp":
        raise ValueError("sips goes by TLS; expected no transport, or transport=tcp")
    if uri.headers:
        raise ValueError("expected no headers behind a ?")
    return uri


def transport_of(address: SipUri) -> Transport | None:
    """The one that an address asks for; None: the DNS says."""
    if address.secure:
        return "TLS"
    return _TRANSPORTS.get((address.parameter("transport") or "").lower())


def read_user(text: str) -> str:
    """The name of an account, or nothing. RFC 7616 §3.4.2: a colon would end it."""
    if not text.isprintable() or ":" in text or len(text) > _LONGEST_USER:
        raise ValueError(f"expected the name of an account: up to {_LONGEST_USER} characters, and no colon")
    return text


def read_caller_id(text: str) -> str:
    """A number or the name of an account, or nothing."""
    if text and not _CALLER_ID.fullmatch(text):
        raise ValueError("expected a number, as +15550001000, or the name of an account")
    return text


def read_header(text: str) -> str:
    """The name of a header that may pass."""
    try:
        check_token(text)
    except ValueError:
        raise ValueError("expected the name of a header, as Diversion") from None
    if key_of(text) in _OURS:
        raise ValueError("is the SIP stack's own: it cannot be read or written")
    return text

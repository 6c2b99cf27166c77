"""Hosts and ports, as they stand in URIs and in Via. RFC 3261 §25.1, with what RFC 5118 says on IPv6.

A host is kept without brackets: `2001:db8::1` and `[2001:db8::1]` are the same host. `write_host` puts them back.
"""

import re
from ipaddress import AddressValueError, IPv6Address

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import number_of

__all__ = ["HOST", "check_host", "check_port", "read_host", "read_port", "same_host", "write_host"]

HOST = r"(?:\[[^\[\]]*+\]|[A-Za-z0-9._\-]++)"

# RFC 1123 has no underscore, but container and Windows hosts do.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*+)*+\.?")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_LONGEST_NAME = 255  # RFC 1035 §2.3.4
_LONGEST_ADDRESS = 45
# RFC 3261's grammar asks for a third colon before an embedded IPv4 address: an error, to be tolerated. RFC 5118 §4.10.
_THIRD_COLON = re.compile(r":::(?=[0-9]{1,3}\.)")
_MAX_PORT = 65_535


def check_host(host: str) -> None:
    """Raise ValueError if `host` is neither a name nor an address (IPv6 without brackets)."""
    if not _is_host(host):
        raise ValueError("Not a host")


def check_port(port: int | None) -> None:
    """Raise ValueError if there is a port, and it is none."""
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ValueError("Not a port")


def read_host(text: str) -> str:
    """The host that is written so, without brackets."""
    bracketed = text.startswith("[") and text.endswith("]")
    host = _THIRD_COLON.sub("::", text[1:-1]) if bracketed else text
    if not _is_host(host) or bracketed != (":" in host):
        raise SipSyntaxError("Not a host")
    return host


def read_port(text: str) -> int:
    """A port that can be sent to."""
    port = number_of(text, _MAX_PORT)
    if not port:
        raise SipSyntaxError("Not a port")
    return port


def write_host(host: str, port: int | None = None) -> str:
    """`host`, in brackets if it is an IPv6 address, and `:port` if there is one."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def same_host(one: str, other: str) -> bool:
    """Whether both name the same host, however they are written. Nothing is looked up."""
    return _canonical(one) == _canonical(other)


def _canonical(host: str) -> str:
    return str(IPv6Address(host)) if ":" in host else host.lower().rstrip(".")


def _is_host(host: str) -> bool:
    if ":" in host:
        return _is_ipv6(host)
    if host.rstrip(".").rpartition(".")[2].isdigit():  # a top label has a letter: this is meant as an address
        return _IPV4.fullmatch(host) is not None
    return len(host) <= _LONGEST_NAME and _NAME.fullmatch(host) is not None


def _is_ipv6(host: str) -> bool:
    if len(host) > _LONGEST_ADDRESS or "%" in host:  # a scope (`%eth0`) has no meaning to others
        return False
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True

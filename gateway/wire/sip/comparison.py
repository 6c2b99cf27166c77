"""Whether two URIs are equivalent. RFC 3261 §19.1.4, RFC 3966 §4.

The relation is not transitive (`;a` and `;b` are each equivalent to neither being there), so it is not `==`.
"""

import re

from gateway.wire.sip.grammar import unescape
from gateway.wire.sip.hosts import same_host
from gateway.wire.sip.uri import OpaqueUri, Pairs, SipUri, TelUri, Uri

__all__ = ["equivalent"]

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_RESERVED = frozenset(";/?:@&=+$,")  # RFC 2396 §2.2: escaped, these mean something else
# These have to be in both or in neither. The RFC's text leaves out `transport`, its examples do not.
_IN_BOTH = ("user", "ttl", "method", "maddr", "transport")


def equivalent(one: Uri, other: Uri) -> bool:
    """Whether both mean the same resource."""
    match one, other:
        case SipUri(), SipUri():
            return _equivalent_sip(one, other)
        case TelUri(), TelUri():
            return _equivalent_tel(one, other)
        case OpaqueUri(), OpaqueUri():
            return one.text == other.text
    return False


def _equivalent_sip(one: SipUri, other: SipUri) -> bool:
    return (
        one.secure == other.secure
        and _normal(one.user) == _normal(other.user)
        and _normal(one.password) == _normal(other.password)
        and same_host(one.host, other.host)
        and one.port == other.port
        and _agree(_meaning(one.parameters), _meaning(other.parameters))
        and _meaning(one.headers, blind=False) == _meaning(other.headers, blind=False)
    )


def _equivalent_tel(one: TelUri, other: TelUri) -> bool:
    return one.number.lower() == other.number.lower() and _meaning(one.parameters) == _meaning(
        other.parameters
    )


def _agree(one: dict[str, str], other: dict[str, str]) -> bool:
    in_both = one.keys() & other.keys()
    return all(one[name] == other[name] for name in in_both) and all(
        (name in one) == (name in other) for name in _IN_BOTH
    )


def _meaning(pairs: Pairs, *, blind: bool = True) -> dict[str, str]:
    """What each says, the first of a name; `blind` to case in the values, as it always is in the names."""
    meaning: dict[str, str] = {}
    for name, value in pairs:
        said = unescape(value or "")
        meaning.setdefault(unescape(name).lower(), said.lower() if blind else said)
    return meaning


def _normal(text: str | None) -> str | None:
    """With no more escapes than are needed to tell it from others."""
    return None if text is None else _ESCAPE.sub(_unescape_unreserved, text)


def _unescape_unreserved(escape: re.Match[str]) -> str:
    character = chr(int(escape.group()[1:], 16))
    plain = " " < character < "\x7f" and character not in _RESERVED and character != "%"
    return character if plain else escape.group().upper()

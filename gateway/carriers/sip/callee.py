"""Whom a call of ours is for, as people write it."""

from collections.abc import Collection

from gateway.config.shape import no_such
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.uri import SipUri, parse_uri

__all__ = ["trunk_named_by"]


def trunk_named_by(callee: str, trunks: Collection[str]) -> str:
    """Which trunk a call to `sip:+15551230001@trunk` goes by: its host is the name of one of `trunks`.

    Raises `ValueError`, without the number in it, for anything else; what else a URI can have, the trunk's address says.
    """
    try:
        uri = parse_uri(callee)
    except SipSyntaxError:
        uri = None
    if not isinstance(uri, SipUri) or not uri.user or uri != SipUri(user=uri.user, host=uri.host):
        raise ValueError("expected sip:NUMBER@TRUNK, as sip:+15551230001@acme")
    name = uri.host.lower()
    if name not in trunks:
        raise ValueError(no_such("trunk", name, trunks))
    return name

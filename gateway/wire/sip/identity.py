"""Whose a TLS certificate is, in SIP's eyes. RFC 5922 §7. Pure; the chain is checked by the TLS library."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.uri import SipUri, parse_uri

__all__ = ["identities_of", "speaks_for"]

Certificate = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert()` gives it."""


def identities_of(certificate: Certificate) -> tuple[str, ...]:
    """The domains and addresses that the certificate is for, in small letters.

    Those that it names by `sip:` URIs, else by DNS names, else by its common name (§7.1); addresses besides.
    """
    alternatives = certificate.get("subjectAltName", ())
    addresses = [text for kind, text in alternatives if kind == "IP Address"]
    domains = [domain for kind, text in alternatives if kind == "URI" and (domain := _domain_of(text))]
    domains = domains or [text for kind, text in alternatives if kind == "DNS"]
    if not alternatives:
        subject = certificate.get("subject", ())
        domains = [text for parts in subject for kind, text in parts if kind == "commonName"]
    return tuple(text.lower() for text in (*domains, *addresses))


def speaks_for(certificate: Certificate, name: str, *, wildcards: bool = False) -> bool:
    """Whether the certificate is for `name`, the host of the URI that was called (§7.2).

    `wildcards`: let `*.example.com` stand for one label more. RFC 5922 forbids it; carriers have such certificates.
    """
    wanted = _canonical(name)
    parent = wanted.partition(".")[2]
    names = {_canonical(identity) for identity in identities_of(certificate)}
    return wanted in names or (wildcards and "." in parent and f"*.{parent}" in names)


def _domain_of(text: str) -> str | None:
    """That of a `sip:` URI without a user: with one it is a person's, and `sips` is not for this. §7.1."""
    try:
        uri = parse_uri(text)
    except SipSyntaxError:
        return None
    return uri.host if isinstance(uri, SipUri) and uri.user is None and not uri.secure else None


def _canonical(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")

"""TLS contexts of SIP, for connections that come and that we dial. RFC 5922, RFC 7525's TLS 1.2 and later."""

import ssl
from pathlib import Path

__all__ = ["client_context", "server_context"]


def server_context(certificate: Path, key: Path, *, client_authority: Path | None = None) -> ssl.SSLContext:
    """For those who connect to us. `client_authority`: let in only who has a certificate of it.

    All are PEM files. Raises `OSError` or `ssl.SSLError` where they cannot be read or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    *, authority: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For those that we dial. `authority`: who signs their certificates, if not those whom the system trusts.

    `certificate` and `key`: ours, for those who ask for one. Raises as `server_context`.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority)
    context.check_hostname = False  # SIP's rules for names are others: `gateway.wire.sip.identity`
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context

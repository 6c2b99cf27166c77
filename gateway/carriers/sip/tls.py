"""TLS contexts of SIP, for connections that come and that we dial. RFC 5922, RFC 7525's TLS 1.2 and later."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

__all__ = ["UnusableFile", "client_context", "server_context"]


_What = Literal["certificate", "key", "ca"]


class UnusableFile(Exception):
    """A file is not what TLS needs; the text says what would be. `what`: which of them, as the settings call it."""

    def __init__(self, what: _What, right: str) -> None:
        super().__init__(right)
        self.what = what


def server_context(certificate: Path, key: Path, *, client_authority: Path | None = None) -> ssl.SSLContext:
    """For those who connect to us. `client_authority`: let in only who has a certificate of it.

    All are PEM files. Raises `UnusableFile`.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show(context, certificate, key)
    if client_authority is not None:
        with _reading("ca", "certificates"):
            context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    *, authority: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For those that we dial. `authority`: who signs their certificates, if not those whom the system trusts.

    `certificate` and `key`: ours, for those who ask for one. Raises as `server_context`.
    """
    with _reading("ca", "certificates"):
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority)
    context.check_hostname = False  # SIP's rules for names are others: `gateway.wire.sip.identity`
    if certificate is not None:
        _show(context, certificate, key or certificate)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Who asks for it gets this certificate. Of two files OpenSSL does not say which one is wrong."""
    with _reading("certificate", "certificates"):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    with _reading("key", "the private key of sip.certificate, without a password"):
        context.load_cert_chain(certificate, key, password="")


@contextmanager
def _reading(what: _What, content: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise UnusableFile(what, f"expected a PEM file with {content}") from None
    except OSError as error:
        raise UnusableFile(what, f"cannot be read: {error.strerror}") from None

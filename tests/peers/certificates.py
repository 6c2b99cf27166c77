"""A certificate authority for an afternoon, and what it vouches for: whoever is at 127.0.0.1."""

from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates", "issue"]


@dataclass(frozen=True)
class Certificates:
    """PEM files. `both`: certificate and key in one."""

    ca: Path
    certificate: Path
    key: Path
    both: Path


def issue(folder: Path) -> Certificates:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    files = Certificates(
        *(folder / name for name in ("ca.pem", "certificate.pem", "key.pem", "certificate_and_key.pem"))
    )
    authority.cert_pem.write_to_path(files.ca)
    server.cert_chain_pems[0].write_to_path(files.certificate)
    server.private_key_pem.write_to_path(files.key)
    server.private_key_and_cert_chain_pem.write_to_path(files.both)
    return files

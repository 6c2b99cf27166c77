"""Credentials of digest authentication, made by hand as RFC 7616 has it: right ones, old ones and guesses."""

import hashlib
import re

__all__ = ["challenges_in", "credentials"]


def challenges_in(response_headers: list[str]) -> dict[str, str]:
    """The nonce of each algorithm that a 401 offers, in its order."""
    found = {}
    for row in response_headers:
        algorithm, nonce = re.search(r"algorithm=([\w-]+)", row), re.search(r'nonce="([^"]+)"', row)
        assert algorithm is not None
        assert nonce is not None
        found[algorithm[1]] = nonce[1]
    return found


def credentials(
    nonce: str,
    password: str,
    *,
    user: str = "anna",
    method: str = "INVITE",
    uri: str = "sip:+15550100001@127.0.0.1",
    algorithm: str = "SHA-256",
    count: int = 1,
    realm: str = "gateway",
) -> str:
    """For `Authorization`."""

    def hashed(text: str) -> str:
        name = {"SHA-256": "sha256", "MD5": "md5"}[algorithm]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    nc = f"{count:08x}"
    response = hashed(
        f"{hashed(f'{user}:{realm}:{password}')}:{nonce}:{nc}:cnonce:auth:{hashed(f'{method}:{uri}')}"
    )
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", '
        f'algorithm={algorithm}, cnonce="cnonce", qop=auth, nc={nc}'
    )

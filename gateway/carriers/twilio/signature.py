"""Whether a request is Twilio's. Twilio docs, "Webhooks Security"; the algorithm of its helper libraries.

The URL that is checked is the configured one. `Host`, `Forwarded` and `X-Forwarded-*` say what whoever sends
the request wants them to say, and a check that rebuilds the URL from them lets everybody in (CVE-2026-28465).
"""

import base64
import hmac
from collections.abc import Iterable, Sequence

from gateway.carriers.twilio.public_url import PublicUrl

__all__ = ["HEADER", "SignatureCheck", "sign"]

HEADER = "x-twilio-signature"

Params = Sequence[tuple[str, str]]


def sign(token: str, url: str, params: Params = ()) -> str:
    """The signature of one request. `params`: the fields of its form; a field's equal values count once."""
    values: dict[str, set[str]] = {}
    for name, value in params:
        values.setdefault(name, set()).add(value)
    fields = (name + value for name in sorted(values) for value in sorted(values[name]))
    digest = hmac.digest(token.encode(), (url + "".join(fields)).encode(), "sha1")
    return base64.b64encode(digest).decode()


class SignatureCheck:
    """Checks signatures over the public URL. `tokens`: every auth token in use, two while one is rotated."""

    def __init__(self, tokens: Sequence[str], public_url: PublicUrl) -> None:
        if not tokens or not all(tokens):
            raise ValueError("without an auth token nobody can be told from Twilio")
        self._tokens = tuple(tokens)
        self._public_url = public_url

    def accepts_form(self, target: str, params: Params, signature: str) -> bool:
        """A webhook. `target`: the request line's, path and query."""
        return self._accepts(self._public_url.signed_http(target), params, signature)

    def accepts_upgrade(self, target: str, signature: str) -> bool:
        """The opening of a stream: its URL is signed with wss, not https."""
        return self._accepts(self._public_url.signed_websocket(target), (), signature)

    def _accepts(self, urls: Iterable[str], params: Params, signature: str) -> bool:
        given = signature.encode(errors="replace")
        return any(
            hmac.compare_digest(sign(token, url, params).encode(), given)
            for url in urls
            for token in self._tokens
        )

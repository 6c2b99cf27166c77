"""Digest authentication, checked: challenges whose nonces need no memory, and credentials. RFC 7616, RFC 8760."""

import enum
import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.wire.sip.auth import AuthParameters
from gateway.wire.sip.digest import ALGORITHMS, digest_response
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import AUTHORIZATION
from gateway.wire.sip.grammar import quote
from gateway.wire.sip.message import Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["DigestVerifier", "Verdict", "Verified"]

# A call's later requests go on with the nonce of its first. Asterisk: 32 s, FreeSWITCH: 60 s, Kamailio: 300 s.
_NONCE_LIFETIME_S: Final = 300.0
# Nonces that were used and might be again. One costs some 200 bytes.
_MOST_NONCES: Final = 10_000
_MAC_CHARACTERS: Final = 32
_NC_CHARACTERS: Final = 8


class Verdict(enum.Enum):
    """What credentials are worth. All but `GOOD` are answered with 401 and `challenges`."""

    GOOD = "good"
    STALE = "stale"  # the password is right, the nonce is too old or was used: ask again with `stale`
    WRONG = "wrong"
    MISSING = "missing"  # none, or of a scheme or realm that is not ours


class Verified(NamedTuple):
    """`username`: who says so, be it true or not; None if nobody does."""

    verdict: Verdict
    username: str | None = None


class DigestVerifier:
    """Tells who sent a request.

    `secret`: random bytes that nobody else knows, at least 16 (ValueError); it shows in no `repr`. `rng` makes
    nonces differ. `algorithms`: those to offer, strongest first.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        rng: "Random",
        *,
        algorithms: tuple[str, ...] = ALGORITHMS,
        nonce_lifetime_s: float = _NONCE_LIFETIME_S,
    ) -> None:
        if len(secret) < 16:
            raise ValueError("a secret has at least 16 bytes")
        self._realm = realm
        self._secret = secret
        self._rng = rng
        self._algorithms = algorithms
        self._lifetime_ms = round(nonce_lifetime_s * 1000)
        self._counts: dict[
            str, int
        ] = {}  # the highest nc of each nonce that was used, in the order of first use
        self._oldest_ms = -1  # nonces made up to then are stale: what they were used for is forgotten

    def challenges(self, now: float, *, stale: bool = False) -> tuple[AuthParameters, ...]:
        """For `WWW_AUTHENTICATE` of a 401, one row an algorithm."""
        nonce = self._nonce(round(now * 1000))
        said = [("realm", quote(self._realm)), ("nonce", quote(nonce)), ("qop", '"auth"')]
        if stale:
            said.append(("stale", "TRUE"))
        return tuple(AuthParameters("digest", (*said, ("algorithm", each))) for each in self._algorithms)

    def verify(self, request: Request, password_of: Callable[[str], str | None], now: float) -> Verified:
        """Judge the credentials of a request. `password_of`: by name; None for nobody. Never raises by what it holds.

        The `uri` that was hashed need not be the Request-URI: proxies and sipp change one without the other.
        """
        said = self._addressed_to_us(request)
        if said is None:
            return Verified(Verdict.MISSING)
        username, nonce, count = said.get("username") or "", said.get("nonce") or "", said.get("nc") or ""
        password = password_of(username)
        # Nobody's password is tried as well, so that the time does not tell who exists.
        right = self._proves(said, request.method, password or "") and password is not None
        if not right:
            return Verified(Verdict.WRONG, username)
        if not self._is_fresh(nonce, count, round(now * 1000)):
            return Verified(Verdict.STALE, username)
        return Verified(Verdict.GOOD, username)

    def _addressed_to_us(self, request: Request) -> AuthParameters | None:
        for row in request.headers.rows(AUTHORIZATION.name):
            try:
                said = AuthParameters.parse(row)
            except SipSyntaxError:
                continue
            if said.scheme == "digest" and said.get("realm") == self._realm:
                return said
        return None

    def _proves(self, said: AuthParameters, method: str, password: str) -> bool:
        algorithm = (said.get("algorithm") or "MD5").upper()
        if algorithm not in self._algorithms or (said.get("qop") or "").lower() != "auth":
            return False
        expected = digest_response(
            algorithm=algorithm,
            secret=f"{said.get('username')}:{self._realm}:{password}",
            method=method,
            uri=said.get("uri") or "",
            nonce=said.get("nonce") or "",
            count_and_cnonce=(said.get("nc") or "", said.get("cnonce") or ""),
        )
        return hmac.compare_digest(expected.encode(), (said.get("response") or "").lower().encode())

    # -- nonces: when, which, and that it is ours

    def _nonce(self, now_ms: int) -> str:
        body = f"{now_ms:x}-{self._rng.getrandbits(64):016x}"
        return f"{body}-{self._mac(body)}"

    def _mac(self, body: str) -> str:
        keyed = hmac.new(self._secret, f"{self._realm}\0{body}".encode(), hashlib.sha256)
        return keyed.hexdigest()[:_MAC_CHARACTERS]

    def _is_fresh(self, nonce: str, count: str, now_ms: int) -> bool:
        """Ours, not too old, and its nc higher than ever before. What is fresh once is not fresh again."""
        made_ms = self._made_ms(nonce)
        if made_ms is None or not max(self._oldest_ms, now_ms - self._lifetime_ms) < made_ms <= now_ms:
            return False
        number = _count_of(count)
        if number is None or number <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = number
        if len(self._counts) > _MOST_NONCES:
            self._forget_oldest()
        return True

    def _made_ms(self, nonce: str) -> int | None:
        body, _, mac = nonce.rpartition("-")
        if not hmac.compare_digest(self._mac(body).encode(), mac.encode()):
            return None
        return int(body.partition("-")[0], 16)

    def _forget_oldest(self) -> None:
        """The half that was made first; whoever goes on with one of them is asked anew."""
        made = {nonce: self._made_ms(nonce) or 0 for nonce in self._counts}
        self._oldest_ms = sorted(made.values())[len(made) // 2]
        self._counts = {
            nonce: count for nonce, count in self._counts.items() if made[nonce] > self._oldest_ms
        }


def _count_of(text: str) -> int | None:
    """`nc`: eight digits in hex, from 1. RFC 7616 §3.4."""
    if len(text) != _NC_CHARACTERS or not all(digit in "0123456789abcdefABCDEF" for digit in text):
        return None
    return int(text, 16)

"""Digest authentication: what is proven, and how we prove it. RFC 3261 §22, RFC 7616, RFC 8760.

SHA-256 before MD5; `qop=auth`, or none as in RFC 2069 where a server offers none. `-sess` and `auth-int` are not
taken: in SIP, bodies are rewritten on their way. The other side, who checks, is `digest_verifier`.
"""

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.wire.sip.auth import AuthParameters, read_auth_parameters
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import (
    AUTHORIZATION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    WWW_AUTHENTICATE,
)
from gateway.wire.sip.grammar import check_quotable, quote, unquote
from gateway.wire.sip.headers import Field
from gateway.wire.sip.message import Request, Response

if TYPE_CHECKING:
    from random import Random

__all__ = ["ALGORITHMS", "DigestClient", "digest_response"]

ALGORITHMS: Final = ("SHA-256", "MD5")  # strongest first
# A server whose nonces are stale at birth would have us try for ever.
_MOST_STALE: Final = 3
# Proxies on the way may each have a realm. More are nobody's.
_MOST_REALMS: Final = 8

AuthField = Field[tuple[AuthParameters, ...]]


class _Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """One that we can answer. `proxy`: it came from one, in a 407."""

    realm: str
    nonce: str
    algorithm: str
    named_algorithm: bool
    qop: bool
    opaque: str | None
    stale: bool
    proxy: bool

    @property
    def space(self) -> tuple[str, bool]:
        return self.realm, self.proxy


class _Standing:
    """A realm's challenge and how often it was used."""

    def __init__(self, challenge: _Challenge) -> None:
        self.challenge = challenge
        self.count = 0


class DigestClient:
    """Answers challenges with one name and password, and goes on answering in later requests.

    `realm`: the only one that gets an answer; None: any. `rng` makes client nonces. The password shows in no `repr`.
    A name that no header can hold raises ValueError.
    """

    def __init__(self, username: str, password: str, rng: "Random", *, realm: str | None = None) -> None:
        check_quotable(username)
        self._username = username
        self._password = password
        self._rng = rng
        self._realm = realm
        self._standing: dict[tuple[str, bool], _Standing] = {}
        self._stale = 0

    def challenged(self, request: Request, response: Response) -> bool:
        """Take a 401 or 407 to `request`. True: send it again as a new request, after `authorize`.

        False: what we said was refused, or nothing of it can be answered. Never raises.
        """
        challenges = self._strongest(response)
        again = False
        for challenge in challenges[:_MOST_REALMS]:
            used = self._standing.get(challenge.space)
            if (
                used is not None
                and _used_by(request, used.challenge)
                and not self._may_retry(challenge, used)
            ):
                continue
            self._standing.pop(challenge.space, None)
            self._standing[challenge.space] = _Standing(challenge)
            again = True
        while len(self._standing) > _MOST_REALMS:
            del self._standing[next(iter(self._standing))]
        return again

    def authorize(self, request: Request) -> None:
        """Put credentials for every realm that has challenged us into the headers, in place of older ones."""
        for proxy in (False, True):
            credentials = [
                self._credentials(each, request)
                for each in self._standing.values()
                if each.challenge.proxy == proxy
            ]
            if credentials:
                request.headers[_credentials_field(proxy)] = tuple(credentials)

    def accepted(self, response: Response) -> None:
        """Take a 2xx: it may name the nonce to go on with. RFC 7616 §3.5."""
        self._stale = 0
        for name, proxy in (("Authentication-Info", False), ("Proxy-Authentication-Info", True)):
            nonce = _next_nonce(response.headers.get(name))
            spaces = [space for space in self._standing if space[1] == proxy]
            if nonce and len(spaces) == 1:  # it names no realm
                challenge = self._standing[spaces[0]].challenge
                self._standing[spaces[0]] = _Standing(msgspec.structs.replace(challenge, nonce=nonce))

    def _strongest(self, response: Response) -> list[_Challenge]:
        """Of each realm the one whose algorithm is the strongest; the first of equals."""
        best: dict[str, _Challenge] = {}
        for challenge in _challenges(response):
            known = best.get(challenge.realm)
            if self._realm not in {None, challenge.realm}:
                continue
            if known is None or ALGORITHMS.index(challenge.algorithm) < ALGORITHMS.index(known.algorithm):
                best[challenge.realm] = challenge
        return list(best.values())

    def _may_retry(self, challenge: _Challenge, used: _Standing) -> bool:
        """After a nonce was refused. One that had been good before may be too old, whether they say so or not."""
        if used.count > 1:
            self._stale = 0
            return True
        self._stale += challenge.stale
        return challenge.stale and self._stale <= _MOST_STALE

    def _credentials(self, standing: _Standing, request: Request) -> AuthParameters:
        challenge = standing.challenge
        standing.count += 1
        count, cnonce = f"{standing.count:08x}", f"{self._rng.getrandbits(128):032x}"
        response = digest_response(
            algorithm=challenge.algorithm,
            secret=f"{self._username}:{challenge.realm}:{self._password}",
            method=request.method,
            uri=str(request.uri),
            nonce=challenge.nonce,
            count_and_cnonce=(count, cnonce) if challenge.qop else None,
        )
        said = {
            "username": quote(self._username),
            "realm": quote(challenge.realm),
            "nonce": quote(challenge.nonce),
            "uri": quote(str(request.uri)),
            "response": quote(response),
        }
        if challenge.named_algorithm:
            said["algorithm"] = challenge.algorithm
        if challenge.opaque is not None:
            said["opaque"] = quote(challenge.opaque)
        if challenge.qop:
            said |= {"qop": "auth", "nc": count, "cnonce": quote(cnonce)}
        return AuthParameters("digest", tuple(said.items()))


def digest_response(
    *,
    algorithm: str,
    secret: str,
    method: str,
    uri: str,
    nonce: str,
    count_and_cnonce: tuple[str, str] | None,
) -> str:
    """What proves that one knows `secret` (`name:realm:password`), in hex. RFC 7616 §3.4.1.

    `algorithm`: one of `ALGORITHMS`. `count_and_cnonce`: `nc` and `cnonce` as written, of qop=auth; None: no qop,
    RFC 2069.
    """
    between = "" if count_and_cnonce is None else f"{count_and_cnonce[0]}:{count_and_cnonce[1]}:auth:"
    who, what = _hash(algorithm, secret), _hash(algorithm, f"{method}:{uri}")
    return _hash(algorithm, f"{who}:{nonce}:{between}{what}")


def _hash(algorithm: str, text: str) -> str:
    if algorithm == "SHA-256":
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # so that FIPS lets us answer at all


def _challenges(response: Response) -> list[_Challenge]:
    """Those that we could answer."""
    proxy = response.status == 407
    name = (PROXY_AUTHENTICATE if proxy else WWW_AUTHENTICATE).name
    found = []
    for row in response.headers.rows(name):
        try:
            challenge = _challenge(AuthParameters.parse(row), proxy=proxy)
        except SipSyntaxError:
            continue  # another may be better
        if challenge is not None:
            found.append(challenge)
    return found


def _challenge(said: AuthParameters, *, proxy: bool) -> _Challenge | None:
    realm, nonce = said.get("realm"), said.get("nonce")
    algorithm = (said.get("algorithm") or "MD5").upper()
    qops = [qop.strip(" \t").lower() for qop in (said.get("qop") or "").split(",") if qop.strip(" \t")]
    if said.scheme != "digest" or realm is None or nonce is None or algorithm not in ALGORITHMS:
        return None
    if qops and "auth" not in qops:
        return None
    return _Challenge(
        realm=realm,
        nonce=nonce,
        algorithm=algorithm,
        named_algorithm=said.get("algorithm") is not None,
        qop=bool(qops),
        opaque=said.get("opaque"),
        stale=(said.get("stale") or "").lower() == "true",
        proxy=proxy,
    )


def _credentials_field(proxy: bool) -> AuthField:
    return PROXY_AUTHORIZATION if proxy else AUTHORIZATION


def _used_by(request: Request, challenge: _Challenge) -> bool:
    """Whether the request had credentials that answered this challenge."""
    credentials = request.headers[_credentials_field(challenge.proxy)]
    return any(
        each.get("realm") == challenge.realm and each.get("nonce") == challenge.nonce for each in credentials
    )


def _next_nonce(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return unquote(read_auth_parameters(text).get("nextnonce", ""))
    except SipSyntaxError:
        return None

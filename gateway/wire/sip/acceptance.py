"""What a user agent that lacks something says to a request that needs it. RFC 3261 §8.2.1 to §8.2.3."""

from typing import Final

import msgspec

from gateway.wire.sip.backoff import readable
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import ACCEPT, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, REQUIRE
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import METHODS, Request
from gateway.wire.sip.values import Word

__all__ = ["Abilities", "Refusal", "describes_session", "refusal_of"]

_OFFER: Final = "application/sdp"  # what every answer to an INVITE is written in
# §8.2.3: answered by nobody, or as ready as what they belong to.
_NEVER_REFUSED: Final = frozenset({"ACK", "CANCEL"})
# What a description may be for (an `early-session`, RFC 3959, is another than the one that is made), and other bodies.
# RFC 3261 §20.11, RFC 3204 §4.
_PURPOSES: Final = {_OFFER: frozenset({"session"})}
_OTHER_PURPOSES: Final = frozenset({"render", "session", "signal"})


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What we take. `extensions`: option tags. `content_types`: of bodies, in small letters."""

    methods: tuple[str, ...]
    schemes: tuple[str, ...] = ("sip", "sips", "tel")
    extensions: tuple[str, ...] = ()
    content_types: tuple[str, ...] = (_OFFER,)


class Refusal(msgspec.Struct, frozen=True):
    """A final response that says what would have been taken. `reason`: in place of the usual phrase."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    reason: str | None = None


def refusal_of(request: Request, abilities: Abilities) -> Refusal | None:
    """Why a user agent with these abilities does not take the request; None: it does.

    405 or 501 by method, 416 by the Request-URI's scheme, 420 by Require, 415 by the body, 406 by Accept of an
    INVITE, 400 where a header that says so cannot be read. Not decided here: 401, 404, 481 and all else that
    depends on who calls whom, a registrar's 400 for a To that is no SIP URI among it; 482, which is the
    transactions'; 483, which is a proxy's (who is called may answer at Max-Forwards 0).
    """
    if request.method in _NEVER_REFUSED:
        return None
    try:
        return (
            _by_start_line(request, abilities)
            or _by_headers(request, abilities)
            or _by_body(request, abilities)
        )
    except SipSyntaxError as error:
        return Refusal(400, reason=str(error))


def _by_start_line(request: Request, abilities: Abilities) -> Refusal | None:
    if request.method not in abilities.methods:
        return Refusal(405 if request.method in METHODS else 501, (("Allow", ", ".join(abilities.methods)),))
    if request.uri.scheme not in abilities.schemes:
        return Refusal(416)
    return None


def _by_headers(request: Request, abilities: Abilities) -> Refusal | None:
    lacking = [tag for tag in request.headers[REQUIRE] if tag.lower() not in abilities.extensions]
    if lacking:
        return Refusal(420, (("Unsupported", ", ".join(lacking)),))
    if request.method == "INVITE" and "Accept" in request.headers:
        ranges = request.headers[ACCEPT]
        if not any(media.takes(_OFFER) for media in ranges):
            return Refusal(406)
    return None


def _by_body(request: Request, abilities: Abilities) -> Refusal | None:
    headers = request.headers
    if not request.body or request.method == "BYE" or _may_be_ignored(headers):
        return None  # last words change nothing of the parting: §8.2.3 would have the call go on for them
    if not _is_plain(headers[CONTENT_ENCODING]):
        return Refusal(415, (("Accept-Encoding", "identity"),))
    name = headers[CONTENT_TYPE].name
    if name not in abilities.content_types or not _is_of_use(name, headers.get(CONTENT_DISPOSITION)):
        return Refusal(415, (("Accept", ", ".join(abilities.content_types)),))
    return None


def describes_session(headers: HeaderMap) -> bool:
    """Whether the body is SDP that offers or answers. One that is not may be ignored, or its sender has heard a 415."""
    media_type = readable(headers, CONTENT_TYPE)
    return (
        media_type is not None
        and media_type.name == _OFFER
        and _is_plain(readable(headers, CONTENT_ENCODING) or ())
        and _is_of_use(_OFFER, readable(headers, CONTENT_DISPOSITION))
    )


def _is_plain(codings: tuple[str, ...]) -> bool:
    return all(coding.lower() == "identity" for coding in codings)


def _is_of_use(name: str, disposition: Word | None) -> bool:
    """Whether we know what a body of this type is there for; it need not say."""
    return disposition is None or disposition.word.lower() in _PURPOSES.get(name, _OTHER_PURPOSES)


def _may_be_ignored(headers: HeaderMap) -> bool:
    """Whether the sender says so. RFC 3261 §20.11."""
    disposition = headers.get(CONTENT_DISPOSITION)
    return disposition is not None and (disposition.parameters.get("handling") or "").lower() == "optional"

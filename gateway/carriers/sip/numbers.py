"""Who calls and who is called, as a dialplan wants to know it: a number in E.164, or else what SIP has."""

import re
from collections.abc import Iterable
from typing import Final

from gateway.telemetry.masking import clean_text, mask_number
from gateway.wire.sip.backoff import readable
from gateway.wire.sip.fields import FROM, P_ASSERTED_IDENTITY, TO
from gateway.wire.sip.message import Request
from gateway.wire.sip.uri import OpaqueUri, SipUri, TelUri, Uri

__all__ = ["ANONYMOUS", "called_of", "caller_of", "e164", "name_of", "shown_call_id"]

ANONYMOUS: Final = "anonymous"

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
# Carriers that leave out the plus. What is shorter may as well be a national number, or an extension.
_WITHOUT_PLUS = re.compile(r"[1-9][0-9]{10,14}")
_INTERNATIONAL = re.compile(r"00([1-9][0-9]{7,14})")  # ITU-T E.123, as most of the world dials
_VISUAL = re.compile(r"[-.() ]")
_LONGEST: Final = 128
# Of a number's length, and no part of a word: those of a UUID or a hash stay.
_NUMBER_IN_ID = re.compile(r"(?<![A-Za-z0-9*])[0-9]{7,15}(?![A-Za-z0-9*])")
# RFC 3323 §4.2: who asks for one of these does not want to be known. `session` and `critical` say nothing of names.
_PRIVATE: Final = frozenset({"id", "user", "header"})


def caller_of(request: Request, *, trusted: bool) -> str:
    """Who calls. `trusted`: who sent this knows, and says so by P-Asserted-Identity (RFC 3325). `anonymous`: withheld."""
    caller = request.headers[FROM].uri
    if _is_anonymous(caller) or _wants_privacy(request):
        return ANONYMOUS
    asserted = (readable(request.headers, P_ASSERTED_IDENTITY) or ()) if trusted else ()
    return _best([*(each.uri for each in asserted), caller] if asserted else [caller])


def called_of(request: Request, *, registered: bool = False) -> str:
    """Who is called. `registered`: the Request-URI is our own contact, and the number only stands in To."""
    uris = [request.uri, request.headers[TO].uri]
    if registered:
        uris.reverse()
    with_user = [uri for uri in uris if not isinstance(uri, SipUri) or uri.user]
    return name_of((with_user or uris)[0])


def name_of(uri: Uri) -> str:
    """The number in E.164 that a URI is for, else its user as it is written, else the URI without parameters."""
    match uri:
        case TelUri():
            return e164(_in_context(uri.number, uri.parameter("phone-context"))) or uri.number[:_LONGEST]
        case SipUri(user=str(user)) if user:
            context = dict(uri.user_parameters).get("phone-context")
            written = user.partition(";")[0]
            return e164(_in_context(uri.number or "", context)) or (written or user)[:_LONGEST]
        case SipUri():
            return str(SipUri(host=uri.host, port=uri.port, secure=uri.secure))[:_LONGEST]
        case OpaqueUri():
            return uri.text[:_LONGEST]


def e164(text: str) -> str | None:
    """`text` as `+15550001000`, if it looks so: with a plus, with 00, or with 11 digits and more."""
    digits = _VISUAL.sub("", text) if text.startswith("+") else text
    if _E164.fullmatch(digits):
        return digits
    if found := _INTERNATIONAL.fullmatch(digits):
        return f"+{found[1]}"
    return f"+{digits}" if _WITHOUT_PLUS.fullmatch(digits) else None


def shown_call_id(call_id: str) -> str:
    """A Call-ID as it may be written down: without the host behind its @, and with numbers masked as in the log."""
    text = clean_text(call_id.partition("@")[0])
    return _NUMBER_IN_ID.sub(lambda found: mask_number(found[0]), text) or "…"


def _best(uris: Iterable[Uri]) -> str:
    """The first number among them, else the first name."""
    names = [name_of(uri) for uri in uris]
    return next((name for name in names if _E164.fullmatch(name)), names[0])


def _in_context(number: str, context: str | None) -> str:
    """A local number with the prefix that makes it global. RFC 3966 §5.1.5."""
    if context is None or not context.startswith("+") or number.startswith("+"):
        return number
    return context + number


def _is_anonymous(uri: Uri) -> bool:
    """RFC 3323 §4.1.1.3, RFC 3325 §7; hosts other than `anonymous.invalid` are seen as well."""
    if not isinstance(uri, SipUri):
        return False
    return uri.host.lower() == "anonymous.invalid" or (uri.number or "").lower() == ANONYMOUS


def _wants_privacy(request: Request) -> bool:
    words = {
        word.strip().lower() for row in request.headers.rows("Privacy") for word in re.split("[;,]", row)
    }
    return bool(words & _PRIVATE)

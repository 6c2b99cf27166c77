"""Takes phone numbers and secrets out of what is logged.

`clean(value)` walks any plain value (text, numbers, dicts, lists) and returns it without them. Which keys and
which texts are secret is the tables below and nothing else: a guess would hide what an operator needs.
"""

import re
from typing import Any

REDACTED = "[redacted]"

# Longer text loses its middle: a peer chooses how long its error message is, and a traceback ends with its reason.
MAX_TEXT_CHARS = 16_384

# Beyond this a text is not even looked at: searching a megabyte would hold up the loop for 100 ms.
_MAX_SEARCHED_CHARS = 4 * MAX_TEXT_CHARS

# Keys whose value is secret whatever it is; compared in lower case with "-" as "_".
SECRET_KEYS = frozenset(
    {
        "access_token",
        "api_key",
        "auth_token",
        "authorization",
        "client_secret",
        "cookie",
        "openai_api_key",
        "password",
        "proxy_authorization",
        "secret",
        "set_cookie",
        "token",
        "twilio_auth_token",
        "x_twilio_signature",
    }
)

# Secrets inside longer text: URLs, header lines, a vendor's error message that quotes our key.
_SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # The token of a media stream is the only key to a call's audio.
        (r"(/twilio/media/)[^\s/?#\"'<>]+", r"\1" + REDACTED),
        # A header line, or a header in a printed dict or list of pairs: all that follows on the line.
        (
            r"\b((?:proxy-)?authorization|x-twilio-signature|(?:set-)?cookie)\b(['\"]?\s*[:=,]\s*)[^\r\n]+",
            r"\1\2" + REDACTED,
        ),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", r"\1 " + REDACTED),
        (
            r"\b(access_token|api_?key|auth_?token|client_secret|password|secret|token)=[^&\s\"']+",
            r"\1=" + REDACTED,
        ),
        (r"(://[^\s/:@]*:)[^\s/@]+@", r"\1" + REDACTED + "@"),
        (r"\bsk-[\w-]{8,}", REDACTED),
    )
)

# Keys whose value is a number of a person even when it has no plus sign.
NUMBER_KEYS = frozenset({"called", "caller", "caller_id", "destination", "from", "number", "phone", "to"})

# E.164: a plus (or its URL form) and up to 15 digits, the first not 0. In a SIP or tel URI the plus may be
# missing (RFC 3966 §5.1.5, RFC 3261 §19.1.1). A run that is followed by "*" is masked already.
_COMPACT = re.compile(r"(?:\+|%2[Bb]|(?<=sip:)|(?<=sips:)|(?<=tel:))[1-9]\d{6,14}(?![\d*])")

# The way people write them: "+1 (415) 555-1212", "415-555-1212". Not inside a word, an address or a UUID.
_WRITTEN = re.compile(
    r"\+[1-9]\d{0,2}(?:[ .()-]{1,2}\d{1,4}){2,6}(?![\d*])"
    r"|(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w*-])"
)
_BARE = re.compile(r"\d{7,15}")


def clean(value: Any) -> Any:
    """A copy of `value` without phone numbers and secrets, ready for JSON. Bytes become text.

    Takes what JSON has, and bytes; any other object is returned as it is.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return clean_text(bytes(value).decode(errors="backslashreplace"))
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {_clean_key(key): _clean_item(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def clean_text(text: str) -> str:
    """`text` without phone numbers and secrets, at most `MAX_TEXT_CHARS` of it, and encodable as UTF-8."""
    text = text[:_MAX_SEARCHED_CHARS]
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    text = _WRITTEN.sub(_mask_written, _COMPACT.sub(_mask_compact, text))
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[: MAX_TEXT_CHARS // 2]} … {text[-MAX_TEXT_CHARS // 2 :]}"
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def mask_number(number: str) -> str:
    """`+14155551212` as `+1415555**12`: enough to tell two callers apart, not to call one."""
    return f"{number[:-4]}**{number[-2:]}"


def _clean_key(key: Any) -> Any:
    return clean_text(key) if isinstance(key, str) else key


def _clean_item(key: Any, item: Any) -> Any:
    name = key.lower().replace("-", "_") if isinstance(key, str) else ""
    if name in SECRET_KEYS and item is not None:
        return REDACTED
    if name in NUMBER_KEYS and isinstance(item, str | int) and _BARE.fullmatch(str(item)):
        return mask_number(str(item))
    return clean(item)


def _mask_compact(match: re.Match[str]) -> str:
    return mask_number(match.group())


def _mask_written(match: re.Match[str]) -> str:
    """All but the first four digits: what is joined to a written number may be the next one's digits."""
    kept = 0

    def mask_digit(digit: re.Match[str]) -> str:
        nonlocal kept
        kept += 1
        return digit.group() if kept <= 4 else "*"

    return re.sub(r"\d", mask_digit, match.group())

"""A message of SIP as the ladder of a report shows it: who is who is not in it, nor what is secret. A core.

Where media goes is: without the addresses of a description nobody finds out why a call was silent.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from gateway.carriers.sip.leg_messages import MessagePassed
from gateway.carriers.sip.told import one_line, plain_text, without_people
from gateway.telemetry.masking import clean_text
from gateway.wire.sip.endpoint import described_in
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.headers import HeaderMap, key_of
from gateway.wire.sip.message import Request, Response

__all__ = ["HIDDEN", "passed_message"]

HIDDEN: Final = "<hidden>"

# What names nobody. A header that is not here may hold a number, an address, or what somebody else thinks is private.
_SHOWN: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "allow", "allow-events", "event", "supported"),
        *("require", "proxy-require", "unsupported", "recv-info", "info-package"),
        *("content-type", "content-length", "content-disposition", "content-encoding"),
        *("expires", "min-expires", "session-expires", "min-se", "retry-after", "date", "timestamp"),
        *("max-forwards", "subscription-state", "refer-sub", "rseq", "rack", "privacy", "p-early-media"),
    }
)
_WORDS: Final = frozenset({"reason", "server", "user-agent"})
# Credentials, and what they answer: that they stand there is worth knowing.
_SECRET: Final = frozenset(
    {
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info", "identity"),
    }
)
_MOST_ROWS: Final = 100
_MOST_SDP_CHARS: Final = 4000

# What a line of SDP may be about; people (RFC 8866 §5.4 to §5.6), keys of old (RFC 4566 §5.12) and what is no line
# are left out. Read as patiently as `wire.sdp.description` does, and more: what it refuses is recorded as well.
_LINE: Final = re.compile(r"\s*([abcmostv])\s*=\s*(.*)", re.IGNORECASE | re.DOTALL)
_ORIGIN_WORDS: Final = 6
_KEY: Final = re.compile(r"(inline\s*:).*", re.IGNORECASE | re.DOTALL)
# What the registry has of media, and what it says. Of other attributes only the name is kept.
_ATTRIBUTE: Final = re.compile(r"([^:]*)(:?)(.*)", re.DOTALL)
_SHOWN_ATTRIBUTES: Final = frozenset(
    {
        *("rtpmap", "fmtp", "ptime", "maxptime", "crypto", "rtcp", "rtcp-fb", "rtcp-xr", "candidate"),
        *("mid", "group", "setup", "ssrc", "extmap", "bundle-only", "silencesupp", "framerate", "quality"),
        *("acap", "pcfg", "acfg", "tcap", "csup", "creq", "direction", "tool", "charset"),
    }
)
_CNAME: Final = re.compile(r"(cname\s*:).*", re.IGNORECASE | re.DOTALL)


def passed_message(message: Request | Response, *, sent: bool, flow: Flow) -> MessagePassed:
    """What of a message may be recorded. `sent`: by us. `flow`: on which it went."""
    line = (
        message.method if isinstance(message, Request) else f"{message.status} {plain_text(message.reason)}"
    )
    return MessagePassed(
        sent=sent,
        line=line,
        cseq=one_line(message.headers.get("CSeq") or ""),
        transport=flow.transport,
        headers=tuple(_rows(message.headers)),
        sdp=_description(message),
    )


def _rows(headers: HeaderMap) -> Iterator[tuple[str, str]]:
    """Every header that may be seen, in order."""
    for name, text in islice(headers, _MOST_ROWS):
        match key_of(name):
            case key if key in _SHOWN:
                yield name, without_people(one_line(text))
            case key if key in _WORDS:
                yield name, plain_text(text)
            case key if key in _SECRET:
                yield name, HIDDEN


def _description(message: Request | Response) -> str:
    body = described_in(message)
    if body is None:
        return ""
    lines = re.split(r"[\r\n]+", body[:_MOST_SDP_CHARS].decode(errors="replace"))
    shown = [line for line in map(_shown_line, lines) if line is not None]
    return "".join(f"{line}\r\n" for line in shown)


def _shown_line(line: str) -> str | None:
    """What of a line of SDP may be recorded; None: nothing."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    kind, value = found[1].lower(), found[2].rstrip()
    match kind:
        case "s":
            value = "-"
        case "o":
            words = value.split()
            value = " ".join(["-", *words[1 - _ORIGIN_WORDS :]]) if len(words) >= _ORIGIN_WORDS else "-"
        case "a":
            value = _shown_attribute(value)
    return f"{kind}={without_people(clean_text(value))}"


def _shown_attribute(text: str) -> str:
    found = _ATTRIBUTE.fullmatch(text)
    assert found is not None  # of any text
    name, colon, value = found.groups()
    if name.strip().lower() not in _SHOWN_ATTRIBUTES:
        value = "hidden" if value else ""
    return name + colon + _CNAME.sub(r"\1hidden", _KEY.sub(r"\1hidden", value))

"""What a session says, as a leg is told it: nobody's name, number, or key in it. A core."""

import re
from typing import Final

from gateway.carriers.sip.leg_messages import CallOver, DigitInformed, MediaAgreed
from gateway.media.latch import Address
from gateway.telemetry.masking import clean_text
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sip.backoff import readable
from gateway.wire.sip.fields import CONTENT_TYPE
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session_words import Ended
from gateway.wire.telephone_event import DIGITS

__all__ = ["call_over", "digit_informed", "media_agreed", "one_line", "plain_text", "without_people"]

_MOST_PORT: Final = 0xFFFF
_MOST_CAUSE: Final = 127
_MOST_CHARS: Final = 120
_MOST_DIGIT_CHARS: Final = 8
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]+")
# Masked as in the log, or not known for one there; people write them in groups.
_LONG_NUMBER: Final = re.compile(r"\+?\(?\d(?:[\d*]{4,}|(?:[-. ()]{0,2}[\d*]){6,})")
# Only from where a word begins, and without a way back: a long line costs no more than its length.
_SOMEBODY: Final = re.compile(r"(?<![^\s<>\"',;=@])[^\s<>\"',;=@]*+@[^\s<>\"',;]*+")
_SIGNAL: Final = re.compile(rb"^[ \t]*signal[ \t]*=[ \t]*([^\s;]+)", re.IGNORECASE | re.MULTILINE)
_DURATION: Final = re.compile(rb"^[ \t]*duration[ \t]*=[ \t]*(\d{1,5})\b", re.IGNORECASE | re.MULTILINE)


def media_agreed(agreed: Agreed, *, early: bool = False) -> MediaAgreed:
    """The terms of an SDP, without keys. `early`: before the call is answered."""
    return MediaAgreed(
        codec=agreed.codec,  # type: ignore[arg-type]  # an agreement has no other than ours
        payload_type=agreed.payload_type,
        event_payload_type=agreed.event_payload_type,
        receives=agreed.receives,  # type: ignore[arg-type]  # likewise
        direction=agreed.direction,
        rtp=_address(agreed.address, agreed.port),
        rtcp=_address(agreed.rtcp_address, agreed.rtcp_port),
        rtcp_mux=agreed.rtcp_mux,
        ptime_ms=agreed.ptime_ms,
        secure=agreed.srtp is not None,
        early=early,
    )


def call_over(ended: Ended) -> CallOver:
    """How a session ended that we did not end: their status, a cause of ISDN's, and the words for either."""
    refusal = ended.message if isinstance(ended.message, Response) and ended.message.status >= 300 else None
    reasons = ended.reasons
    causes = [reason.cause for reason in reasons if reason.protocol.upper() == "Q.850"]
    texts = [reason.text for reason in reasons if reason.text]
    return CallOver(
        why=ended.why,
        status=refusal.status if refusal is not None else None,
        cause=next((cause for cause in causes if cause is not None and cause <= _MOST_CAUSE), None),
        text=plain_text(texts[0] if texts else refusal.reason if refusal is not None else ""),
    )


def digit_informed(request: Request) -> DigitInformed | None:
    """The key in an INFO: `Signal=5` and `Duration=160` as Cisco has it, or nothing but the key. None: there is none.

    What is no key is told all the same: others may count it.
    """
    media_type = readable(request.headers, CONTENT_TYPE)
    name = media_type.name if media_type is not None else ""
    signal = _SIGNAL.search(request.body)
    duration = _DURATION.search(request.body)
    if signal is not None:
        digit = signal[1].decode(errors="replace")
    elif name == "application/dtmf":
        digit = request.body.decode(errors="replace").strip()
    else:
        return None
    if digit.isascii() and digit.isdigit() and 10 <= int(digit[:3]) < len(DIGITS):
        digit = DIGITS[int(digit)]  # by the number of its event; RFC 4733 §3.2
    return DigitInformed(
        digit=digit[:_MOST_DIGIT_CHARS], duration_ms=int(duration[1]) if duration is not None else None
    )


def plain_text(text: str) -> str:
    """Words of others for people to read: one line without phone numbers, and without who is where."""
    return _LONG_NUMBER.sub("…", without_people(clean_text(one_line(text))))


def without_people(text: str) -> str:
    """`text` without any `anna@host`."""
    return _SOMEBODY.sub("…", text)


def one_line(text: str) -> str:
    """What others wrote, without what would do something on a screen, and not more than fits there."""
    return _UNPRINTABLE.sub(" ", text[:_MOST_CHARS])


def _address(host: str | None, port: int) -> Address | None:
    """A port of RTCP is one above that of RTP, and may be none then."""
    return Address(host, port) if host is not None and 0 < port <= _MOST_PORT else None

"""The smaller values of headers: numbers with a word, words with parameters, dates."""

import re
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import LWS, TOKEN, check_quotable, check_token, number_of, quote, skip_comment
from gateway.wire.sip.parameters import NO_PARAMETERS, Parameters

__all__ = [
    "CSeq",
    "MediaType",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SessionExpires",
    "Word",
    "read_call_id",
    "read_date",
    "read_method",
    "read_seconds",
    "write_date",
]

_MAX_SECONDS: Final = 2**32 - 1  # RFC 3261 §20.19
_MAX_CSEQ: Final = 2**31 - 1  # RFC 3261 §8.1.1.5
_MAX_CAUSE: Final = 999

_CSEQ = re.compile(rf"([0-9]++)[ \t]++({TOKEN})")
_WORD = re.compile(rf"({TOKEN})(.*)", re.DOTALL)
_MEDIA_TYPE = re.compile(rf"({TOKEN}){LWS}/{LWS}({TOKEN})(.*)", re.DOTALL)
_SECONDS = re.compile(r"([0-9]++)(.*)", re.DOTALL)
# RFC 3261 has words joined by `@`; base64 with `=` is seen as well. What would part it from others is not in it.
_CALL_ID = re.compile(r"[!-+\--:<-~]++")
_WITH_CALL_ID = re.compile(r"([!-+\--:<-~]++)(.*)", re.DOTALL)
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class CSeq(msgspec.Struct, frozen=True):
    number: int
    method: str

    def __post_init__(self) -> None:
        check_token(self.method)
        if not 0 <= self.number <= _MAX_CSEQ:
            raise ValueError("a CSeq is below 2**31")

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        found = _CSEQ.fullmatch(text)
        number = number_of(found.group(1), _MAX_CSEQ) if found else None
        if found is None or number is None:
            raise SipSyntaxError("No number below 2**31 and method")
        return cls(number, found.group(2))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class Word(msgspec.Struct, frozen=True):
    """A token with parameters: Event, Subscription-State, Content-Disposition."""

    word: str
    parameters: Parameters = NO_PARAMETERS

    def __post_init__(self) -> None:
        check_token(self.word)

    @classmethod
    def parse(cls, text: str) -> "Word":
        found = _WORD.fullmatch(text)
        if not found:
            raise SipSyntaxError("No token")
        return cls(found.group(1), Parameters.parse(found.group(2)))

    def __str__(self) -> str:
        return f"{self.word}{self.parameters}"


class MediaType(msgspec.Struct, frozen=True):
    """`name`: in small letters, as `application/sdp`; `*` stands for any type or subtype. RFC 3261 §20.1, §20.15."""

    name: str
    parameters: Parameters = NO_PARAMETERS

    def __post_init__(self) -> None:
        kind, _, subtype = self.name.partition("/")
        check_token(kind)
        check_token(subtype)

    @classmethod
    def parse(cls, text: str) -> "MediaType":
        found = _MEDIA_TYPE.fullmatch(text)
        if not found:
            raise SipSyntaxError("No media type")
        kind, subtype, parameters = found.groups()
        return cls(f"{kind}/{subtype}".lower(), Parameters.parse(parameters))

    def takes(self, name: str) -> bool:
        """Whether `name` is of this range."""
        kind = self.name.partition("/")[0]
        return self.name in {name, "*/*"} or (self.name.endswith("/*") and name.startswith(f"{kind}/"))

    def __str__(self) -> str:
        return f"{self.name}{self.parameters}"


class SessionExpires(msgspec.Struct, frozen=True):
    """How long a session lasts without a refresh, and who refreshes it. RFC 4028 §4."""

    seconds: int
    refresher: Literal["uac", "uas"] | None = None

    @classmethod
    def parse(cls, text: str) -> "SessionExpires":
        seconds, rest = read_seconds(text)
        said = Parameters.parse(rest).get("refresher")
        refresher: dict[str | None, Literal["uac", "uas"]] = {"uac": "uac", "uas": "uas"}
        return cls(seconds, refresher.get(said and said.lower()))

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)


class RetryAfter(msgspec.Struct, frozen=True):
    """When to try again, and for how long that will do. RFC 3261 §20.33."""

    seconds: int
    duration_s: int | None = None

    @classmethod
    def parse(cls, text: str) -> "RetryAfter":
        seconds, rest = read_seconds(text)
        rest = rest.strip(" \t")
        if rest.startswith("("):
            rest = rest[skip_comment(rest, 0) :]
        duration = Parameters.parse(rest).get("duration")
        return cls(seconds, None if duration is None else read_seconds(duration)[0])

    def __str__(self) -> str:
        return str(self.seconds) if self.duration_s is None else f"{self.seconds};duration={self.duration_s}"


class Reason(msgspec.Struct, frozen=True):
    """Why a request was sent: `Q.850;cause=16;text="Normal call clearing"`. RFC 3326 §2."""

    protocol: str
    cause: int | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        check_token(self.protocol)
        check_quotable(self.text or "")

    @classmethod
    def parse(cls, text: str) -> "Reason":
        word = Word.parse(text)
        cause = word.parameters.get("cause")
        return cls(
            word.word, None if cause is None else number_of(cause, _MAX_CAUSE), word.parameters.get("text")
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        return f"{self.protocol}{cause}" + ("" if self.text is None else f";text={quote(self.text)}")


class Replaces(msgspec.Struct, frozen=True):
    """The dialog that this call takes the place of, in its receiver's eyes. RFC 3891 §3."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __post_init__(self) -> None:
        str(self._parameters)
        if not _CALL_ID.fullmatch(self.call_id):
            raise ValueError("Malformed Call-ID")

    @classmethod
    def parse(cls, text: str) -> "Replaces":
        found = _WITH_CALL_ID.fullmatch(text)
        if not found:
            raise SipSyntaxError("No Call-ID")
        parameters = Parameters.parse(found.group(2))
        to_tag, from_tag = parameters.get("to-tag"), parameters.get("from-tag")
        if not to_tag or not from_tag:
            raise SipSyntaxError("No to-tag and from-tag")
        return cls(found.group(1), to_tag, from_tag, "early-only" in parameters)

    @property
    def _parameters(self) -> Parameters:
        tags = Parameters([("to-tag", self.to_tag), ("from-tag", self.from_tag)])
        return tags.having("early-only") if self.early_only else tags

    def __str__(self) -> str:
        return f"{self.call_id}{self._parameters}"


def read_seconds(text: str) -> tuple[int, str]:
    """Seconds at the beginning of `text`, at most `_MAX_SECONDS`, and the rest."""
    found = _SECONDS.fullmatch(text)
    if not found:
        raise SipSyntaxError("No seconds")
    seconds = number_of(found.group(1), _MAX_SECONDS)
    return _MAX_SECONDS if seconds is None else seconds, found.group(2)


def read_call_id(text: str) -> str:
    """A Call-ID, as it is: it is compared byte by byte."""
    if not _CALL_ID.fullmatch(text):
        raise SipSyntaxError("Malformed")
    return text


def read_method(text: str) -> str:
    """A method's name, or any other token."""
    try:
        check_token(text)
    except ValueError:
        raise SipSyntaxError("Not a token") from None
    return text


def read_date(text: str) -> datetime:
    """A date of RFC 1123, in GMT as RFC 3261 §20.17 has it and in no other zone. A day may have one digit."""
    found = _DATE.fullmatch(text)
    if not found or found.group(2) not in _MONTHS:
        raise SipSyntaxError("Not a date in GMT")
    month = _MONTHS.index(found.group(2)) + 1
    day, year, hour, minute, second = (int(found.group(number)) for number in (1, 3, 4, 5, 6))
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)  # 60: a leap second
    except ValueError:
        raise SipSyntaxError("Not a date") from None


def write_date(date: datetime) -> str:
    """`date`, which is in UTC, as RFC 1123 has it; no locale changes its words."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[date.weekday()]
    return f"{day}, {date:%d} {_MONTHS[date.month - 1]} {date:%Y %H:%M:%S} GMT"

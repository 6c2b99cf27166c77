"""SIP, SIPS and tel URIs, and others as they are. RFC 3261 §19.1, RFC 3966, RFC 5118.

Parts are kept as they are written, %-escapes and all: `sip:a%40b@h` and its parts come out as they came in.
What a part *says* is given by the properties that undo the escapes.
"""

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import ESCAPED, MAX_VALUES, check_line, unescape
from gateway.wire.sip.hosts import check_host, check_port, read_host, read_port, write_host

__all__ = ["OpaqueUri", "SipUri", "TelUri", "Uri", "parse_uri"]

Pairs = tuple[tuple[str, str | None], ...]

_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
# `#` ought to be escaped; PBXs dial feature codes with it as it is.
_USER = re.compile(rf"(?:[{_UNRESERVED}&=+$,;?/#]|{ESCAPED})++")
_PASSWORD = re.compile(rf"(?:[{_UNRESERVED}&=+$,]|{ESCAPED})*+")
_NAME = rf"(?:[{_UNRESERVED}\[\]/:&+$]|{ESCAPED})++"
_PARAMETER = re.compile(rf"{_NAME}(?:=(?:[{_UNRESERVED}\[\]/:&+$=,]|{ESCAPED})++)?+")
# `;`, `=`, `@` and `,` ought to be escaped; phones that transfer write `?Replaces=id@host;to-tag=..` as it is.
_HEADER = re.compile(
    rf"(?:[{_UNRESERVED}\[\]/?:+$]|{ESCAPED})++=(?:[{_UNRESERVED}\[\]/?:+$;=@,]|{ESCAPED})*+"
)
_NUMBER = re.compile(r"\+?[0-9A-Fa-f*#\-.()]++")
_VISUAL = re.compile(r"[\-.()]")
_OPAQUE = re.compile(r'[A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f-\U0010ffff<>"]++')


class SipUri(msgspec.Struct, frozen=True, kw_only=True):
    """`sip:` or, if `secure`, `sips:`. Raises ValueError for parts that could not be written.

    `user`: with its own parameters, as in `+15550001;npdi=yes`. `host`: IPv6 without brackets. `parameters` and
    `headers`: names and values in order, a parameter's value None if it has none.
    `==` compares what is written; `gateway.wire.sip.comparison` has the rules of RFC 3261 §19.1.4.
    """

    host: str
    user: str | None = None
    password: str | None = None
    port: int | None = None
    secure: bool = False
    parameters: Pairs = ()
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_host(self.host)
        check_port(self.port)
        _check(_USER, self.user, "user")
        _check(_PASSWORD, self.password, "password")
        _check_pairs(_PARAMETER, self.parameters, "parameter")
        _check_pairs(_HEADER, self.headers, "header")
        if self.password is not None and self.user is None:
            raise ValueError("a password without a user")

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        scheme, _, rest = text.partition(":")
        userinfo, at, rest = rest.partition("@") if "@" in rest else (None, "", rest)
        user, colon, password = (userinfo or "").partition(":")
        place, question, headers = rest.partition("?")
        hostport, *parameters = place.split(";")
        host, port = _split_port(hostport)
        try:
            return cls(
                secure=scheme.lower() == "sips",
                user=user if at else None,
                password=password if colon else None,
                host=read_host(host),
                port=None if port is None else read_port(port),
                parameters=tuple(_pair(parameter) for parameter in parameters),
                headers=tuple(_header(header) for header in headers.split("&")) if question else (),
            )
        except ValueError as error:
            raise SipSyntaxError(f"Malformed SIP URI: {error}") from None

    @property
    def scheme(self) -> str:
        return "sips" if self.secure else "sip"

    @property
    def number(self) -> str | None:
        """Who is called: the user without its parameters, escapes undone: `+15550001` of `+15550001;npdi=yes`."""
        return None if self.user is None else unescape(self.user.partition(";")[0])

    @property
    def user_parameters(self) -> Pairs:
        """Those inside the user part, as RFC 4694 writes number portability: `npdi`, `rn`."""
        return tuple(_pair(parameter) for parameter in (self.user or "").split(";")[1:])

    @property
    def lr(self) -> bool:
        """Whether it names a loose router; `lr=on` and the like count as well. RFC 3261 §16.12."""
        return self.parameter("lr") is not None

    def parameter(self, name: str) -> str | None:
        """What a parameter says: "" if it stands without a value, None if it does not stand there."""
        return _find(self.parameters, name)

    def header(self, name: str) -> str | None:
        """What a header within the URI says, as `Replaces` in a Refer-To. May raise `SipSyntaxError`."""
        value = _find(self.headers, name)
        if value is None:
            return None
        try:
            check_line(value)
        except ValueError:
            raise SipSyntaxError("A header within a URI holds a control character") from None
        return value

    def __str__(self) -> str:
        password = "" if self.password is None else f":{self.password}"
        userinfo = "" if self.user is None else f"{self.user}{password}@"
        parameters = "".join(f";{_written(pair)}" for pair in self.parameters)
        headers = "&".join(f"{name}={value}" for name, value in self.headers)
        place = write_host(self.host, self.port)
        return f"{self.scheme}:{userinfo}{place}{parameters}{'?' if headers else ''}{headers}"


class TelUri(msgspec.Struct, frozen=True, kw_only=True):
    """`tel:`. `subscriber`: as it is written, with its visual separators. RFC 3966 §3.

    A local number without `phone-context` is taken: carriers send it.
    """

    subscriber: str
    parameters: Pairs = ()

    scheme: ClassVar[str] = "tel"

    def __post_init__(self) -> None:
        _check(_NUMBER, self.subscriber, "number")
        _check_pairs(_PARAMETER, self.parameters, "parameter")
        if not self.number.strip("+"):
            raise ValueError("Malformed number")

    @classmethod
    def parse(cls, text: str) -> "TelUri":
        subscriber, *parameters = text.partition(":")[2].split(";")
        try:
            return cls(subscriber=subscriber, parameters=tuple(_pair(parameter) for parameter in parameters))
        except ValueError as error:
            raise SipSyntaxError(f"Malformed tel URI: {error}") from None

    @property
    def number(self) -> str:
        """Without visual separators: `+15550001` of `+1-555-0001`."""
        return _VISUAL.sub("", self.subscriber)

    def parameter(self, name: str) -> str | None:
        """What a parameter says: "" if it stands without a value, None if it does not stand there."""
        return _find(self.parameters, name)

    def __str__(self) -> str:
        return f"tel:{self.subscriber}" + "".join(f";{_written(pair)}" for pair in self.parameters)


class OpaqueUri(msgspec.Struct, frozen=True):
    """A URI of any other scheme, whole: it can be answered with 416, or handed on, but not understood."""

    text: str

    def __post_init__(self) -> None:
        _check(_OPAQUE, self.text, "URI")

    @property
    def scheme(self) -> str:
        return self.text.partition(":")[0].lower()

    def __str__(self) -> str:
        return self.text


Uri = SipUri | TelUri | OpaqueUri


def parse_uri(text: str) -> Uri:
    """The URI that is all of `text`. Raises `SipSyntaxError`, of status 400: schemes nobody knows are no error."""
    scheme = text.partition(":")[0].lower()
    if scheme in {"sip", "sips"}:
        return SipUri.parse(text)
    if scheme == "tel":
        return TelUri.parse(text)
    try:
        return OpaqueUri(text)
    except ValueError:
        raise SipSyntaxError("Malformed URI") from None


def _split_port(hostport: str) -> tuple[str, str | None]:
    host, bracket, behind = hostport.rpartition("]")  # a colon within brackets begins no port
    if not bracket:
        host, colon, port = hostport.partition(":")
        return host, port if colon else None
    if behind and not behind.startswith(":"):
        return hostport, None  # which is no host
    return host + bracket, behind[1:] if behind else None


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SipSyntaxError("Malformed header in a URI")
    return name, value


def _written(pair: tuple[str, str | None]) -> str:
    name, value = pair
    return name if value is None else f"{name}={value}"


def _find(pairs: Iterable[tuple[str, str | None]], name: str) -> str | None:
    """Escaped names count: `%6Cr` is `lr`. RFC 4475 §3.1.1.3."""
    for known, value in pairs:
        if unescape(known).lower() == name.lower():
            return unescape(value or "")
    return None


def _check(pattern: re.Pattern[str], text: str | None, what: str) -> None:
    if text is not None and not pattern.fullmatch(text):
        raise ValueError(f"Malformed {what}")


def _check_pairs(pattern: re.Pattern[str], pairs: Sequence[tuple[str, str | None]], what: str) -> None:
    if len(pairs) > MAX_VALUES:
        raise ValueError(f"Too many {what}s")
    for pair in pairs:
        _check(pattern, _written(pair), what)
        if "=" in pair[0]:
            raise ValueError(f"Malformed {what}")

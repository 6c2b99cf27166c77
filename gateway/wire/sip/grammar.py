"""The words of SIP: tokens, quoted strings, comments, lists, escapes, and how much of each. RFC 3261 §25.1.

Everything here takes time linear in its input: the patterns are possessive (`++`), so none of them ever tries
the same text twice.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.wire.sip.errors import SipSyntaxError

__all__ = [
    "ESCAPED",
    "LWS",
    "MAX_FIELDS",
    "MAX_FIELD_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_START_LINE_BYTES",
    "MAX_VALUES",
    "QUOTED",
    "TOKEN",
    "VALUE",
    "check_line",
    "check_quotable",
    "check_token",
    "number_of",
    "quote",
    "skip_comment",
    "split_list",
    "text_of",
    "unescape",
    "unquote",
]

# -- limits -------------------------------------------------------------------------------------------

# No datagram holds more, and Kamailio reads no more of a stream. Only a picture in a body would need it.
MAX_MESSAGE_BYTES: Final = 65_536
# Routed through three networks, an INVITE has some forty. Apache stops at 100.
MAX_FIELDS: Final = 256
# Of one header over all its rows, and parameters of one value: what is in fields may be in lists as well.
MAX_VALUES: Final = MAX_FIELDS
# An Identity (RFC 8224) is the longest that is seen, at up to 8 kB; Apache stops there.
MAX_FIELD_BYTES: Final = 16_384
# The Request-URI is the only long thing in it. Apache again.
MAX_START_LINE_BYTES: Final = 8_192

# -- patterns -----------------------------------------------------------------------------------------

LWS: Final = r"[ \t]*+"  # header values are unfolded before anything else looks at them
TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105 - the grammar's word, no secret
_IN_QUOTES = r'[^"\\\x00-\x08\x0a-\x1f\x7f]*+'
QUOTED: Final = rf'"{_IN_QUOTES}(?:\\[^\r\n]{_IN_QUOTES})*+"'
# A parameter's value that is not quoted. RFC 3261 says token or host; tags in base64 (`/`, `=`), IPv6 addresses
# without brackets (RFC 5118 §4.5) and `@` are seen as well, and none of them is taken for a separator.
VALUE: Final = r'[^\x00-\x20\x7f-\U0010ffff;,"<>()\\]++'
ESCAPED: Final = "%[0-9A-Fa-f]{2}"

_TOKEN = re.compile(TOKEN)
_TO_QUOTE = {
    ord(each): "\\" + each for each in ('"', "\\", "\x7f", *map(chr, range(32))) if each not in "\t\r\n"
}
# CR and LF end a line wherever they stand; other control characters may stand behind a backslash (§25.1).
_UNSAFE = re.compile(r"[\r\n]|(?<!\\)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COMMENT_PIECE = re.compile(r"[^()\\]++|\\.|[()]")
_LIST_VALUE = re.compile(rf'(?:[^",<]++|{QUOTED}|<[^>]*+>)*+')


# -- text ---------------------------------------------------------------------------------------------


def text_of(value: bytes) -> str:
    """Bytes from the wire as text: UTF-8, or else Latin-1, as old phones write names. Never raises."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def check_line(text: str) -> None:
    """Raise ValueError if `text` would not stay one line of one header."""
    unsafe = _UNSAFE.search(text)
    if unsafe:
        raise ValueError(f"a header's text holds the control character {unsafe.group()!a}")
    if not text.isascii():
        text.encode()  # a lone surrogate is no character; UnicodeEncodeError is a ValueError


def check_token(text: str) -> None:
    """Raise ValueError if `text` is not a token: a method, a header's or a parameter's name."""
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!a:.60} is not a token")


def number_of(text: str, most: int) -> int | None:
    """Digits as a number; None if it is above `most`. Anything else raises `SipSyntaxError`."""
    if not (text.isascii() and text.isdigit()):
        raise SipSyntaxError("Not a number")
    digits = text.lstrip("0") or "0"
    if (
        len(digits) > len(str(most)) or int(digits) > most
    ):  # int() refuses 4 300 digits with an error of its own
        return None
    return int(digits)


# -- quoted strings, comments, lists ------------------------------------------------------------------


def check_quotable(text: str) -> None:
    """Raise ValueError for what even a quoted string cannot hold: CR and LF."""
    if "\r" in text or "\n" in text:
        raise ValueError("a quoted string holds no end of a line")
    text.encode()  # nor a lone surrogate; UnicodeEncodeError is a ValueError


def quote(text: str) -> str:
    """`text` as a quoted string. Raises ValueError as `check_quotable`."""
    check_quotable(text)
    return f'"{text.translate(_TO_QUOTE)}"'


def unquote(text: str) -> str:
    """What a quoted string says; any other text comes back as it is."""
    if not text.startswith('"'):
        return text
    # A run of backslashes begins a pair: those that are doubled are one, all others only announce.
    return "\\".join(part.replace("\\", "") for part in text[1:-1].split("\\\\"))


def skip_comment(text: str, start: int) -> int:
    """The index after the comment that opens at `start`. Comments nest. RFC 3261 §25.1."""
    depth, at = 0, start
    while piece := _COMMENT_PIECE.match(text, at):
        at = piece.end()
        depth += {"(": 1, ")": -1}.get(piece.group(), 0)
        if depth == 0:
            return at
    raise SipSyntaxError("A comment without an end")


def split_list(text: str) -> list[str]:
    """The values of a comma-separated header, stripped. Commas in quotes and in `<>` part nothing."""
    values: list[str] = []
    start = 0
    while value := _LIST_VALUE.match(text, start):
        values.append(value.group().strip(" \t"))
        if value.end() == len(text):
            return values
        if text[value.end()] != ",":
            break
        if len(values) == MAX_VALUES:
            raise SipSyntaxError("Too many values")
        start = value.end() + 1
    raise SipSyntaxError("A quoted string or a < without an end")


# -- escapes ------------------------------------------------------------------------------------------


def unescape(text: str) -> str:
    """What a URI's part says, its %-escapes undone: UTF-8, or else Latin-1. May hold any character, NUL too."""
    return text_of(unquote_to_bytes(text)) if "%" in text else text

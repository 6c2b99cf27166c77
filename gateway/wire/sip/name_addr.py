"""Who: a URI with a name for people, and parameters. From, To, Contact, Route, and many more. RFC 3261 §20.10."""

import re
from typing import Final

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import LWS, QUOTED, check_quotable, quote, unquote
from gateway.wire.sip.parameters import NO_PARAMETERS, Parameters
from gateway.wire.sip.uri import Uri, parse_uri

__all__ = ["NameAddr"]

# A name without quotes is of tokens. UTF-8 and Latin-1 are not in them, but are seen there.
_WORDS: Final = r"[A-Za-z0-9\-.!%*_+`'~ \t\x80-\U0010ffff]*+"
_NAME_ADDR = re.compile(rf"(?:({QUOTED}){LWS}|({_WORDS}))<([^<>]*+)>(.*)", re.DOTALL)
_ADDR_SPEC = re.compile(r'([^ \t;?,<>"]++)(.*)', re.DOTALL)


class NameAddr(msgspec.Struct, frozen=True):
    """`"Anna" <sip:anna@example.com>;tag=1`. `display_name`: what it says, without quotes."""

    uri: Uri
    display_name: str | None = None
    parameters: Parameters = NO_PARAMETERS

    def __post_init__(self) -> None:
        if self.display_name is not None:
            check_quotable(self.display_name)

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Without `<>`, what follows a semicolon belongs to the header, not to the URI. RFC 3261 §20."""
        if found := _NAME_ADDR.fullmatch(text):
            quoted, words, uri, parameters = found.groups()
            name = unquote(quoted) if quoted is not None else words.strip(" \t") or None
        elif found := _ADDR_SPEC.fullmatch(text):
            (uri, parameters), name = found.groups(), None
            if parameters.startswith(("?", ",")):
                raise SipSyntaxError("A URI with ? or , stands in <>")
        else:
            raise SipSyntaxError("No address")
        return cls(parse_uri(uri), name, Parameters.parse(parameters))

    @property
    def tag(self) -> str | None:
        """Which of the parties to a dialog; None if it has no tag yet, or is of RFC 2543."""
        return self.parameters.get("tag")

    def tagged(self, tag: str) -> "NameAddr":
        return msgspec.structs.replace(self, parameters=self.parameters.having("tag", tag))

    def __str__(self) -> str:
        name = "" if self.display_name is None else f"{quote(self.display_name)} "
        return f"{name}<{self.uri}>{self.parameters}"

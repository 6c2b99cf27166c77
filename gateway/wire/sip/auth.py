"""Challenges and credentials as they are written: a scheme, and parameters between commas. RFC 3261 §20.7, §20.44."""

import re
from collections.abc import Iterable

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import LWS, MAX_VALUES, QUOTED, TOKEN, check_line, check_token, unquote

__all__ = ["AuthParameters"]

# What is not quoted may hold what is no token: URIs and base64 are seen so.
_BARE = r'[^\x00-\x20\x7f-\U0010ffff,"]++'
_SCHEME = re.compile(rf"({TOKEN})(?:[ \t]++(.*))?+", re.DOTALL)
_PARAMETER = re.compile(rf"[, \t]*+({TOKEN}){LWS}={LWS}({QUOTED}|{_BARE}){LWS}(?![^,])")
_VALUE = re.compile(rf"{QUOTED}|{_BARE}")


class AuthParameters(msgspec.Struct, frozen=True):
    """`scheme` in small letters. `parameters`: names in small letters, values as they are written, quotes and all.

    A scheme other than Digest may write what it likes: it has no parameters here then. Their values are secrets,
    and do not show in `repr`.
    """

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_token(self.scheme)
        for name, value in self.parameters:
            check_token(name)
            check_line(value)
            if not _VALUE.fullmatch(value):
                raise ValueError("A parameter's value that must be quoted")

    @classmethod
    def parse(cls, text: str) -> "AuthParameters":
        found = _SCHEME.fullmatch(text)
        if not found:
            raise SipSyntaxError("No scheme")
        scheme, rest = found.group(1).lower(), found.group(2) or ""
        try:
            return cls(scheme, tuple(read_auth_parameters(rest).items()))
        except SipSyntaxError:
            if scheme == "digest":
                raise
            return cls(scheme)

    def get(self, name: str) -> str | None:
        """What the parameter says, without quotes."""
        return next((unquote(value) for known, value in self.parameters if known == name), None)

    def __str__(self) -> str:
        return f"{self.scheme.capitalize()} {write_auth_parameters(self.parameters)}"

    def __repr__(self) -> str:
        return f"AuthParameters({self.scheme!r}, {[name for name, _ in self.parameters]!r})"


def read_auth_parameters(text: str) -> dict[str, str]:
    """Names in small letters and values as they are written, in order. Empty ones between commas are none."""
    found: dict[str, str] = {}
    at = 0
    while parameter := _PARAMETER.match(text, at):
        at = parameter.end()
        name = parameter.group(1).lower()
        if name in found:
            raise SipSyntaxError(f"{name:.20} stands twice")
        found[name] = parameter.group(2)
        if len(found) > MAX_VALUES:
            raise SipSyntaxError("Too many parameters")
    if text[at:].strip(", \t"):
        raise SipSyntaxError("Malformed parameters")
    return found


def write_auth_parameters(parameters: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters)

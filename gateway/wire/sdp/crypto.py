"""Keys of SRTP inside SDP: the value of `a=crypto`. RFC 4568; the suites of RFC 7714.

    1 AES_CM_128_HMAC_SHA1_80 inline:<key and salt in base64>|<lifetime>|<MKI>:<its length> <session parameters>

A key is shown by nothing here but `encode`: not by a repr, and not by an error.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.wire.errors import RemoteProtocolError

__all__ = ["SUITES", "Crypto", "decode", "encode", "hide_keys"]

SUITES: Final[Mapping[str, int]] = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""The suites that libsrtp has and this gateway takes, and the bytes of their key and salt. RFC 4568 §6.2, RFC 7714 §12."""

# A key with less than this has to be replaced during a call, at 50 packets a second after 5.8 hours.
_LEAST_LIFETIME: Final = 2**20
_LIFETIME: Final = re.compile(r"2\^(\d{1,2})|(\d{1,15})")
_MKI: Final = re.compile(r"(\d{1,20}):(\d{1,3})")
_HIDDEN: Final = re.compile(r"(inline:[ \t]*)[^\s|;]+", re.IGNORECASE)


class Crypto(msgspec.Struct, frozen=True, kw_only=True):
    """One offered or chosen set of keys.

    `key`: the master key, and behind it the salt. `lifetime`: the most packets under it; None: as many as the suite
    bears. `mki`: the key's number, and its length in packets. `parameters`: of the session, such as
    `UNENCRYPTED_SRTP`.
    """

    tag: int
    suite: str
    key: bytes
    lifetime: int | None = None
    mki: tuple[int, int] | None = None
    parameters: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Crypto(tag={self.tag}, suite={self.suite!r}, key=hidden)"

    @property
    def usable(self) -> bool:
        """Whether we can do all that it asks for: a suite we have, one key for the whole call, nothing switched off.

        A session parameter that begins with "-" may be ignored, and a window size is only advice. RFC 4568 §6.3.
        """
        return (
            SUITES.get(self.suite) == len(self.key)
            and self.mki is None
            and (self.lifetime is None or self.lifetime >= _LEAST_LIFETIME)
            and all(parameter.startswith(("-", "WSH=")) for parameter in self.parameters)
        )


def decode(value: str) -> Crypto:
    """Read the value of `a=crypto`, of any suite. Raises `RemoteProtocolError`, also where several keys are given."""
    words = value.split()
    if len(words) < 3 or not re.fullmatch(r"\d{1,9}", words[0], re.ASCII):
        raise RemoteProtocolError("a=crypto without tag, suite and key")
    method, _, info = words[2].partition(":")
    if method.lower() != "inline" or ";" in info:
        raise RemoteProtocolError("a=crypto with other than one inline key")
    key, *rest = info.split("|")
    lifetime, mki = _lifetime_and_mki(rest)
    return Crypto(
        tag=int(words[0]),
        suite=words[1].upper(),
        key=_key(key),
        lifetime=lifetime,
        mki=mki,
        parameters=tuple(words[3:]),
    )


def _key(text: str) -> bytes:
    try:
        return b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (Base64Error, ValueError):
        raise RemoteProtocolError("a=crypto with a key that is no base64") from None


def _lifetime_and_mki(fields: list[str]) -> tuple[int | None, tuple[int, int] | None]:
    """Both may be left out, and each is known by its form. RFC 4568 §6.1."""
    lifetime: int | None = None
    mki: tuple[int, int] | None = None
    for field in fields:
        if numbers := _LIFETIME.fullmatch(field):
            power, count = numbers.groups()
            lifetime = 2 ** int(power) if power else int(count)
        elif numbers := _MKI.fullmatch(field):
            mki = (int(numbers[1]), int(numbers[2]))
        else:
            raise RemoteProtocolError("a=crypto with a lifetime or MKI that is none")
    return lifetime, mki


def encode(crypto: Crypto) -> str:
    """The value of `a=crypto`."""
    key = [b64encode(crypto.key).decode()]
    if crypto.lifetime is not None:
        key.append(str(crypto.lifetime))
    if crypto.mki is not None:
        key.append(f"{crypto.mki[0]}:{crypto.mki[1]}")
    return " ".join((str(crypto.tag), crypto.suite, f"inline:{'|'.join(key)}", *crypto.parameters))


def hide_keys(text: str) -> str:
    """Any text with SDP in it, and a placeholder for each key: what may be logged and recorded."""
    return _HIDDEN.sub(r"\1hidden", text)

"""Stable names for phone numbers, so that a trace can be kept and shown without knowing who called."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Self

from gateway.traces.files import create, sync

KEY_NAME = ".pseudonym-key"
KEY_BYTES = 32

# 50 bits: two of a million callers share a name with a chance of 1 in 2000.
_NAME_CHARS = 10


class Pseudonyms:
    """Gives the same name to the same number for as long as the key is kept.

    There are few enough phone numbers to try them all, so whoever has the key has the numbers. With
    `keep_numbers` a number is its own name.
    """

    def __init__(self, key: bytes, *, keep_numbers: bool = False) -> None:
        self._key = key
        self._keep_numbers = keep_numbers

    @classmethod
    def load(cls, folder: Path, *, keep_numbers: bool = False) -> Self:
        """With the key of the calls folder, made at the first call of all. Blocks for the disk.

        Raises `OSError`, and `ValueError` for a file that is no key.
        """
        return cls(_key(folder), keep_numbers=keep_numbers)

    def name(self, number: str) -> str:
        """`tel:` and ten letters and digits. `number`: as the carrier writes it, E.164; withheld stays empty."""
        if self._keep_numbers or not number:
            return number
        digest = hmac.digest(self._key, number.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"tel:{base64.b32encode(digest).decode().lower()[:_NAME_CHARS]}"


def _key(folder: Path) -> bytes:
    path = folder / KEY_NAME
    try:
        return _read(path)
    except FileNotFoundError:
        _create(path)
    return _read(path)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} does not hold a key of {KEY_BYTES} bytes")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{KEY_NAME}.{secrets.token_hex(8)}")
    try:
        with create(draft) as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            sync(file)
        # A link appears whole or not at all, and only for the first of two processes that start together.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)

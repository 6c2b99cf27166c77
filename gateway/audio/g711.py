"""G.711, the telephone's codecs: one byte a sample at 8000 Hz. ITU-T G.711; RFC 3551 §4.5.14."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

with warnings.catch_warnings():
    # The standard library's audioop left with Python 3.13, where audioop-lts brings the same module back:
    # the warning asks for what has been done.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import audioop

__all__ = ["CODECS", "Codec"]

_PCM16_BYTES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One of G.711's two laws. `name`: as in SDP, in lower case. `silence`: the code of the smallest level."""

    name: Literal["pcmu", "pcma"]
    silence: bytes
    _expand: Callable[[bytes, int], bytes]
    _compress: Callable[[bytes, int], bytes]

    def decode(self, payload: bytes) -> bytes:
        """Decode to PCM16 little endian mono, one sample a byte. Never raises: every byte is a valid code."""
        return self._expand(payload, _PCM16_BYTES)

    def encode(self, pcm: bytes) -> bytes:
        """Encode PCM16 little endian mono, one byte a sample. Raises `ValueError` on half a sample."""
        if len(pcm) % _PCM16_BYTES:
            raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
        return self._compress(pcm, _PCM16_BYTES)


CODECS: Final[Mapping[str, Codec]] = {
    codec.name: codec
    for codec in (
        Codec(name="pcmu", silence=b"\xff", _expand=audioop.ulaw2lin, _compress=audioop.lin2ulaw),
        Codec(name="pcma", silence=b"\xd5", _expand=audioop.alaw2lin, _compress=audioop.lin2alaw),
    )
}
"""Every codec of the gateway by its SDP name (RFC 3551 §6)."""

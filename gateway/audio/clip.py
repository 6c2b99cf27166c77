"""Whole clips of audio, such as apologies, recordings and what goes to speech-to-text: WAV files, any rate."""

import enum
import math
import struct
import wave
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS

__all__ = ["Clip", "convert", "read_wav", "write_wav"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Audio that is all there. `pcm`: PCM16 little endian mono."""

    pcm: bytes
    rate_hz: int


# -- WAV files ----------------------------------------------------------------------------------------

_WORKS: Final = "what works is PCM of 8, 16, 24 or 32 bits, float of 32 or 64, mu-law and A-law"


class _Tag(enum.IntEnum):
    """Format tags. RFC 2361; the last from Microsoft's mmreg.h."""

    PCM = 1
    FLOAT = 3
    ALAW = 6
    MULAW = 7
    EXTENSIBLE = 0xFFFE


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    rate_hz: int
    bits: int

    def __str__(self) -> str:
        return f"format {self.tag:#06x} of {self.bits} bits, {self.channels} channels, {self.rate_hz} Hz"


def read_wav(path: str | PathLike[str]) -> Clip:
    """Read a WAV file; several channels become their mean.

    PCM of 8, 16, 24 or 32 bits, float of 32 or 64, mu-law or A-law, plain or WAVE_FORMAT_EXTENSIBLE, at any
    rate. A file whose writer never came back to fill in the sizes is read to its end. Raises `ValueError`
    that names the file, what was found and what works; `OSError` when it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        found, data = _parse(content)
        samples = _expand(found, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {_WORKS}") from error
    if found.channels > 1:
        samples = samples.mean(axis=1)
    return Clip(pcm=_pcm(samples.reshape(-1)), rate_hz=found.rate_hz)


def write_wav(path: str | PathLike[str], pcm: bytes, rate_hz: int, channels: int = 1) -> None:
    """Write PCM16 little endian, channels interleaved. Raises `ValueError` on a part of a frame."""
    if len(pcm) % (2 * channels):
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit frames of {channels} channels")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)


def _parse(content: bytes) -> tuple[_Format, bytes]:
    """The format of a WAV file and its sample data. Raises `ValueError` with what was found instead."""
    if content[:4] not in {b"RIFF", b"RF64"} or content[8:12] != b"WAVE":
        raise ValueError(f"no WAV file, it begins with {content[:12]!r}")
    found: _Format | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"fmt ":
            found = _parse_format(content[at : at + size])
        if name == b"data":
            if found is None:
                raise ValueError("a WAV file whose samples come before their format")
            # Sizes that were never filled in, and RF64's, which has the real one elsewhere: up to the end.
            unfinished = size in {0, 0xFFFFFFFF}
            return found, content[at:] if unfinished else content[at : at + size]
        at += size
        if size % 2 and content[at : at + 1] == b"\0":  # chunks are padded to even sizes; not by every writer
            at += 1
    raise ValueError("a WAV file without samples" if found else "a WAV file without a format")


def _parse_format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise ValueError(f"a WAV file with a format of {len(chunk)} bytes")
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _Tag.EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)  # the sub-format's GUID begins with the tag
    if not channels or not rate_hz:
        raise ValueError(f"a WAV file with {channels} channels at {rate_hz} Hz")
    if tag == _Tag.PCM:  # 12 or 20 bits stand left-justified in a container of whole bytes
        bits = frame_bytes // channels * 8 or bits
    return _Format(tag, channels, rate_hz, bits)


def _expand(found: _Format, data: bytes) -> NDArray[np.float64]:
    """All samples in units of PCM16, one row a frame; part of a frame at the end is dropped."""
    frame_bytes = found.channels * found.bits // 8
    data = data[: len(data) - len(data) % frame_bytes] if frame_bytes else b""
    samples: NDArray[np.float64]
    match found.tag, found.bits:
        case (_Tag.PCM, 8):
            samples = (np.frombuffer(data, "u1") - 128.0) * 256
        case (_Tag.PCM, 16):
            samples = np.frombuffer(data, "<i2").astype(np.float64)
        case (_Tag.PCM, 24):
            words = np.zeros((len(data) // 3, 4), "u1")
            words[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
            samples = words.view("<i4")[:, 0] / 65536
        case (_Tag.PCM, 32):
            samples = np.frombuffer(data, "<i4") / 65536
        case (_Tag.FLOAT, 32 | 64 as bits):
            floats = np.frombuffer(data, f"<f{bits // 8}").astype(np.float64)
            samples = np.nan_to_num(floats).clip(-1, 1) * 32768
        case (_Tag.ALAW, 8):
            samples = np.frombuffer(CODECS["pcma"].decode(data), "<i2").astype(np.float64)
        case (_Tag.MULAW, 8):
            samples = np.frombuffer(CODECS["pcmu"].decode(data), "<i2").astype(np.float64)
        case _:
            raise ValueError(f"a WAV file of {found}")
    return samples.reshape(-1, found.channels)


# -- rates --------------------------------------------------------------------------------------------

# A Kaiser window whose filter is 70 dB down from the lower of the two Nyquist frequencies on, and flat to
# nine tenths of it (A. V. Oppenheim, R. W. Schafer, Discrete-Time Signal Processing, §7.5.3).
_STOP_DB: Final = 70.0
_KAISER_BETA: Final = 0.1102 * (_STOP_DB - 8.7)
_TRANSITION: Final = 0.1
_REACH: Final = math.ceil((_STOP_DB - 7.95) / (2.285 * math.pi * _TRANSITION) / 2)  # of the slower rate
_GROUP: Final = 32  # outputs of one matrix product


def convert(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Convert PCM16 mono from one rate to another, without delay and as long as it was.

    Aliases and images are 70 dB down; the band is flat up to 0.9 of the lower Nyquist frequency. For whole
    clips: at the borders of chunks it would click, and its last bit may depend on the machine. Raises
    `ValueError` on half a sample and on rates that are not positive.
    """
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
    if from_hz <= 0 or to_hz <= 0:
        raise ValueError(f"cannot convert from {from_hz} Hz to {to_hz} Hz")
    if from_hz == to_hz or not pcm:
        return pcm
    divisor = math.gcd(from_hz, to_hz)
    # A period: `up` samples out stand where `down` samples in stood. Short ones are taken several at once.
    several = -(-_GROUP * divisor // to_hz)
    up, down = to_hz // divisor * several, from_hz // divisor * several
    return _pcm(_convert(np.frombuffer(pcm, "<i2").astype(np.float64), up, down))


def _convert(samples: NDArray[np.float64], up: int, down: int) -> NDArray[np.float64]:
    length = -(-len(samples) * up // down)
    periods = -(-length // up)
    cutoff = min(1.0, up / down)  # of the input's Nyquist frequency
    reach = math.ceil(_REACH / cutoff)
    padded = np.zeros(periods * down + 2 * reach)
    padded[reach : reach + len(samples)] = samples
    result = np.empty((periods, up))
    stride = padded.itemsize
    for first in range(0, min(up, length), _GROUP):
        # Where these outputs lie between the inputs, and the inputs that the outermost of them reach.
        places = np.arange(first, min(first + _GROUP, up)) * down / up
        begin, end = math.floor(places[0]), math.floor(places[-1]) + 2 * reach
        taps = _kernel(np.arange(begin, end)[:, None] - reach + 1 - places, cutoff, reach)
        windows = as_strided(
            padded[begin + 1 :], (periods, end - begin), (down * stride, stride), writeable=False
        )
        result[:, first : first + _GROUP] = np.dot(np.ascontiguousarray(windows), taps)
    return result.reshape(-1)[:length]


def _kernel(distance: NDArray[np.float64], cutoff: float, reach: int) -> NDArray[np.float64]:
    """The low-pass at distances counted in input samples; it is zero from `reach` on."""
    inside = np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, None))
    window = np.i0(_KAISER_BETA * inside) / np.i0(_KAISER_BETA) * (np.abs(distance) < reach)
    edge = cutoff * (1 - _TRANSITION / 2)
    shaped: NDArray[np.float64] = edge * np.sinc(edge * distance) * window
    return shaped


def _pcm(samples: NDArray[np.float64]) -> bytes:
    return np.rint(samples).clip(-32768, 32767).astype("<i2").tobytes()

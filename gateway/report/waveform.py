"""The two channels of a call's recording: their outline for drawing, and the audio for a page."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS
from gateway.media.stereo import RATE_HZ

__all__ = [
    "MOST_AUDIO_BYTES",
    "Outline",
    "Recording",
    "RecordingUnusable",
    "encoded",
    "outline",
    "read_recording",
]

# Half an hour in G.711. Base64 makes a third more of it, and browsers hold a page in memory more than once.
MOST_AUDIO_BYTES = 30_000_000

# 20 ms a column shows syllables; a long call gets longer ones, so that its page stays bounded.
_COLUMN_MS = 20
_MOST_COLUMNS = 12_000

_CHANNELS = 2
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FORMAT = (b"WAVE", b"fmt ", 16, 1, _CHANNELS, RATE_HZ, RATE_HZ * 4, 4, 16, b"data")


class RecordingUnusable(Exception):
    """There is no recording, or not one of this gateway; the text says what is wrong."""


class Recording(NamedTuple):
    """`samples`: one row a sample, PCM16; left the caller, right the agent as heard. Mapped, not read."""

    samples: NDArray[np.int16]
    name: str

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ


class Outline(NamedTuple):
    """Lowest and highest sample of each column, from -1 to 1, of one channel. `column_s`: how long a column is."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    column_s: float


def read_recording(folder: Path) -> Recording:
    """`recording.wav`, or what a process that died left of it. Raises `RecordingUnusable`."""
    path = folder / "recording.wav"
    if not path.exists():
        part = folder / "recording.wav.part"
        path = part if part.exists() else path
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        size = path.stat().st_size - _HEADER.size
    except OSError as error:
        raise RecordingUnusable(f"{path.name} cannot be read ({error.strerror})") from error
    if len(head) < _HEADER.size:
        raise RecordingUnusable(f"{path.name} has no WAV header")
    riff, _, *found, data_bytes = _HEADER.unpack(head)
    if riff != b"RIFF" or tuple(found) != _FORMAT:
        raise RecordingUnusable(f"{path.name} is not stereo PCM of 16 bits at {RATE_HZ} Hz")
    # The size is filled in at the end of the call.
    rows = (min(data_bytes, size) if data_bytes else size) // 4
    if not rows:
        raise RecordingUnusable(f"{path.name} has no audio")
    samples = np.memmap(path, "<i2", mode="r", offset=_HEADER.size, shape=(rows, _CHANNELS))
    return Recording(samples, path.name)


def outline(recording: Recording, channel: int) -> Outline:
    """The outline of one channel, in at most so many columns as a page can have."""
    samples = recording.samples
    step = max(_COLUMN_MS * RATE_HZ // 1000, -(-len(samples) // _MOST_COLUMNS))
    starts = np.arange(0, len(samples), step)
    column = samples[:, channel]
    scale = np.float32(1 / 32768)
    low = np.minimum.reduceat(column, starts).astype(np.float32) * scale
    high = np.maximum.reduceat(column, starts).astype(np.float32) * scale
    return Outline(low, high, step / RATE_HZ)


def encoded(recording: Recording, codec: str) -> bytes:
    """A WAV file in the law of the call's codec: half of PCM's size, and what came over the phone stays as it was.

    `codec`: a key of `CODECS`; any other is taken for `pcmu`. Format tags 6 and 7, RFC 2361.
    """
    law = CODECS.get(codec, CODECS["pcmu"])
    tag = 6 if law.name == "pcma" else 7
    data = law.encode(recording.samples.tobytes())
    frame = (tag, _CHANNELS, RATE_HZ, RATE_HZ * _CHANNELS, _CHANNELS, 8, 0)
    fmt = struct.pack("<4sIHHIIHHH", b"fmt ", 18, *frame)
    fact = struct.pack("<4sII", b"fact", 4, len(recording.samples))
    body = b"WAVE" + fmt + fact + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body

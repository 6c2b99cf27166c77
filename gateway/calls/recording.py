"""The call's stereo recording on disk: `recording.wav.part` while it lasts, `recording.wav` after.

The part is locked while somebody writes it. One that nobody has locked is what a crash left: see repair.py.
"""

import fcntl
import os
import struct
import threading
import weakref
from pathlib import Path

from gateway.contracts import RunBlocking
from gateway.media.stereo import RATE_HZ, StereoMix

__all__ = ["FRAME_BYTES", "HEADER_BYTES", "NAME", "PART", "Recording", "wav_header"]

NAME = "recording.wav"
PART = "recording.wav.part"

HEADER_BYTES = 44
FRAME_BYTES = 4  # one sample of each side

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Recording:
    """Writes what is final in `mix`, which the call core fills. A disk that fails ends the recording, never the call."""

    def __init__(self, folder: Path, mix: StereoMix) -> None:
        self._mix = mix
        self._path = folder / NAME
        self._part = folder / PART
        self._file: int | None = None
        # Whoever was cancelled while he waited for the disk has left a thread behind, which still writes.
        self._one_at_a_time = threading.Lock()
        self._written = 0
        self._state = "none"

    @property
    def state(self) -> str:
        """`none`, `partial`, `complete`, or `failed: ` and why."""
        if self._mix.overran and not self._state.startswith("failed"):
            return "failed: the disk did not keep up"
        return self._state

    async def flush(self, now: float, run_blocking: RunBlocking) -> None:
        """Write what nothing can change any more."""
        await self._write(self._mix.take(now), run_blocking)

    async def close(self, now: float, run_blocking: RunBlocking) -> None:
        """Write the rest, complete the header and give the file its name."""
        await self._write(self._mix.finish(now), run_blocking)
        if self.state == "partial":
            await self._try(run_blocking, "complete", self._finish)
        if self._file is not None:
            await self._try(run_blocking, self._state, self._let_go)

    async def _write(self, pcm: bytes, run_blocking: RunBlocking) -> None:
        if pcm and not self.state.startswith("failed"):
            self._state = "partial"  # already while it is being written: that may never end
            await self._try(run_blocking, "partial", self._append, pcm)

    async def _try(self, run_blocking: RunBlocking, state: str, blocking: object, *args: object) -> None:
        try:
            await run_blocking(blocking, *args)  # type: ignore[arg-type]
            self._state = state
        except OSError as error:
            self._state = f"failed: {error.strerror}"

    def _append(self, pcm: bytes) -> None:
        with self._one_at_a_time:
            if self._file is None:
                self._file = os.open(self._part, _NEW, 0o600)
                # A call that its disk holds up ends without `close`: then the file is closed when this thread is done.
                self._closing = weakref.finalize(self, os.close, self._file)
                fcntl.flock(self._file, fcntl.LOCK_EX)  # a gateway that starts may be looking at it
                _write_all(self._file, wav_header(0))
            _write_all(self._file, pcm)
            self._written += len(pcm)

    def _finish(self) -> None:
        with self._one_at_a_time:
            if self._file is not None:
                os.pwrite(self._file, wav_header(self._written), 0)
                self._part.rename(self._path)
        self._let_go()

    def _let_go(self) -> None:
        with self._one_at_a_time:
            self._file = None
            self._closing()


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def wav_header(data_bytes: int) -> bytes:
    """The 44 bytes before the samples of a recording: RIFF, PCM16, 2 channels."""
    channels, width = 2, 2
    rate_bytes = RATE_HZ * channels * width
    head = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        RATE_HZ,
        rate_bytes,
        channels * width,
        8 * width,
    )
    return head + struct.pack("<4sI", b"data", data_bytes)

"""The call's stereo recording on disk: `recording.wav.part` while it lasts, `recording.wav` after."""

import os
import struct
from pathlib import Path

from gateway.contracts import RunBlocking
from gateway.media.stereo import RATE_HZ, StereoMix

__all__ = ["Recording"]


class Recording:
    """Writes what is final in `mix`, which the call core fills. A disk that fails ends the recording, never the call."""

    def __init__(self, folder: Path, mix: StereoMix) -> None:
        self._mix = mix
        self._path = folder / "recording.wav"
        self._part = folder / "recording.wav.part"
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
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if not self._written else os.O_APPEND)
        with os.fdopen(os.open(self._part, flags, 0o600), "ab") as file:
            if not self._written:
                file.write(_header(0))
            file.write(pcm)
        self._written += len(pcm)

    def _finish(self) -> None:
        with self._part.open("r+b") as file:
            file.write(_header(self._written))
        self._part.rename(self._path)


def _header(data_bytes: int) -> bytes:
    """A canonical WAV header: RIFF, PCM16, 2 channels."""
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

"""What a call core was fed and what it answered, kept while the call runs.

Nothing here waits and no trouble of a disk reaches the call: entries go to memory, and `flush` has a worker
thread append them to the files. There the order is what makes a crash harmless: audio before the line that
names it, outputs before the entry that caused them. So every entry on disk is whole and has its outputs on
disk, however the process ends; what is lost is what was fed since the last flush. No file is synchronised:
a power cut may cost more, and show as a difference near the end of an unfinished trace.
"""

import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from gateway.contracts import Output, Port
from gateway.traces.files import NEW, append
from gateway.traces.format import (
    OUTPUTS,
    OUTPUTS_AUDIO,
    TRACE,
    TRACE_AUDIO,
    Header,
    end_line,
    entry_line,
    header_line,
    output_line,
)

RunBlocking = Callable[..., Awaitable[object]]
"""Runs `fn(*args)` to its end in a worker thread, or at once in tests; a cancelled caller waits for it too."""

Batch = dict[str, bytearray]
"""What to append to which file, in the order of writing."""

# A talking call gives 150 kB a second: a disk that stood still for three minutes will not come back in time.
BACKLOG_BYTES = 32 * 2**20

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW


class Recorder:
    """Writes the trace of one call into a folder, which is made at the first flush.

    `failed` says in a few words why recording stopped, or is None. Files that exist are never touched:
    finding one is a failure.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.failed: str | None = None
        self._folder = folder
        self._flags = NEW
        self._closed = False
        self._entries = 0
        self._offset = {TRACE_AUDIO: 0, OUTPUTS_AUDIO: 0}
        self._unwritten_bytes = 0
        self._fresh = _batch()
        self._fresh[TRACE] += header_line(header)
        self._sealed: deque[Batch] = deque()
        self._turn = trio.Lock()

    def input(self, seq: int, t_us: int, port: Port, data: str | bytes = "") -> None:
        """Note what the core is about to be fed. `seq` rises; a tick has no data."""
        if self._closed or self.failed:
            return
        line, audio = entry_line(seq, t_us, port, data, self._offset[TRACE_AUDIO])
        self._entries += 1
        self._append(TRACE, line, TRACE_AUDIO, audio)

    def output(self, seq: int, output: Output) -> None:
        """Note what the core answered to entry `seq`."""
        if self._closed or self.failed:
            return
        try:
            line, audio = output_line(seq, output, self._offset[OUTPUTS_AUDIO])
        except (TypeError, ValueError) as error:
            self._fail(f"an output that JSON cannot hold: {error}")
            return
        self._append(OUTPUTS, line, OUTPUTS_AUDIO, audio)

    async def flush(self, run_blocking: RunBlocking) -> None:
        """Write what was noted so far. Returns when it is in the files, or `failed` says why not."""
        async with self._turn:
            if any(self._fresh.values()):
                self._sealed.append(self._fresh)
                self._fresh = _batch()
                self._unwritten_bytes = 0
            # Sealed, not handed over: a flush that is cancelled before its thread starts loses nothing.
            if self._sealed:
                await run_blocking(self._write_sealed)

    async def close(self, run_blocking: RunBlocking) -> None:
        """Mark the trace as finished and write the rest. Nothing is noted any more."""
        if not self._closed and not self.failed:
            self._fresh[TRACE] += end_line(self._entries)
        self._closed = True
        await self.flush(run_blocking)

    def _append(self, lines_name: str, line: bytes, audio_name: str, audio: bytes) -> None:
        self._fresh[lines_name] += line
        if audio:
            self._fresh[audio_name] += audio
            self._offset[audio_name] += len(audio)
        self._unwritten_bytes += len(line) + len(audio)
        if self._unwritten_bytes > BACKLOG_BYTES:
            self._fail("the disk did not keep up")

    def _fail(self, why: str) -> None:
        self.failed = why
        self._fresh = _batch()

    def _write_sealed(self) -> None:
        """In a worker thread, never two at once. Between the flushes a call holds no file open."""
        while self._sealed:
            batch = self._sealed.popleft()
            if self.failed:
                continue  # what came after a gap could not be replayed
            try:
                self._write(batch)
            except OSError as error:
                self._fail(f"{error.filename or self._folder}: {error.strerror}")

    def _write(self, batch: Batch) -> None:
        if self._flags == NEW:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for name, data in batch.items():
                if data or self._flags == NEW:
                    append(os.open(name, self._flags, 0o600, dir_fd=folder), data)
        finally:
            os.close(folder)
        self._flags = _APPEND


def _batch() -> Batch:
    return {name: bytearray() for name in (OUTPUTS_AUDIO, OUTPUTS, TRACE_AUDIO, TRACE)}

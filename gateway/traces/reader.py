"""A recorded call read from its folder, entry by entry, in bounded memory.

A crash leaves a trace without its end marker, maybe with a torn last line. That is a shorter trace, not a
broken one. Everything else that does not fit is `TraceUnreadable`, with the file and the line.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from gateway.traces.format import (
    FORMAT,
    OUTPUTS,
    OUTPUTS_AUDIO,
    TRACE,
    TRACE_AUDIO,
    End,
    Entry,
    Header,
    Lifted,
    OutputLine,
    restore,
)

# More than an end marker has.
_TAIL_BYTES = 64


class TraceUnreadable(Exception):
    """No trace that this gateway can read; the text says which file, where, and why."""


class _Version(msgspec.Struct, frozen=True):
    format: int


class LinesAndAudio:
    """A JSON-lines file and the audio beside it. Raises `TraceUnreadable` when they cannot be opened."""

    def __init__(self, folder: Path, lines_name: str, audio_name: str) -> None:
        self._lines_name = lines_name
        self._audio_name = audio_name
        self._number = 0
        self._lines = _open(folder / lines_name)
        try:
            self._audio = _open(folder / audio_name)
        except TraceUnreadable:
            self._lines.close()
            raise
        self._audio_bytes = os.fstat(self._audio.fileno()).st_size
        self._audio_at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back both files."""
        self._lines.close()
        self._audio.close()

    def next_line(self) -> bytes | None:
        """The next whole line with its line end, or None: the file ends here, or within a torn line."""
        line = self._lines.readline()
        self._number += 1
        return line if line.endswith(b"\n") else None

    def audio(self, lifted: Lifted | None) -> bytes:
        """The bytes that a line names. Costs no seek when they follow on those asked for before."""
        if lifted is None:
            return b""
        if lifted.offset < 0 or not 0 <= lifted.length <= self._audio_bytes - lifted.offset:
            raise self.unreadable(f"names audio that {self._audio_name} does not have")
        if self._audio_at != lifted.offset:
            self._audio.seek(lifted.offset)
        self._audio_at = lifted.offset + lifted.length
        return self._audio.read(lifted.length)

    def unreadable(self, why: str) -> TraceUnreadable:
        """An error that names the line read last."""
        return TraceUnreadable(f"{self._lines_name} line {self._number}: {why}")


class Trace(LinesAndAudio):
    """What a call core was fed, in the order in which it was fed.

    `finished`: there is an end marker, so the call was recorded to its end. Raises `TraceUnreadable`, also
    while it is read.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TRACE, TRACE_AUDIO)
        self.finished = self._has_end()
        try:
            self.header = self._header()
        except TraceUnreadable:
            self.close()
            raise

    def entries(self) -> Iterator[tuple[Entry, str | bytes]]:
        """Each entry as its line has it, and the data that was fed. For one pass."""
        decode = msgspec.json.Decoder(Entry).decode
        count, seq = 0, -1
        while (line := self.next_line()) is not None:
            if line.startswith(b"{"):
                self._check_end(line, count)
                return
            try:
                entry = decode(line)
            except ValueError as error:
                raise self.unreadable(str(error)) from error
            if entry.seq <= seq:
                raise self.unreadable(f"entry {entry.seq} stands behind entry {seq}")
            count, seq = count + 1, entry.seq
            yield entry, self.data(entry)

    def data(self, entry: Entry) -> str | bytes:
        """What the core was fed, exactly."""
        if entry.lifted is None:
            return entry.text
        try:
            return restore(entry.text, entry.lifted.position, self.audio(entry.lifted))
        except ValueError as error:
            raise self.unreadable(str(error)) from error

    def _header(self) -> Header:
        line = self.next_line()
        if line is None:
            raise self.unreadable("no header; the call ended before its first flush")
        try:
            version = msgspec.json.decode(line, type=_Version).format
        except ValueError as error:
            raise self.unreadable(f"no header: {error}") from error
        if version != FORMAT:
            raise self.unreadable(f"trace format {version}, and this gateway reads format {FORMAT}")
        try:
            return msgspec.json.decode(line, type=Header)
        except ValueError as error:
            raise self.unreadable(f"header: {error}") from error

    def _has_end(self) -> bool:
        self._lines.seek(0, io.SEEK_END)
        self._lines.seek(max(0, self._lines.tell() - _TAIL_BYTES))
        *_, last, rest = (b"\n" + self._lines.read()).split(b"\n")
        self._lines.seek(0)
        return last.startswith(b'{"end":') and not rest

    def _check_end(self, line: bytes, count: int) -> None:
        try:
            end = msgspec.json.decode(line, type=End).end
        except ValueError as error:
            raise self.unreadable(str(error)) from error
        if end != count:
            raise self.unreadable(f"the end marker counts {end} entries, and {count} are there")
        if self._lines.read(1):
            raise self.unreadable("there is more behind the end marker")


class RecordedOutputs(LinesAndAudio):
    """What the core answered, line by line; `line` is the next one, or None at the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, OUTPUTS, OUTPUTS_AUDIO)
        self.line = self.next_line()

    def advance(self) -> None:
        """Go to the line after this one."""
        self.line = self.next_line()

    def of_entry(self, seq: int) -> OutputLine | None:
        """What `line` says, if it is an output of entry `seq`."""
        if self.line is None or not self.line.startswith(b"[%d," % seq):
            return None
        try:
            return msgspec.json.decode(self.line, type=OutputLine)
        except ValueError as error:
            raise self.unreadable(str(error)) from error


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=256 * 1024)
    except OSError as error:
        raise TraceUnreadable(f"{path}: {error.strerror}") from error

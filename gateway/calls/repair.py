"""What a crash left in the folders of calls, made whole when the gateway starts.

A process that is killed leaves `recording.wav.part`, whose samples are good and whose header says that there are
none, a trace without its end, and no record. Nothing that is there already is overwritten, and nothing is touched
that another gateway on the same folder still writes.
"""

import contextlib
import datetime as dt
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from gateway.calls.record import CallRecord
from gateway.calls.recording import FRAME_BYTES, HEADER_BYTES, NAME, PART, wav_header
from gateway.media.stereo import RATE_HZ
from gateway.traces.files import create
from gateway.traces.reader import Trace, TraceUnreadable

__all__ = ["Repaired", "repair_recordings"]

# A gateway that crashed had far fewer calls than this since it last started; older folders were looked at then.
_MOST_FOLDERS = 10_000

_MOST_BYTES = 2**32 - 1  # of a WAV file, whose sizes have 32 bits: 37 hours

_RECORD = "call.json"


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that has its name now. `call`: its folder's name."""

    call: str
    duration_ms: int


class _Unrepairable(Exception):
    """It is left as it is; the text says why."""


class _Settings(msgspec.Struct):
    """Of the settings in a trace's header, what a record wants."""

    carrier_call: str = ""


def repair_recordings(folder: Path, log: structlog.typing.FilteringBoundLogger) -> list[Repaired]:
    """Complete every `*/recording.wav.part` that nobody writes any more, and name it `recording.wav`.

    Where the call's record is missing, it is written of what is known. What cannot be repaired is left and logged,
    symbolic links among it. Works on disk: call it where that may block.
    """
    repaired = []
    for call in _newest(folder):
        try:
            duration_ms = _repair(call, log)
        except (OSError, _Unrepairable) as error:
            detail = error.strerror if isinstance(error, OSError) else str(error)
            log.warning("recording.unrepaired", call=call.name, detail=detail)
            continue
        if duration_ms is not None:
            repaired.append(Repaired(call=call.name, duration_ms=duration_ms))
            log.info("recording.repaired", call=call.name, duration_ms=duration_ms)
    return repaired


def _newest(folder: Path) -> list[Path]:
    """The folders of calls. Their names begin with the time."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names, reverse=True)[:_MOST_FOLDERS]]


def _repair(call: Path, log: structlog.typing.FilteringBoundLogger) -> int | None:
    """How long the recording is that was repaired, in ms; None when there is nothing to do."""
    try:
        # Opening a pipe that somebody put there must not wait for its other end.
        file = os.open(call / PART, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with _closing(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None  # another gateway writes it
        found = os.fstat(file)
        if not _is_still(found, call / PART):
            return None  # it was completed by whoever had the lock until now
        frames = _frames(file, found)
        if os.path.lexists(call / NAME):
            raise _Unrepairable(f"{NAME} is there, too")
        if not os.path.lexists(call / _RECORD):
            _write_record(call, found.st_mtime, log)
        # From here on a crash changes nothing: the next start does the same again.
        os.ftruncate(file, HEADER_BYTES + frames * FRAME_BYTES)
        os.pwrite(file, wav_header(frames * FRAME_BYTES), 0)
        (call / PART).rename(call / NAME)
    return round(frames * 1000 / RATE_HZ)


def _is_still(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, os.lstat(path))
    except FileNotFoundError:
        return False


def _frames(file: int, found: os.stat_result) -> int:
    """How many whole frames are in the part. Raises `_Unrepairable` for what is no part of a recording."""
    if not stat.S_ISREG(found.st_mode):
        raise _Unrepairable("no regular file")
    header = os.pread(file, HEADER_BYTES, 0)
    if len(header) < HEADER_BYTES or _without_sizes(header) != _without_sizes(wav_header(0)):
        raise _Unrepairable("no recording of a call")
    if found.st_size > _MOST_BYTES:
        raise _Unrepairable("longer than a WAV file can be")
    return (found.st_size - HEADER_BYTES) // FRAME_BYTES


def _without_sizes(header: bytes) -> bytes:
    return header[:4] + header[8:40]


def _write_record(call: Path, last_written: float, log: structlog.typing.FilteringBoundLogger) -> None:
    part = call / f"{_RECORD}.part"
    try:
        text = msgspec.json.format(msgspec.json.encode(_record(call, last_written)), indent=1)
        part.unlink(missing_ok=True)
        with create(part) as file:
            file.write(text)
        part.rename(call / _RECORD)
    except (OSError, OverflowError, TraceUnreadable, ValueError) as error:
        log.warning("record.failed", call=call.name, detail=str(error))


def _record(call: Path, last_written: float) -> CallRecord:
    """What the trace's header says of a call whose gateway died in it. How it would have ended nobody knows."""
    with Trace(call) as trace:
        header = trace.header
    began = dt.datetime.fromisoformat(header.wall_time).astimezone()
    ended = dt.datetime.fromtimestamp(last_written, dt.UTC)
    return CallRecord(
        call=header.call_id,
        carrier=header.carrier,
        carrier_call=msgspec.convert(header.settings, _Settings).carrier_call,
        caller=header.caller,
        called=header.called,
        plan=str(header.plan.get("name", "")),
        backend=header.backend,
        started_at=header.wall_time,
        ended_at=ended.isoformat(timespec="milliseconds"),
        duration_ms=max(0, round((ended - began).total_seconds() * 1000)),
        fault="ours",
        detail="the gateway died in the call",
        recording="repaired",
    )


@contextlib.contextmanager
def _closing(file: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(file)

"""A call's folder as what happened in the call."""

from pathlib import Path

import msgspec

from gateway.report.carriers import Readers
from gateway.report.happenings import Happening
from gateway.report.listener import Listener
from gateway.traces.format import OUTPUTS, Header, OutputLine, restore
from gateway.traces.reader import RecordedOutputs, Trace, TraceUnreadable

__all__ = ["Record", "RecordedCall", "read_call"]

_RECORD = "call.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the report takes from `call.json`. Empty where there is none."""

    direction: str = ""
    caller: str = ""
    called: str = ""
    headers: dict[str, str] = {}
    plan: str = ""
    backend: str = ""
    started_at: str = ""
    duration_ms: int = 0
    reason: str | None = None
    fault: str = ""
    detail: str = ""
    counts: dict[str, int] = {}
    caller_audio_dropped_ms: int = 0
    trace: str = ""
    recording: str = ""


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `missing`: sentences about what its folder does not have.

    `media_us`: when the caller's first audio began. `ends_us`: the last entry. `finished`: the trace has its end.
    """

    folder: Path
    header: Header
    record: Record
    happenings: list[Happening]
    media_us: int
    ends_us: int
    finished: bool
    missing: list[str]


def read_call(folder: Path, readers: Readers) -> RecordedCall:
    """Raises `TraceUnreadable` when there is no trace, or a damaged one. All else may be missing."""
    missing: list[str] = []
    record = _record(folder, missing)
    happenings: list[Happening] = []
    ends_us = 0
    with Trace(folder) as trace:
        header, finished = trace.header, trace.finished
        reader = readers.get(header.carrier)
        if reader is None:
            missing.append(
                f"Nobody reads messages of {header.carrier}: what it brought and was sent is not shown."
            )
        listener = Listener(None if reader is None else reader())
        outputs = _outputs(folder, missing)
        try:
            for entry, data in trace.entries():
                happenings += listener.take(entry, data, _of_entry(outputs, entry.seq))
                ends_us = max(ends_us, entry.t_us)
        finally:
            if outputs is not None:
                outputs.close()
    if not finished:
        missing.append("The trace has no end: the process died, or recording stopped. This is what it has.")
    return RecordedCall(
        folder=folder,
        header=header,
        record=record,
        happenings=happenings,
        media_us=listener.media_us or 0,
        ends_us=ends_us,
        finished=finished,
        missing=missing,
    )


def _record(folder: Path, missing: list[str]) -> Record:
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
    except OSError as error:
        missing.append(f"{_RECORD} cannot be read ({error.strerror}); the head is made from the trace.")
    except ValueError as error:
        missing.append(f"{_RECORD} is damaged ({error}); the head is made from the trace.")
    return Record()


def _outputs(folder: Path, missing: list[str]) -> RecordedOutputs | None:
    try:
        return RecordedOutputs(folder)
    except TraceUnreadable as error:
        missing.append(f"{OUTPUTS} cannot be read ({error}); facts and what was sent are not shown.")
        return None


def _of_entry(outputs: RecordedOutputs | None, seq: int) -> list[tuple[OutputLine, str | bytes]]:
    """What was answered to one entry, and of each message to the carrier the whole."""
    found: list[tuple[OutputLine, str | bytes]] = []
    while outputs is not None and (line := outputs.of_entry(seq)) is not None:
        found.append((line, _sent(outputs, line)))
        outputs.advance()
    return found


def _sent(outputs: RecordedOutputs, line: OutputLine) -> str | bytes:
    match line.output:
        case {"type": "carrier", "data": str(text)}:
            if line.lifted is None:
                return text
            try:
                return restore(text, line.lifted.position, outputs.audio(line.lifted))
            except ValueError as error:
                raise outputs.unreadable(str(error)) from error
        case _:
            return ""

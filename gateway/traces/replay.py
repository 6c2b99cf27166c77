"""A recorded call, run again: is every output the same, byte for byte?

Replay builds a fresh core from the header and feeds it the entries in the order in which they were recorded,
each with its recorded time. No socket, task or thread takes part, and no recorded output is ever fed.
"""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from gateway.contracts import Output, Port
from gateway.traces.files import create, sync
from gateway.traces.format import OUTPUTS, OUTPUTS_AUDIO, Entry, Header, Lifted, OutputLine, output_line
from gateway.traces.reader import RecordedOutputs, Trace, TraceUnreadable
from gateway.traces.verdict import (
    Difference,
    Outcome,
    Verdict,
    audio_difference,
    entry_in_short,
    output_in_full,
    outputs_in_short,
)

_ENTRIES_SHOWN = 10
_TRACEBACK_LINES = 8


class Core(Protocol):
    """What a trace is replayed on."""

    def feed(self, port: Port, data: str | bytes, now: float) -> None: ...

    def drain(self) -> Sequence[Output]: ...


BuildCore = Callable[[Header], Core]

_NOTHING = "no further output"


def replay(folder: Path, build_core: BuildCore) -> Verdict:
    """Feed a recorded call to a fresh core and compare what it answers with what was recorded.

    Never raises for what the folder holds or the core does: a core that raises differs, a folder or a header
    that gives no core is unreadable.
    """
    try:
        with Trace(folder) as trace, RecordedOutputs(folder) as recorded:
            return _Comparison(folder, trace, recorded).run(_build(build_core, trace.header))
    except TraceUnreadable as error:
        return Verdict(folder=folder, outcome=Outcome.UNREADABLE, problem=str(error))


def accept(folder: Path, build_core: BuildCore) -> Verdict:
    """Replay, and where the core differs, make what it answers now the recorded outputs.

    Returns the verdict on the old outputs. They are rewritten as whole files, and only if the core takes
    every entry without raising. After a crash between the two renames, accept again. Raises `OSError`.
    """
    verdict = replay(folder, build_core)
    if verdict.outcome is not Outcome.DIFFERS:
        return verdict
    try:
        _rewrite(folder, build_core)
    except (_CoreRaised, TraceUnreadable) as error:
        return msgspec.structs.replace(verdict, problem=str(error))
    return msgspec.structs.replace(verdict, accepted=True)


class _CoreRaised(Exception):
    """The core raised, or gave an output that cannot be written. `lines`: the end of the traceback."""

    def __init__(self, seq: int, error: Exception) -> None:
        self.lines = tuple("".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:])
        super().__init__(f"the core raised at entry {seq}: {self.lines[-1]}")


class _Comparison:
    """One pass over a trace beside its recorded outputs."""

    def __init__(self, folder: Path, trace: Trace, recorded: RecordedOutputs) -> None:
        self._folder = folder
        self._trace = trace
        self._recorded = recorded
        self._latest: deque[Entry] = deque(maxlen=_ENTRIES_SHOWN + 1)
        self._entries = 0
        self._outputs = 0

    def run(self, core: Core) -> Verdict:
        """Stops at the first difference. Raises `TraceUnreadable`."""
        offset = 0
        for entry, data in self._trace.entries():
            self._latest.append(entry)
            try:
                answers = _answers(core, entry, data, offset)
            except _CoreRaised as error:
                return self._differs(self._expected(), "the core raised", error.lines)
            for line, audio in answers:
                if line != self._recorded.line:
                    return self._other_line(line, audio)
                if audio:
                    recorded_audio = self._recorded.audio(Lifted("bytes", offset, len(audio)))
                    if audio != recorded_audio:
                        return self._other_audio(line, recorded_audio, audio)
                    offset += len(audio)
                self._recorded.advance()
                self._outputs += 1
            if self._recorded.of_entry(entry.seq):
                return self._differs(self._expected(), _NOTHING)
            self._entries += 1
        if self._trace.finished and self._recorded.line is not None:
            raise self._recorded.unreadable("an output of an entry that is not there")
        return self._verdict(Outcome.IDENTICAL if self._trace.finished else Outcome.UNFINISHED)

    def _expected(self) -> str:
        output = self._recorded.of_entry(self._latest[-1].seq)
        return output_in_full(output, self._recorded.audio(output.lifted)) if output else _NOTHING

    def _other_line(self, line: bytes, audio: bytes) -> Verdict:
        got = output_in_full(msgspec.json.decode(line, type=OutputLine), audio)
        return self._differs(self._expected(), got)

    def _other_audio(self, line: bytes, recorded: bytes, audio: bytes) -> Verdict:
        output = msgspec.json.decode(line, type=OutputLine)
        expected, got = output_in_full(output, recorded), output_in_full(output, audio)
        return self._differs(expected, got, (audio_difference(recorded, audio),))

    def _differs(self, expected: str, got: str, detail: tuple[str, ...] = ()) -> Verdict:
        *before, fed = (entry_in_short(entry, self._trace.audio(entry.lifted)) for entry in self._latest)
        entry = self._latest[-1]
        expected, got = outputs_in_short(expected, got)
        found = Difference(
            seq=entry.seq,
            t_us=entry.t_us,
            port=entry.port,
            expected=expected,
            got=got,
            detail=detail,
            entry=fed,
            before=tuple(before),
        )
        return self._verdict(Outcome.DIFFERS, found)

    def _verdict(self, outcome: Outcome, difference: Difference | None = None) -> Verdict:
        return Verdict(
            folder=self._folder,
            outcome=outcome,
            entries=self._entries,
            outputs=self._outputs,
            finished=self._trace.finished,
            difference=difference,
        )


def _build(build_core: BuildCore, header: Header) -> Core:
    try:
        return build_core(header)
    except Exception as error:  # an old plan or setting is the trace's trouble, of any type
        raise TraceUnreadable(f"no core for this header: {type(error).__name__}: {error}") from error


def _answers(core: Core, entry: Entry, data: str | bytes, offset: int) -> list[tuple[bytes, bytes]]:
    """Feed one entry; the line of each output, and the audio that it names from `offset` on."""
    answers = []
    try:
        core.feed(entry.port, data, entry.t_us / 1e6)
        for output in core.drain():
            line, audio = output_line(entry.seq, output, offset)
            answers.append((line, audio))
            offset += len(audio)
    except Exception as error:  # whatever a core raises is what the replay has to show
        raise _CoreRaised(entry.seq, error) from error
    return answers


def _rewrite(folder: Path, build_core: BuildCore) -> None:
    new_lines, new_audio = folder / f"{OUTPUTS}.new", folder / f"{OUTPUTS_AUDIO}.new"
    try:
        with Trace(folder) as trace, _draft(new_lines) as lines_file, _draft(new_audio) as audio_file:
            core, offset = _build(build_core, trace.header), 0
            for entry, data in trace.entries():
                for line, audio in _answers(core, entry, data, offset):
                    lines_file.write(line)
                    audio_file.write(audio)
                    offset += len(audio)
            sync(lines_file)
            sync(audio_file)
        new_audio.replace(folder / OUTPUTS_AUDIO)
        new_lines.replace(folder / OUTPUTS)
    finally:
        new_lines.unlink(missing_ok=True)
        new_audio.unlink(missing_ok=True)


def _draft(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)  # left by a crash
    return create(path)

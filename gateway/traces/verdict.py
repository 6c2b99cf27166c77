"""What a replay found, and how it is told to people."""

import enum
import hashlib
from pathlib import Path

import msgspec

from gateway.traces.format import Entry, Lifted, OutputLine

# Wide enough to show a whole event around the first difference, narrow enough for a terminal.
_WINDOW_CHARS = 240
_LEAD_CHARS = 80


class Outcome(enum.StrEnum):
    """`UNFINISHED`: the call crashed or its recording failed; the same outputs as far as the trace goes."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    UNFINISHED = "unfinished"
    UNREADABLE = "unreadable"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that the core did not do as recorded, in lines for people.

    `entry`: what it was fed; `before`: up to ten entries before. `detail`: where in the audio or text the
    difference begins, or the end of a traceback.
    """

    seq: int
    t_us: int
    port: str
    expected: str
    got: str
    detail: tuple[str, ...] = ()
    entry: str = ""
    before: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a replay went. `entries`, `outputs`: how many were fed and found equal.

    `finished`: the trace has its end marker, or was not read that far. `problem`: why it is unreadable, or
    was not accepted. `accepted`: the recorded outputs were rewritten.
    """

    folder: Path
    outcome: Outcome
    entries: int = 0
    outputs: int = 0
    finished: bool = True
    difference: Difference | None = None
    problem: str = ""
    accepted: bool = False

    @property
    def identical(self) -> bool:
        """Whether a whole call was replayed and every output was the same."""
        return self.outcome is Outcome.IDENTICAL


def report_lines(verdict: Verdict) -> list[str]:
    """The verdict for a terminal: one line, and below it the first difference."""
    counts = f"{verdict.entries} entries, {verdict.outputs} outputs"
    match verdict.outcome:
        case Outcome.IDENTICAL:
            return [f"{verdict.folder}: identical ({counts})"]
        case Outcome.UNFINISHED:
            return [f"{verdict.folder}: unfinished trace, identical as far as it goes ({counts})"]
        case Outcome.UNREADABLE:
            return [f"{verdict.folder}: unreadable: {verdict.problem}"]
        case Outcome.DIFFERS:
            return [f"{verdict.folder}: differs after {counts}{_notes(verdict)}", *_difference(verdict)]


def _notes(verdict: Verdict) -> str:
    notes = [] if verdict.finished else ["unfinished trace"]
    if verdict.accepted:
        notes.append("accepted: the recorded outputs are now those of this core")
    if verdict.problem:
        notes.append(f"not accepted: {verdict.problem}")
    return "".join(f"; {note}" for note in notes)


def _difference(verdict: Verdict) -> list[str]:
    found = verdict.difference
    if found is None:
        return []
    return [
        f"  at entry {found.seq}, {_seconds(found.t_us)}, {found.port}",
        f"  expected  {found.expected}",
        f"  got       {found.got}",
        *(f"  {line}" for line in found.detail),
        "  fed:",
        *(f"    {line}" for line in found.before),
        f"  > {found.entry}",
    ]


# -- lines, entries and audio in short form -------------------------------------------------------------


def entry_in_short(entry: Entry, audio: bytes) -> str:
    """One entry on one line. `audio`: what was lifted out of it, if anything."""
    text = _with_audio(entry.text, entry.lifted, audio)
    return f"{entry.seq:>7}  {_seconds(entry.t_us)}  {entry.port:<7}  {_window(text, 0)}".rstrip()


def outputs_in_short(expected: str, got: str) -> tuple[str, str]:
    """Two outputs that differ, both cut to the part in which the difference begins."""
    start = max(0, first_difference(expected, got) - _LEAD_CHARS)
    return _window(expected, start), _window(got, start)


def output_in_full(line: OutputLine, audio: bytes) -> str:
    """One output on one line, with a word on the audio where the audio was."""
    fields = dict(line.output)
    kind = fields.pop("type", "?")
    data = fields.pop("data", None)
    if not isinstance(data, str):
        return f"{kind} {msgspec.json.encode(fields).decode()}" if fields else kind
    rest = "".join(f" {name}={value}" for name, value in fields.items() if value)
    return f"{kind} {_with_audio(data, line.lifted, audio)}{rest}"


def audio_difference(expected: bytes, got: bytes) -> str:
    """Where two pieces of audio part."""
    at = first_difference(expected, got)
    if at < min(len(expected), len(got)):
        return f"audio differs first at byte {at}: expected 0x{expected[at]:02x}, got 0x{got[at]:02x}"
    return f"audio is equal for {at} bytes, then one ends: expected {len(expected)} bytes, got {len(got)}"


def first_difference(one: str | bytes, other: str | bytes) -> int:
    """The first index at which two sequences are not the same; the shorter length if there is none."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _with_audio(text: str, lifted: Lifted | None, audio: bytes) -> str:
    if lifted is None:
        return text
    word = f"<{len(audio)} bytes, sha256 {hashlib.sha256(audio).hexdigest()[:8]}>"
    if lifted.position == "text":
        return f"{audio[:_LEAD_CHARS].decode('utf-8', 'replace')}… {word}"
    at = 0 if lifted.position == "bytes" else lifted.position
    return f"{text[:at]}{word}{text[at:]}"


def _window(text: str, start: int) -> str:
    end = start + _WINDOW_CHARS
    # What a peer sent is shown on a terminal: line ends and control characters in their escaped form.
    cut = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[start:end])
    return f"{'…' if start else ''}{cut}{'…' if end < len(text) else ''}"


def _seconds(t_us: int) -> str:
    return f"{t_us / 1e6:.6f} s"

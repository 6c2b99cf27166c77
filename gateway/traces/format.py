"""What a recorded call looks like on disk: the header, one line an entry, one line an output.

The folder of a call holds two pairs of files, a JSON-lines file and the audio that was lifted out of it:

    trace.jsonl    trace.audio      what the call core was fed, in order
    outputs.jsonl  outputs.audio    what it answered; to compare with, never to feed

Audio is most of a call. In a text it stands as base64, the longest run between two quotation marks. Its
bytes go to the audio file, and the line keeps the text around the hole. The page is
ops/docs/trace-format.md; a change that an older reader would misread raises `FORMAT`.
"""

from binascii import a2b_base64, b2a_base64
from typing import Any, Literal, NamedTuple

import msgspec

from gateway.contracts import CarrierMessage, Output, Port, VoiceMessage

FORMAT = 1

TRACE = "trace.jsonl"
TRACE_AUDIO = "trace.audio"
OUTPUTS = "outputs.jsonl"
OUTPUTS_AUDIO = "outputs.audio"

# Shorter runs stay in the text: names, tokens and digests look like base64 too, and save nothing.
SHORTEST_AUDIO_CHARS = 64

# Decoding the 5 MB of a long clip takes 30 ms, in which no other call is served; copying it takes 3.
LONGEST_LIFTED_CHARS = 256 * 1024

Position = int | Literal["bytes", "text"]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to build the call's core again, and to know which call it was.

    `caller`, `called`: pseudonyms, unless the numbers are kept. `plan`, `agents`, `settings`: as resolved for
    this call, anything that JSON can hold. `wall_time`: when the call began, ISO 8601 with its offset.
    """

    format: int = FORMAT
    call_id: str
    carrier: str
    backend: str
    caller: str
    called: str
    plan: dict[str, Any]
    agents: Any
    settings: Any
    seed: int
    wall_time: str
    gateway_version: str


class Lifted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a line's missing part stands in the audio file. `offset`, `length`: bytes.

    `position`: the character at which the audio's base64 goes back into the text; `"bytes"` where the data
    was bytes, all of them in the file; `"text"` where the whole text is in the file, as UTF-8.
    """

    position: Position
    offset: int
    length: int


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of trace.jsonl: what the core was fed. `t_us`: since the call began."""

    seq: int
    t_us: int
    port: Port
    text: str = ""
    lifted: Lifted | None = None


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line of trace.jsonl, written when the call had ended. `end`: how many entries came before."""

    end: int


class OutputLine(msgspec.Struct, frozen=True, array_like=True):
    """One line of outputs.jsonl: what the core answered to entry `seq`, as plain JSON."""

    seq: int
    output: dict[str, Any]
    lifted: Lifted | None = None


class Split(NamedTuple):
    """Data as a line and the audio file hold it. `position` of None: nothing was lifted, `audio` is empty."""

    text: str
    position: Position | None
    audio: bytes


# Deterministic: a set among a fact's fields would otherwise be written in another order by every process.
_encode = msgspec.json.Encoder(order="deterministic").encode


_BYTES_OUT = (
    _encode((-1, CarrierMessage(""), ("bytes", -2, -3)))
    .replace(b"-1", b"%d", 1)
    .replace(b"-2", b"%d")
    .replace(b"-3", b"%d")
    + b"\n"
)


def header_line(header: Header) -> bytes:
    """The first line of trace.jsonl. A tool's schema keeps its order: the voice is told it in that order."""
    return msgspec.json.encode(header) + b"\n"


def end_line(entries: int) -> bytes:
    """The last line of trace.jsonl."""
    return _encode(End(entries)) + b"\n"


def entry_line(seq: int, t_us: int, port: Port, data: str | bytes, offset: int) -> tuple[bytes, bytes]:
    """The line of an entry, and the audio that it names at `offset` of the audio file."""
    if isinstance(
        data, bytes
    ):  # a hundred times a second and call, as is a tick: what `_encode` gives, sooner
        return b'[%d,%d,"%s","",["bytes",%d,%d]]\n' % (seq, t_us, port.encode(), offset, len(data)), data
    if not data:
        return b'[%d,%d,"%s"]\n' % (seq, t_us, port.encode()), b""
    text, position, audio = lift(data)
    if position is not None:
        return _encode((seq, t_us, port, text, (position, offset, len(audio)))) + b"\n", audio
    return _encode((seq, t_us, port, text)) + b"\n", b""


def output_line(seq: int, output: Output, offset: int) -> tuple[bytes, bytes]:
    """The line of an output of entry `seq`, and the audio that it names at `offset` of the audio file.

    Equal outputs at equal offsets give equal bytes in every process. Raises `TypeError` or `ValueError` for
    an output that JSON cannot hold.
    """
    if isinstance(output, CarrierMessage) and isinstance(output.data, bytes):
        return _BYTES_OUT % (seq, offset, len(output.data)), output.data
    if isinstance(output, CarrierMessage | VoiceMessage):
        text, position, audio = lift(output.data)
        if position is not None:
            rest = msgspec.structs.replace(output, data=text)
            return _encode((seq, rest, (position, offset, len(audio)))) + b"\n", audio
    return _encode((seq, output)) + b"\n", b""


def lift(data: str | bytes) -> Split:
    """Take the audio out of data, if `restore` can put back exactly the same characters."""
    if isinstance(data, bytes):
        return Split("", "bytes", data)
    if len(data) > LONGEST_LIFTED_CHARS or not _has_utf8(data):
        return Split("", "text", data.encode("utf-8", "surrogatepass"))
    # Splitting costs a third of what a regular expression does, and is linear whatever a peer sends.
    run = max(data.split('"'), key=len)
    if len(run) < SHORTEST_AUDIO_CHARS:
        return Split(data, None, b"")
    try:
        audio = a2b_base64(run)
    except ValueError:
        return Split(data, None, b"")
    if b2a_base64(audio, newline=False) != run.encode():
        return Split(data, None, b"")  # the decoder is lenient: padding bits, line ends, other alphabets
    position = data.index(run)
    return Split(data[:position] + data[position + len(run) :], position, audio)


def restore(text: str, position: Position, audio: bytes) -> str | bytes:
    """Undo `lift`. Raises `ValueError` if the parts cannot be those of one text."""
    if position == "bytes":
        return audio
    if position == "text":
        return audio.decode("utf-8", "surrogatepass")
    if not 0 <= position <= len(text):
        raise ValueError(f"position {position} is outside of a text of {len(text)} characters")
    return f"{text[:position]}{b2a_base64(audio, newline=False).decode()}{text[position:]}"


def _has_utf8(text: str) -> bool:
    # A lone surrogate is a character to Python, but no line of JSON can hold it.
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""A chat completion, read while it is written. OpenAI API reference, "Chat completion chunk"; server-sent events.

Server-sent events are those of the HTML standard, §9.2. A server that does not stream answers with one object.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from gateway.voice.embedded import chat_failures as failures
from gateway.voice.embedded.brain import Act, Decided, Thought, Words
from gateway.voice.embedded.prose import Prose

__all__ = ["ChatAnswer"]

_MOST_BYTES = 4 << 20
_MOST_CHARS = 10_000  # to be spoken: ten minutes
_MOST_CALLS = 16
_PIECE_CHARS = 1000  # what is cut into sentences at once: the time for it grows with the square
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BOM = b"\xef\xbb\xbf"
_CUTS: Mapping[str, Literal["max_output_tokens", "content_filter"]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_Call] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type == "text")
        return self.content or self.refusal or ""


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Asked(msgspec.Struct):
    """A function call that is being written."""

    id: str
    name: str = ""
    arguments: str = ""


_decoder = msgspec.json.Decoder(_Completion)


class ChatAnswer:
    """Takes the body of one answer as it comes and gives what the model has decided.

    `most_tokens`: the answer is cut there, for servers that do not do it. `begun`: the model has written
    something, be it thoughts. `over`: all that will be known is known.
    """

    def __init__(self, most_tokens: int | None = None) -> None:
        self.begun = False
        self.over = False
        self._tokens = most_tokens
        self._chars = _MOST_CHARS
        self._bytes = 0
        self._buffer = bytearray()
        self._streams: bool | None = None
        self._chosen = False  # a choice came
        self._data: list[bytes] = []  # of an event that is not over
        self._prose = Prose()
        self._calls: dict[int, _Asked] = {}

    def receive(self, data: bytes) -> list[Thought]:
        """Take more of the body. Once it is `over`, nothing."""
        return list(self._until_over(self._receive(data)))

    def end(self) -> list[Thought]:
        """The body has ended, or the connection."""
        return list(self._until_over(self._end()))

    def _until_over(self, thoughts: Iterator[Thought]) -> Iterator[Thought]:
        while not self.over:
            thought = next(thoughts, None)
            if thought is None:
                return
            self.over = not isinstance(thought, Words)
            yield thought

    def _receive(self, data: bytes) -> Iterator[Thought]:
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES:
            yield failures.unreadable(f"an answer of more than {_MOST_BYTES >> 20} MiB")
        self._buffer += data
        if self._streams is None:
            start = self._buffer.removeprefix(_BOM).lstrip()
            self._streams = not start.startswith(b"{") if start else None
        if self._streams and (b"\n" in data or b"\r" in data):
            *lines, self._buffer = (bytearray(line) for line in _LINE_END.split(self._buffer))
            for line in lines:
                yield from self._take_line(bytes(line))

    def _end(self) -> Iterator[Thought]:
        if self._streams:
            yield from self._take_line(bytes(self._buffer))
            yield from self._take_line(b"")
        elif self._buffer.strip():
            yield from self._take(bytes(self._buffer.removeprefix(_BOM)))
            yield from self._finish("")  # it is whole, whether it says why it ended or not
        if self._bytes and not self._chosen:
            yield failures.unreadable("its answer is no chat completion")
        yield failures.broken("the answer broke off")

    def _take_line(self, line: bytes) -> Iterator[Thought]:
        name, _, value = line.removeprefix(_BOM).partition(b":")
        if name in (b"data", b"error"):  # `error` is llama.cpp's
            self._data.append(value.removeprefix(b" "))
        elif not line and self._data:
            event, self._data = b"\n".join(self._data).strip(), []
            if event:  # some keep a connection open with empty ones
                yield from self._finish("") if event == b"[DONE]" else self._take(event)

    def _take(self, data: bytes) -> Iterator[Thought]:
        """Take a piece of the answer, or the whole."""
        error = failures.error_in(data) if b'"message"' in data or b'"error"' in data else None
        if error is not None:
            yield failures.failed(error)
        try:
            completion = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield failures.unreadable("its answer is no chat completion")
            return
        for choice in completion.choices or ():
            if not choice.index:
                self._chosen = True
                yield from self._read(choice.delta or choice.message or _Message())
                if choice.finish_reason:
                    yield from self._finish(choice.finish_reason)

    def _read(self, message: _Message) -> Iterator[Thought]:
        calls = message.tool_calls or []
        if not (message.text or message.reasoning_content or message.reasoning or calls):
            return  # who speaks, and nothing yet
        self.begun = True
        if self._tokens is not None:  # a piece is one token at least
            self._tokens -= 1
            if self._tokens < 0:
                yield from self._finish("length")
        for at in range(0, len(message.text), _PIECE_CHARS):
            yield from self._say(self._prose.write(message.text[at : at + _PIECE_CHARS]))
        for call in calls:
            self._call(call)
        if len(self._calls) > _MOST_CALLS:
            yield failures.unreadable(f"more than {_MOST_CALLS} functions at once")

    def _say(self, sentences: list[str]) -> Iterator[Thought]:
        for sentence in sentences:
            self._chars -= len(sentence)
            if self._chars < 0:
                yield Decided(cut="max_output_tokens")
            yield Words(sentence)

    def _call(self, call: _Call) -> None:
        """Take a piece of a function call. Some servers number them all 0, or not at all, but give each at once."""
        function = call.function or _Function()
        last = max(self._calls, default=-1)
        at = last if call.index is None else call.index
        known = self._calls.get(at)
        numbered = call.index is not None and not (known and call.id and call.id != known.id)
        if known is None or (function.name and not numbered):
            at = at if known is None and numbered else last + 1
            known = self._calls[at] = _Asked(call.id or "")
        known.name = known.name or function.name or ""
        arguments = function.arguments
        known.arguments += arguments if isinstance(arguments, str) else _as_text(arguments)

    def _finish(self, reason: str) -> Iterator[Thought]:
        yield from self._say(self._prose.end())
        cut = _CUTS.get(reason)
        if cut is not None:  # a call that it was writing is no whole one
            yield Decided(cut=cut)
        if not self._chosen:
            yield failures.unreadable("its answer has no choice")
        acts = [_act(call) for call in self._calls.values()]
        whole = tuple(act for act in acts if act is not None)
        yield (
            Decided(whole) if len(whole) == len(acts) else failures.unreadable("arguments that are no object")
        )


def _act(call: _Asked) -> Act | None:
    try:
        arguments = msgspec.json.decode(call.arguments.strip() or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return Act(call.name, arguments) if isinstance(arguments, dict) and call.name else None


def _as_text(arguments: dict[str, Any] | None) -> str:
    return msgspec.json.encode(arguments).decode() if arguments is not None else ""

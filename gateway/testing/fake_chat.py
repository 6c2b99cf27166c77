"""A server of chat completions that answers as told. OpenAI API reference, "Create chat completion".

    chat = FakeChat(["Hello. How can I help?", ChatReply(calls=[("hours", "{}")]), ChatReply(status=429)])
    httpx.AsyncClient(transport=chat.transport)  # or, on a socket: fake_chat_door.serve_chat

It wants what the strictest servers of the field want: the user begins, roles alternate, each function that was
called has its result.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import httpx
import msgspec
import trio

__all__ = ["Answer", "ChatReply", "FakeChat", "Piece"]


class ChatReply(msgspec.Struct, frozen=True, kw_only=True):
    """What one request gets.

    `calls`: names and arguments, as text. `finish`: why it ends. `body`: this, whatever else it would be.
    `streams`: piece by piece, if asked to. `first_s`: until the first token; `token_s`: until each further one.
    `breaks_after`: so many tokens, and the connection is lost.
    """

    text: str = ""
    calls: Sequence[tuple[str, str]] = ()
    finish: str | None = None
    status: int = 200
    body: bytes | None = None
    streams: bool = True
    first_s: float = 0.0
    token_s: float = 0.0
    breaks_after: int | None = None


class Piece(NamedTuple):
    """A part of an answer's body, and how long it takes. `data` of None: the connection is lost."""

    pause_s: float
    data: bytes | None


class Answer(NamedTuple):
    status: int
    content_type: str
    pieces: Iterator[Piece]


class FakeChat:
    """`replies`: what the requests get, one after the other, or what a request gets; a text is spoken as it is.

    `api_key`: what lets one in. `requests`: the bodies that came. `broken_off`: answers that nobody read to the end.
    """

    def __init__(
        self,
        replies: Iterable[ChatReply | str] | Callable[[dict[str, Any]], ChatReply | str] = (),
        *,
        api_key: str | None = None,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.broken_off = 0
        self._replies = replies if callable(replies) else _one_by_one(iter(replies))
        self._api_key = api_key

    @property
    def transport(self) -> httpx.MockTransport:
        """The server without a network."""
        return httpx.MockTransport(self._handle)

    def answer(self, body: bytes, authorization: str = "") -> Answer:
        """Take one request."""
        if self._api_key is not None and authorization != f"Bearer {self._api_key}":
            return _error(401, f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}")
        request = msgspec.json.decode(body)
        self.requests.append(request)
        flaw = _flaw(request["messages"])
        if flaw:
            return _error(400, flaw)
        reply = self._replies(request)
        reply = ChatReply(text=reply) if isinstance(reply, str) else reply
        if reply.body is not None:
            return Answer(reply.status, "application/json", iter([Piece(reply.first_s, reply.body)]))
        if reply.status != 200:
            return _error(reply.status, reply.text)
        if reply.streams and request.get("stream"):
            return Answer(200, "text/event-stream", self._stream(reply, request["model"]))
        message = {"role": "assistant", "content": reply.text or None} | _calls(reply.calls)
        whole = _object("chat.completion", request["model"], "message", message, _finish(reply))
        return Answer(200, "application/json", iter([Piece(reply.first_s, msgspec.json.encode(whole))]))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        answer = self.answer(await request.aread(), request.headers.get("authorization", ""))
        return httpx.Response(
            answer.status, headers={"content-type": answer.content_type}, stream=_Body(self, answer.pieces)
        )

    def _stream(self, reply: ChatReply, model: str) -> Iterator[Piece]:
        deltas: list[dict[str, Any]] = [{"content": token} for token in re.findall(r"\S+\s*|\s+", reply.text)]
        for at, call in enumerate(_calls(reply.calls).get("tool_calls", [])):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            deltas.append({"tool_calls": [call | {"index": at, "function": {"name": name, "arguments": ""}}]})
            deltas += [
                {"tool_calls": [{"index": at, "function": {"arguments": part}}]}
                for part in re.findall(r".{1,8}", arguments)
            ]
        yield Piece(0.0, _event(model, {"role": "assistant", "content": ""}))
        pause_s = reply.first_s
        for sent, delta in enumerate(deltas):
            if sent == reply.breaks_after:
                yield Piece(pause_s, None)
            yield Piece(pause_s, _event(model, delta))
            pause_s = reply.token_s
        yield Piece(pause_s, _event(model, {}, _finish(reply)))
        yield Piece(0.0, b"data: [DONE]\n\n")


class _Body(httpx.AsyncByteStream):
    """The body of an answer, for a client in the same process."""

    def __init__(self, chat: FakeChat, pieces: Iterator[Piece]) -> None:
        self._chat = chat
        self._pieces = pieces
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for pause_s, data in self._pieces:
            await trio.sleep(pause_s)
            if data is None:
                self._ended = True
                raise httpx.ReadError("the connection was lost")
            yield data
        self._ended = True

    async def aclose(self) -> None:
        self._chat.broken_off += not self._ended


def _one_by_one(replies: Iterator[ChatReply | str]) -> Callable[[dict[str, Any]], ChatReply | str]:
    return lambda _request: next(replies, ChatReply(status=500, text="no answer is left"))


def _calls(calls: Sequence[tuple[str, str]]) -> dict[str, Any]:
    made = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(calls)
    ]
    return {"tool_calls": made} if made else {}


def _finish(reply: ChatReply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _object(kind: str, model: str, part: str, said: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, part: said, "finish_reason": finish, "logprobs": None}
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": model, "choices": [choice]}


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = _object("chat.completion.chunk", model, "delta", delta, finish)
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _error(status: int, message: str) -> Answer:
    error = {"message": message, "type": "error", "param": None, "code": None}
    return Answer(status, "application/json", iter([Piece(0.0, msgspec.json.encode({"error": error}))]))


def _flaw(messages: Sequence[dict[str, Any]]) -> str:
    """What a strict server has against a conversation; nothing where there is nothing."""
    spoken = [line for line in messages if line["role"] != "system"]
    roles = [line["role"] for line in spoken]
    called: list[str] = []
    for line in spoken:
        if line["role"] == "tool" and line["tool_call_id"] in called:
            called.remove(line["tool_call_id"])
        elif line["role"] == "tool" or called:
            return "a result belongs behind its call, and to each call a result"
        called += [call["id"] for call in line.get("tool_calls", ())]
    if called or not spoken or spoken[-1]["role"] == "assistant":
        return "the user or a tool comes last"
    if messages[0]["role"] != "system" and "system" in [line["role"] for line in messages]:
        return "the system comes first"
    if roles[:1] != ["user"] or any(one == other != "tool" for one, other in pairwise(roles)):
        return "after the optional system message, roles must alternate user/assistant/user/assistant/..."
    if not all(
        re.fullmatch("[a-zA-Z0-9]{9}", call["id"]) for line in spoken for call in line.get("tool_calls", ())
    ):
        return "the id of a call has nine letters and digits"
    return ""

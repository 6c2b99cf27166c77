"""The driver of the brain: requests, time, failures, and a key that goes to its server and nowhere else."""

import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.config import Secret
from gateway.testing.fake_chat import ChatReply, FakeChat
from gateway.voice.backends.chat_brain import ChatBrain, ChatServer
from gateway.voice.backends.chat_endpoint import ChatEndpoint
from gateway.voice.embedded.brain import Act, Decided, Failure, Thought, Words
from gateway.voice.embedded.chat_request import ChatRequest

URL = "https://models.example.com/v1/chat/completions"
KEY = "sk-canary-Zx81Kc4nN0b0dySaysThis"
HELLO = ChatRequest(
    messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
)


# httpx leaves three generators that nobody ends when we break; the connection is closed all the same.
when_we_break = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@asynccontextmanager
async def brain(chat: FakeChat | httpx.AsyncBaseTransport) -> AsyncIterator[ChatBrain]:
    endpoint = ChatEndpoint(URL, "a-model", Secret(KEY))
    transport = chat.transport if isinstance(chat, FakeChat) else chat
    async with ChatServer(endpoint, structlog.get_logger(), transport=transport).brain() as opened:
        yield opened


async def thoughts_of(
    chat: FakeChat | httpx.AsyncBaseTransport, request: ChatRequest = HELLO
) -> list[Thought]:
    """What the brain thinks; its last thought is the only one of its kind."""
    thoughts: list[Thought] = []
    async with brain(chat) as opened:
        await opened.think(request, thoughts.append)
    assert [isinstance(thought, Words) for thought in thoughts] == [True] * (len(thoughts) - 1) + [False]
    return thoughts


async def failure_of(chat: FakeChat | httpx.AsyncBaseTransport) -> Failure:
    last = (await thoughts_of(chat))[-1]
    assert isinstance(last, Failure)
    return last


def failing(error: Exception) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(handle)


# -- requests and answers


async def test_a_request_has_model_key_and_conversation_and_wants_a_stream(autojump_clock: MockClock):
    chat = FakeChat(["Good day."], api_key=KEY)

    await thoughts_of(chat)

    (body,) = chat.requests
    assert body == {"model": "a-model", "stream": True, "messages": HELLO.messages}


async def test_a_server_without_keys_is_sent_none(autojump_clock: MockClock):
    seen: list[httpx.Headers] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(500)

    endpoint = ChatEndpoint("http://127.0.0.1:11434/v1/chat/completions", "a-model", None)
    server = ChatServer(endpoint, structlog.get_logger(), transport=httpx.MockTransport(handle))
    async with server.brain() as opened:
        await opened.think(HELLO, lambda _thought: None)

    assert "authorization" not in seen[0]


async def test_sentences_come_while_the_rest_is_written(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="One two. Three four.", first_s=1.0, token_s=1.0)])
    came: list[tuple[float, Thought]] = []

    async with brain(chat) as opened:
        began = trio.current_time()
        await opened.think(HELLO, lambda thought: came.append((trio.current_time() - began, thought)))

    assert came == [(3.0, Words("One two.")), (5.0, Words("Three four.")), (5.0, Decided())]


async def test_a_server_that_does_not_stream_is_understood(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="One. Two.", calls=[("hours", '{"day":"today"}')], streams=False)])

    assert await thoughts_of(chat) == [
        Words("One."),
        Words("Two."),
        Decided((Act("hours", {"day": "today"}),)),
    ]


async def test_one_brain_answers_again_and_again(autojump_clock: MockClock):
    chat = FakeChat(["One.", ChatReply(status=500), "Two."])
    thoughts: list[Thought] = []

    async with brain(chat) as opened:
        for _ in range(3):
            await opened.think(HELLO, thoughts.append)

    assert [thought for thought in thoughts if isinstance(thought, Words)] == [Words("One."), Words("Two.")]
    assert chat.broken_off == 0


# -- time


async def test_who_writes_nothing_for_eight_seconds_has_failed(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="Good day.", first_s=8.5)])
    began = trio.current_time()

    failure = await failure_of(chat)

    assert (failure.code, trio.current_time() - began) == ("timeout", 8.0)
    assert chat.broken_off == 1


async def test_who_does_not_even_answer_has_failed(autojump_clock: MockClock):
    async def handle(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        return httpx.Response(200)

    assert (await failure_of(httpx.MockTransport(handle))).code == "timeout"


async def test_signs_of_life_are_no_token(autojump_clock: MockClock):
    class Comments(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await trio.sleep(1)
                yield b": processing\n\n"

    began = trio.current_time()

    failure = await failure_of(httpx.MockTransport(lambda _request: httpx.Response(200, stream=Comments())))

    assert (failure.code, trio.current_time() - began) == ("timeout", 8.0)


async def test_who_stops_writing_has_failed(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="One. two three", first_s=7.0, token_s=8.5)])

    assert (await failure_of(chat)).code == "timeout"


async def test_an_answer_without_end_is_cut(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="word. " * 200, token_s=1.0)])
    began = trio.current_time()

    failure = await failure_of(chat)

    assert failure.code == "timeout"
    assert 50 <= trio.current_time() - began <= 60


async def test_the_last_word_is_not_kept_waiting_by_a_connection_that_stays_open(autojump_clock: MockClock):
    chunk = {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
            await trio.sleep_forever()

    came: list[float] = []
    began = trio.current_time()

    async with brain(httpx.MockTransport(lambda _request: httpx.Response(200, stream=Endless()))) as opened:
        await opened.think(HELLO, lambda _thought: came.append(trio.current_time() - began))

    assert came == [0.0, 0.0]
    assert trio.current_time() - began == 1.0


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
async def test_who_is_cancelled_leaves_the_server_at_once(autojump_clock: MockClock, after_s: float):
    chat = FakeChat([ChatReply(text="One. Two. Three.", first_s=1.0, token_s=1.0)])
    began = trio.current_time()

    async with brain(chat) as opened:
        with trio.move_on_after(after_s):
            await opened.think(HELLO, lambda _thought: None)

    assert trio.current_time() - began == after_s
    assert chat.broken_off == len(chat.requests)


# -- failures


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (401, "invalid_api_key", "invalid_request_error"),
        (402, "insufficient_quota", "invalid_request_error"),
        (403, "invalid_api_key", "invalid_request_error"),
        (404, "model_not_found", "invalid_request_error"),
        (400, "invalid_request", "invalid_request_error"),
        (301, "invalid_request", "invalid_request_error"),
        (500, "server_error", "server_error"),
        (503, "server_error", "server_error"),
    ],
)
async def test_an_http_error_has_a_code(autojump_clock: MockClock, status: int, code: str, kind: str):
    failure = await failure_of(FakeChat([ChatReply(status=status, text="no such thing")]))

    assert (failure.code, failure.type) == (code, kind)
    assert str(status) in failure.message


async def test_what_the_server_says_of_it_is_handed_on(autojump_clock: MockClock):
    failure = await failure_of(FakeChat([ChatReply(status=404, text='model "a-model" not found')]))

    assert failure.message == 'The server of the model answered 404: model "a-model" not found'


async def test_no_money_is_no_matter_of_time(autojump_clock: MockClock):
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})

    failure = await failure_of(FakeChat([ChatReply(status=429, body=body.encode())]))

    assert failure.code == "insufficient_quota"


async def test_an_error_page_without_end_is_not_waited_for(autojump_clock: MockClock):
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await trio.sleep(0.01)
                yield b"sorry " * 1000

    began = trio.current_time()

    failure = await failure_of(httpx.MockTransport(lambda _request: httpx.Response(503, stream=Endless())))

    assert (failure.code, trio.current_time() - began) == ("server_error", 1.0)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("nobody listens"),
        httpx.ConnectTimeout("too slow"),
        httpx.ReadError("lost"),
        httpx.RemoteProtocolError("nonsense"),
    ],
)
async def test_a_connection_that_fails_is_a_failure(autojump_clock: MockClock, error: httpx.HTTPError):
    failure = await failure_of(failing(error))

    assert failure.code == "connection_lost"
    assert failure.message == f"The server of the model: {type(error).__name__}"


async def test_a_stream_that_breaks_is_a_failure_behind_what_was_whole(autojump_clock: MockClock):
    chat = FakeChat([ChatReply(text="One. Two. Three.", breaks_after=2)])

    thoughts = await thoughts_of(chat)

    assert thoughts[0] == Words("One.")
    assert isinstance(thoughts[-1], Failure)
    assert thoughts[-1].code == "connection_lost"


@pytest.mark.parametrize("body", [b"<html>", b"{", b'{"choices":[]}', b"data: {\n\n", b"\xff"])
async def test_an_answer_that_makes_no_sense_is_a_failure(autojump_clock: MockClock, body: bytes):
    assert (await failure_of(FakeChat([ChatReply(body=body)]))).code == "invalid_answer"


@when_we_break
async def test_what_is_wrong_with_us_is_no_failure_of_the_server(autojump_clock: MockClock):
    def take(thought: Thought) -> None:
        raise ZeroDivisionError

    async with brain(FakeChat(["Good day."])) as opened:
        with pytest.raises(ZeroDivisionError):
            await opened.think(HELLO, take)


async def test_a_failure_is_logged(autojump_clock: MockClock):
    with capture_logs() as lines:
        await failure_of(FakeChat([ChatReply(status=503, text="loading")]))

    assert lines == [
        {
            "event": "brain.failed",
            "log_level": "warning",
            "brain": "models.example.com",
            "code": "server_error",
            "detail": "The server of the model answered 503: loading",
        }
    ]


# -- the key


def quoting(status: int, text: str = "") -> Callable[[httpx.Request], httpx.Response]:
    """A server that says everything it was told."""

    def handle(request: httpx.Request) -> httpx.Response:
        told = text or f"{request.headers['authorization']} is wrong"
        return httpx.Response(status, json={"error": {"message": told, "code": told, "type": told}})

    return handle


def breaking(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError(f"illegal header {request.headers['authorization']}")


def holds_key(text: str) -> bool:
    """A third of the key is too much of it."""
    third = len(KEY) // 3
    return any(KEY[at : at + third] in text for at in range(len(KEY) - third))


@pytest.mark.parametrize(
    "handle",
    [
        *(quoting(status) for status in (200, 400, 401, 403, 404, 429, 500)),
        quoting(400, "x" * 190 + KEY),
        quoting(500, f"wrong: {KEY[:12]}"),
        breaking,
    ],
)
async def test_a_server_that_quotes_the_key_does_not_give_it_away(
    autojump_clock: MockClock, handle: Callable[[httpx.Request], httpx.Response]
):
    with capture_logs() as lines:
        failure = await failure_of(httpx.MockTransport(handle))

    assert not holds_key(json.dumps(lines) + repr(failure))


@when_we_break
async def test_an_error_of_ours_does_not_hold_the_key(autojump_clock: MockClock):
    def take(thought: Thought) -> None:
        raise ZeroDivisionError

    async with brain(FakeChat(["Good day."])) as opened:
        with pytest.raises(ZeroDivisionError) as caught:
            await opened.think(HELLO, take)

    assert not holds_key("".join(traceback.format_exception(caught.value)))


async def test_a_brain_does_not_show_the_key(autojump_clock: MockClock):
    async with brain(FakeChat()) as opened:
        shown: list[Any] = [opened, vars(opened), vars(opened._endpoint), vars(opened._client)]

        assert not holds_key(repr(shown))

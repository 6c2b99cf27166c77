"""The key goes to the server, and nowhere else, whatever the server does with it."""

import json
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.config import ConfigError, Secret
from gateway.contracts import SessionLost, SessionRefused
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from tests.voice.realtime_peer import AGENT, KEY, Serve, http, peer, saying, talking_to

HEADER = f"Authorization: Bearer {KEY}"


def told_by(error: BaseException | None) -> Iterator[str]:
    """All that an error could ever show: itself, what led to it, and every text that it holds."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)), *traceback.format_exception(error))
        error = error.__cause__ or error.__context__


def holds_key(texts: list[str]) -> bool:
    """A third of the key is too much of it."""
    everything = "\n".join(texts)
    third = len(KEY) // 3
    return any(KEY[at : at + third] in everything for at in range(len(KEY) - third))


@asynccontextmanager
async def watched(texts: list[str]) -> AsyncIterator[None]:
    """Collects all that comes out of a block: log lines, and what it ends with."""
    with capture_logs() as lines:
        try:
            yield
        except (SessionLost, SessionRefused) as error:
            texts += told_by(error)
    texts += [json.dumps(line, default=repr) for line in lines]


def error_event(message: str, code: str | None = None) -> str:
    return json.dumps({"type": "error", "error": {"type": "invalid", "code": code, "message": message}})


REFUSALS = [
    http("401 Unauthorized", json.dumps({"error": {"message": f"Bad header {HEADER}"}})),
    http("401 Unauthorized", json.dumps({"error": {"code": KEY}})),
    http("401 Unauthorized", json.dumps({"error": {"message": "x" * 180 + KEY}})),
    http("401 Unauthorized", "", f"X-Your-Header: {HEADER}"),
    http("401 Unauthorized", f"<pre>{HEADER}</pre>"),
    http("401 Unauthorized", "x" * 4000 + HEADER),
    http("429 Too Many Requests", json.dumps({"error": {"message": HEADER}}), f"Retry-After: {KEY}"),
    http("503 Service Unavailable", json.dumps({"error": {"message": HEADER}})),
    f"HTTP/1.1 401 {HEADER}\r\n\r\n".encode(),
    f"{HEADER}\r\n\r\n".encode(),
]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_a_refusal_that_quotes_the_key_does_not_give_it_away(autojump_clock: MockClock, answer: bytes):
    texts: list[str] = []

    async with peer(answer=answer) as server, watched(texts):
        async with server.backend().connect(AGENT):
            pytest.fail("connected")

    assert KEY in server.heads[0]
    assert texts
    assert not holds_key(texts)


@pytest.mark.parametrize(
    "serve",
    [
        saying(close=(4000, HEADER[:123])),
        saying(close=(3000, f"invalid_request_error.invalid_api_key {KEY}"[:123])),
        saying(error_event(HEADER)),
        saying(error_event(f"Incorrect API key provided: {KEY}", "invalid_api_key")),
        saying(error_event(KEY, KEY), close=(1011, KEY[:100])),
        saying(json.dumps({"type": "session.created", "session": {"id": KEY}})),
        saying(KEY),
        saying(HEADER.encode()),
    ],
)
async def test_a_session_in_which_the_server_quotes_the_key_does_not_give_it_away(
    autojump_clock: MockClock, serve: Serve
):
    texts: list[str] = []

    async with talking_to(serve) as (connection, _), watched(texts):
        with trio.move_on_after(1):
            while True:
                texts.append(await connection.receive())

    assert texts
    assert not holds_key(texts)


async def test_what_is_said_beside_the_key_stays(autojump_clock: MockClock):
    async with talking_to(saying(error_event(f"{HEADER} is wrong"))) as (connection, _):
        assert "Bearer [key] is wrong" in await connection.receive()


async def test_sending_fails_without_the_key(autojump_clock: MockClock):
    texts: list[str] = []

    async with talking_to(saying(close=(4000, HEADER[:123]))) as (connection, _), watched(texts):
        await trio.testing.wait_all_tasks_blocked()
        await connection.send("{}")

    assert texts
    assert not holds_key(texts)


async def test_a_backend_and_its_connection_do_not_show_it(autojump_clock: MockClock):
    async with peer() as server:
        backend = server.backend()
        async with backend.connect(AGENT) as connection:
            assert not holds_key(
                [repr(backend), repr(vars(backend)), repr(connection), repr(vars(connection))]
            )


async def test_what_is_sent_in_a_session_does_not_hold_it(autojump_clock: MockClock):
    async with talking_to() as (connection, server):
        await connection.send('{"type":"response.create"}')
        await trio.testing.wait_all_tasks_blocked()

    assert len(server.received) == 1
    assert not holds_key(server.received)


async def test_a_word_in_place_of_a_key_garbles_no_event(autojump_clock: MockClock):
    said = '{"type":"session.created","session":{"id":"test"}}'

    async with peer(saying(said)) as server:
        backend = RealtimeBackend(RealtimeSettings(), Secret("session"), dial=server.dial)
        async with backend.connect(AGENT) as connection:
            assert await connection.receive() == said


@pytest.mark.parametrize("template", [KEY, f"Authorization: Bearer {KEY}", f"wss://{KEY}@api.openai.com/"])
def test_a_key_that_was_written_into_the_settings_is_not_shown(template: str):
    settings = (
        RealtimeSettings(url=template)
        if template.startswith("wss")
        else RealtimeSettings(auth_header=template)
    )

    with pytest.raises(ConfigError) as caught:
        RealtimeBackend(settings, Secret("another-key"))

    assert not holds_key(list(told_by(caught.value)))


def test_a_key_that_no_header_can_carry_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        RealtimeBackend(RealtimeSettings(), Secret(f"{KEY}\r\nX-Evil: 1"))

    assert "OPENAI_API_KEY" in str(caught.value)
    assert not holds_key(list(told_by(caught.value)))

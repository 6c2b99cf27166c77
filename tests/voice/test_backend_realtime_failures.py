"""How a session with a hosted voice does not come about, or ends."""

import json

import pytest
import trio
from trio.testing import MockClock

from gateway.contracts import SessionBusy, SessionLost, SessionRefused, VoiceConnection
from gateway.net.websocket import WebSocket
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from tests.voice.realtime_peer import AGENT, Serve, http, peer, saying, talking_to

CREATED = '{"type":"session.created","event_id":"e1","session":{"id":"sess_1"}}'
UPDATE = '{"type":"session.update","session":{"type":"realtime"}}'


def error(code: str | None, kind: str = "invalid_request_error", **fields: str | None) -> str:
    body = {"type": kind, "code": code, "message": f"about {code}", "param": None, "event_id": None}
    return json.dumps({"type": "error", "event_id": "e9", "error": body | fields})


async def refused_with(answer: bytes) -> SessionLost | SessionRefused:
    """What `connect` raises when a server says this instead of accepting."""
    async with peer(answer=answer) as server:
        try:
            async with server.backend().connect(AGENT):
                pytest.fail("connected")
        except (SessionLost, SessionRefused) as failure:
            return failure


async def ended_by(serve: Serve) -> tuple[list[str], SessionLost | SessionRefused]:
    """What is received from a server, and what it ends with."""
    async with talking_to(serve) as (connection, _):
        return await last_words(connection)


async def last_words(connection: VoiceConnection) -> tuple[list[str], SessionLost | SessionRefused]:
    received = []
    try:
        while True:
            received.append(await connection.receive())
    except (SessionLost, SessionRefused) as failure:
        return received, failure


# -- at the handshake


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        ("302 Found", SessionRefused),
        ("400 Bad Request", SessionRefused),
        ("401 Unauthorized", SessionRefused),
        ("402 Payment Required", SessionRefused),
        ("403 Forbidden", SessionRefused),
        ("404 Not Found", SessionRefused),
        ("408 Request Timeout", SessionLost),
        ("425 Too Early", SessionLost),
        ("429 Too Many Requests", SessionBusy),
        ("500 Internal Server Error", SessionLost),
        ("503 Service Unavailable", SessionLost),
        ("504 Gateway Timeout", SessionLost),
    ],
)
async def test_the_status_of_a_refusal_decides_whether_to_come_back(
    autojump_clock: MockClock, status: str, raised: type[Exception]
):
    failure = await refused_with(http(status))

    assert type(failure) is raised
    assert str(failure) == f"api.openai.com answered {status[:3]}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "Incorrect\\nkey.", "code": "invalid_api_key"}}', ": Incorrect key."),
        ('{"error": {"code": "OperationNotSupported"}}', ": OperationNotSupported"),
        ('{"error": {"message": 5, "code": ["x"]}}', ""),
        ('{"error": "no"}', ""),
        ("[1]", ""),
        ("<html>Forbidden</html>", ""),
        ('{"error": {"message": "cut', ""),
        ('{"a":' * 800, ""),
    ],
)
async def test_a_refusal_says_what_the_server_said_if_it_said_it_in_json(
    autojump_clock: MockClock, body: str, words: str
):
    failure = await refused_with(http("403 Forbidden", body))

    assert str(failure) == f"api.openai.com answered 403{words}"


async def test_a_long_explanation_is_cut(autojump_clock: MockClock):
    body = json.dumps({"error": {"message": "no " * 1000}})

    assert len(str(await refused_with(http("403 Forbidden", body)))) == 200


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("Retry-After: 7", 7.0),
        ("retry-after:  120 ", 120.0),
        ("Retry-After: 99999999999999", 86400.0),
        ("Retry-After: " + "9" * 400, 86400.0),
        ("Retry-After: -1", None),
        ("Retry-After: nan", None),
        ("Retry-After: Mon, 23 Nov 2026 01:02:03 GMT", None),
        ("X-Other: 5", None),
    ],
)
async def test_a_busy_server_says_when_to_come_back(
    autojump_clock: MockClock, header: str, wait_s: float | None
):
    failure = await refused_with(http("429 Too Many Requests", "", header))

    assert isinstance(failure, SessionBusy)
    assert failure.retry_after_s == wait_s


@pytest.mark.parametrize("error", ['{"code": "insufficient_quota"}', '{"type": "insufficient_quota"}'])
async def test_an_account_without_money_is_no_busy_server(autojump_clock: MockClock, error: str):
    failure = await refused_with(http("429 Too Many Requests", f'{{"error": {error}}}', "Retry-After: 1"))

    assert isinstance(failure, SessionRefused)


@pytest.mark.parametrize("answer", [b"\x16\x03\x01garbage", b"HTTP/1.1 ", b"\r\n\r\n", b"SSH-2.0-x\r\n"])
async def test_a_server_of_another_kind_is_lost(autojump_clock: MockClock, answer: bytes):
    assert isinstance(await refused_with(answer), SessionLost)


@pytest.mark.parametrize("error", [OSError("no route"), trio.BrokenResourceError("reset")])
async def test_a_server_that_cannot_be_reached_is_lost(autojump_clock: MockClock, error: Exception):
    async def dial() -> trio.abc.Stream:
        raise error

    backend = RealtimeBackend(RealtimeSettings(url="ws://localhost/"), None, dial=dial)

    with pytest.raises(SessionLost, match=r"^localhost was lost: "):
        async with backend.connect(AGENT):
            pass


async def test_a_server_that_does_not_answer_is_lost_after_five_seconds(autojump_clock: MockClock):
    async def dial() -> trio.abc.Stream:
        return trio.testing.memory_stream_pair()[0]

    backend = RealtimeBackend(RealtimeSettings(url="ws://localhost/"), None, dial=dial)
    began = trio.current_time()

    with pytest.raises(SessionLost):
        async with backend.connect(AGENT):
            pass

    assert trio.current_time() - began == 5


# -- later


@pytest.mark.parametrize(
    ("code", "reason", "raised"),
    [
        (1000, "", SessionLost),
        (1001, "Your session hit the maximum duration of 60 minutes.", SessionLost),
        (1011, "server_error", SessionLost),
        (1008, "policy", SessionLost),
        (3000, "invalid_request_error.invalid_api_key", SessionRefused),
        (4000, "invalid_request_error.invalid_model", SessionRefused),
        (4000, "invalid_request_error.beta_api_shape_disabled", SessionRefused),
        (4004, "invalid_request_error.model_not_found", SessionRefused),
        (4000, "insufficient_quota.credit_balance_exhausted", SessionRefused),
        (4000, "invalid_request_error.session_expired", SessionLost),
        (4000, "requests.rate_limit_exceeded", SessionBusy),
    ],
)
async def test_the_reason_of_a_close_decides_whether_to_come_back(
    autojump_clock: MockClock, code: int, reason: str, raised: type[Exception]
):
    _, failure = await ended_by(saying(close=(code, reason)))

    assert type(failure) is raised
    assert str(failure) == f"api.openai.com closed with {code}" + (reason and f": {reason}")


async def test_an_expired_session_says_so_and_is_lost(autojump_clock: MockClock):
    expired = error("session_expired")

    received, failure = await ended_by(saying(CREATED, expired, close=(1001, "60 minutes")))

    assert received == [CREATED, expired]
    assert isinstance(failure, SessionLost)


@pytest.mark.parametrize(
    "said",
    [
        error("invalid_api_key"),
        error("invalid_model"),
        error("missing_model"),
        error("model_not_found"),
        error("invalid_model", event_id=""),  # as LocalAI says it
        error("beta_api_shape_disabled"),
        error("insufficient_quota"),
        error(None, "insufficient_quota"),
        error("credit_balance_exhausted", "insufficient_quota"),
    ],
)
async def test_an_error_that_no_attempt_will_change_refuses_the_session(autojump_clock: MockClock, said: str):
    received, failure = await ended_by(saying(said))

    assert received == []
    assert isinstance(failure, SessionRefused)
    assert ": about " in str(failure)


@pytest.mark.parametrize(
    "said",
    [
        error("unknown_parameter", event_id="c1"),
        error("model_not_found", event_id="c1", param="session.audio.input.transcription.model"),
        error("response_cancel_not_active"),
        error("conversation_already_has_active_response"),
        error("rate_limit_exceeded"),
        error(None, "server_error"),
        '{"type":"error"}',
        '{"type":"error","error":null}',
        '{"type":"response.done","response":{"id":"r","status_details":{"error":{"code":"insufficient_quota"}}}}',
    ],
)
async def test_an_error_of_one_event_or_response_is_handed_on(autojump_clock: MockClock, said: str):
    async with talking_to(saying(said, CREATED)) as (connection, _):
        assert [await connection.receive() for _ in range(2)] == [said, CREATED]


async def test_sending_to_a_server_that_has_closed_is_lost(autojump_clock: MockClock):
    async with talking_to(saying(close=(1000, "bye"))) as (connection, _):
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(SessionLost, match=r"^api\.openai\.com closed with 1000: bye$"):
            await connection.send(UPDATE)


async def test_sending_to_a_server_that_has_refused_is_refused(autojump_clock: MockClock):
    serve = saying(error("invalid_api_key"), close=(3000, "invalid_request_error.invalid_api_key"))

    async with talking_to(serve) as (connection, _):
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(SessionRefused):
            await connection.send(UPDATE)


async def test_who_receives_hears_the_last_words_before_who_sends_fails(autojump_clock: MockClock):
    expired = error("session_expired")

    async with talking_to(saying(CREATED, expired, close=(1001, ""))) as (connection, _):
        await trio.testing.wait_all_tasks_blocked()  # all of it is here, and the connection is closed
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, UPDATE)
            heard, failure = await last_words(connection)
            nursery.cancel_scope.cancel()

    assert heard == [CREATED, expired]
    assert isinstance(failure, SessionLost)


async def test_a_server_that_vanishes_is_lost_after_the_last_word(autojump_clock: MockClock):
    async def serve(websocket: WebSocket) -> None:
        await websocket.send(CREATED)
        await trio.testing.wait_all_tasks_blocked()
        websocket.release()

    received, failure = await ended_by(serve)

    assert received == [CREATED]
    assert isinstance(failure, SessionLost)


async def test_a_server_that_answers_no_ping_is_lost(autojump_clock: MockClock):
    began = trio.current_time()

    async def serve(websocket: WebSocket) -> None:
        await trio.sleep_forever()  # 64 messages later nobody takes what comes, and pings wait behind it

    async with talking_to(serve) as (connection, _):
        for _ in range(66):
            await connection.send(UPDATE)
        with pytest.raises(SessionLost, match="ping"):
            await connection.receive()

    assert trio.current_time() - began == pytest.approx(15, abs=0.5)

"""Whole calls with a hosted voice, whose key must not be found in anything that a gateway lets anybody see."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.config import Secret
from gateway.testing.faulty_table import Busy, Drop, Expire, FailResponse, Fault, Refuse
from gateway.testing.live import live_gateway
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from tests.calls.hosted import HOURS, KEY, SPEECH, Connected, a_server, calling, plan
from tests.voice.realtime_peer import http, peer

CANARY = "canary-Zx81Kc"  # a part of the key is too much of it
HEADER = f"Authorization: Bearer {KEY}"


def shown_by(call: Connected) -> dict[str, bytes]:
    """All that a gateway lets anybody see, by where it stands."""
    files = {path.name: path.read_bytes() for path in call.folder.rglob("*") if path.is_file()}
    facts = repr(call.live.facts).encode()
    gateway = repr((call.live.gateway, vars(call.live.gateway))).encode()
    shown = {"log": call.live.log.getvalue().encode(), "metrics": call.live.metrics.expose()}
    return files | shown | {"facts": facts, "gateway": gateway}


def assert_key_is_kept(call: Connected) -> None:
    found = shown_by(call)

    assert {"call.json", "trace.jsonl", "outputs.jsonl", "trace.audio", "outputs.audio"} <= set(found)
    assert found["log"]
    assert [where for where, text in found.items() if CANARY.encode() in text] == []


def broken(_now: float) -> None:
    raise ZeroDivisionError("a bug")


REFUSES, BUSY = Refuse(detail=f"{HEADER} is not wanted here"), Busy(times=None, retry_after_s=20)
SESSIONS: dict[str, tuple[Fault | None, str]] = {
    "all is well": (None, "http"),
    "it drops": (Drop(at="response.output_audio.delta", count=12), "http"),
    "it expires": (Expire(after_s=2, message=f"It is over. {HEADER}"), "http"),
    "its response fails": (FailResponse(response=2, message=f"{HEADER} failed", code=KEY), "http"),
    "it is busy for a while": (Busy(retry_after_s=1), "http"),
    "it is busy": (BUSY, "http"),
    "it is busy, and says so later": (BUSY, "websocket"),
    "it refuses": (REFUSES, "http"),
    "it refuses, and says so later": (REFUSES, "websocket"),
}


@pytest.mark.parametrize(("fault", "complains"), SESSIONS.values(), ids=SESSIONS)
async def test_whatever_becomes_of_a_session_nothing_that_is_written_holds_the_key(
    autojump_clock: MockClock, tmp_path: Path, fault: Fault | None, complains: Any
):
    server = a_server(*([fault] if fault else []), hears=[HOURS], complains=complains)

    async with calling(server, tmp_path) as call:
        with trio.move_on_after(8):
            await call.greeted()
            await call.caller.says(SPEECH)
            await call.caller.ended()

    assert server.requests[0].header("authorization") == f"Bearer {KEY}"
    assert_key_is_kept(call)


async def test_a_call_that_breaks_does_not_tell_the_key(autojump_clock: MockClock, tmp_path: Path):
    async with calling(a_server(), tmp_path) as call:
        await call.greeted()
        (broken_call,) = call.live.gateway.supervisor.active.values()
        broken_call._core._leg.advance = broken  # type: ignore[method-assign, assignment]
        await call.caller.ended()

    assert "ZeroDivisionError" in call.live.log.getvalue()
    assert_key_is_kept(call)


ANSWERS: dict[str, bytes] = {
    "in a message": http("401 Unauthorized", json.dumps({"error": {"message": f"Bad header {HEADER}"}})),
    "in a code": http("401 Unauthorized", json.dumps({"error": {"code": KEY, "type": KEY}})),
    "in a page": http("403 Forbidden", f"<pre>{HEADER}</pre>"),
    "in a header": http("404 Not Found", "", f"X-Your-Header: {HEADER}"),
    "in a status": f"HTTP/1.1 401 {HEADER}\r\nContent-Length: 0\r\n\r\n".encode(),
    "in a time": http(
        "429 Too Many Requests", json.dumps({"error": {"message": HEADER}}), f"Retry-After: {KEY}"
    ),
    "in trouble": http("503 Service Unavailable", json.dumps({"error": {"message": HEADER}})),
    "in a redirection": http("302 Found", "", f"Location: wss://elsewhere.example/?key={KEY}"),
    "in no answer at all": f"{HEADER}\r\n\r\n".encode(),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_server_that_quotes_the_key_in_its_answer_does_not_give_it_away(
    autojump_clock: MockClock, tmp_path: Path, answer: bytes
):
    async with peer(answer=answer) as server:
        backend = RealtimeBackend(RealtimeSettings(), Secret(KEY), dial=server.dial)
        async with (
            live_gateway(plan(), backend, folder=tmp_path) as live,
            live.twilio.call(from_="+15550100001", to="+15550100002") as caller,
        ):
            await caller.ended()

    assert KEY in server.heads[0]
    assert_key_is_kept(Connected(caller, live, tmp_path))


def error(message: str, **fields: Any) -> str:
    said = {"type": "invalid_request_error", "code": None, "message": message} | fields
    return json.dumps({"type": "error", "event_id": "event_1", "error": said})


CREATED = json.dumps(
    {"type": "session.created", "event_id": "e1", "session": {"type": "realtime", "id": "s"}}
)
LAST_WORDS: dict[str, tuple[tuple[str | bytes, ...], tuple[int, str]]] = {
    "in a close reason": ((CREATED,), (4000, HEADER)),
    "in a close reason that has no room for all of it": ((CREATED,), (1011, "x" * 80 + HEADER)),
    "in a refusal": ((error(f"Wrong: {HEADER}", code="invalid_api_key"),), (3000, f"invalid_api_key.{KEY}")),
    "in a code": ((CREATED, error(HEADER, code=KEY, type=KEY, param=KEY)), (1011, KEY)),
    "in an event that nobody knows": ((json.dumps({"type": KEY, "it": HEADER}),), (1000, "")),
    "in a session's name": ((CREATED.replace('"s"', f'"{KEY}"'),), (1000, "")),
    "in no event": ((HEADER, HEADER.encode(), f'{{"type": "error", "{KEY}'), (1000, "")),
}


@pytest.mark.parametrize(("events", "close"), LAST_WORDS.values(), ids=LAST_WORDS)
async def test_a_server_that_quotes_the_key_in_a_session_does_not_give_it_away(
    autojump_clock: MockClock, tmp_path: Path, events: tuple[str | bytes, ...], close: tuple[int, str]
):
    async def serve(websocket: Any) -> None:
        await websocket.receive()
        for event in events:
            await websocket.send(event)
        await websocket.aclose(close[0], close[1][:123])  # RFC 6455 §5.5

    async with peer(serve) as server:
        backend = RealtimeBackend(RealtimeSettings(), Secret(KEY), dial=server.dial)
        async with (
            live_gateway(plan(), backend, folder=tmp_path) as live,
            live.twilio.call(from_="+15550100001", to="+15550100002") as caller,
        ):
            await caller.ended()

    assert KEY in server.heads[0]
    assert_key_is_kept(Connected(caller, live, tmp_path))

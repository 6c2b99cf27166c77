import httpx
import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message
from trio.testing import MockClock

from gateway.console.app import MAX_BODY_BYTES, BoundedBodies, make_app


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway")


async def echo(request: Request) -> Response:
    return Response(await request.body())


def chunk(body: bytes, *, last: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": not last}


class Scripted:
    """A POST whose body comes as these messages and then stops coming."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = list(messages)
        self.status: int | None = None

    async def run(self, app: ASGIApp) -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self.messages:
            await trio.sleep_forever()
        return self.messages.pop(0)

    async def _send(self, message: Message) -> None:
        self.status = message.get("status", self.status)


def echo_app() -> BoundedBodies:
    return BoundedBodies(Starlette(routes=[Route("/", echo, methods=["POST"])]))


async def test_healthz_says_that_the_loop_runs() -> None:
    async with client_of(make_app(lambda: True, bytes)) as client:
        answer = await client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 404)])
async def test_readyz_is_404_while_draining(ready: bool, status: int) -> None:
    async with client_of(make_app(lambda: ready, bytes)) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == status


async def test_metrics_are_served_as_prometheus_text() -> None:
    async with client_of(make_app(lambda: True, lambda: b"gw_tasks 3.0\n")) as client:
        answer = await client.get("/metrics")

    assert answer.content == b"gw_tasks 3.0\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_an_unknown_page_is_not_found() -> None:
    async with client_of(make_app(lambda: True, bytes)) as client:
        answer = await client.get("/twilio/voice")

    assert answer.status_code == 404


@pytest.mark.parametrize("size_bytes", [0, 1, MAX_BODY_BYTES])
async def test_a_body_within_the_bound_arrives_whole(size_bytes: int) -> None:
    body = b"x" * size_bytes

    async with client_of(echo_app()) as client:
        answer = await client.post("/", content=body)

    assert answer.content == body


async def test_a_larger_body_is_refused() -> None:
    request = Scripted([chunk(b"x" * MAX_BODY_BYTES), chunk(b"x", last=True)])

    await request.run(echo_app())

    assert request.status == 413


async def test_an_endless_body_is_refused_as_soon_as_it_is_too_large() -> None:
    request = Scripted([chunk(b"x" * 1024)] * 1000)

    await request.run(echo_app())

    assert request.status == 413
    assert 1000 - len(request.messages) == MAX_BODY_BYTES // 1024 + 1


async def test_a_body_that_does_not_come_within_10_s_is_refused(autojump_clock: MockClock) -> None:
    request = Scripted([chunk(b"x")])

    await request.run(echo_app())

    assert request.status == 408
    assert autojump_clock.current_time() == pytest.approx(10)


async def test_a_client_that_goes_away_in_the_body_is_no_error() -> None:
    request = Scripted([chunk(b"x"), {"type": "http.disconnect"}])

    await request.run(echo_app())

    assert request.messages == []
    assert request.status is None


async def test_the_application_still_hears_that_the_client_has_gone() -> None:
    heard: list[Message] = []

    async def wait_for_end(request: Request) -> Response:
        await request.body()
        heard.append(await request.receive())
        return Response()

    app = BoundedBodies(Starlette(routes=[Route("/", wait_for_end, methods=["POST"])]))
    request = Scripted([chunk(b"", last=True), {"type": "http.disconnect"}])

    await request.run(app)

    assert heard == [{"type": "http.disconnect"}]

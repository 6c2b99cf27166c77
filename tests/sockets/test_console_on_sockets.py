from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from gateway.console.app import make_app
from gateway.console.door import serve_console

# More than the kernel buffers between two sockets of one machine.
LARGE = b"x" * 50_000_000


@asynccontextmanager
async def console(metrics: Callable[[], bytes] = bytes) -> AsyncIterator[tuple[int, trio.Nursery]]:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            app = make_app(lambda: True, metrics)
            port = await nursery.start(serve_console, app, "127.0.0.1", 0)
            yield port, nursery
            nursery.cancel_scope.cancel()


async def test_the_reported_port_answers_without_naming_the_server() -> None:
    async with console() as (port, _nursery), httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert answer.text == "ok\n"
    assert "server" not in answer.headers


async def test_a_large_body_is_refused_and_the_next_request_is_served() -> None:
    async with console() as (port, _nursery), httpx.AsyncClient() as client:
        refused = await client.post(f"http://127.0.0.1:{port}/healthz", content=b"x" * 100_000)
        served = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert (refused.status_code, served.status_code) == (413, 200)


async def test_a_broken_client_ends_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    bad_padding = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: A\r\n\r\n"
    )

    async with console() as (port, _nursery), httpx.AsyncClient() as client:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(bad_padding)
            async for _ in stream:
                pass
        answer = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert [record.message for record in caplog.records] == ["a connection failed"]
    assert answer.status_code == 200


async def test_a_client_that_goes_away_in_an_answer_is_logged_by_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with console(lambda: LARGE) as (port, _nursery), httpx.AsyncClient() as client:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.receive_some(1)
        answer = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert caplog.records == []
    assert answer.status_code == 200


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    async with console(lambda: LARGE) as (port, nursery):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some(1)

        began = trio.current_time()
        nursery.cancel_scope.cancel()

    assert trio.current_time() - began < 2
    await trio.aclose_forcefully(stream)

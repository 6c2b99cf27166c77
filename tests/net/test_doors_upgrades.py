from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.net.doors import Door
from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, connect
from tests.net.doorway import Echo, doorway, visit
from tests.net.raw_peer import TEXT, UPGRADE, frame


@asynccontextmanager
async def through(door: Door, path: str, *, ticket: str = "1") -> AsyncIterator[WebSocket]:
    """A WebSocket through the door, with a ticket unless it is empty."""
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.serve_stream, server)
        headers = [("X-Ticket", ticket)] if ticket else []
        async with connect(f"ws://gateway{path}", stream=client, headers=headers) as websocket:
            yield websocket


async def refusal(door: Door, path: str, *, ticket: str = "1") -> WebSocketRefused:
    with pytest.raises(ExceptionGroup) as raised:
        async with through(door, path, ticket=ticket):
            pytest.fail("let in")
    (refused,) = raised.value.exceptions
    assert isinstance(refused, WebSocketRefused)
    return refused


async def test_a_welcome_upgrade_becomes_a_websocket(autojump_clock: MockClock) -> None:
    echo = Echo()
    async with through(doorway(echo), "/media/token?a=b") as websocket:
        await websocket.send("there and back")

        assert await websocket.receive() == "there and back"

    assert (echo.heads[0].path, echo.heads[0].query) == ("/media/token", "a=b")


async def test_an_upgrade_that_is_refused_is_answered_before_it_is_accepted(
    autojump_clock: MockClock,
) -> None:
    refused = await refusal(doorway(), "/media/token", ticket="")

    assert (refused.status, refused.body) == (403, b"no ticket")


@pytest.mark.parametrize("path", ["/", "/media", "/other/token"])
async def test_an_upgrade_elsewhere_is_not_found(path: str, autojump_clock: MockClock) -> None:
    assert (await refusal(doorway(), path)).status == 404


async def test_an_upgrade_of_a_path_for_posts_is_not_allowed(autojump_clock: MockClock) -> None:
    assert (await refusal(doorway(), "/echo")).status == 405


async def test_a_bug_in_a_refusal_is_logged_without_the_token_and_answered(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        refused = await refusal(doorway(), "/faulty/token?refuse")

    assert refused.status == 500
    assert [(entry["event"], entry["route"]) for entry in logs] == [("route.broke", "/faulty/")]


async def test_a_plain_get_of_a_websocket_is_told_to_upgrade(autojump_clock: MockClock) -> None:
    answer = await visit(doorway(), b"GET /media/token HTTP/1.1\r\nHost: a\r\nX-Ticket: 1\r\n\r\n")

    assert answer.startswith("HTTP/1.1 426 Upgrade Required")
    assert "Upgrade: websocket" in answer


async def test_a_post_to_a_websocket_is_not_allowed(autojump_clock: MockClock) -> None:
    answer = await visit(doorway(), b"POST /media/token HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.startswith("HTTP/1.1 405 Method Not Allowed")
    assert "Allow: GET" in answer


async def test_frames_before_the_upgrade_is_accepted_are_a_bad_request(autojump_clock: MockClock) -> None:
    sent = UPGRADE.replace(b"Host", b"X-Ticket: 1\r\nHost") + frame(TEXT, b"too early")

    assert (await visit(doorway(), sent)).startswith("HTTP/1.1 400 Bad Request")


async def test_an_upgrade_of_another_version_is_told_which_one_is_spoken(autojump_clock: MockClock) -> None:
    sent = UPGRADE.replace(b"Host", b"X-Ticket: 1\r\nHost").replace(b"Version: 13", b"Version: 8")

    answer = await visit(doorway(), sent)

    assert answer.startswith("HTTP/1.1 426")
    assert "sec-websocket-version: 13" in answer.lower()


async def test_a_socket_is_closed_with_1000_when_its_route_is_done(autojump_clock: MockClock) -> None:
    class Brief(Echo):
        async def serve(self, head: object, websocket: WebSocket) -> None:
            await websocket.send("that is all")

    async with through(Door({}, {"/": Brief()}), "/any") as websocket:
        assert await websocket.receive() == "that is all"
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

    assert closed.value.code == 1000


async def test_what_a_route_does_not_contain_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(UPGRADE.replace(b"/media/", b"/faulty/"))

    with pytest.raises(ZeroDivisionError):
        await doorway().serve_stream(server)

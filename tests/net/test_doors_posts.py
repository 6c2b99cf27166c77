import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.net.doors import Answer
from tests.net.doorway import Echo, doorway, post, visit
from tests.net.raw_peer import read_head


async def test_a_post_is_answered_and_the_connection_closed(autojump_clock: MockClock) -> None:
    answer = await visit(doorway(), post(b"CallSid=CA1"))

    head, _, body = answer.partition("\r\n\r\n")
    assert head.split("\r\n")[0] == "HTTP/1.1 200 OK"
    assert set(head.split("\r\n")[1:]) == {
        "Connection: close",
        "Content-Type: text/xml",
        "Content-Length: 11",
        "X-Route: /echo",
    }
    assert body == "CallSid=CA1"


async def test_a_route_sees_path_query_target_and_headers(autojump_clock: MockClock) -> None:
    echo = Echo()
    more = "X-Ticket: a\r\nx-ticket: b\r\nX-Twilio-Signature: s=\r\n"

    await visit(doorway(echo), post(path="/echo?a=b%20c&d?", more=more))

    head = echo.heads[0]
    assert (head.method, head.target, head.path, head.query) == (
        "POST",
        "/echo?a=b%20c&d?",
        "/echo",
        "a=b%20c&d?",
    )
    assert ("x-twilio-signature", "s=") in head.headers
    assert head.header("X-TICKET") == "a, b"
    assert head.header("x-none") is None
    assert head.peer == ""


async def test_a_body_may_come_late_and_in_pieces(autojump_clock: MockClock) -> None:
    async def dribble(client: trio.abc.Stream) -> None:
        for byte in b"a=b":
            await trio.sleep(3)
            await client.send_all(bytes([byte]))

    assert (await visit(doorway(), post(b"", announced=3), then=dribble)).endswith("\r\n\r\na=b")


async def test_a_chunked_body_is_read(autojump_clock: MockClock) -> None:
    sent = b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Ticket: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"

    assert (await visit(doorway(), sent)).endswith("\r\n\r\na=b")


async def test_a_sender_who_waits_for_it_is_told_to_continue(autojump_clock: MockClock) -> None:
    heads: list[bytes] = []

    async def wait(client: trio.abc.Stream) -> None:
        heads.append(await read_head(client))
        await client.send_all(b"a=b")

    expecting = post(b"", more="X-Ticket: 1\r\nExpect: 100-continue\r\n", announced=3)

    answer = await visit(doorway(), expecting, then=wait)

    assert heads == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert answer.startswith("HTTP/1.1 200 OK")


async def test_a_sender_who_waits_and_is_not_welcome_is_not_told_to_continue(
    autojump_clock: MockClock,
) -> None:
    expecting = post(b"", more="Expect: 100-continue\r\n", announced=1_000_000_000)

    assert (await visit(doorway(), expecting)).startswith("HTTP/1.1 403 Forbidden")


async def test_who_is_refused_has_nothing_of_his_gigabyte_read_before_the_answer(
    autojump_clock: MockClock,
) -> None:
    client, server = trio.testing.lockstep_stream_pair()
    taken_bytes = 0
    answer = b""

    async def send_for_ever() -> None:
        nonlocal taken_bytes
        try:
            while True:
                await client.send_all(bytes(1024))  # returns when the other end has read it
                taken_bytes += 1024
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(doorway().serve_stream, server)
        await client.send_all(post(b"", more="", announced=1_000_000_000))
        await trio.testing.wait_all_tasks_blocked()  # the answer waits to be read
        nursery.start_soon(send_for_ever)
        await trio.testing.wait_all_tasks_blocked()
        taken_before_bytes = taken_bytes
        while data := await client.receive_some(1024):
            answer += data

    assert answer.startswith(b"HTTP/1.1 403 Forbidden")
    assert taken_before_bytes == 0
    assert taken_bytes <= 64 * 1024


async def test_a_body_that_is_announced_too_long_is_not_waited_for(autojump_clock: MockClock) -> None:
    echo = Echo()
    start = trio.current_time()

    answer = await visit(doorway(echo), post(b"", announced=64 * 1024 + 1))

    assert "413" in answer.split("\r\n")[0]
    assert echo.bodies == []
    assert trio.current_time() - start <= 1


async def test_the_longest_body_is_taken(autojump_clock: MockClock) -> None:
    echo = Echo()

    await visit(doorway(echo), post(bytes(64 * 1024)))

    assert echo.bodies == [bytes(64 * 1024)]


async def test_a_chunked_body_without_an_end_is_cut_off(autojump_clock: MockClock) -> None:
    echo = Echo()
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Ticket: 1\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = await visit(doorway(echo), head + 70 * (b"400\r\n" + bytes(1024) + b"\r\n"))

    assert "413" in answer.split("\r\n")[0]
    assert echo.bodies == []


async def test_a_body_that_does_not_come_is_given_up_after_ten_seconds(autojump_clock: MockClock) -> None:
    start = trio.current_time()

    answer = await visit(doorway(), post(b"abc", announced=1000))

    assert answer.startswith("HTTP/1.1 408 Request Timeout")
    assert 10 <= trio.current_time() - start <= 11


async def test_a_body_that_ends_early_is_a_bad_request(autojump_clock: MockClock) -> None:
    async def hang_up(client: trio.abc.Stream) -> None:
        await client.send_stream.aclose()  # type: ignore[attr-defined]

    answer = await visit(doorway(), post(b"abc", announced=1000), then=hang_up)

    assert answer.startswith("HTTP/1.1 400 Bad Request")


async def test_another_method_is_told_which_one_is_allowed(autojump_clock: MockClock) -> None:
    answer = await visit(doorway(), b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.startswith("HTTP/1.1 405 Method Not Allowed")
    assert "Allow: POST" in answer


@pytest.mark.parametrize("path", ["/", "/echo/", "/Echo", "/echo%20", "http://gateway/echo", "//echo"])
async def test_an_unknown_path_is_not_found(path: str, autojump_clock: MockClock) -> None:
    assert (await visit(doorway(), post(path=path))).startswith("HTTP/1.1 404 Not Found")


@pytest.mark.parametrize("query", ["?refuse", ""])
async def test_a_bug_in_a_route_is_logged_and_answered(query: str, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        answer = await visit(doorway(), post(path="/broken" + query))

    assert answer.startswith("HTTP/1.1 500 Internal Server Error")
    assert [(entry["event"], entry["route"], entry["exc_info"]) for entry in logs] == [
        ("route.broke", "/broken", True)
    ]


def test_an_answer_that_would_split_its_head_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        Answer(200, headers=(("X-Split", "a\r\nSet-Cookie: b"),))


def test_an_answer_needs_a_status_that_http_knows() -> None:
    with pytest.raises(ValueError, match="299"):
        Answer(299)


async def test_an_answer_without_content_announces_none(autojump_clock: MockClock) -> None:
    assert b"Content-" not in bytes(str(Answer(204).response().headers), "ascii")

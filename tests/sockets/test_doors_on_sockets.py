"""What memory streams cannot show: TCP, TLS, resets, the kernel's buffers, file descriptors."""

import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio
import trio.testing
import trustme
from structlog.testing import capture_logs

from gateway.net.doors import Door, Head, open_door, with_tls
from gateway.net.quick_tcp import QuickTcp
from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, connect
from tests.net.doorway import Echo, doorway, post
from tests.net.raw_peer import UPGRADE, read_all, read_head

TICKET = [("X-Ticket", "1")]
TICKET_UPGRADE = UPGRADE.replace(b"Host", b"X-Ticket: 1\r\nHost")


class Served(NamedTuple):
    port: int
    doors: trio.CancelScope

    async def dial(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def served(door: Door, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """The door on a free port. Leaving waits for its connections to end, and looks for what they left."""
    open_before = open_files()
    with capture_logs() as logs, trio.fail_after(15):
        async with trio.open_nursery() as connections, trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            ways_in: list[Any] = with_tls(listeners, tls) if tls else listeners
            doors = trio.CancelScope()

            async def let_in(task_status: trio.TaskStatus[Any]) -> None:
                with doors:
                    await open_door(door, ways_in, handler_nursery=connections, task_status=task_status)

            await nursery.start(let_in)
            yield Served(listeners[0].socket.getsockname()[1], doors)
            doors.cancel()
    assert open_files() == open_before
    assert logs == []


def open_files() -> list[str]:
    return sorted(file.name for file in Path("/proc/self/fd").iterdir())


class Certificates(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture
def certificates() -> Certificates:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


class Flood(Echo):
    """Sends what nobody reads, until that ends the connection."""

    sent_bytes = 0
    reason = ""

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send(500 * "x")
                self.sent_bytes += 500
        except WebSocketClosed as closed:
            self.reason = closed.reason


async def test_a_post_over_tcp_is_answered_and_its_senders_address_known():
    echo = Echo()
    async with served(doorway(echo)) as door, httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{door.port}/echo?q=1", content=b"CallSid=CA1", headers=TICKET
        )

    assert (answer.status_code, answer.content) == (200, b"CallSid=CA1")
    assert echo.heads[0].peer == "127.0.0.1"


async def test_a_websocket_over_tcp_carries_messages():
    async with served(doorway()) as door:
        async with connect(f"ws://127.0.0.1:{door.port}/media/token", headers=TICKET) as websocket:
            for number in range(200):
                await websocket.send(f"message {number}")
                assert await websocket.receive() == f"message {number}"


async def test_the_longest_message_is_carried_and_a_longer_one_closed_with_1009():
    async with served(doorway()) as door:
        async with connect(f"ws://127.0.0.1:{door.port}/media/token", headers=TICKET) as websocket:
            await websocket.send(65536 * "x")
            assert await websocket.receive() == 65536 * "x"

            await websocket.send(65537 * "x")
            with pytest.raises(WebSocketClosed) as closed:
                await websocket.receive()

    assert closed.value.code == 1009


async def test_posts_and_websockets_pass_a_door_with_tls(certificates: Certificates):
    echo = Echo()
    async with served(doorway(echo), certificates.server) as door:
        async with httpx.AsyncClient(verify=certificates.client) as client:
            answer = await client.post(f"https://localhost:{door.port}/echo", content=b"a=b", headers=TICKET)
        async with connect(
            f"wss://localhost:{door.port}/media/token", headers=TICKET, ssl_context=certificates.client
        ) as websocket:
            await websocket.send(60_000 * "x")
            echoed = await websocket.receive()

    assert (answer.status_code, answer.content) == (200, b"a=b")
    assert echoed == 60_000 * "x"
    assert [head.peer for head in echo.heads] == 2 * ["127.0.0.1"]


async def test_a_client_that_could_speak_http_2_agrees_on_http_1(certificates: Certificates):
    certificates.client.set_alpn_protocols(["h2", "http/1.1"])
    async with served(doorway(), certificates.server) as door:
        stream = trio.SSLStream(await door.dial(), certificates.client, server_hostname="localhost")
        await stream.do_handshake()
        agreed = stream.selected_alpn_protocol()
        await trio.aclose_forcefully(stream)

    assert agreed == "http/1.1"


async def test_a_server_whose_certificate_is_not_trusted_is_told_apart(certificates: Certificates):
    async with served(doorway(), certificates.server) as door:
        with pytest.raises(WebSocketClosed) as closed:
            async with connect(f"wss://localhost:{door.port}/media/token"):
                pytest.fail("connected")

    assert closed.value.code == 1015


async def test_plain_http_at_a_door_with_tls_ends_the_connection(certificates: Certificates):
    async with served(doorway(), certificates.server) as door:
        stream = await door.dial()
        await stream.send_all(post())

        received = await read_all(stream)
        await stream.aclose()

    assert b"HTTP" not in received


async def test_a_server_that_is_not_there_is_a_closed_connection():
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()

    with pytest.raises(WebSocketClosed) as closed:
        async with connect(f"ws://127.0.0.1:{port}/"):
            pytest.fail("connected")

    assert closed.value.code == 1006
    assert isinstance(closed.value.__cause__, OSError)


async def test_a_refusal_over_tcp_is_told():
    async with served(doorway()) as door:
        with pytest.raises(WebSocketRefused) as refused:
            async with connect(f"ws://127.0.0.1:{door.port}/media/token"):
                pytest.fail("connected")

    assert (refused.value.status, refused.value.body) == (403, b"no ticket")


@pytest.mark.parametrize("body_bytes", [1, 40_000])
async def test_a_body_that_nobody_reads_does_not_reset_the_answer_away(body_bytes: int):
    async with served(doorway()) as door:
        stream = await door.dial()
        await stream.send_all(post(b"", path="/nowhere", announced=body_bytes))
        head = await read_head(stream)
        await stream.send_all(bytes(body_bytes))

        rest = await read_all(stream)
        await stream.aclose()

    assert head.startswith(b"HTTP/1.1 404 Not Found")
    assert rest == b""


@pytest.mark.parametrize("with_a_certificate", [False, True], ids=["tcp", "tls"])
async def test_visitors_who_vanish_in_any_state_leave_nothing(
    with_a_certificate: bool, certificates: Certificates
):
    states = [b"", b"PO", post(b"a", announced=9), post(), TICKET_UPGRADE, TICKET_UPGRADE + b"\x81"]
    async with served(doorway(), certificates.server if with_a_certificate else None) as door:
        for sent in states:
            for reset in (False, True):
                stream = await door.dial()
                if reset:
                    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
                if with_a_certificate and sent:
                    tls = trio.SSLStream(stream, certificates.client, server_hostname="localhost")
                    await tls.send_all(sent)
                else:
                    await stream.send_all(sent)
                await trio.testing.wait_all_tasks_blocked(0.001)
                await stream.aclose()
    # `served` has waited for all connections, and counted the file descriptors


async def test_what_a_peer_does_not_read_is_known_after_a_second_of_audio_and_two_seconds():
    flood = Flood()
    async with served(doorway(flood)) as door:
        stream = trio.SocketStream(trio.socket.socket())
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await stream.socket.connect(("127.0.0.1", door.port))
        await stream.send_all(TICKET_UPGRADE)
        while not flood.reason:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.aclose()

    assert flood.reason == "the peer does not read"
    assert flood.sent_bytes < 50 * 500  # fifty messages of 20 ms each


@pytest.mark.parametrize("with_a_certificate", [False, True], ids=["tcp", "tls"])
async def test_a_released_connection_wakes_its_receiver(with_a_certificate: bool, certificates: Certificates):
    context = certificates.client if with_a_certificate else None
    reasons: list[str] = []

    async def receive(websocket: WebSocket) -> None:
        try:
            await websocket.receive()
        except WebSocketClosed as closed:
            reasons.append(closed.reason)

    async with served(doorway(), certificates.server if with_a_certificate else None) as door:
        url = f"{'wss' if context else 'ws'}://localhost:{door.port}/media/token"
        async with connect(url, headers=TICKET, ssl_context=context) as websocket:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive, websocket)
                await trio.testing.wait_all_tasks_blocked(0.001)
                websocket.release()

    assert reasons == ["released"]


async def test_connections_outlive_the_door_that_let_them_in():
    async with served(doorway()) as door:
        async with connect(f"ws://127.0.0.1:{door.port}/media/token", headers=TICKET) as websocket:
            door.doors.cancel()
            await trio.testing.wait_all_tasks_blocked(0.001)

            with pytest.raises(OSError):
                await door.dial()
            await websocket.send("still inside")
            assert await websocket.receive() == "still inside"


async def test_quick_tcp_keeps_every_promise_of_a_stream():
    async def pair() -> tuple[QuickTcp, QuickTcp]:
        left, right = trio.socket.socketpair()
        return QuickTcp(trio.SocketStream(left)), QuickTcp(trio.SocketStream(right))

    async def clogged_pair() -> tuple[QuickTcp, QuickTcp]:
        left, right = await pair()
        while left.send_now(bytes(65536)) or right.send_now(bytes(65536)):
            pass
        return left, right

    await trio.testing.check_two_way_stream(pair, clogged_pair)


async def test_a_send_that_the_kernel_takes_in_part_arrives_whole():
    left, right = trio.socket.socketpair()
    sender, receiver = QuickTcp(trio.SocketStream(left)), trio.SocketStream(right)
    sent = bytes(range(256)) * 20_000

    async def send() -> None:
        async with sender:
            await sender.send_all(sent)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        received = await read_all(receiver)
    await receiver.aclose()

    assert received == sent

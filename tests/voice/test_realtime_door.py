"""Who is let in at the Realtime door, what the others are told, and how sessions end."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.contracts import Agent, SessionLost, SessionRefused, VoiceBackend, VoiceConnection, VoiceTraits
from gateway.net.websocket import WebSocketRefused, connect
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.embedded.door import RealtimeDoor
from tests.contracts.realtime_servers import RealtimeClient, Tones, leisurely, scripted
from tests.net.raw_peer import PING, PONG, TEXT, frame, is_closed, read_all, read_head, tasks_of
from tests.testing.realtime_client import Client
from tests.voice.voice_caller import inline, running

Clock = trio.testing.MockClock
Headers = tuple[tuple[str, str], ...]

ORIGIN = "ws://127.0.0.1:8765"
URL = f"{ORIGIN}/v1/realtime?model=gpt-realtime"
UPDATE = '{"type": "session.update", "session": {"type": "realtime"}}'
BREAKS = "This breaks it."
UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Doorway:
    """A door, and streams to it. `nursery`: where its sessions live."""

    def __init__(self, door: RealtimeDoor, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self._door = door

    def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._door.serve_stream, theirs)
        return ours

    def dial_narrow(self) -> trio.abc.Stream:
        """A stream on which a send waits until it is received, as on a line whose buffers are full."""
        ours, theirs = trio.testing.lockstep_stream_pair()
        self.nursery.start_soon(self._door.serve_stream, theirs)
        return ours

    @asynccontextmanager
    async def client(self, url: str = URL, headers: Headers = ()) -> AsyncIterator[Client]:
        async with connect(url, headers=headers, stream=self.dial()) as websocket:
            yield Client(websocket)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[RealtimeClient]:
        async with self.client() as client, trio.open_nursery() as nursery:
            caller = RealtimeClient(client)
            nursery.start_soon(caller.read)
            yield caller
            nursery.cancel_scope.cancel()

    async def refusal(self, url: str = URL, headers: Headers = ()) -> WebSocketRefused:
        try:
            async with self.client(url, headers):
                raise AssertionError("let in")
        except WebSocketRefused as refused:
            return refused

    async def says(self, request: bytes) -> bytes:
        """All that is answered to some bytes, until the door closes."""
        stream = self.dial()
        await stream.send_all(request)
        return await read_all(stream)


class Absent:
    """A backend that has no voice."""

    traits = VoiceTraits(name="absent")

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncIterator[VoiceConnection]:
        raise self._failure
        yield

    async def run(self) -> None:
        await trio.sleep_forever()


class Breaking:
    """A backend with a bug that one sentence brings out."""

    def __init__(self, inner: VoiceBackend) -> None:
        self.traits = inner.traits
        self.run = inner.run
        self._inner = inner

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncIterator[VoiceConnection]:
        async with self._inner.connect(agent) as connection:
            send = connection.send

            async def break_at_times(event: str) -> None:
                if BREAKS in event:
                    raise RuntimeError
                await send(event)

            connection.send = break_at_times  # type: ignore[method-assign]
            yield connection


class BrokenModel(Tones):
    """Text to speech with a bug that one sentence brings out."""

    def synthesize(self, text: str) -> bytes:
        if text == BREAKS:
            raise RuntimeError
        return super().synthesize(text)


def with_a_broken_model() -> VoiceBackend:
    return EmbeddedBackend(EmbeddedSettings(), inline, load=lambda: BrokenModel([]))


@asynccontextmanager
async def a_door(backend: VoiceBackend | None = None, **options: Any) -> AsyncIterator[Doorway]:
    backend = backend or scripted()
    async with running(backend), trio.open_nursery() as nursery:
        yield Doorway(RealtimeDoor(backend, **options), nursery)
        nursery.cancel_scope.cancel()


async def send_for_ever(stream: trio.abc.Stream, data: bytes) -> None:
    while True:
        await stream.send_all(data)


async def first_event(client: Client) -> Any:
    return json.loads(await client.receive())


def error_in(refused: WebSocketRefused) -> Any:
    return json.loads(refused.body)["error"]


# -- who is let in


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Authorization", "Bearer sk-anything"),),
        (("api-key", "anything"),),
        (("OpenAI-Beta", "realtime=v1"),),
    ],
)
async def test_a_client_is_let_in_with_any_key_and_with_none(autojump_clock: Clock, headers: Headers):
    async with a_door() as door, door.client(headers=headers) as client:
        first = await first_event(client)

    assert first["type"] == "session.created"


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("/v1/realtime?model=gpt-realtime-2.1", "gpt-realtime-2.1"),
        ("/openai/v1/realtime?model=my-deployment", "my-deployment"),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=my-deployment", "my-deployment"),
        ("/v1/realtime?model=a%20model%20of%20mine", "a model of mine"),
    ],
)
async def test_a_session_has_the_model_that_was_asked_for(autojump_clock: Clock, target: str, model: str):
    async with a_door() as door, door.client(ORIGIN + target) as client:
        created = await first_event(client)
        await client.send(UPDATE)
        updated = await first_event(client)

    assert created["session"]["model"] == updated["session"]["model"] == model


async def test_a_client_need_not_name_a_model(autojump_clock: Clock):
    async with a_door() as door, door.client(f"{ORIGIN}/v1/realtime") as client:
        first = await first_event(client)

    assert first["session"]["model"]


async def test_a_browser_gets_the_subprotocol_that_it_asks_for(autojump_clock: Clock):
    offer = b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-anything\r\n\r\n"

    async with a_door() as door:
        stream = door.dial()
        await stream.send_all(UPGRADE.removesuffix(b"\r\n") + offer)
        head = await read_head(stream)

    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-protocol: realtime\r\n" in head.lower()


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "chrome-extension://abcdef"],
)
async def test_a_page_of_this_machine_is_let_in(autojump_clock: Clock, origin: str):
    async with a_door() as door, door.client(headers=(("Origin", origin),)) as client:
        first = await first_event(client)

    assert first["type"] == "session.created"


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "null",
        "http://[",
        "",
    ],
)
async def test_a_page_from_elsewhere_is_not_let_in(autojump_clock: Clock, origin: str):
    async with a_door() as door:
        refused = await door.refusal(headers=(("Origin", origin),))

    assert (refused.status, error_in(refused)["code"]) == (403, "origin_not_allowed")


async def test_a_page_from_elsewhere_is_let_in_where_that_is_wanted(autojump_clock: Clock):
    headers = (("Origin", "https://example.com"),)

    async with a_door(foreign_pages=True) as door, door.client(headers=headers) as client:
        first = await first_event(client)

    assert first["type"] == "session.created"


# -- what the others are told


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/realtime/", "/v1/realtime/calls", "/v1/chat/completions"])
async def test_another_path_is_answered_404_in_the_words_of_the_api(autojump_clock: Clock, path: str):
    async with a_door() as door:
        refused = await door.refusal(ORIGIN + path)

    error = error_in(refused)
    assert refused.status == 404
    assert ("content-type", "application/json") in refused.headers
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_url")
    assert error["message"].startswith(f"Invalid URL (GET {path}).")
    assert "/v1/realtime" in error["message"]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /v1/realtime", b"426 Upgrade Required"),
        (b"POST /v1/realtime", b"405 Method Not Allowed"),
        (b"POST /v1/realtime/client_secrets", b"404 Not Found"),
    ],
)
async def test_plain_http_is_told_to_come_with_a_websocket(
    autojump_clock: Clock, request_line: bytes, status: bytes
):
    async with a_door() as door:
        answer = await door.says(request_line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert "with a WebSocket" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),  # TLS
        (b"hello\r\n\r\n", b"400"),
        (b"GET /v1/realtime HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
        (UPGRADE + frame(TEXT, b"{}"), b"400"),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"426"),
        (UPGRADE.replace(b"Sec-WebSocket-Key", b"Sec-WebSocket-Nothing"), b"400"),
        (b"GET /v1/realtime HTTP/1.1\r\n", b"408"),  # and no more
    ],
    ids=["tls", "no HTTP", "long head", "early frame", "old WebSocket", "no key", "half a head"],
)
async def test_what_is_no_handshake_is_answered_and_closed(
    autojump_clock: Clock, request_bytes: bytes, status: bytes
):
    async with a_door() as door:
        answer = await door.says(request_bytes)

    assert answer.split(b" ")[1] == status


async def test_who_says_nothing_at_all_is_let_go(autojump_clock: Clock):
    async with a_door() as door:
        began_s = trio.current_time()
        await door.says(b"")
        waited_s = trio.current_time() - began_s

    assert waited_s == 5


REQUESTS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda method, target, headers: b" ".join([method, target, b"HTTP/1.1\r\n" + headers + b"\r\n\r\n"]),
        st.sampled_from([b"GET", b"POST", b"PRI"]),
        st.sampled_from([b"/v1/realtime", b"/v1/realtime?model=%FF&model", b"*", b"http://[/", b"/%00?;"]),
        st.lists(
            st.sampled_from(
                [
                    b"Host: a",
                    b"Host: \xff",
                    b"Upgrade: websocket",
                    b"Upgrade: \xff",
                    b"Connection: Upgrade",
                    b"Connection: close",
                    b"Content-Length: 5",
                    b"Transfer-Encoding: chunked",
                    b"Expect: 100-continue",
                    b"Origin: http://[::1",
                    b"Origin: \xff://\xff",
                    b"Origin: http://localhost:99999999",
                    b"Sec-WebSocket-Version: 13",
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    b"Sec-WebSocket-Key: \xff",
                    b"Sec-WebSocket-Protocol: realtime,,\xff",
                    b"Sec-WebSocket-Extensions: permessage-deflate",
                ]
            ),
            unique=True,
        ).map(b"\r\n".join),
    ),
)


@settings(max_examples=150, deadline=None)
@given(request=REQUESTS, after=st.binary(max_size=50))
def test_no_request_breaks_the_door(request: bytes, after: bytes) -> None:
    async def ask() -> None:
        async with a_door() as door:
            stream = door.dial()
            await stream.send_all(request)
            await stream.send_all(after)
            with trio.move_on_after(30):
                await read_all(stream)
            async with door.client() as client:
                assert (await first_event(client))["type"] == "session.created"

    trio.run(ask, clock=trio.testing.MockClock(autojump_threshold=0))


# -- what a client may get wrong


async def test_a_binary_frame_is_told_and_the_session_goes_on(autojump_clock: Clock):
    async with a_door() as door, connect(URL, stream=door.dial()) as websocket:
        client = RealtimeClient(Client(websocket))
        door.nursery.start_soon(client.read)
        for _ in range(2):
            await websocket.send(UPDATE.encode())
        await client.wait_for("error", 2)
        await client.update()

    errors = [event["error"] for event in client.all("error")]
    assert [error["code"] for error in errors] == ["invalid_frame"] * 2
    assert client.types[-1] == "session.updated"


async def test_an_event_of_15_mib_of_audio_is_taken(autojump_clock: Clock):
    async with a_door() as door, door.talking() as client:
        await client.commit_by_hand()
        await client.append(bytes(15 << 20))
        await client.send("input_audio_buffer.commit")
        await client.wait_for("input_audio_buffer.committed")

    assert "error" not in client.types


async def test_an_event_that_is_larger_ends_its_session_and_no_other(autojump_clock: Clock):
    async with a_door() as door, door.talking() as other, door.client() as client:
        await client.send(" " * (22 << 20))
        await client.types_until_closed()
        await other.update()

    assert client.closed is not None
    assert client.closed.code == 1009


@pytest.mark.parametrize("text", ["{", "nonsense", "[" * 100_000, '{"type": ' + "9" * 5000 + "}"])
async def test_text_that_is_no_event_is_told_and_the_session_goes_on(autojump_clock: Clock, text: str):
    async with a_door() as door, door.talking() as client:
        await client.send_text(text)
        await client.wait_for("error")
        await client.update()

    assert client.types == ["session.created", "error", "session.updated"]


async def test_a_ping_is_answered(autojump_clock: Clock):
    async with a_door() as door:
        stream = door.dial()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        await stream.receive_some()
        await stream.send_all(frame(PING, b"are you there?"))
        answer = await stream.receive_some()

    assert bytes(answer) == frame(PONG, b"are you there?", masked=False)


# -- how sessions end


async def test_a_client_that_does_not_read_is_let_go(autojump_clock: Clock):
    async with a_door() as door, door.talking() as other:
        stream = door.dial_narrow()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        await trio.sleep(3)
        closed = await is_closed(stream)
        await other.update()

    assert closed


async def test_a_client_that_asks_and_does_not_read_is_let_go(autojump_clock: Clock):
    update = frame(TEXT, UPDATE.encode())

    async with a_door() as door:
        stream = door.dial_narrow()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        began_s = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(stream, update * 100)
        waited_s = trio.current_time() - began_s

    assert waited_s < 3


async def test_a_client_that_vanishes_leaves_no_task(autojump_clock: Clock):
    async with a_door() as door:
        before = sorted(tasks_of())
        stream = door.dial()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        await trio.testing.wait_all_tasks_blocked()
        during = sorted(tasks_of())
        await trio.sleep(20)  # no ping of the server is answered
        after = sorted(tasks_of())

    assert len(during) > len(before)
    assert after == before


async def test_a_client_that_breaks_off_leaves_no_task(autojump_clock: Clock):
    async with a_door() as door:
        before = sorted(tasks_of())
        stream = door.dial()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        after = sorted(tasks_of())

    assert after == before


async def test_a_client_is_told_when_the_server_stops(autojump_clock: Clock):
    async with a_door(leisurely()) as door, door.client() as client:
        await client.send('{"type": "response.create"}')
        await first_event(client)
        door.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await client.types_until_closed()

    assert client.closed is not None
    assert (client.closed.code, client.closed.reason) == (1001, "the server is stopping")


async def test_a_server_that_stops_waits_for_no_client_that_does_not_read(autojump_clock: Clock):
    async with a_door() as door:
        stream = door.dial_narrow()
        await stream.send_all(UPGRADE)
        await read_head(stream)
        began_s = trio.current_time()
        door.nursery.cancel_scope.cancel()
    waited_s = trio.current_time() - began_s

    assert waited_s <= 4
    assert await is_closed(stream)


@pytest.mark.parametrize("make", [lambda: Breaking(scripted()), with_a_broken_model])
async def test_a_session_that_breaks_ends_with_1011_and_no_other_does(
    autojump_clock: Clock, make: Callable[[], VoiceBackend]
):
    with capture_logs() as logs:
        async with a_door(make()) as door, door.talking() as other, door.client() as client:
            response = {"type": "response.create", "response": {"metadata": {"say": BREAKS}}}
            await client.send(json.dumps(response))
            await client.types_until_closed()
            await other.update()

    assert client.closed is not None
    assert client.closed.code == 1011
    assert [(log["event"], log["log_level"]) for log in logs if log["log_level"] == "error"] == [
        ("session.broke", "error")
    ]


@pytest.mark.parametrize("failure", [SessionLost("not loaded in time"), SessionRefused("no such script")])
async def test_a_voice_that_cannot_be_had_is_told(autojump_clock: Clock, failure: Exception):
    async with a_door(Absent(failure)) as door, door.client() as client:
        await client.types_until_closed()

    assert client.closed is not None
    assert (client.closed.code, client.closed.reason) == (1011, str(failure))

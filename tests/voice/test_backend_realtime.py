import base64
import json

import pytest
import trio
from trio.testing import MockClock

from gateway.contracts import Agent, AudioFormat, SessionLost, VoiceTraits
from gateway.net.websocket import WebSocket
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import AgentAudio, SessionReady
from gateway.wire import realtime
from tests.net.raw_peer import is_closed, tasks_of
from tests.voice.realtime_peer import AGENT, KEY, peer, saying, talking_to

UPDATE = '{"type":"session.update","event_id":"c1","session":{"type":"realtime","instructions":"Hi"}}'
CREATED = '{"type":"session.created","event_id":"e1","session":{"type":"realtime","id":"sess_1"}}'
UPDATED = '{"type":"session.updated","event_id":"e2","session":{"type":"realtime","id":"sess_1"}}'


async def request_of(agent: Agent, **settings: str) -> list[str]:
    """The lines of the request by which the backend asks for this agent."""
    async with peer() as server, server.backend(**settings).connect(agent):
        return server.heads[0].split("\r\n")
    raise AssertionError


# -- the request


async def test_the_request_names_the_model_and_carries_the_key(autojump_clock: MockClock):
    lines = await request_of(AGENT)

    assert lines[0] == "GET /v1/realtime?model=gpt-realtime HTTP/1.1"
    assert "Host: api.openai.com" in lines
    assert f"Authorization: Bearer {KEY}" in lines
    assert not any(line.startswith("OpenAI-Beta") for line in lines)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (None, "gpt-realtime-2.1"),
        ("", "gpt-realtime-2.1"),
        ("gpt-4o-realtime", "gpt-realtime-2.1"),
        ("gpt-4o-realtime-preview", "gpt-4o-realtime-preview"),
        ("gpt-realtime-mini", "gpt-realtime-mini"),
        ("a b&c=d/ü#", "a%20b%26c%3Dd%2F%C3%BC%23"),
    ],
)
async def test_an_agents_model_is_asked_for_and_without_one_that_of_the_settings(
    autojump_clock: MockClock, asked: str | None, sent: str
):
    lines = await request_of(Agent(name="a", model=asked), model="gpt-realtime-2.1")

    assert lines[0] == f"GET /v1/realtime?model={sent} HTTP/1.1"


async def test_a_key_goes_where_the_settings_say(autojump_clock: MockClock):
    url = "wss://mine.openai.azure.com/openai/v1/realtime?model={model}"

    lines = await request_of(AGENT, url=url, auth_header="api-key: {key}", model="my-deployment")

    assert lines[0] == "GET /openai/v1/realtime?model=my-deployment HTTP/1.1"
    assert "Host: mine.openai.azure.com" in lines
    assert f"api-key: {KEY}" in lines
    assert not any(line.startswith("Authorization") for line in lines)


async def test_a_server_on_this_machine_is_asked_without_a_key(autojump_clock: MockClock):
    settings = RealtimeSettings(url="ws://127.0.0.1:8080/v1/realtime?model={model}")

    async with peer() as server:
        async with RealtimeBackend(settings, None, dial=server.dial).connect(AGENT):
            head = server.heads[0]

    assert head.startswith("GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n")
    assert "Authorization" not in head


async def test_the_beta_is_asked_for_by_its_header(autojump_clock: MockClock):
    lines = await request_of(AGENT, dialect="beta")

    assert "OpenAI-Beta: realtime=v1" in lines
    assert f"Authorization: Bearer {KEY}" in lines


# -- how it wants to be spoken to


@pytest.mark.parametrize(
    ("settings", "traits"),
    [
        ({}, VoiceTraits(name="realtime")),
        ({"input_rate": 16000}, VoiceTraits(name="realtime", input=AudioFormat(rate_hz=16000))),
        (
            {"audio": "pcmu"},
            VoiceTraits(
                name="realtime",
                input=AudioFormat(encoding="pcmu", rate_hz=8000),
                output=AudioFormat(encoding="pcmu", rate_hz=8000),
            ),
        ),
        ({"transcription_model": ""}, VoiceTraits(name="realtime", transcription_model=None)),
        (
            {"transcription_model": "whisper-1"},
            VoiceTraits(name="realtime", transcription_model="whisper-1"),
        ),
    ],
)
async def test_the_settings_say_how_it_is_spoken_to(settings: dict[str, object], traits: VoiceTraits):
    async with peer() as server:
        assert server.backend(**settings).traits == traits


# -- events


async def test_events_travel_both_ways_as_they_are(autojump_clock: MockClock):
    async with talking_to(saying(CREATED, UPDATED)) as (connection, _):
        assert [await connection.receive() for _ in range(2)] == [CREATED, UPDATED]

    async with talking_to() as (connection, server):
        await connection.send(UPDATE)
        await trio.testing.wait_all_tasks_blocked()
        assert server.received == [UPDATE]


@pytest.mark.parametrize("audio", ["pcm", "pcmu"])
async def test_a_session_is_held_over_it(autojump_clock: MockClock, audio: str):
    delta = realtime.encode(
        {
            "type": "response.output_audio.delta",
            "response_id": "r1",
            "item_id": "i1",
            "delta": base64.b64encode(bytes(960)).decode(),
        }
    )
    created = '{"type":"response.created","response":{"id":"r1"}}'
    agent = Agent(name="a", instructions="Be brief.", voice="marin", greeting="Hello.")

    async with peer(saying(CREATED, UPDATED, created, delta)) as server:
        backend = server.backend(audio=audio)
        session = SessionCore(agent, backend.traits)
        session.connect()
        async with backend.connect(agent) as connection:
            session.opened()
            for _ in range(4):
                session.receive(await connection.receive())

    events = session.events()
    assert SessionReady("sess_1") in events
    assert [event.item for event in events if isinstance(event, AgentAudio)] == ["i1"]


@pytest.mark.parametrize("audio", ["pcm", "pcmu"])
async def test_what_a_session_says_over_it_is_of_the_protocol(autojump_clock: MockClock, audio: str):
    agent = Agent(name="a", instructions="Be brief.", voice="marin", greeting="Hello.")

    async with peer() as server:  # which checks each event
        backend = server.backend(audio=audio)
        session = SessionCore(agent, backend.traits)
        session.connect()
        session.opened()
        session.receive(UPDATED)
        session.greet()
        session.send_audio(bytes(160))
        session.tool_answered("call_1", "done")
        async with backend.connect(agent) as connection:
            for event, _ in session.outgoing():
                await connection.send(event)
            await trio.testing.wait_all_tasks_blocked()

    types = [json.loads(event)["type"] for event in server.received]
    assert types[:2] == ["session.update", "response.create"]
    assert {"input_audio_buffer.append", "conversation.item.create"} < set(types)


async def test_to_a_server_of_the_beta_events_go_out_in_its_words_and_come_in_as_they_are(
    autojump_clock: MockClock,
):
    delta = '{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":""}'

    async def serve(websocket: WebSocket) -> None:
        heard.append(await websocket.receive())
        await websocket.send(delta)
        await trio.sleep_forever()

    heard: list[str | bytes] = []
    async with talking_to(serve, dialect="beta") as (connection, _):
        await connection.send(UPDATE)
        came = await connection.receive()

    assert heard == ['{"type":"session.update","event_id":"c1","session":{"instructions":"Hi"}}']
    assert came == delta


@pytest.mark.parametrize("garbage", ["", "{", "[1]", "\x00", '{"type": 5}', '{"type": "no.such"}', '"error"'])
async def test_a_text_that_is_no_event_is_handed_on(autojump_clock: MockClock, garbage: str):
    async with talking_to(saying(garbage, CREATED)) as (connection, _):
        assert [await connection.receive() for _ in range(2)] == [garbage, CREATED]


@pytest.mark.parametrize(
    ("frame", "text"), [(CREATED.encode(), CREATED), (b"\xff\x00\x7f", "\ufffd\x00\x7f"), (b"", "")]
)
async def test_a_binary_frame_is_handed_on_as_text(autojump_clock: MockClock, frame: bytes, text: str):
    async with talking_to(saying(frame, UPDATED)) as (connection, _):
        assert [await connection.receive() for _ in range(2)] == [text, UPDATED]


async def test_an_event_of_a_mebibyte_is_taken_and_a_larger_one_ends_the_session(autojump_clock: MockClock):
    large = "x" * (1 << 20)

    async with talking_to(saying(large, large + "x")) as (connection, _):
        assert await connection.receive() == large
        with pytest.raises(SessionLost, match="1009"):
            await connection.receive()


# -- its life


async def test_after_its_block_a_connection_is_lost_and_nothing_is_left_of_it(autojump_clock: MockClock):
    streams: list[trio.abc.Stream] = []

    async def dial() -> trio.abc.Stream:
        streams.append(await server.dial())
        return streams[0]

    async with peer() as server:
        settings = RealtimeSettings(url="ws://localhost/")
        async with RealtimeBackend(settings, None, dial=dial).connect(AGENT) as connection:
            await connection.send(UPDATE)
        with pytest.raises(SessionLost):
            await connection.send(UPDATE)
        with pytest.raises(SessionLost):
            await connection.receive()

    assert await is_closed(streams[0])
    assert tasks_of(["gateway.", "trio_websocket."]) == []


async def test_an_error_leaves_the_block_as_it_is(autojump_clock: MockClock):
    async with peer() as server:
        backend = server.backend()
        with pytest.raises(ZeroDivisionError):
            async with backend.connect(AGENT):
                raise ZeroDivisionError


async def test_callers_have_connections_of_their_own(autojump_clock: MockClock):
    async with peer() as server:
        backend = server.backend()
        async with backend.connect(AGENT) as one, backend.connect(AGENT):
            await one.send(UPDATE)
            await trio.testing.wait_all_tasks_blocked()

    assert (len(server.heads), server.received) == (2, [UPDATE])


async def test_it_is_running_until_it_is_cancelled(autojump_clock: MockClock):
    async with peer() as server:
        with trio.move_on_after(3600) as hour:
            await server.backend().run()

    assert hour.cancelled_caught

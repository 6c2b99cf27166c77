import json
from typing import Any, get_args

import pytest
import trio
from trio.testing import MockClock

from gateway.testing.fake_realtime import FakeRealtime
from tests.testing.realtime_client import Client, a_server, talking_to

FLAT = {
    "modalities": ["audio", "text"],
    "voice": "alloy",
    "instructions": "Be brief.",
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "threshold": 0.6, "create_response": False},
    "temperature": 0.8,
    "max_response_output_tokens": 200,
}


def a_beta_server() -> FakeRealtime:
    return a_server(dialect="beta")


async def receive_until(client: Client, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    with trio.fail_after(10):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads(await client.receive()))
    return events


async def send(client: Client, kind: str, **fields: Any) -> None:
    await client.send(json.dumps({"type": kind, **fields}))


async def test_a_flat_session_is_taken(autojump_clock: MockClock):
    server = a_beta_server()

    async with talking_to(server) as client:
        await send(client, "session.update", session=FLAT)
        updated = (await receive_until(client, "session.updated"))[-1]["session"]

    detection = updated["turn_detection"]
    assert (updated["voice"], updated["instructions"]) == ("alloy", "Be brief.")
    assert (updated["input_audio_format"], updated["output_audio_format"]) == ("pcm16", "g711_ulaw")
    assert (detection["threshold"], detection["create_response"]) == (0.6, False)
    assert set(updated["modalities"]) == {"audio", "text"}


@pytest.mark.parametrize(
    ("session", "unknown"),
    [
        ({"type": "realtime"}, "session.type"),
        ({"audio": {"output": {"voice": "marin"}}}, "session.audio"),
        ({"output_modalities": ["audio"]}, "session.output_modalities"),
    ],
)
async def test_a_session_in_the_newer_spelling_is_an_error(
    autojump_clock: MockClock, session: dict[str, Any], unknown: str
):
    async with talking_to(a_beta_server()) as client:
        await send(client, "session.update", event_id="c1", session=session)
        error = (await receive_until(client, "error"))[-1]["error"]

    assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", unknown, "c1")


async def test_an_answer_has_the_older_names(autojump_clock: MockClock):
    async with talking_to(a_beta_server()) as client:
        await send(client, "response.create", response={"modalities": ["audio", "text"]})
        types = {event["type"] for event in await receive_until(client, "response.done")}

    assert {"response.audio.delta", "response.audio.done", "response.audio_transcript.delta"} <= types
    assert "conversation.item.created" in types
    assert not any("output_audio" in kind for kind in types)
    assert not types & {"conversation.item.added", "conversation.item.done"}


async def test_what_the_agent_said_is_put_into_a_session_as_text(autojump_clock: MockClock):
    server = a_beta_server()
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]}

    async with talking_to(server) as client:
        await send(client, "conversation.item.create", item=said)
        created = (await receive_until(client, "conversation.item.created"))[-1]

    assert created["item"]["content"] == [{"type": "text", "text": "Hello."}]
    assert server.records[0].seeded == [("assistant", "Hello.")]


async def test_every_event_is_one_of_the_beta(autojump_clock: MockClock):
    beta = pytest.importorskip("openai.types.beta.realtime")
    members = get_args(get_args(beta.RealtimeServerEvent)[0])
    classes = {get_args(member.model_fields["type"].annotation)[0]: member for member in members}

    async with talking_to(a_beta_server()) as client:
        await send(client, "session.update", session=FLAT)
        await send(client, "response.create")
        events = await receive_until(client, "response.done")

    unknown: dict[str, list[str]] = {}
    for event in events:
        model = classes[event["type"]].model_validate(event)
        for part in (model, *(getattr(model, name, None) for name in ("session", "response", "item"))):
            unknown.setdefault(event["type"], []).extend(getattr(part, "model_extra", None) or ())
    # On the wire of the beta, too, sessions have had an `object`, which the types never knew.
    assert {kind: names for kind, names in unknown.items() if set(names) - {"object"}} == {}


async def test_what_is_no_json_passes_where_mistakes_are_wanted(autojump_clock: MockClock):
    async with talking_to(a_server(dialect="beta", strict=False)) as client:
        await client.send("{")
        error = (await receive_until(client, "error"))[-1]["error"]

    assert error["code"] == "invalid_json"

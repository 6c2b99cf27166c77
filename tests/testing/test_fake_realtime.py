import base64
import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.net.websocket import WebSocketClosed
from gateway.testing.faulty_table import Busy, Drop, Expire, GoMute, Late, Refuse, Unreachable
from gateway.testing.realtime_schema import SchemaError
from gateway.voice.backends.scripted import tone
from tests.testing.realtime_client import (
    URL,
    a_server,
    client_of,
    refused_by,
    running_server,
    talking_to,
)
from tests.voice.voice_caller import VoiceCaller

UPDATE = json.dumps({"type": "session.update", "session": {"type": "realtime"}})
CREATE = json.dumps({"type": "response.create"})


def error_in(body: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(body)["error"]
    return error


# -- the door


async def test_whoever_has_the_key_is_let_in(autojump_clock: MockClock):
    server = a_server()

    async with talking_to(server) as client:
        first = json.loads(await client.receive())

    assert first["type"] == "session.created"
    assert server.requests[0].query == "model=gpt-realtime"


async def test_azure_has_another_header_and_another_path(autojump_clock: MockClock):
    server = a_server()
    url = "wss://mine.openai.azure.example/openai/v1/realtime?model=my-deployment"

    async with running_server(server), client_of(server, url, (("api-key", "sk-test"),)) as client:
        first = json.loads(await client.receive())

    assert first["type"] == "session.created"


@pytest.mark.parametrize("headers", [(), (("Authorization", "Bearer sk-other"),), (("api-key", "sk-other"),)])
async def test_a_wrong_key_is_answered_401(autojump_clock: MockClock, headers: tuple[tuple[str, str], ...]):
    refused = await refused_by(a_server(), URL, headers)

    assert refused.status == 401
    assert error_in(refused.body)["code"] == "invalid_api_key"
    assert error_in(refused.body)["type"] == "invalid_request_error"


async def test_an_unknown_model_is_answered_404(autojump_clock: MockClock):
    refused = await refused_by(a_server(models={"gpt-realtime-2.1"}))

    assert refused.status == 404
    assert error_in(refused.body)["code"] == "model_not_found"
    assert "`gpt-realtime`" in error_in(refused.body)["message"]


async def test_a_request_without_a_model_is_answered_400(autojump_clock: MockClock):
    refused = await refused_by(a_server(), "wss://api.openai.example/v1/realtime")

    assert (refused.status, error_in(refused.body)["code"]) == (400, "missing_model")


async def test_another_path_is_answered_404(autojump_clock: MockClock):
    refused = await refused_by(a_server(), "wss://api.openai.example/v1/chat?model=gpt-realtime")

    assert (refused.status, error_in(refused.body)["code"]) == (404, "invalid_url")


async def test_too_many_requests_are_answered_429_with_a_time_to_come_back(autojump_clock: MockClock):
    refused = await refused_by(a_server(Busy(retry_after_s=1.2)))

    assert refused.status == 429
    assert ("retry-after", "2") in refused.headers
    assert error_in(refused.body)["code"] == "rate_limit_exceeded"


async def test_a_voice_that_refuses_is_answered_403(autojump_clock: MockClock):
    refused = await refused_by(a_server(Refuse(detail="not in your country")))

    assert refused.status == 403
    assert error_in(refused.body)["message"] == "not in your country"


async def test_a_voice_that_is_not_there_gives_no_answer(autojump_clock: MockClock):
    server = a_server(Unreachable())

    async with running_server(server):
        with pytest.raises(WebSocketClosed):
            await client_of(server).__aenter__()


async def test_a_late_voice_lets_one_in_late(autojump_clock: MockClock):
    server = a_server(Late(by_s=4))
    began_s = trio.current_time()

    async with talking_to(server):
        late_s = trio.current_time() - began_s

    assert late_s == 4


@pytest.mark.parametrize(
    ("options", "code", "close_code"),
    [({"api_key": "sk-other"}, "invalid_api_key", 3000), ({"models": ()}, "model_not_found", 4004)],
)
async def test_some_servers_let_everybody_in_and_then_say_what_is_wrong(
    autojump_clock: MockClock, options: dict[str, Any], code: str, close_code: int
):
    server = a_server(complains="websocket", **options)

    async with talking_to(server) as client:
        said = json.loads(await client.receive())
        await client.types_until_closed()

    assert said["error"]["code"] == code
    assert client.closed is not None
    assert (client.closed.code, client.closed.reason) == (close_code, f"invalid_request_error.{code}")


# -- sessions that fail


async def test_a_connection_that_drops_ends_without_a_close(autojump_clock: MockClock):
    async with talking_to(a_server(Drop(at="session.updated"))) as client:
        await client.send(UPDATE)
        types = await client.types_until_closed()

    assert types == ["session.created", "session.updated"]
    assert client.closed is not None
    assert client.closed.code == 1006


async def test_a_session_that_expires_says_so_and_is_closed_with_1001(autojump_clock: MockClock):
    async with talking_to(a_server(Expire(after_s=30))) as client:
        types = await client.types_until_closed()

    assert types == ["session.created", "error"]
    assert client.closed is not None
    assert client.closed.code == 1001
    assert client.closed.reason == "Your session hit the maximum duration of 60 minutes."


async def test_all_connections_drop_at_once(autojump_clock: MockClock):
    server = a_server()

    async with talking_to(server) as one, client_of(server) as other:
        await one.receive()
        server.voice.drop_all()
        await one.types_until_closed()
        await other.types_until_closed()

    assert [record.ended for record in server.records] == ["the connection broke"] * 2


async def test_a_mute_server_still_answers_pings(autojump_clock: MockClock):
    async with talking_to(a_server(GoMute(at="session.created"))) as client:
        await client.receive()
        with trio.move_on_after(120) as patience:
            await client.receive()

    assert patience.cancelled_caught
    assert client.closed is None


async def test_rows_name_a_model_where_they_name_an_agent(autojump_clock: MockClock):
    server = a_server(Refuse(agent="gpt-realtime", times=None))

    async with talking_to(server, URL + "-mini") as client:
        first = json.loads(await client.receive())

    assert first["type"] == "session.created"


# -- what it keeps and insists on


async def test_what_a_client_said_is_kept(autojump_clock: MockClock):
    server = a_server()

    async with talking_to(server) as client:
        await client.send(UPDATE)
        await client.receive()
        await client.receive()

    assert [received.event for received in server.records[0].received] == [json.loads(UPDATE)]


async def test_how_much_was_heard_is_kept(autojump_clock: MockClock):
    server = a_server()

    async with talking_to(server) as client, trio.open_nursery() as nursery:
        caller = VoiceCaller(client)
        nursery.start_soon(caller.read)
        await caller.send("response.create")
        item_id = (await caller.wait_for("response.output_audio.done"))["item_id"]
        all_of_it = server.heard_ms(item_id)
        await caller.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=90)
        await caller.wait_for("conversation.item.truncated")
        nursery.cancel_scope.cancel()

    assert all_of_it == len(caller.audio) // 48
    assert server.heard_ms(item_id) == 90


async def test_a_binary_frame_is_no_event(autojump_clock: MockClock):
    server = a_server()

    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - it comes out of the server
        async with running_server(server), client_of(server) as client:
            await client.send(UPDATE.encode())  # type: ignore[arg-type]
            await client.types_until_closed()

    assert raised.group_contains(SchemaError, match="binary")


async def test_what_no_client_may_send_ends_the_test(autojump_clock: MockClock):
    server = a_server()

    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - it comes out of the server
        async with running_server(server), client_of(server) as client:
            await client.send('{"type": "session.update", "session": {"voice": "marin"}}')
            await client.types_until_closed()

    assert raised.group_contains(SchemaError)


async def test_a_client_may_leave_at_any_moment(autojump_clock: MockClock):
    server = a_server()

    async with running_server(server):
        for moments in range(15):
            with trio.CancelScope() as scope:
                async with client_of(server) as client:
                    await client.send(CREATE)
                    for _ in range(moments):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        await trio.sleep(5)

    assert len(server.records) > 0
    assert all(record.ended for record in server.records)


# -- audio of the telephone


async def test_a_session_can_be_held_in_g711(autojump_clock: MockClock):
    server = a_server(hears=("Hello",))
    pcmu = {"type": "audio/pcmu"}
    audio = {"input": {"format": pcmu}, "output": {"format": pcmu}}
    speech = base64.b64encode(b"\x00" * 8000 + b"\xff" * 8000).decode()

    async with talking_to(server) as client, trio.open_nursery() as nursery:
        caller = VoiceCaller(client)
        nursery.start_soon(caller.read)
        await caller.send("session.update", session={"type": "realtime", "audio": audio})
        updated = await caller.wait_for("session.updated")
        await caller.send("input_audio_buffer.append", audio=speech)
        done = await caller.wait_for("response.done")
        nursery.cancel_scope.cancel()

    formats = [updated["session"]["audio"][way]["format"] for way in ("input", "output")]
    assert formats == [pcmu, pcmu]
    item_id = done["response"]["output"][0]["id"]
    assert server.heard_ms(item_id) == len(caller.audio) // 8
    assert caller.transcripts[0] == "Hello"
    assert server.records[0].caller_bytes == 6 * 16_000
    assert len(caller.audio) * 6 == len(tone(caller.transcripts[-1]))

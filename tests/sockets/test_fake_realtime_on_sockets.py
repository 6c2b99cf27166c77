"""The fake Realtime server in real time, over TCP."""

import json

import pytest
import trio

from gateway.config import Secret
from gateway.contracts import Agent, SessionRefused
from gateway.net.websocket import WebSocketClosed, connect
from gateway.testing.fake_realtime import FakeRealtime
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from tests.voice.voice_caller import calling, inline


def a_server() -> FakeRealtime:
    return FakeRealtime(ScriptedBackend(ScriptedSettings(), inline), api_key="sk-test")


async def test_a_client_is_served_over_tcp():
    with trio.fail_after(20):
        async with a_server().listening() as url:
            settings = RealtimeSettings(url=url + "?model={model}")
            async with calling(RealtimeBackend(settings, Secret("sk-test"))) as caller:
                await caller.send("response.create")
                done = await caller.wait_for("response.done")

    assert done["response"]["status"] == "completed"
    assert any(caller.audio)


async def test_a_client_with_the_wrong_key_is_refused_over_tcp():
    with trio.fail_after(20):
        async with a_server().listening() as url:
            settings = RealtimeSettings(url=url + "?model={model}")
            with pytest.raises(SessionRefused):
                await RealtimeBackend(settings, Secret("sk-wrong")).connect(Agent(name="a")).__aenter__()


async def test_a_lost_socket_is_noticed_over_tcp():
    server = a_server()

    with trio.fail_after(20):
        async with server.listening() as url:
            headers = [("Authorization", "Bearer sk-test")]
            async with connect(f"{url}?model=m", headers=headers) as websocket:
                first = json.loads(await websocket.receive())
                server.voice.drop_all()
                with pytest.raises(WebSocketClosed) as closed:
                    await websocket.receive()

    assert first["type"] == "session.created"
    assert closed.value.code == 1006

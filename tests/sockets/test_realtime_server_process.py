"""`gateway realtime-server` from outside: how it starts and ends, and that no client disturbs another."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from gateway.contracts import Agent
from gateway.net.websocket import WebSocket, WebSocketClosed, connect
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import tone
from tests.sockets.gateway_process import run_gateway
from tests.sockets.realtime_server_process import ServedRealtime, serving_realtime
from tests.voice.offline import needs_models
from tests.voice.voice_caller import calling

SCRIPTED = ("--voice", "scripted")
ROOT = Path(__file__).parents[2]
QUESTION = "What are your opening hours?"
HEARS = {"GATEWAY_VOICE__SCRIPTED__HEARS": QUESTION}
UPDATE = '{"type": "session.update", "session": {"type": "realtime"}}'
ENDLESS = {"type": "response.create", "response": {"metadata": {"say": "There is more to be said. " * 1000}}}

SCRIPT = """
start = "bakery"
[goodbye]
call = "end_call"
say = "Goodbye!"
[states.bakery]
prompt = "Good morning, this is the bakery."
expect = ["bread"]
[intents.bread]
answer = "We have rye and wheat."
phrases = ["which bread do you have"]
"""


@asynccontextmanager
async def client_of(server: ServedRealtime) -> AsyncIterator[WebSocket]:
    """Somebody who has been let in, and has read the first event."""
    async with connect(server.url) as websocket:
        assert json.loads(await websocket.receive())["type"] == "session.created"
        yield websocket


async def is_answered(websocket: WebSocket) -> bool:
    await websocket.send(UPDATE)
    with trio.fail_after(2):
        return bool(json.loads(await websocket.receive())["type"] == "session.updated")


def resident_mb(process: trio.Process) -> float:
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / 1e6


def open_sockets(process: trio.Process) -> int:
    names = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    return sum(name.startswith("socket:") for name in names)


# -- how it starts and ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_and_ends_when_it_is_told_to(tmp_path: Path, number: signal.Signals):
    async with serving_realtime(tmp_path, *SCRIPTED) as server, client_of(server) as websocket:
        status = await server.end(number)
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.receive()

    assert server.line == (
        f"Realtime server at ws://127.0.0.1:{server.port}/v1/realtime "
        "(voice scripted, script reception; any key, or none)\n"
    )
    assert status == 0
    assert closed.value.code == 1001
    assert "Traceback" not in server.log
    assert [json.loads(line)["event"] for line in server.log.splitlines()] == [
        "realtime_server.started",
        "realtime_server.ended",
    ]


async def test_a_port_that_is_taken_is_one_line_and_exit_status_2(tmp_path: Path):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = str(listener.socket.getsockname()[1])

    async with listener:
        done = await run_gateway("realtime-server", *SCRIPTED, "--port", port, folder=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"gateway: --host 127.0.0.1 --port {port}: cannot be opened (Address already in use); "
        "--port 0 takes a free port\n"
    )


async def test_a_script_that_nobody_wrote_is_one_line_and_exit_status_2(tmp_path: Path):
    done = await run_gateway("realtime-server", *SCRIPTED, "--script", "receptoin", folder=tmp_path)

    assert done.returncode == 2
    assert done.stderr == (
        'gateway: --script receptoin: no such script; did you mean "reception"? known: reception\n'
    )


async def test_without_models_it_names_what_installs_them(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'hibari' else find(name, *rest)\n"
    )
    variables = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    done = await run_gateway("realtime-server", "--port", "0", folder=tmp_path, variables=variables)

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: the embedded voice lacks hibari-tts (text to speech)")
    assert "pip install 'voice-gateway[embedded]'" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_models
async def test_models_that_cannot_be_loaded_are_told_in_one_line(tmp_path: Path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('made for another machine')\n")
    variables = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "GATEWAY_LOG__LEVEL": "error"}

    done = await run_gateway("realtime-server", "--port", "0", folder=tmp_path, variables=variables)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "gateway: the embedded voice cannot be loaded: made for another machine\n"


async def test_settings_of_calls_are_no_concern_of_it(tmp_path: Path):
    variables = {"GATEWAY_HTTP__PUBLIC_URL": "https://gateway.example.com"}  # for which a token is missing

    async with serving_realtime(tmp_path, *SCRIPTED, variables=variables) as server:
        async with client_of(server) as websocket:
            assert await is_answered(websocket)


async def test_a_script_of_your_own_answers(tmp_path: Path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "bakery.toml").write_text(SCRIPT)
    (tmp_path / "gateway.toml").write_text('[voice.embedded]\nscripts = "scripts"\n')

    async with serving_realtime(tmp_path, *SCRIPTED, "--script", "bakery") as server:
        async with client_of(server) as websocket:
            await websocket.send('{"type": "response.create"}')
            while (event := json.loads(await websocket.receive()))["type"] != "response.done":
                pass

    assert event["response"]["output"][0]["content"][0]["transcript"] == "Good morning, this is the bakery."


# -- what its clients get


async def test_our_own_client_holds_a_conversation_with_it(tmp_path: Path):
    async with serving_realtime(tmp_path, *SCRIPTED, variables=HEARS) as server:
        backend = RealtimeBackend(RealtimeSettings(url=server.url + "?model={model}"), None)
        async with calling(backend, Agent(name="agent", model="gpt-realtime-2.1")) as caller:
            await caller.say(tone(QUESTION))
            await caller.wait_for("response.done")

    assert caller.events[0]["session"]["model"] == "gpt-realtime-2.1"
    assert caller.matched == ["hours"]
    assert any(caller.audio)


async def test_plain_http_is_answered_in_the_words_of_the_api(tmp_path: Path):
    async with serving_realtime(tmp_path, *SCRIPTED) as server, httpx.AsyncClient(trust_env=False) as http:
        models = await http.get(f"http://127.0.0.1:{server.port}/v1/models")
        plain = await http.get(f"http://127.0.0.1:{server.port}/v1/realtime")

    assert (models.status_code, models.json()["error"]["code"]) == (404, "invalid_url")
    assert (plain.status_code, plain.json()["error"]["code"]) == (426, "upgrade_required")


async def test_thirty_clients_are_served_at_once(tmp_path: Path):
    answered = []

    async def one(server: ServedRealtime) -> None:
        async with client_of(server) as websocket:
            answered.append(await is_answered(websocket))

    async with serving_realtime(tmp_path, *SCRIPTED) as server, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(one, server)

    assert answered == [True] * 30


async def test_a_client_that_does_not_read_is_let_go_and_others_notice_nothing(tmp_path: Path):
    async with serving_realtime(tmp_path, *SCRIPTED) as server, client_of(server) as other:
        before_mb = resident_mb(server.process)
        async with connect(server.url) as websocket:
            await websocket.send(json.dumps(ENDLESS))
            with trio.fail_after(10):
                while "client.left" not in server.log:
                    assert await is_answered(other)
                    await trio.sleep(0.1)
            grown_mb = resident_mb(server.process) - before_mb

    left = [json.loads(line) for line in server.log.splitlines() if "client.left" in line]
    assert (left[0]["code"], left[0]["why"]) == (1006, "the peer does not read")
    assert grown_mb < 50


async def test_a_client_that_is_killed_leaves_no_socket_behind(tmp_path: Path):
    async with serving_realtime(tmp_path, *SCRIPTED) as server:
        before = open_sockets(server.process)
        for _ in range(3):
            async with client_of(server) as websocket:
                websocket.release()
        await server.logged("client.left", 3)
        after = open_sockets(server.process)

    assert after == before
    assert "Traceback" not in server.log

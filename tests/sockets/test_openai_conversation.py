"""OpenAI's own client talks with `gateway realtime-server`, each in its own process."""

import json
import re
import wave
from pathlib import Path
from typing import Any

from gateway.cli import realtime_server
from gateway.config import load
from gateway.contracts import Agent
from gateway.net.websocket import PING_EVERY_S, PONG_S
from gateway.settings import Settings
from gateway.testing.realtime_schema import ServerOrder, check_server_event
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.scripted import tone
from gateway.voice.embedded.door import MOST_EVENT_BYTES
from tests.sockets.realtime_server_process import run_python, serving_realtime, write_wav
from tests.voice.offline import needs_models, the_models
from tests.voice.voice_caller import inline

PROGRAM = Path(__file__).with_name("openai_conversation.py")
PAGE = Path(__file__).parents[2] / "ops" / "docs" / "realtime-server.md"
QUESTIONS = ("What are your opening hours?", "Where are you located?")
LONGEST_S = 100


async def conversation(tmp_path: Path, voice: str, spoken: list[bytes]) -> dict[str, Any]:
    """What OpenAI's client says of a conversation. Every frame that it got is checked."""
    first, second = (write_wav(tmp_path / f"{at}.wav", pcm) for at, pcm in enumerate(spoken))
    frames = tmp_path / "frames"
    hears = {"GATEWAY_VOICE__SCRIPTED__HEARS": ",".join(QUESTIONS)}

    async with serving_realtime(tmp_path, "--voice", voice, variables=hears, longest_s=LONGEST_S) as server:
        arguments = [str(PROGRAM), server.base_url, str(first), str(second), str(frames)]
        done = await run_python(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr + server.log
        assert await server.end() == 0

    order = ServerOrder()
    for frame in frames.read_text().splitlines():
        check_server_event(frame)
        order.check(frame)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def assert_held(told: dict[str, Any]) -> None:
    assert (told["model"], told["voice"]) == ("gpt-realtime", "marin")
    first, second, cut, wish, after = (told[name] for name in ("first", "second", "cut", "wish", "after"))
    assert "half past eleven in the morning" in first["words"]
    assert "12 Harbour Street" in second["words"]
    assert min(first["audio_ms"], second["audio_ms"]) > 3000
    assert (cut["status"], cut["heard_ms"]) == ("cancelled", 250)
    ((name, arguments, _),) = wish["calls"]
    assert (name, json.loads(arguments)) == ("transfer_call", {"destination": "front_desk"})
    assert "nobody at the front desk" in after["words"]


async def test_openais_client_holds_a_conversation_in_tones(tmp_path: Path):
    told = await conversation(tmp_path, "scripted", [tone(question) for question in QUESTIONS])

    assert [told["first"]["heard"], told["second"]["heard"]] == list(QUESTIONS)
    assert_held(told)


@needs_models
async def test_openais_client_holds_a_spoken_conversation(tmp_path: Path):
    told = await conversation(tmp_path, "embedded", [the_models().synthesize(text) for text in QUESTIONS])

    assert "opening hours" in told["first"]["heard"]
    assert "located" in told["second"]["heard"]
    assert_held(told)


CLIENTS = """
import asyncio, sys
from openai import AsyncAzureOpenAI, AsyncOpenAI

async def main(port):
    here, azure = f"127.0.0.1:{port}", {"api_key": "any", "api_version": "2025-04-01-preview"}
    for client in (
        AsyncOpenAI(api_key="any", base_url=f"http://{here}/v1"),
        AsyncOpenAI(api_key="any", base_url=f"http://{here}/openai/v1"),
        AsyncAzureOpenAI(azure_endpoint=f"http://{here}", websocket_base_url=f"ws://{here}/openai", **azure),
    ):
        async with client.realtime.connect(model="mine") as connection:
            print((await connection.recv()).session.model)

asyncio.run(main(sys.argv[1]))
"""


async def test_openais_other_ways_in_lead_to_a_session_too(tmp_path: Path):
    async with serving_realtime(tmp_path, "--voice", "scripted") as server:
        done = await run_python("-c", CLIENTS, str(server.port), folder=tmp_path)

    assert (done.stdout, done.stderr) == ("mine\n" * 3, "")


# -- what the page about the server shows


def shown(language: str) -> list[str]:
    """The blocks of code on the page."""
    blocks = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", PAGE.read_text())
    return [text for written_in, text in blocks if written_in == language]


@needs_models
async def test_the_client_on_the_page_hears_what_the_page_says(tmp_path: Path):
    line, output = shown("")[1:3]
    (program,) = shown("python")
    write_wav(tmp_path / "question.wav", the_models().synthesize(QUESTIONS[0]))

    async with serving_realtime(tmp_path, longest_s=LONGEST_S) as server:
        (tmp_path / "ask.py").write_text(program.replace("8765", str(server.port)))
        done = await run_python("ask.py", folder=tmp_path)

    assert server.line.replace(str(server.port), "8765") == line
    assert (done.stdout, done.stderr) == (output, "")
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.getnframes() / answer.getframerate() > 5


async def test_the_commands_on_the_page_lead_a_gateway_to_the_server(tmp_path: Path):
    command, settings = shown("")[0], shown("")[3]
    variables = dict(line.removeprefix("export ").split("=", 1) for line in settings.splitlines())

    async with serving_realtime(tmp_path, "--voice", "scripted") as server:
        environ = {name: value.replace("8765", str(server.port)) for name, value in variables.items()}
        voice = load(Settings, path=None, environ=environ).voice
        backend = BACKENDS[voice.backend].make(voice.realtime, inline)
        async with backend.connect(Agent(name="agent")) as connection:
            first = json.loads(await connection.receive())

    assert command == "./ops/gateway realtime-server\n"
    assert first["session"]["model"] == "gpt-realtime"


def test_the_options_on_the_page_are_those_of_the_command():
    table = re.findall(r"(?m)^\| `--(\w+)` \| `([\w.]+)` \|", PAGE.read_text())
    options = {option.name: str(option.default) for option in realtime_server.params}

    assert dict(table) == options | {"config": "gateway.toml", "script": "reception"}


def test_the_limits_on_the_page_are_those_of_the_code():
    text = PAGE.read_text()

    assert f"one of more than {MOST_EVENT_BYTES >> 20} MiB ends the session" in text
    assert f"sent every {PING_EVERY_S} s, within {PONG_S} s" in text

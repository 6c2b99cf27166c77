"""The page on VoiceSession is true: each of its examples runs, in its order, and does what the page says.

A reader has what the page gives him (`session`, `audio_data`, a speaker, a microphone), time is virtual, and one
after the other answers him: the scripted voice; the realtime one, which talks with a server that takes commits
as OpenAI's does; the embedded one with its models. Whole programs are processes of their own.
"""

import ast
import functools
import importlib
import inspect
import re
import subprocess
import sys
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock as Clock

from gateway.audio.clip import convert, write_wav
from gateway.config import Secret
from gateway.contracts import Agent, VoiceBackend
from gateway.testing.fake_realtime import FakeRealtime
from gateway.voice import VoiceSession
from gateway.voice.backends import BACKENDS, BackendKind
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, detect_loudness, tone
from gateway.voice.choice import Choice
from gateway.voice.happenings import EVENTS
from gateway.voice.session import SessionState
from tests.testing.plugin_project import SECONDS, environment
from tests.voice.offline import needs_models, the_models
from tests.voice.voice_caller import inline

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "ops" / "docs" / "voice-session.md").read_text()
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)

QUESTION = "What are your opening hours?"
ANSWER = "We are open from Tuesday to Sunday"
SILENCE = bytes(48 * 1200)  # longer than turn detection waits

_run: list[str] = []  # how each example begins that is run here


def example(beginning: str) -> pytest.MarkDecorator:
    """Hands a test the example of the page that begins so."""
    _run.append(beginning)
    (text,) = (text for text in EXAMPLES if text.startswith(beginning))
    return pytest.mark.parametrize("text", [pytest.param(text, id="example")])


# -- somebody who reads it


class Reader:
    """`has`: what the page says that he has. `backend`: what he talks with."""

    def __init__(self, backend: VoiceBackend, question: bytes) -> None:
        self.audio_data = question
        self.session = VoiceSession(backend=backend)
        self.played: list[bytes] = []
        self.has: dict[str, Any] = {
            "VoiceSession": VoiceSession,
            "audio_data": self.audio_data,
            "play_audio": self.played.append,
            "session": self.session,
            "trio": trio,
        }

    async def tries(self, text: str, **more: Any) -> dict[str, Any]:
        """Run an example. Gives the names that it leaves."""
        names = self.has | more
        code = compile(text, "voice-session.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.iscoroutine(running):
            with trio.fail_after(60):
                await running
        return names


class Microphone:
    """Gives what is said in pieces of 20 ms, as it is said."""

    def __init__(self, *said: bytes) -> None:
        audio = b"".join(said)
        self._chunks = iter([audio[at : at + 960] for at in range(0, len(audio), 960)])
        self.is_down = True  # the button beside it, until all is said

    async def read(self) -> bytes:
        await trio.sleep(0.02)
        chunk = next(self._chunks, b"")
        self.is_down = bool(chunk)
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk


class Speaker:
    """Plays as fast as it can be heard. `heard_ms`: of the response, when it was stopped."""

    def __init__(self) -> None:
        self.heard_ms: float | None = None
        self._given_ms = 0.0
        self._until = 0.0

    async def play(self, data: bytes) -> None:
        """Returns when a little is left to be played."""
        self._given_ms += len(data) / 48
        self._until = max(self._until, trio.current_time()) + len(data) / 48_000
        await trio.sleep_until(self._until - 0.1)

    def stop(self) -> float:
        if self.heard_ms is None:
            self.heard_ms = self._given_ms - max(self._until - trio.current_time(), 0.0) * 1000
        return self.heard_ms


# -- who answers him


def scripted(_nursery: trio.Nursery) -> VoiceBackend:
    return ScriptedBackend(ScriptedSettings(hears=(QUESTION,) * 5), inline)


def embedded(_nursery: trio.Nursery) -> VoiceBackend:
    return EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)


def realtime(nursery: trio.Nursery) -> VoiceBackend:
    fake = FakeRealtime(scripted(nursery))
    nursery.start_soon(fake.run)
    return RealtimeBackend(RealtimeSettings(), Secret("sk-test"), dial=fake.dial)


@functools.cache
def spoken(text: str) -> bytes:
    return the_models().synthesize(text)


@pytest.fixture(params=[scripted, realtime, pytest.param(embedded, marks=needs_models)])
async def reader(
    request: pytest.FixtureRequest, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> Reader:
    backend: VoiceBackend = request.param(nursery)
    choice = Choice(backend.traits, lambda: backend)
    monkeypatch.setattr("gateway.voice.session.choose", lambda _backend: choice)
    return Reader(backend, spoken(QUESTION) if request.param is embedded else tone(QUESTION))


@asynccontextmanager
async def connected(reader: Reader) -> AsyncGenerator[VoiceSession, None]:
    async with reader.session.connect():
        yield reader.session
    assert reader.session.state is SessionState.DISCONNECTED


def answers(response: Any) -> bool:
    """Whether it is what the page promises of a response."""
    assert len(response.data) / 48 == pytest.approx(response.duration_ms, abs=1)
    return response.status == "completed" and ANSWER in response.transcript and response.duration_ms > 5000


def ends_as_shown(printed: str, program: str, page: str) -> bool:
    """Whether a program prints at its end what the next block of the page shows."""
    shown = page.partition(program)[2].removeprefix("```").partition("\n```\n")[2].partition("```\n")[0]
    return bool(shown) and printed.endswith(shown)


def ran(program: str, folder: Path) -> str:
    """What a program prints that ends well."""
    folder.joinpath("program.py").write_text(program)
    environ = {name: value for name, value in environment().items() if not name.startswith("GATEWAY_")}
    run = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


# -- the examples, in the order of the page


@needs_models
@example("# first.py\n")
def test_the_first_program_writes_the_answer_and_prints_what_was_said(text: str, tmp_path: Path):
    printed = ran(text, tmp_path)

    assert ends_as_shown(printed, text, PAGE)
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.getframerate() == 24_000
        assert answer.getnframes() > 5 * 24_000


@example("session = VoiceSession()\nasync with")
async def test_a_session_lives_in_a_block(autojump_clock: Clock, reader: Reader, text: str):
    left = await reader.tries(text)

    assert answers(left["response"])
    assert left["session"].state is SessionState.DISCONNECTED


@example("await session.connect()\n")
async def test_a_session_lives_in_the_background(autojump_clock: Clock, reader: Reader, text: str):
    body = "response = await session.respond(audio_data)"

    left = await reader.tries(text.replace("...", body))

    assert answers(left["response"])
    assert reader.session.state is SessionState.DISCONNECTED


@example("async with trio.open_nursery() as nursery:\n")
async def test_a_session_lives_in_a_nursery(autojump_clock: Clock, reader: Reader, text: str):
    left = await reader.tries(text)

    assert answers(left["response"])
    assert left["session"].state is SessionState.DISCONNECTED


@example("async for chunk in session.stream_receive():\n")
async def test_a_response_is_played_in_pieces(autojump_clock: Clock, reader: Reader, text: str):
    async with connected(reader) as session:
        await session.send_audio(reader.audio_data)
        await reader.tries(text)

    assert len(reader.played) > 10
    assert len(b"".join(reader.played)) > 5 * 48_000
    assert ANSWER in (session.messages[-1].text or "")


@example("async def feed():\n")
async def test_a_microphone_is_listened_to(autojump_clock: Clock, reader: Reader, text: str):
    question = reader.audio_data
    with trio.move_on_after(20):
        async with connected(reader) as session:
            await reader.tries(text, microphone=Microphone(question, SILENCE, question, SILENCE))

    assert [len(played) > 5 * 48_000 for played in reader.played] == [True, True]
    assert [message.who for message in session.messages] == ["user", "agent"] * 2


@example("user_audio = await session.listen()\n")
async def test_utterances_are_found_and_answered(autojump_clock: Clock, reader: Reader, text: str):
    question = reader.audio_data
    async with connected(reader) as session:
        await session.send_audio(question + SILENCE + question + SILENCE, commit=False)
        left = await reader.tries(text)
        with pytest.raises(TimeoutError):
            await reader.tries(text.splitlines()[1])
        said = await session.respond(question)

    user_audio = left["user_audio"]
    assert len(question) - 48 * 500 < len(user_audio) < len(question) + 48 * 1200
    assert user_audio.item_id == session.messages[2].item_id
    assert answers(left["response"])
    assert left["response"].item_id == session.messages[3].item_id
    assert answers(said)
    assert [message.who for message in session.messages] == ["user", "agent"] * 3


@example("await session.interrupt()\n")
async def test_what_was_taken_counts_as_played_since(autojump_clock: Clock, reader: Reader, text: str):
    async with connected(reader) as session:
        await session.respond(reader.audio_data)
        await trio.sleep(3)
        await reader.tries(text)
        (heard,) = [message for message in session.messages if message.interrupted]

    assert heard.text is not None
    assert heard.text.startswith("We are open from")
    assert not heard.text.endswith("?")


@example('@session.on("speech_started")\nasync def on_speech_started():\n')
async def test_the_agent_is_interrupted_by_who_plays(
    autojump_clock: Clock, reader: Reader, text: str, nursery: trio.Nursery
):
    interrupted: dict[str, Any] = {}
    speaker = Speaker()

    async def speak_up() -> None:
        await trio.sleep(3)
        async for chunk in Microphone(reader.audio_data, SILENCE):
            await session.send_audio(chunk, commit=False)

    async with connected(reader) as session:
        session.on("interrupted")(lambda **details: interrupted.update(details))
        await session.send_audio(reader.audio_data)
        nursery.start_soon(speak_up)
        await reader.tries(text, speaker=speaker)
        over_at = trio.current_time()
        (heard,) = [message for message in session.messages if message.interrupted]
        answer = await session.receive()

    assert speaker.heard_ms is not None
    assert over_at < 5
    assert interrupted == {"item_id": heard.item_id, "heard_ms": int(speaker.heard_ms)}
    assert heard.text is not None
    assert heard.text.startswith("We are open from")
    assert not heard.text.endswith("?")
    assert answers(answer)


@example("session.configure_turn_detection(enabled=True, ")
async def test_turn_detection_is_set(autojump_clock: Clock, reader: Reader, text: str):
    question = reader.audio_data
    await reader.tries(text)
    async with connected(reader) as session:
        session.configure_turn_detection(silence_duration=3000)
        await reader.tries(text)
        await session.send_audio(question + SILENCE, commit=False)
        user_audio = await session.listen(timeout=5)

    defaults = inspect.signature(session.configure_turn_detection).parameters.values()
    arguments = ", ".join(f"{each.name}={each.default}" for each in defaults)
    assert text == f"session.configure_turn_detection({arguments})\n"
    assert len(user_audio) > len(question) - 48 * 500


@example("session.configure_turn_detection(enabled=False)\n")
async def test_a_button_is_held_down_to_talk(autojump_clock: Clock, reader: Reader, text: str):
    microphone = Microphone(reader.audio_data)
    async with connected(reader) as session:
        left = await reader.tries(text, button=microphone, microphone=microphone)

    assert answers(left["response"])
    assert [message.who for message in session.messages] == ["user", "agent"]


@example("session.configure_audio(")
async def test_a_format_is_set(autojump_clock: Clock, reader: Reader, text: str):
    async with connected(reader) as session:
        session.configure_audio(8000, 1, "pcmu")
        await reader.tries(text)
        response = await session.respond(reader.audio_data)

    assert answers(response)


@example("from gateway.audio.clip import")
async def test_a_recording_of_another_rate_and_of_two_channels_is_said(
    autojump_clock: Clock, reader: Reader, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    both_ears = np.repeat(np.frombuffer(convert(reader.audio_data, 24_000, 48_000), "<i2"), 2)
    write_wav("question.wav", both_ears.tobytes(), 48_000, channels=2)

    async with connected(reader) as session:
        await reader.tries(text)
        response = await session.receive()

    assert answers(response)


@example('@session.on("speech_started")\nasync def on_speech_started(): print')
async def test_handlers_are_called(
    autojump_clock: Clock, reader: Reader, text: str, capsys: pytest.CaptureFixture[str]
):
    async with connected(reader) as session:
        await reader.tries(text)
        await session.send_audio(reader.audio_data + SILENCE, commit=False)
        await session.receive()

    printed = capsys.readouterr().out
    assert "User started speaking\n" in printed
    assert f"Transcript: {QUESTION}\n" in printed
    assert f"Transcript: {ANSWER}" in printed


@example("from gateway.voice import Agent, VoiceSession\n")
async def test_an_agent_greets_and_calls_its_tools(
    autojump_clock: Clock, reader: Reader, text: str, capsys: pytest.CaptureFixture[str]
):
    left = await reader.tries(text)

    assert capsys.readouterr().out.endswith("Good day, this is the Harbour Kitchen. How can I help you?\n")
    assert len(left["greeting"].data) > 48_000


@example("from gateway.voice import Agent, VoiceSession\n")
async def test_the_agent_calls_a_tool_that_its_dialogue_names(autojump_clock: Clock, text: str):
    hears = ("a table for four", "on Friday", "at eight in the evening", "yes")
    backend = ScriptedBackend(ScriptedSettings(hears=hears), inline)
    reader = Reader(backend, tone(QUESTION))
    agent = (await reader.tries(text.partition("async with")[0]))["agent"]
    called: list[tuple[str, str]] = []
    session = VoiceSession(agent=agent, backend=backend)
    session.on("tool_called")(lambda name, arguments: called.append((name, arguments)))

    async with session.connect():
        await session.receive()
        responses = [await session.respond(tone(words)) for words in hears]

    assert called == [("book_table", '{"party_size":4,"day":"friday","time":"20:00"}')]
    assert responses[-1].transcript.startswith("One moment, please. Your table for 4 is booked")


@example("from gateway.voice.session import SessionState\n")
async def test_the_state_is_known(
    autojump_clock: Clock, reader: Reader, text: str, capsys: pytest.CaptureFixture[str]
):
    async with connected(reader) as session:
        await session.send_audio(reader.audio_data, commit=False)
        await trio.sleep(1)
        await reader.tries(text)

    assert capsys.readouterr().out.endswith("the user speaks\n")


@example("session = VoiceSession()\nhosted")
async def test_a_hosted_voice_is_asked_for_by_its_name(
    autojump_clock: Clock, nursery: trio.Nursery, text: str, monkeypatch: pytest.MonkeyPatch
):
    fake = FakeRealtime(scripted(nursery), api_key="sk-of-the-reader")
    nursery.start_soon(fake.run)

    def make(settings: Any, _run_blocking: Any, key: Secret | None = None, /) -> VoiceBackend:
        return RealtimeBackend(settings, key, dial=fake.dial)

    monkeypatch.setitem(BACKENDS, "realtime", BackendKind(RealtimeSettings, make))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-reader")
    names: dict[str, Any] = {"VoiceSession": VoiceSession}

    exec(text, names)
    async with names["hosted"].connect() as voice:
        response = await voice.respond(tone(QUESTION))

    assert answers(response)
    assert names["session"].state is SessionState.IDLE


@example("from gateway.net.tasks import run_in_thread\n")
def test_the_scripted_voice_answers_in_tones(text: str):
    async def converse() -> Any:
        names: dict[str, Any] = {"VoiceSession": VoiceSession}
        exec(text, names)
        async with names["session"].connect() as voice:
            return await voice.respond(tone(QUESTION))

    response = trio.run(converse)

    assert answers(response)


def test_every_example_is_run_in_its_order():
    order = list(dict.fromkeys(_run))

    assert [text.startswith(each) for text, each in zip(EXAMPLES, order, strict=True)] == [True] * len(order)


# -- the tables


def rows(title: str, heading: str) -> list[list[str]]:
    """The cells of a table of a section, without its heading and the code marks."""
    _, _, section = PAGE.partition(f"\n## {title}")
    _, _, table = section.partition(f"\n| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


async def thoughtful(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
    """A `RunBlocking` that hears at once, and takes a while to understand."""
    await trio.sleep(0 if blocking is detect_loudness else 0.2)
    return blocking(*args)


async def book_table(party_size: int, day: str, time: str) -> str:
    return f"{party_size} {day} {time}"


async def test_every_event_stands_in_its_table_with_its_keywords(autojump_clock: Clock):
    table = {row[0].strip("`"): row[2] for row in rows("Events", "event")}
    told: dict[str, list[set[str]]] = {event: [] for event in EVENTS}

    def note(event: str) -> Callable[..., None]:
        return lambda *_value, **details: told[event].append(set(details))

    hears = ("a table for four", "on Friday", "at eight in the evening", "yes")
    agent = Agent(name="reception", tools=[book_table])
    session = VoiceSession(agent=agent, backend=ScriptedBackend(ScriptedSettings(hears=hears), thoughtful))
    for event in EVENTS:
        session.on(event)(note(event))
    async with session.connect():
        for words in hears:
            await session.respond(tone(words))
            await trio.sleep(1)
            await session.interrupt()
        await session.send_audio(tone(QUESTION) + SILENCE + tone(QUESTION), commit=False)
        await session.listen()
        await trio.sleep(1)
        await session.send_audio(b"")  # while the user speaks
        await trio.sleep(0.1)
        await session.interrupt()  # before there is an answer

    may_be_there = {event: set(named(cell)) for event, cell in table.items()}
    always_there = {event: set(named(re.sub(r"\[.*?\]", "", cell))) for event, cell in table.items()}
    assert list(table) == list(EVENTS)
    assert [event for event in EVENTS if not told[event]] == ["error"]
    for event in set(EVENTS) - {"error"}:
        assert set.intersection(*told[event]) == always_there[event], event
        assert set.union(*told[event]) == may_be_there[event], event


def test_every_property_stands_in_its_table():
    table = [name for row in rows("What is known", "property") for name in named(row[0])]

    properties = [name for name, what in vars(VoiceSession).items() if isinstance(what, property)]

    assert sorted(table) == sorted(properties)


def test_every_format_of_the_table_works_and_no_other():
    table = {
        name: [int(rate) for rate in row[1].split(",")]
        for row in rows("Audio formats", "`format`")
        for name in named(row[0])
    }

    def works(name: str, rate_hz: int) -> bool:
        try:
            session.configure_audio(rate_hz, 1, name)
        except ValueError:
            return False
        return True

    session = VoiceSession(backend="scripted")
    every = {
        name: [rate for rate in (8000, 12_000, 16_000, 24_000, 48_000) if works(name, rate)] for name in table
    }
    assert every == table


def test_what_is_raised_can_be_imported_from_where_the_table_says():
    table = [(row[0].strip("`"), row[1].strip("`")) for row in rows("Errors", "raised")]

    found = [getattr(importlib.import_module(module), name) for name, module in table if module]

    assert len(found) >= 5
    assert all(issubclass(each, Exception) for each in found)


# -- README


@needs_models
def test_the_example_of_readme_prints_what_was_heard(tmp_path: Path):
    _, _, section = README.partition("\n## Without a phone\n```python\n")
    program = section.partition("```\n")[0]

    printed = ran(program, tmp_path)

    assert ends_as_shown(printed, program, README)

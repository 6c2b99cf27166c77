"""The embedded voice as a backend: with models that do nothing, and whole spoken dialogues with the real ones."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from gateway.contracts import Agent, SessionLost, SessionRefused
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.embedded.script_file import ScriptError
from gateway.voice.embedded.vad import HOP_BYTES, SpeechStream
from tests.voice.offline import needs_models, spoken_on_the_phone, the_models
from tests.voice.voice_caller import calling, inline, running

VOICED = b"\x01\x01" * 12_000  # half a second that the fake takes for speech
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": name, "description": "", "parameters": {}}
    for name in ("book_table", "end_call", "transfer_call", "take_message")
]
Clock = trio.testing.MockClock


class FakeModels:
    """Hears "where are you" and speaks silence; remembers how it was used."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.said: list[str] = []
        self.fails = False

    def detect(self, streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
        self.batches.append(len(streams))
        assert all(len(hop) == HOP_BYTES for hop in hops)
        return [float(any(hop)) for hop in hops]

    def transcribe(self, pcm: bytes) -> str:
        if self.fails:
            raise RuntimeError("the model broke")
        return "where are you"

    def synthesize(self, text: str) -> bytes:
        self.said.append(text)
        return bytes(48 * 100)

    def remembered(self, text: str) -> bytes | None:
        return bytes(48 * 100) if text in self.said else None


def fake_backend(models: FakeModels, settings: EmbeddedSettings | None = None) -> EmbeddedBackend:
    return EmbeddedBackend(settings or EmbeddedSettings(), inline, load=lambda: models)


async def test_calls_are_judged_together(autojump_clock: Clock):
    models = FakeModels()
    backend = fake_backend(models)

    async with running(backend), calling(backend) as one, calling(backend) as other:
        async with trio.open_nursery() as both:
            both.start_soon(one.say, VOICED)
            both.start_soon(other.say, VOICED)

    assert max(models.batches) == 2
    assert sum(models.batches) == 2 * (len(VOICED + bytes(40 * 960)) // (3 * HOP_BYTES))


async def test_a_spoken_turn_is_answered(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    async with running(backend), calling(backend) as caller:
        await caller.say(VOICED)
        await caller.wait_for("response.done")

    assert caller.matched == ["address"]


async def test_an_unknown_script_is_refused_with_the_known_ones(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    async with running(backend):
        with pytest.raises(SessionRefused, match="no script 'pizza'; there are: reception"):
            async with backend.connect(Agent(name="agent", script="pizza")):
                pytest.fail("connected")


async def test_a_folder_of_scripts_adds_to_the_shipped_ones(autojump_clock: Clock, tmp_path):
    text = 'start = "a"\n[states.a]\nprompt = "Pizza here."\nexpect = ["order"]\n'
    text += '[intents.order]\nphrases = ["order"]\nanswer = "Yes."\n'
    (tmp_path / "pizza.toml").write_text(text)
    backend = fake_backend(FakeModels(), EmbeddedSettings(scripts=str(tmp_path)))

    async with running(backend), calling(backend, Agent(name="agent", script="pizza")) as caller:
        await caller.send("response.create")
        await caller.wait_for("response.done")

    assert caller.transcripts == ["Pizza here."]


def test_a_script_with_a_mistake_is_found_when_the_backend_is_made(tmp_path):
    (tmp_path / "pizza.toml").write_text("start = 5")

    with pytest.raises(ScriptError, match=r"pizza\.toml"):
        fake_backend(FakeModels(), EmbeddedSettings(scripts=str(tmp_path)))


async def test_a_missing_part_refuses_every_call_by_name(autojump_clock: Clock):
    def load() -> FakeModels:
        raise SessionRefused("the embedded voice lacks hibari-tts: pip install 'voice-gateway[embedded]'")

    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=load)

    with capture_logs() as logs:
        async with running(backend):
            with pytest.raises(SessionRefused, match="hibari-tts"):
                async with backend.connect(Agent(name="agent")):
                    pytest.fail("connected")

    assert [entry["event"] for entry in logs] == ["models.missing"]


async def test_a_call_before_the_models_are_loaded_waits_a_while(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    with pytest.raises(SessionLost, match="were not loaded within"):
        async with backend.connect(Agent(name="agent")):
            pytest.fail("connected")


async def test_who_waits_for_the_models_goes_on_when_they_are_there_or_cannot_be_had(autojump_clock: Clock):
    def missing() -> FakeModels:
        raise SessionRefused("no wheel")

    there, refused, never = (
        fake_backend(FakeModels()),
        EmbeddedBackend(EmbeddedSettings(), inline, load=missing),
        fake_backend(FakeModels()),
    )

    async with running(there), running(refused):
        await there.loaded()
        await refused.loaded()
        at_once_s = trio.current_time()
        await never.loaded()

    assert trio.current_time() - at_once_s == 20


async def test_that_the_models_are_loaded_is_logged(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    with capture_logs() as logs:
        async with running(backend), calling(backend) as caller:
            await caller.wait_for("session.created")

    assert [entry["event"] for entry in logs] == ["models.loaded"]


async def test_any_voice_will_do_and_is_told_once_which_one_it_is(autojump_clock: Clock):
    log = structlog.get_logger()
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=FakeModels, log=log)

    with capture_logs() as logs:
        async with running(backend):
            for _ in range(2):
                async with calling(backend, Agent(name="agent", voice="marin")):
                    pass

    assert [entry for entry in logs if entry["event"] == "voice.replaced"] == [
        {"event": "voice.replaced", "asked": "marin", "used": "heart", "log_level": "info"}
    ]


async def test_prompts_that_never_change_are_made_before_anybody_needs_them(autojump_clock: Clock):
    models = FakeModels()

    async with running(fake_backend(models)):
        await trio.sleep(1)

    assert "For how many people?" in models.said
    assert "How can I help you?" in models.said


async def test_a_text_can_be_spoken_without_a_call(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    async with running(backend):
        pcm = await backend.synthesize("Good morning.", None)

    assert len(pcm) == 48 * 100


async def test_a_silent_caller_is_spoken_to_though_nothing_comes_in(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    detection = {"type": "server_vad", "idle_timeout_ms": 6000}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}

    async with running(backend), calling(backend) as caller:
        await caller.send("session.update", session=session)
        await caller.send("response.create")
        await caller.wait_for("response.done")
        await trio.sleep(6.5)

    assert "input_audio_buffer.timeout_triggered" in caller.types


async def test_a_model_that_breaks_ends_the_call_that_asked_and_no_other(autojump_clock: Clock):
    models = FakeModels()
    backend = fake_backend(models)

    async with running(backend), calling(backend) as other:
        models.fails = True
        with pytest.raises(RuntimeError, match="the model broke"):
            async with calling(backend) as caller:
                await caller.say(VOICED, pause_s=5)
        models.fails = False
        await other.say(VOICED)
        await other.wait_for("response.done")

    assert other.matched == ["address"]


async def test_a_client_that_does_not_read_loses_its_connection(autojump_clock: Clock):
    backend = fake_backend(FakeModels())

    async with running(backend), backend.connect(Agent(name="agent")) as connection:
        for _ in range(1024):
            await connection.send("{}")

        with pytest.raises(SessionLost, match="were not read"):
            await connection.send("{}")


async def test_speech_is_not_made_ahead_of_a_client_that_reads_slowly(autojump_clock: Clock):
    models = FakeModels()
    backend = fake_backend(models)
    say = " ".join(f"This is sentence {number} of many." for number in range(500))

    async with running(backend), backend.connect(Agent(name="agent")) as connection:
        await trio.sleep(1)
        rehearsed = len(models.said)
        await connection.send(json.dumps({"type": "response.create", "response": {"metadata": {"say": say}}}))
        await trio.sleep(10)
        made = len(models.said) - rehearsed
        for _ in range(100):
            await connection.receive()
        await trio.sleep(10)
        more = len(models.said) - rehearsed

    assert made < 100
    assert made < more < 200


async def test_a_long_answer_lets_others_run_between_its_events(autojump_clock: Clock):
    backend = fake_backend(FakeModels())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with running(backend), backend.connect(Agent(name="agent")) as connection:
        for _ in range(200):
            await connection.send("{}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(200):
                await connection.receive()
            nursery.cancel_scope.cancel()

    assert turns > 100


async def test_a_backend_without_calls_does_nothing(autojump_clock: Clock):
    models = FakeModels()

    async with running(fake_backend(models)):
        await trio.sleep(3600)  # a loop that woke up every few milliseconds would take minutes

    assert models.batches == []


@needs_models
async def test_a_table_is_booked_by_telephone(autojump_clock: Clock):
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)
    lines = (
        "I would like to book a table for four.",
        "On Friday.",
        "At half past seven.",
        "Yes, that is right.",
    )

    async with running(backend), calling(backend) as caller:
        await caller.send("session.update", session={"type": "realtime", "tools": TOOLS})
        await caller.send("response.create")
        await caller.wait_for("response.done")
        for count, line in enumerate(lines, 2):
            await caller.say(spoken_on_the_phone(line))
            await caller.wait_for("response.done", count)

    (call,) = (event for event in caller.events if event["type"] == "response.function_call_arguments.done")
    assert caller.matched == [None, "book", "day", "time", "yes"]
    assert call["name"] == "book_table"
    assert json.loads(call["arguments"]) == {"party_size": 4, "day": "friday", "time": "19:30"}


@needs_models
@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("What time do you close?", "hours"),
        ("Are you open on Sunday?", "hours"),
        ("Where are you located?", "address"),
        ("Do you have anything vegetarian?", "menu"),
        ("I'd like to reserve a table for four people tomorrow evening.", "book"),
        ("Could somebody call me back, please?", "message"),
        ("Can I talk to a human being?", "operator"),
        ("Thank you, goodbye.", "goodbye"),
    ],
)
async def test_a_wish_is_understood_by_telephone(autojump_clock: Clock, line: str, wish: str):
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)

    async with running(backend), calling(backend) as caller:
        await caller.say(spoken_on_the_phone(line))
        await caller.wait_for("response.done")

    assert caller.matched == [wish]


@needs_models
async def test_the_opening_hours_take_long_enough_to_be_interrupted(autojump_clock: Clock):
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)

    async with running(backend), calling(backend) as caller:
        await caller.press("1")
        await caller.wait_for("response.done")

    answer_s = len(caller.audio) / 48_000 - 2  # then it asks whether there is anything else
    assert 6 < answer_s < 9


@needs_models
async def test_the_answer_begins_within_a_second_of_the_last_word(autojump_clock: Clock):
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)

    async with running(backend), calling(backend) as caller:
        await caller.say(spoken_on_the_phone("What time do you close?"), pause_s=0)
        started_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.say, b"")
            await caller.wait_for("response.output_audio.delta")
        waited_s = trio.current_time() - started_at

    assert waited_s < 0.9  # of virtual time, in which models take none

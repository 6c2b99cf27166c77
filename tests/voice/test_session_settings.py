"""What a session is told to be: its voice, its formats, its language, and what it talks with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.config import ConfigError
from gateway.contracts import Agent, SessionRefused
from gateway.voice import VoiceSession
from gateway.voice.backends.echo import EchoBackend
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.realtime import RealtimeBackend
from gateway.voice.backends.scripted import ScriptedBackend
from gateway.voice.choice import choose
from gateway.voice.embedded.vad import SpeechStream
from gateway.voice.session import NotConnected, SessionState
from tests.voice.session_voices import QUESTION, SILENCE, SPEECH, openai, scripted
from tests.voice.voice_caller import inline


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_CONFIG", "GATEWAY_VOICE__BACKEND", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


async def configured(**options: Any) -> dict[str, Any]:
    """How a session asks the voice to be."""
    async with openai() as (backend, fake):
        async with VoiceSession(backend=backend, **options).connect():
            pass
    told: dict[str, Any] = fake.records[0].received_of("session.update")[0]["session"]
    return told | {"model": fake.requests[0].query}


# -- what the voice is told


async def test_voice_model_and_language_reach_the_server(autojump_clock: MockClock):
    told = await configured(model="gpt-realtime-mini", voice="marin", language="de")

    assert told["model"] == "model=gpt-realtime-mini"
    assert told["audio"]["output"]["voice"] == "marin"
    assert told["audio"]["input"]["transcription"]["language"] == "de"


async def test_so_do_those_of_an_agent(autojump_clock: MockClock):
    agent = Agent(name="a", instructions="Be brief.", voice="cedar", model="gpt-realtime-2.1", language="fr")
    told = await configured(agent=agent)

    assert told["model"] == "model=gpt-realtime-2.1"
    assert told["instructions"] == "Be brief."
    assert told["audio"]["output"]["voice"] == "cedar"
    assert told["audio"]["input"]["transcription"]["language"] == "fr"


async def test_where_an_agent_names_none_the_sessions_count(autojump_clock: MockClock):
    told = await configured(agent=Agent(name="a"), model="gpt-realtime-mini", voice="marin", language="es")

    assert told["model"] == "model=gpt-realtime-mini"
    assert told["audio"]["output"]["voice"] == "marin"
    assert told["audio"]["input"]["transcription"]["language"] == "es"


async def test_without_a_word_it_is_an_english_session(autojump_clock: MockClock):
    told = await configured()

    assert told["audio"]["output"]["voice"] == "alloy"
    assert told["audio"]["input"]["transcription"]["language"] == "en"
    assert told["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 800


# -- what is known of it


async def test_a_session_knows_what_it_is(autojump_clock: MockClock):
    session = VoiceSession(model="m", voice="v", backend=scripted(QUESTION))
    assert (session.model, session.voice, session.state) == ("m", "v", SessionState.IDLE)
    assert (session.is_connected, session.session_id, list(session.messages)) == (False, "", [])

    async with session.connect():
        assert (session.is_connected, session.state) == (True, SessionState.CONNECTED)
        assert session.session_id
        response = await session.respond(SPEECH)

    user, agent = session.messages
    assert (user.who, user.text, user.interrupted) == ("user", QUESTION, False)
    assert (agent.who, agent.text, agent.item_id) == ("agent", response.transcript, response.item_id)
    assert not session.is_connected
    assert session.session_id


# -- audio


def in_format(pcm: bytes, rate_hz: int, name: str) -> bytes:
    """24 000 Hz as something else, roughly."""
    from gateway.audio.g711 import CODECS
    from gateway.audio.resample import resampler

    pcm = resampler(24_000, rate_hz).feed(pcm)
    return pcm if name == "pcm16" else CODECS[name].encode(pcm)


FORMATS = [(24_000, "pcm16"), (16_000, "pcm16"), (8000, "pcm16"), (8000, "pcmu"), (8000, "pcma")]


@pytest.mark.parametrize(("rate_hz", "name"), FORMATS)
@pytest.mark.parametrize("wire", ["pcm", "pcmu"])
async def test_audio_goes_both_ways_in_each_format(
    autojump_clock: MockClock, rate_hz: int, name: str, wire: str
):
    bytes_per_ms = rate_hz * (2 if name == "pcm16" else 1) // 1000
    async with openai(audio=wire) as (backend, fake):
        session = VoiceSession(backend=backend)
        session.configure_audio(rate_hz, 1, name)
        async with session.connect():
            whole = await session.respond(in_format(SPEECH, rate_hz, name))
            await session.send_audio(in_format(SPEECH, rate_hz, name))
            chunks = [chunk.data async for chunk in session.stream_receive()]

    assert "Harbour Street" in whole.transcript
    assert len(whole.data) / bytes_per_ms == pytest.approx(whole.duration_ms, abs=3)
    assert len(b"".join(chunks)) == len(whole.data)
    sent_ms = fake.records[0].caller_bytes / 48  # as the server hears it
    assert sent_ms == pytest.approx(2 * 600, abs=10)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000])
async def test_the_rate_can_be_given_at_once(autojump_clock: MockClock, rate_hz: int):
    session = VoiceSession(sample_rate=rate_hz, backend=scripted(QUESTION))
    async with session.connect():
        response = await session.respond(in_format(SPEECH, rate_hz, "pcm16"))

    assert len(response.data) / (rate_hz // 500) == pytest.approx(response.duration_ms, abs=3)


async def test_the_format_can_be_changed_in_a_session(autojump_clock: MockClock):
    async with VoiceSession(backend=scripted(*[QUESTION] * len(FORMATS))).connect() as session:
        durations = []
        for rate_hz, name in FORMATS:
            session.configure_audio(sample_rate=rate_hz, channels=1, format=name)
            response = await session.respond(in_format(SPEECH, rate_hz, name))
            durations.append(len(response.data) / (rate_hz * (2 if name == "pcm16" else 1) // 1000))

    assert max(durations) - min(durations) < 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 44_100},
        {"sample_rate": 48_000},
        {"channels": 2},
        {"channels": 0},
        {"format": "mp3"},
        {"format": "pcmu"},
        {"sample_rate": 16_000, "format": "pcma"},
        {"sample_rate": "24000"},
    ],
    ids=str,
)
def test_what_does_not_work_is_told_with_what_does(wrong: dict[str, Any]):
    session = VoiceSession(backend=scripted())

    with pytest.raises(ValueError, match="what works is pcm16 at 8000, 16000 or 24000 Hz"):
        session.configure_audio(**wrong)


def test_a_wrong_format_changes_nothing():
    session = VoiceSession(backend=scripted())
    with pytest.raises(ValueError):
        session.configure_audio(channels=2)
    with pytest.raises(ValueError):
        VoiceSession(sample_rate=22_050, backend=scripted())

    async def main() -> str:
        async with session.connect():
            return (await session.respond(SPEECH)).status

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == "completed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.5},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"prefix_padding": -1},
        {"prefix_padding": 10_001},
        {"silence_duration": -1},
        {"silence_duration": float("inf")},
        {"silence_duration": 0.5},
    ],
    ids=str,
)
def test_turn_detection_has_ranges(wrong: dict[str, Any]):
    session = VoiceSession(backend=scripted())

    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*expected"):
        session.configure_turn_detection(**wrong)


async def test_the_silence_that_ends_a_turn_can_be_set(autojump_clock: MockClock):
    async with openai(commit_s=0) as (backend, _):
        session = VoiceSession(backend=backend)
        session.configure_turn_detection(silence_duration=200)
        ended_at: list[float] = []
        session.on("speech_ended")(lambda: ended_at.append(trio.current_time()))
        async with session.connect():
            began_at = trio.current_time()
            audio = SPEECH + SILENCE
            for at in range(0, len(audio), 960):
                await session.send_audio(audio[at : at + 960], commit=False)
                await trio.sleep(0.02)

    assert ended_at[0] - began_at == pytest.approx(0.6 + 0.2, abs=0.1)


# -- what it talks with


def test_without_a_word_it_is_the_embedded_voice():
    assert choose(None).traits == EmbeddedBackend.traits


@pytest.mark.parametrize(
    ("name", "kind"), [("echo", EchoBackend), ("scripted", ScriptedBackend), ("embedded", EmbeddedBackend)]
)
async def test_a_voice_has_a_name(name: str, kind: type):
    assert isinstance(choose(name).backend(), kind)


async def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWAY_VOICE__BACKEND", "echo")

    assert isinstance(choose(None).backend(), EchoBackend)


def test_the_file_names_it_and_has_its_settings():
    Path("gateway.toml").write_text(
        '[twilio]\nport = "none of our business"\n[voice]\nbackend = "scripted"\n'
        f'[voice.scripted]\nhears = ["{QUESTION}"]\n'
    )

    async def ask() -> str:
        async with VoiceSession().connect() as session:
            return (await session.respond(SPEECH)).transcript

    assert "Harbour Street" in trio.run(ask)


async def test_a_name_that_is_given_counts_more_and_has_the_files_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWAY_VOICE__BACKEND", "echo")
    monkeypatch.setenv("GATEWAY_VOICE__REALTIME__URL", "ws://127.0.0.1:9/v1/realtime")
    monkeypatch.setenv("GATEWAY_VOICE__REALTIME__AUDIO", "pcmu")

    choice = choose("realtime")

    assert isinstance(choice.backend(), RealtimeBackend)
    assert choice.traits.input.encoding == "pcmu"


def test_a_name_that_is_none_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"backend = 'embeded': .*embedded"):
        VoiceSession(backend="embeded")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GATEWAY_VOICE__BACKEND", "embeded", "embeded"),
        ("GATEWAY_VOICE__EMBEDDED__WORKERS", "many", "GATEWAY_VOICE__EMBEDDED__WORKERS"),
        ("GATEWAY_VOICE__NO_SUCH_KEY", "1", "GATEWAY_VOICE__NO_SUCH_KEY"),
        ("GATEWAY_VOICE__EMBEDDED__SCRIPTS", "/no/such/folder", "/no/such/folder"),
        ("GATEWAY_CONFIG", "/no/such/file.toml", "/no/such/file.toml"),
    ],
)
def test_settings_that_cannot_be_used_are_told_when_a_session_is_made(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
):
    monkeypatch.setenv(name, value)

    with pytest.raises((ConfigError, ValueError), match=told):
        VoiceSession()


def test_so_is_a_file_that_is_wrong():
    Path("gateway.toml").write_text("[voice]\nbackend = 5\n")

    with pytest.raises(ConfigError, match=r"gateway\.toml.*2"):
        VoiceSession()


def test_a_hosted_voice_without_a_key_is_told_when_a_session_is_made():
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        VoiceSession(backend="realtime")


def test_a_voice_that_is_given_needs_no_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWAY_VOICE__BACKEND", "embeded")

    assert VoiceSession(backend=scripted()).state is SessionState.IDLE


async def test_a_script_that_there_is_not_is_refused(autojump_clock: MockClock):
    session = VoiceSession(agent=Agent(name="a", script="pizza"), backend=scripted())

    with pytest.raises(SessionRefused, match="no script 'pizza'"):
        await session.connect()


# -- several sessions


async def test_sessions_share_an_embedded_voice_with_the_same_settings():
    one, same = choose(None), choose("embedded")

    assert one.backend() is same.backend()


async def test_with_other_settings_it_is_another_one(monkeypatch: pytest.MonkeyPatch):
    one = choose(None).backend()
    monkeypatch.setenv("GATEWAY_VOICE__EMBEDDED__WORKERS", "2")

    assert choose(None).backend() is not one


async def test_the_models_are_loaded_once(autojump_clock: MockClock):
    loaded: list[Models] = []

    def load() -> Models:
        loaded.append(Models())
        return loaded[-1]

    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=load)
    for _ in range(2):
        async with VoiceSession(backend=backend).connect() as one:
            async with VoiceSession(backend=backend).connect() as other:
                assert (await other.respond(SPEECH)).status == "completed"
            assert (await one.respond(SPEECH)).status == "completed"

    assert len(loaded) == 1


async def test_one_that_is_cancelled_while_they_are_loaded_leaves_it_to_the_next(autojump_clock: MockClock):
    async def slowly(blocking: Any, /, *args: Any, limiter: Any = None) -> Any:
        await trio.sleep(1 if blocking is Models else 0)
        return blocking(*args)

    backend = EmbeddedBackend(EmbeddedSettings(), slowly, load=Models)

    async def give_up() -> None:
        with trio.move_on_after(0.5):
            await VoiceSession(backend=backend).connect()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        await trio.testing.wait_all_tasks_blocked()
        async with VoiceSession(backend=backend).connect() as session:
            assert (await session.respond(SPEECH)).status == "completed"


@pytest.mark.parametrize("ends_after_s", [0.2, 0.305, 0.31, 0.317, 0.4, 0.9])
async def test_the_end_of_one_does_not_disturb_another(autojump_clock: MockClock, ends_after_s: float):
    """Also while what they said is judged together, which takes its time."""

    async def slowly(blocking: Any, /, *args: Any, limiter: Any = None) -> Any:
        await trio.sleep(0.012)
        return blocking(*args)

    backend = EmbeddedBackend(EmbeddedSettings(), slowly, load=Models)
    audio = SPEECH + SILENCE
    first = VoiceSession(backend=backend)
    await first.connect()

    async def end() -> None:
        await trio.sleep(ends_after_s)
        await first.disconnect()

    async with VoiceSession(backend=backend).connect() as second, trio.open_nursery() as nursery:
        nursery.start_soon(end)
        nursery.start_soon(first_speaks, first)
        for at in range(0, len(audio), 960):
            await second.send_audio(audio[at : at + 960], commit=False)
            await trio.sleep(0.02)
        utterance = await second.listen(timeout=2)

    assert len(utterance) == 1408 * 48  # 600 ms of speech in 19 hops, and 800 of silence in 25


async def first_speaks(session: VoiceSession) -> None:
    try:
        while True:
            await session.send_audio(SPEECH[:960], commit=False)
            await trio.sleep(0.02)
    except NotConnected:
        pass


async def test_the_embedded_voice_takes_any_name_and_says_once_which_it_uses(autojump_clock: MockClock):
    backend = EmbeddedBackend(EmbeddedSettings(), inline, load=Models)
    with capture_logs() as logs:
        for _ in range(2):
            async with VoiceSession(voice="marin", backend=backend).connect():
                pass

    told = [entry for entry in logs if entry["event"] == "voice.replaced"]
    assert [(entry["asked"], entry["used"]) for entry in told] == [("marin", "heart")]


class Models:
    """Hears the question, and speaks silence."""

    def detect(self, streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
        return [float(any(hop)) for hop in hops]

    def transcribe(self, pcm: bytes) -> str:
        return QUESTION

    def synthesize(self, text: str) -> bytes:
        return bytes(4800)

    def remembered(self, text: str) -> bytes | None:
        return bytes(4800)

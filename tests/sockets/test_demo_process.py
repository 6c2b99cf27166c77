"""`gateway demo` from outside: the whole of it once, and what it says of recordings that it cannot use."""

import re
import wave
from pathlib import Path

import pytest

from gateway.building import build_core
from gateway.traces import replay
from tests.sockets.gateway_process import run_gateway
from tests.voice.offline import needs_models

_REAL_TIME_S = 120  # the recorded caller talks for 40 s


@needs_models
async def test_the_demonstration_shows_both_sides_a_latency_an_interruption_and_an_exact_replay(
    tmp_path: Path,
):
    """Slow: a call of some 40 s in real time, with the real models."""
    done = await run_gateway(
        "demo",
        "--exit",
        folder=tmp_path,
        longest_s=_REAL_TIME_S,
        variables={"GATEWAY_VOICE__BACKEND": "embedded"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(
        r" s  agent   Thank you for calling the Harbour Kitchen\. How can I help you\?", done.stdout
    )
    assert re.search(r" s  caller  .*opening hours", done.stdout)
    assert re.search(r" s  agent   We are open from Tuesday to Sunday", done.stdout)
    assert re.search(r"the caller interrupts; the agent was cut after \d+\.\d s: “We are open", done.stdout)
    assert "understood as: hours" in done.stdout
    assert "understood as: book" in done.stdout
    latencies_s = [float(found) for found in re.findall(r"first audio (\d+\.\d\d) s after", done.stdout)]
    assert len(latencies_s) >= 4
    assert 0 < min(latencies_s) < 1.5
    (folder,) = (tmp_path / "calls").glob("2*")
    assert re.search(rf"^replayed      calls/{folder.name}: identical", done.stdout, re.MULTILINE)
    assert replay(folder, build_core).identical


def silent_wav(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000))


def text_file(path: Path) -> None:
    path.write_text("Hello, what are your opening hours?\n")


def missing_file(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (missing_file, "No such file or directory"),
        (text_file, "no WAV file, it begins with b'Hello"),
        (silent_wav, "nobody speaks in it; a recording of speech would be right"),
    ],
)
async def test_a_recording_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, make, told: str):
    make(tmp_path / "caller.wav")

    done = await run_gateway("demo", "--exit", "--caller", "caller.wav", folder=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: --caller caller.wav: "), done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


async def test_without_a_folder_for_calls_there_is_nothing_to_show(tmp_path: Path):
    done = await run_gateway("demo", "--exit", folder=tmp_path, variables={"GATEWAY_CALLS__FOLDER": ""})

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: calls.folder is empty")

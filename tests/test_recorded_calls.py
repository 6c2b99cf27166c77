"""The calls in tests/traces were recorded with this gateway. A change of what a core answers shows up here first.

What they are is said in ops/recorded_calls.py; `python -m ops.record_traces` records them anew.
`gateway replay --accept FOLDER` rewrites what is expected, once somebody has seen that the difference is meant.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.building import build_core
from gateway.cli import main
from gateway.traces import replay, report_lines
from gateway.traces.format import OUTPUTS, OUTPUTS_AUDIO, TRACE
from ops.recorded_calls import CALLS

TRACES = sorted(path.parent for path in (Path(__file__).parent / "traces").glob(f"*/{TRACE}"))

# A word of an output of the call `keys`, and another one of the same length.
WORD, OTHER_WORD = b"response.create", b"response.creatr"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(Path(__file__).parent / "traces" / name, folder)
        return folder

    return copy


def plant(folder: Path) -> int:
    """Change one byte of an output; the number of the entry that it answers."""
    lines = (folder / OUTPUTS).read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if WORD in line)
    lines[at] = lines[at].replace(WORD, OTHER_WORD, 1)
    (folder / OUTPUTS).write_bytes(b"".join(lines))
    seq, _output = msgspec.json.decode(lines[at])
    return int(seq)


def facts_in(folder: Path) -> list[str]:
    lines = (folder / OUTPUTS).read_bytes().splitlines()
    outputs = [msgspec.json.decode(line)[1] for line in lines]
    return [output["name"] for output in outputs if output["type"] == "fact"]


def test_there_are_recorded_calls():
    assert {folder.name for folder in TRACES} >= set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_shows_what_it_was_made_for_and_its_voice_complained_of_nothing(name: str):
    facts = facts_in(Path(__file__).parent / "traces" / name)

    assert set(CALLS[name].shows) <= set(facts)
    assert "voice.troubled" not in facts


@pytest.mark.parametrize("folder", TRACES, ids=lambda folder: folder.name)
def test_a_recorded_call_replays_identical(folder: Path):
    verdict = replay(folder, build_core)

    assert verdict.identical, "\n".join(report_lines(verdict))


def test_identical_calls_are_told_each_on_a_line_and_end_with_0():
    done = run(*TRACES)

    assert done.exit_code == 0
    assert [line.partition(" (")[0] for line in done.output.splitlines()] == [
        f"{folder}: identical" for folder in TRACES
    ]


def test_a_changed_byte_is_told_with_time_port_and_both_outputs_and_ends_with_1(copy: Callable[[str], Path]):
    folder = copy("keys")
    seq = plant(folder)

    done = run(folder)

    assert done.exit_code == 1
    first, at, expected, got, *_ = done.output.splitlines()
    assert first.startswith(f"{folder}: differs after ")
    assert re.fullmatch(rf"  at entry {seq}, \d+\.\d{{6}} s, (carrier|voice|tick|request|control)", at)
    assert expected.startswith("  expected  ")
    assert OTHER_WORD.decode() in expected
    assert got.startswith("  got       ")
    assert WORD.decode() in got


def test_a_changed_byte_of_audio_is_told_with_its_place(copy: Callable[[str], Path]):
    folder = copy("echo")
    audio = bytearray((folder / OUTPUTS_AUDIO).read_bytes())
    audio[100] ^= 1
    (folder / OUTPUTS_AUDIO).write_bytes(audio)

    done = run(folder)

    assert done.exit_code == 1
    assert re.search(
        rf"  audio differs first at byte \d+: expected 0x{audio[100]:02x}, got 0x{audio[100] ^ 1:02x}",
        done.output,
    )


def test_one_call_of_several_that_differs_does_not_hide_the_others_and_ends_with_1(
    copy: Callable[[str], Path],
):
    folders = [copy("keys"), copy("goodbye"), copy("echo")]
    plant(folders[0])

    done = run(*folders)

    assert done.exit_code == 1
    verdicts = [line for line in done.output.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in verdicts] == ["differs", "identical", "identical"]


def test_accepting_shows_the_difference_rewrites_it_and_ends_with_0(copy: Callable[[str], Path]):
    folder = copy("keys")
    recorded = {path.name: path.read_bytes() for path in folder.iterdir()}
    plant(folder)

    accepted = run("--accept", folder)
    again = run(folder)

    assert accepted.exit_code == 0
    assert "; accepted: " in accepted.output.splitlines()[0]
    assert OTHER_WORD.decode() in accepted.output
    assert again.exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == recorded


def test_a_folder_that_is_no_recorded_call_is_unreadable_and_ends_with_1(tmp_path: Path):
    done = run(tmp_path)

    assert done.exit_code == 1
    assert done.output.startswith(f"{tmp_path}: unreadable: ")


def test_a_folder_that_is_not_there_ends_with_2(tmp_path: Path):
    assert run(tmp_path / "none").exit_code == 2

import stat
from pathlib import Path

import pytest

from gateway.contracts import Output, VoiceMessage
from gateway.traces import Header, Outcome, accept, replay, report_lines
from gateway.traces.format import OUTPUTS, OUTPUTS_AUDIO, TRACE
from tests.traces_tests.toy_call import ToyCore, recorded


class LouderCore(ToyCore):
    """Answers other audio than the toy core, of another length."""

    def drain(self) -> list[Output]:
        return [
            VoiceMessage(output.data.replace('"audio":"', '"audio":"AAAA'), 20)
            if isinstance(output, VoiceMessage)
            else output
            for output in super().drain()
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded(tmp_path / "call")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_accepting_returns_the_first_difference_and_makes_the_call_identical(folder: Path) -> None:
    verdict = accept(folder, LouderCore)

    assert (verdict.outcome, verdict.accepted) == (Outcome.DIFFERS, True)
    assert verdict.difference is not None
    assert verdict.difference.seq == 0
    assert replay(folder, LouderCore).identical
    assert "; accepted: " in report_lines(verdict)[0]


def test_accepting_leaves_the_trace_alone_and_no_file_behind(folder: Path) -> None:
    before = contents(folder)

    accept(folder, LouderCore)

    assert contents(folder)[TRACE] == before[TRACE]
    assert contents(folder).keys() == before.keys()
    assert stat.S_IMODE((folder / OUTPUTS).stat().st_mode) == 0o600


def test_what_was_recorded_is_what_accepting_writes(folder: Path) -> None:
    before = contents(folder)
    accept(folder, LouderCore)

    accept(folder, ToyCore)

    assert contents(folder) == before


def test_an_identical_call_is_not_rewritten(folder: Path) -> None:
    inodes = [path.stat().st_ino for path in sorted(folder.iterdir())]

    verdict = accept(folder, ToyCore)

    assert (verdict.outcome, verdict.accepted) == (Outcome.IDENTICAL, False)
    assert [path.stat().st_ino for path in sorted(folder.iterdir())] == inodes


def test_a_core_that_raises_is_not_accepted(folder: Path) -> None:
    class BrokenCore(LouderCore):
        def feed(self, port: object, data: str | bytes, now: float) -> None:
            super().feed(port, data, now)  # type: ignore[arg-type]
            if len(self.fed) == 150:
                raise ZeroDivisionError("no frame left")

    before = contents(folder)

    verdict = accept(folder, BrokenCore)

    assert not verdict.accepted
    assert verdict.problem == "the core raised at entry 149: ZeroDivisionError: no frame left"
    assert contents(folder) == before


def test_an_unreadable_trace_is_not_accepted(folder: Path) -> None:
    (folder / TRACE).write_text('{"format":9}\n')
    before = contents(folder)

    verdict = accept(folder, LouderCore)

    assert (verdict.outcome, verdict.accepted) == (Outcome.UNREADABLE, False)
    assert contents(folder) == before


def test_a_trace_damaged_behind_the_difference_is_not_accepted(folder: Path) -> None:
    (folder / TRACE).write_bytes(
        (folder / TRACE).read_bytes().replace(b'[103,520000,"tick"]', b'[103,"tick"]')
    )
    before = contents(folder)

    verdict = accept(folder, LouderCore)

    assert not verdict.accepted
    assert verdict.problem.startswith("trace.jsonl line 105: ")
    assert contents(folder) == before


def test_new_files_left_by_a_crash_are_replaced(folder: Path) -> None:
    (folder / f"{OUTPUTS}.new").write_text("half")
    (folder / f"{OUTPUTS_AUDIO}.new").write_text("half")

    accept(folder, LouderCore)

    assert replay(folder, LouderCore).identical
    assert len(contents(folder)) == 4


def test_after_a_crash_between_the_two_renames_accepting_again_repairs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_replace = Path.replace

    def crash_at_the_second(path: Path, target: Path) -> Path:
        if target.name == OUTPUTS:
            raise KeyboardInterrupt
        return really_replace(path, target)

    monkeypatch.setattr(Path, "replace", crash_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        accept(folder, LouderCore)
    monkeypatch.undo()

    assert accept(folder, LouderCore).accepted
    assert replay(folder, LouderCore).identical


def test_an_unfinished_trace_can_be_accepted(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)

    verdict = accept(folder, LouderCore)

    assert (verdict.accepted, verdict.finished) == (True, False)
    assert replay(folder, LouderCore).outcome is Outcome.UNFINISHED


def test_another_header_is_another_core(folder: Path) -> None:
    def build_core(header: Header) -> LouderCore:
        return LouderCore(header)

    assert accept(folder, build_core).accepted

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.contracts import Output
from gateway.traces import Outcome, replay
from gateway.traces.format import TRACE, TRACE_AUDIO
from gateway.traces.reader import Trace, TraceUnreadable
from tests.traces_tests.toy_call import HEADER, ToyCore, inputs, recorded


def read(folder: Path) -> int:
    with Trace(folder) as trace:
        return sum(1 for _ in trace.entries())


def edit(path: Path, old: bytes, new: bytes) -> None:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def test_a_closed_trace_is_finished(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call")

    with Trace(folder) as trace:
        assert trace.finished
        assert trace.header == HEADER


def test_a_trace_without_its_end_marker_is_unfinished(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)

    with Trace(folder) as trace:
        assert not trace.finished
    assert read(folder) == len(inputs())


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", finish=False)
    (folder / TRACE).write_bytes((folder / TRACE).read_bytes()[:-3])

    assert read(folder) == len(inputs()) - 1


def test_a_torn_end_marker_leaves_an_unfinished_trace(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call")
    (folder / TRACE).write_bytes((folder / TRACE).read_bytes()[:-1])

    with Trace(folder) as trace:
        assert not trace.finished
    assert read(folder) == len(inputs())


def test_a_trace_cut_at_any_byte_is_unfinished_or_says_that_it_has_no_header(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", inputs()[:8])
    whole = (folder / TRACE).read_bytes()
    header_bytes = whole.index(b"\n") + 1

    for size in range(len(whole)):
        (folder / TRACE).write_bytes(whole[:size])
        verdict = replay(folder, ToyCore)

        assert verdict.outcome is (Outcome.UNREADABLE if size < header_bytes else Outcome.UNFINISHED)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_byte_changed_anywhere_gives_a_verdict_and_no_exception(tmp_path: Path, at: int, byte: int) -> None:
    folder = tmp_path / "call"
    if not folder.exists():
        recorded(folder, inputs()[:8])
        (tmp_path / "whole").write_bytes((folder / TRACE).read_bytes())
    damaged = bytearray((tmp_path / "whole").read_bytes())
    damaged[at % len(damaged)] = byte
    (folder / TRACE).write_bytes(damaged)

    assert replay(folder, ToyCore).outcome in Outcome


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b'{"format":1,', b'{"format":2,', "line 1: trace format 2, and this gateway reads format 1"),
        (b'{"format":1,', b'{"format":1 ', "line 1: no header"),
        (b'"seed":7', b'"seed":"x"', "line 1: header: Expected `int`"),
        (b'[3,20000,"tick"]', b'[3,20000,"tack"]', "line 5: Invalid enum value 'tack'"),
        (b'[3,20000,"tick"]', b'[3,20000,"tick"', "line 5: "),
        (b'[3,20000,"tick"]', b'[2,20000,"tick"]', "line 5: entry 2 stands behind entry 2"),
        (b'[3,20000,"tick"]', b'[3,20000,"tick","\xff"]', "line 5: "),
        (b'[3,20000,"tick"]\n', b"", "the end marker counts 200 entries, and 199 are there"),
        (b'{"end":200}', b'{"end":"x"}', "line 202: Expected `int`"),
        (b'{"end":200}\n', b'{"end":200}\n[201,1,"tick"]\n', "line 202: there is more behind the end marker"),
        (
            b'[3,20000,"tick"]',
            b'[3,0,"tick","",["bytes",0,99999999]]',
            "names audio that trace.audio does not",
        ),
        (
            b'[3,20000,"tick"]',
            b'[3,0,"tick","",["bytes",-5,2]]',
            "names audio that trace.audio does not have",
        ),
        (b'[3,20000,"tick"]', b'[3,0,"tick","",[7,0,2]]', "line 5: position 7 is outside"),
        (b'[3,20000,"tick"]', b'[3,0,"tick","",["words",0,2]]', "line 5: Invalid enum value 'words'"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, old: bytes, new: bytes, complaint: str) -> None:
    folder = recorded(tmp_path / "call")
    edit(folder / TRACE, old, new)

    with pytest.raises(TraceUnreadable) as caught:
        read(folder)

    assert str(caught.value).startswith("trace.jsonl line ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", [TRACE, TRACE_AUDIO])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = recorded(tmp_path / "call")
    (folder / name).unlink()

    with pytest.raises(TraceUnreadable, match=f"{name}: No such file"):
        Trace(folder)


def test_a_long_trace_is_read_in_bounded_memory(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "call", inputs(seconds=60))
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())

    tracemalloc.start()
    verdict = replay(folder, ForgetfulCore)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert verdict.identical
    assert size_bytes > 2_000_000
    assert peak_bytes < 1_500_000


class ForgetfulCore(ToyCore):
    """Keeps nothing of what it was fed."""

    def drain(self) -> list[Output]:
        self.fed.clear()
        return super().drain()

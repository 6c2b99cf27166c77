import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import Cut, Fact
from gateway.traces import Outcome, Recorder, replay
from gateway.traces.format import OUTPUTS, OUTPUTS_AUDIO, TRACE, TRACE_AUDIO
from gateway.traces.reader import Trace
from gateway.traces.recorder import BACKLOG_BYTES
from tests.traces_tests.toy_call import HEADER, ToyCore, frame, inline, inputs, record

ALL_FILES = {TRACE, TRACE_AUDIO, OUTPUTS, OUTPUTS_AUDIO}


def entries(folder: Path) -> list[tuple[int, int, str, str | bytes]]:
    with Trace(folder) as trace:
        return [(entry.seq, entry.t_us, entry.port, data) for entry, data in trace.entries()]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_on_disk_before_the_first_flush(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)

    recorder.input(0, 0, "tick")

    assert not (tmp_path / "call").exists()


async def test_a_flush_makes_all_files_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "call"

    await Recorder(folder, HEADER).flush(inline)

    assert {path.name for path in folder.iterdir()} == ALL_FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_what_was_fed_is_read_back_in_the_same_order(tmp_path: Path) -> None:
    await record(tmp_path / "call", inputs())

    assert entries(tmp_path / "call") == [(seq, *fed) for seq, fed in enumerate(inputs())]


async def test_the_header_is_read_back(tmp_path: Path) -> None:
    await record(tmp_path / "call", [])

    with Trace(tmp_path / "call") as trace:
        assert trace.header == HEADER


@settings(max_examples=25, deadline=None)
@given(
    fed=st.lists(
        st.tuples(
            st.integers(0, 10**10),
            st.sampled_from(["carrier", "voice", "command", "tick"]),
            st.text(st.characters(codec=None)) | st.binary() | st.integers(0, 9).map(frame),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_any_data_and_any_split_into_flushes_give_the_same_trace(fed: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "call"

        async def main() -> None:
            recorder = Recorder(folder, HEADER)
            for seq, (t_us, port, data, flush) in enumerate(fed):
                recorder.input(seq, t_us, port, data)
                if flush:
                    await recorder.flush(inline)
            await recorder.close(inline)

        trio.run(main)

        assert entries(folder) == [(seq, t_us, port, data) for seq, (t_us, port, data, _) in enumerate(fed)]


async def test_every_entry_on_disk_has_its_outputs_on_disk_after_every_single_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, verdicts = tmp_path / "call", []
    really_open = os.open

    def open_and_look(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if flags & os.O_APPEND and (folder / TRACE).exists():
            verdicts.append(replay(folder, ToyCore).outcome)
        return really_open(path, flags, *args, **named)

    monkeypatch.setattr(os, "open", open_and_look)
    await record(folder, inputs(), finish=False)

    assert len(verdicts) > 20
    assert set(verdicts) == {Outcome.UNFINISHED}


async def test_a_clip_of_several_megabytes_is_recorded(tmp_path: Path) -> None:
    clip = frame(1, size_bytes=5_000_000)

    await record(tmp_path / "call", [(0, "command", clip)])

    assert entries(tmp_path / "call") == [(0, 0, "command", clip)]


async def test_a_flush_cancelled_before_its_thread_starts_loses_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    recorder.input(0, 0, "voice", "first")

    async def cancelled(_: Callable[..., object], *__: Any) -> None:
        scope.cancel()
        await trio.lowlevel.checkpoint()

    with trio.CancelScope() as scope:
        await recorder.flush(cancelled)
    recorder.input(1, 1, "voice", "second")
    await recorder.close(inline)

    assert scope.cancelled_caught
    assert entries(tmp_path / "call") == [(0, 0, "voice", "first"), (1, 1, "voice", "second")]


async def test_closing_waits_for_the_flush_under_way(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    recorder.input(0, 0, "voice", "first")
    writing: list[str] = []

    async def slow(run: Callable[..., object], *args: Any) -> None:
        writing.append("begin")
        await trio.sleep(1)
        run(*args)
        writing.append("end")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.flush, slow)
        await trio.testing.wait_all_tasks_blocked()
        recorder.input(1, 1, "voice", "second")
        nursery.start_soon(recorder.close, slow)

    assert writing == ["begin", "end", "begin", "end"]
    assert [entry[3] for entry in entries(tmp_path / "call")] == ["first", "second"]


async def test_nothing_is_written_behind_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    await recorder.flush(inline)
    really_open, failures = os.open, [OSError(errno.EIO, "I/O error")]

    def fail_once(*args: Any, **named: Any) -> int:
        if failures:
            raise failures.pop()
        return really_open(*args, **named)

    async def cancelled(*_: Any) -> None:
        scope.cancel()
        await trio.lowlevel.checkpoint()

    recorder.input(0, 0, "voice", "lost")
    with trio.CancelScope() as scope:
        await recorder.flush(cancelled)
    recorder.input(1, 1, "voice", "behind the gap")
    monkeypatch.setattr(os, "open", fail_once)
    await recorder.close(inline)
    monkeypatch.undo()

    assert recorder.failed is not None
    assert entries(tmp_path / "call") == []


async def test_after_closing_nothing_is_noted(tmp_path: Path) -> None:
    recorder = await record(tmp_path / "call", [(0, "tick", "")])

    recorder.input(1, 1, "tick")
    recorder.output(1, Cut())
    await recorder.close(inline)

    assert len(entries(tmp_path / "call")) == 1
    assert (tmp_path / "call" / OUTPUTS).read_bytes() == b""


async def test_a_file_that_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / OUTPUTS).write_text("mine")

    recorder = await record(tmp_path, inputs())

    assert recorder.failed == "outputs.jsonl: File exists"
    assert (tmp_path / OUTPUTS).read_text() == "mine"


async def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "call"
    folder.mkdir()
    (folder / TRACE).symlink_to(tmp_path / "elsewhere")

    recorder = await record(folder, inputs())

    assert recorder.failed == "trace.jsonl: File exists"
    assert not (tmp_path / "elsewhere").exists()


async def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    await recorder.flush(inline)
    (tmp_path / "call" / TRACE).rename(tmp_path / "elsewhere")
    (tmp_path / "call" / TRACE).symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()

    recorder.input(0, 0, "tick")
    await recorder.flush(inline)

    assert recorder.failed == "trace.jsonl: Too many levels of symbolic links"
    assert (tmp_path / "elsewhere").read_bytes() == before


async def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "call").symlink_to(tmp_path / "elsewhere")

    recorder = await record(tmp_path / "call", inputs())

    assert recorder.failed is not None
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_disk_that_is_full_stops_the_recording_and_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    await recorder.flush(inline)

    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "trace.audio")

    monkeypatch.setattr(os, "open", full)
    recorder.input(0, 0, "carrier", frame(0))
    await recorder.flush(inline)
    recorder.input(1, 20_000, "tick")
    recorder.output(1, Cut())
    await recorder.close(inline)
    monkeypatch.undo()

    assert recorder.failed == "trace.audio: No space left on device"
    assert entries(tmp_path / "call") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_write_that_fails_stops_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    really_open = os.open

    def open_full(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if path == TRACE_AUDIO:
            return really_open("/dev/full", os.O_WRONLY)
        return really_open(path, flags, *args, **named)

    monkeypatch.setattr(os, "open", open_full)
    recorder.input(0, 0, "carrier", frame(0))
    await recorder.flush(inline)

    assert recorder.failed is not None
    assert "No space left" in recorder.failed


async def test_a_folder_that_disappears_stops_the_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    await recorder.flush(inline)
    (tmp_path / "call").rename(tmp_path / "gone")

    recorder.input(0, 0, "tick")
    await recorder.flush(inline)

    assert recorder.failed is not None
    assert "No such file" in recorder.failed
    assert not (tmp_path / "call").exists()


async def test_a_disk_that_stands_still_costs_bounded_memory(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    megabyte = bytes(2**20)

    for seq in range(BACKLOG_BYTES // 2**20 + 1):
        recorder.input(seq, seq, "carrier", megabyte)

    assert recorder.failed == "the disk did not keep up"


async def test_what_was_flushed_does_not_count_as_backlog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.traces.recorder.BACKLOG_BYTES", 10_000)

    recorder = await record(tmp_path / "call", inputs(), flush_every=10)

    assert recorder.failed is None
    assert len(entries(tmp_path / "call")) == len(inputs())


async def test_an_output_that_json_cannot_hold_stops_the_recording_and_not_the_call(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", HEADER)
    recorder.input(0, 0, "tick")

    recorder.output(0, Fact("odd.seen", {"it": object()}))

    assert recorder.failed is not None
    assert "JSON" in recorder.failed


async def test_no_file_stays_open_between_flushes(tmp_path: Path) -> None:
    before = open_files()

    recorder = await record(tmp_path / "call", inputs(), finish=False)

    assert recorder.failed is None
    assert open_files() == before

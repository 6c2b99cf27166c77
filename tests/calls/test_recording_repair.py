"""Recordings of calls whose gateway died: repaired at the next start, or left as they are."""

import os
import random
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog
from structlog.testing import CapturingLogger

from gateway.calls.record import CallRecord
from gateway.calls.recording import Recording, wav_header
from gateway.calls.repair import repair_recordings
from gateway.media.stereo import RATE_HZ, StereoMix
from gateway.testing.live import inline
from gateway.traces import Header, Recorder

CALL = "20261122T100000Z-0fe045fc"
FRAME = np.array([7, -7], "<i2").tobytes()

HEADER = Header(
    call_id=CALL,
    carrier="twilio",
    backend="echo",
    caller="tel:aaaaaaaaaa",
    called="tel:bbbbbbbbbb",
    plan={"name": "reception", "steps": []},
    agents={},
    settings={"carrier_call": "CA1", "call": {}},
    seed=7,
    wall_time="2026-11-22T10:00:00+00:00",
    gateway_version="0.1.0",
)


class Log:
    """What was logged: event and fields."""

    def __init__(self) -> None:
        self._lines = CapturingLogger()
        self.bound = structlog.wrap_logger(
            self._lines, processors=[lambda _logger, _level, fields: ((), fields)]
        )

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Level, event and call of each line."""
        return [(line.method_name, line.kwargs["event"], line.kwargs["call"]) for line in self._lines.calls]

    @property
    def details(self) -> list[str]:
        return [line.kwargs["detail"] for line in self._lines.calls if "detail" in line.kwargs]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """The folder of a call, empty."""
    folder = tmp_path / CALL
    folder.mkdir()
    return folder


@contextmanager
def recorder(folder: Path, flushes: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that records a call into `folder`; killed at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.calls.crashing_recording", str(folder), str(flushes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def samples(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """The two sides of a recording, as a reader of WAV files has them."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE_HZ)
        pcm = file.readframes(file.getnframes())
        assert len(pcm) == 4 * file.getnframes()
        return np.frombuffer(pcm, "<i2").reshape(-1, 2)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- a process that dies


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_process_leaves_a_recording_that_lacks_less_than_a_second(
    tmp_path: Path, call: Path, log: Log, seed: int
):
    dice = random.Random(seed)
    with recorder(call, 10_000_000) as child:
        assert child.stdout is not None
        for _ in range(dice.randrange(60, 2000)):
            said = child.stdout.readline()
        for _ in range(dice.randrange(20_000)):
            pass  # it goes on meanwhile, and dies between two writes or within one
        child.kill()
        *_, frames_fed = (said + child.stdout.read()).split()

    (repaired,) = repair_recordings(tmp_path, log.bound)

    caller = samples(call / "recording.wav")[:, 0]
    assert int(frames_fed) * 160 - len(caller) < RATE_HZ
    assert caller.tolist() == [(at // 160 + 1) % 10_000 for at in range(len(caller))]
    assert (repaired.call, repaired.duration_ms) == (CALL, round(len(caller) / 8))
    assert names(call) == ["recording.wav"]


def test_a_recording_that_another_process_writes_is_not_touched(tmp_path: Path, call: Path, log: Log):
    with recorder(call, 4) as child:
        assert child.stdout is not None
        assert "waits\n" in child.stdout
        before = (call / "recording.wav.part").read_bytes()

        assert repair_recordings(tmp_path, log.bound) == []
        assert names(call) == ["recording.wav.part"]
        assert (call / "recording.wav.part").read_bytes() == before
    assert log.lines == []

    (repaired,) = repair_recordings(tmp_path, log.bound)

    assert repaired.duration_ms == 2000


# -- what is repaired


def test_a_part_becomes_a_recording_of_whole_frames(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0) + 800 * FRAME + b"\x01\x02\x03")

    (repaired,) = repair_recordings(tmp_path, log.bound)

    assert (call / "recording.wav").read_bytes() == wav_header(3200) + 800 * FRAME
    assert (repaired.call, repaired.duration_ms) == (CALL, 100)
    assert ("info", "recording.repaired", CALL) in log.lines


def test_a_part_without_samples_becomes_an_empty_recording(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0))

    repair_recordings(tmp_path, log.bound)

    assert len(samples(call / "recording.wav")) == 0


def test_a_part_whose_header_was_completed_just_before_the_crash_is_repaired(
    tmp_path: Path, call: Path, log: Log
):
    (call / "recording.wav.part").write_bytes(wav_header(3200) + 800 * FRAME)

    repair_recordings(tmp_path, log.bound)

    assert len(samples(call / "recording.wav")) == 800


def test_what_is_repaired_is_not_repaired_again(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0) + 800 * FRAME)
    repair_recordings(tmp_path, log.bound)

    assert repair_recordings(tmp_path, log.bound) == []


async def test_a_recording_that_its_disk_ended_is_repaired_when_its_call_is_over(
    tmp_path: Path, call: Path, log: Log
):
    mix = StereoMix()
    recording = Recording(call, mix)
    mix.caller(bytes(2 * RATE_HZ), 1.0)
    await recording.flush(1.0, inline)
    for second in range(2, 63):  # nothing is written for a minute
        mix.caller(bytes(2 * RATE_HZ), float(second))

    assert repair_recordings(tmp_path, log.bound) == []
    await recording.close(63.0, inline)
    (repaired,) = repair_recordings(tmp_path, log.bound)

    assert repaired.duration_ms == 1000


# -- what is left as it is


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "no recording of a call"),
        (wav_header(0)[:43], "no recording of a call"),
        (b"RIFX" + wav_header(0)[4:] + FRAME, "no recording of a call"),
        (wav_header(0)[:22] + b"\x01" + wav_header(0)[23:] + FRAME, "no recording of a call"),
    ],
    ids=["empty", "a torn header", "another format", "one channel"],
)
def test_what_is_no_recording_is_left(tmp_path: Path, call: Path, log: Log, content: bytes, detail: str):
    (call / "recording.wav.part").write_bytes(content)

    assert repair_recordings(tmp_path, log.bound) == []

    assert (call / "recording.wav.part").read_bytes() == content
    assert names(call) == ["recording.wav.part"]
    assert (log.lines, log.details) == ([("warning", "recording.unrepaired", CALL)], [detail])


def test_a_recording_that_is_there_is_not_overwritten(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0) + FRAME)
    (call / "recording.wav").write_bytes(b"precious")

    assert repair_recordings(tmp_path, log.bound) == []

    assert (call / "recording.wav").read_bytes() == b"precious"
    assert (call / "recording.wav.part").read_bytes() == wav_header(0) + FRAME
    assert log.details == ["recording.wav is there, too"]


def test_a_link_in_the_place_of_a_part_is_not_followed(tmp_path: Path, call: Path, log: Log):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(wav_header(0) + FRAME)
    (call / "recording.wav.part").symlink_to(elsewhere)

    assert repair_recordings(tmp_path, log.bound) == []

    assert elsewhere.read_bytes() == wav_header(0) + FRAME
    assert log.lines == [("warning", "recording.unrepaired", CALL)]


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0) + FRAME)
    calls = tmp_path / "calls"
    calls.mkdir()
    (calls / CALL).symlink_to(call)

    assert repair_recordings(calls, log.bound) == []

    assert names(call) == ["recording.wav.part"]


def test_a_pipe_in_the_place_of_a_part_holds_nobody_up(tmp_path: Path, call: Path, log: Log):
    os.mkfifo(call / "recording.wav.part")

    assert repair_recordings(tmp_path, log.bound) == []

    assert log.details == ["no regular file"]


def test_a_part_that_is_longer_than_a_wav_file_can_be_is_left(tmp_path: Path, call: Path, log: Log):
    part = call / "recording.wav.part"
    part.write_bytes(wav_header(0))
    os.truncate(part, 2**32)  # takes no room: nothing is in it

    assert repair_recordings(tmp_path, log.bound) == []

    assert log.details == ["longer than a WAV file can be"]


def test_one_that_cannot_be_repaired_keeps_no_other_from_it(tmp_path: Path, log: Log):
    for name, content in (("a", wav_header(0)), ("b", b"?"), ("c", wav_header(0))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recording.wav.part").write_bytes(content)

    repaired = repair_recordings(tmp_path, log.bound)

    assert [each.call for each in repaired] == ["c", "a"]


# -- the record


async def traced(folder: Path) -> None:
    trace = Recorder(folder, HEADER)
    trace.input(1, 0, "tick")
    await trace.flush(inline)


def record_of(call: Path) -> CallRecord:
    return msgspec.json.decode((call / "call.json").read_bytes(), type=CallRecord)


async def test_a_call_without_a_record_has_one_of_what_is_known(tmp_path: Path, log: Log):
    call = tmp_path / CALL
    await traced(call)
    part = call / "recording.wav.part"
    part.write_bytes(wav_header(0) + 800 * FRAME)
    os.utime(part, (1795341612.5, 1795341612.5))  # 12.5 s after the call began

    repair_recordings(tmp_path, log.bound)

    assert record_of(call) == CallRecord(
        call=CALL,
        carrier="twilio",
        carrier_call="CA1",
        caller="tel:aaaaaaaaaa",
        called="tel:bbbbbbbbbb",
        plan="reception",
        backend="echo",
        started_at="2026-11-22T10:00:00+00:00",
        ended_at="2026-11-22T10:00:12.500+00:00",
        duration_ms=12_500,
        reason=None,
        fault="ours",
        detail="the gateway died in the call",
        trace="partial",
        recording="repaired",
    )
    assert (call / "call.json").stat().st_mode & 0o777 == 0o600


async def test_a_record_that_is_there_is_not_overwritten(tmp_path: Path, log: Log):
    call = tmp_path / CALL
    await traced(call)
    (call / "recording.wav.part").write_bytes(wav_header(0))
    (call / "call.json").write_bytes(b"precious")

    repair_recordings(tmp_path, log.bound)

    assert (call / "call.json").read_bytes() == b"precious"


def test_a_recording_is_repaired_when_no_record_can_be_written(tmp_path: Path, call: Path, log: Log):
    (call / "recording.wav.part").write_bytes(wav_header(0))
    (call / "trace.jsonl").write_bytes(b"?\n")
    (call / "trace.audio").write_bytes(b"")

    repair_recordings(tmp_path, log.bound)

    assert names(call) == ["recording.wav", "trace.audio", "trace.jsonl"]
    assert log.lines == [("warning", "record.failed", CALL), ("info", "recording.repaired", CALL)]

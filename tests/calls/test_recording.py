"""The recording of one call on disk, while it is written and after."""

import gc
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.calls.recording import Recording
from gateway.media.stereo import RATE_HZ, StereoMix
from gateway.testing.live import inline


def second(value: int) -> bytes:
    return np.full(RATE_HZ, value, "<i2").tobytes()


def open_files(folder: Path) -> list[str]:
    """What this process has open in `folder`."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(descriptor.readlink())
        except FileNotFoundError:  # the one that lists the others
            continue
    return [path.name for path in found if path.is_relative_to(folder)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def broken_disk(_blocking: Callable[..., Any], /, *_: Any, limiter: Any = None) -> Any:
    raise OSError(28, os.strerror(28))


async def test_a_recording_is_a_wav_file_of_both_sides(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)
    mix.agent(second(2), 1.0)
    await recording.flush(1.0, inline)
    mix.caller(second(3), 2.0)

    await recording.close(2.0, inline)

    with wave.open(str(tmp_path / "recording.wav"), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        both = np.frombuffer(file.readframes(3 * RATE_HZ), "<i2").reshape(-1, 2)
    assert both[:, 0].tolist() == [1] * RATE_HZ + [3] * RATE_HZ
    assert both[:, 1].tolist() == [0] * RATE_HZ + [2] * RATE_HZ
    assert recording.state == "complete"
    assert names(tmp_path) == ["recording.wav"]


async def test_a_call_without_audio_has_no_recording(tmp_path: Path):
    recording = Recording(tmp_path, StereoMix())
    await recording.flush(1.0, inline)

    await recording.close(2.0, inline)

    assert recording.state == "none"
    assert names(tmp_path) == []


async def test_only_the_gateways_own_user_may_read_it(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)

    await recording.flush(1.0, inline)

    assert (tmp_path / "recording.wav.part").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target", ["elsewhere", None])
async def test_what_is_there_already_is_not_written_to(tmp_path: Path, target: str | None):
    (tmp_path / "elsewhere").write_bytes(b"precious")
    part = tmp_path / "recording.wav.part"
    if target is None:
        part.write_bytes(b"precious")
    else:
        part.symlink_to(tmp_path / target)
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)

    await recording.close(1.0, inline)

    assert recording.state == "failed: File exists"
    assert part.read_bytes() == b"precious"


async def test_a_disk_that_fails_ends_the_recording_and_keeps_what_it_has(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)
    await recording.flush(1.0, inline)
    mix.caller(second(2), 2.0)
    await recording.flush(2.0, broken_disk)
    mix.caller(second(3), 3.0)

    await recording.close(3.0, inline)

    assert recording.state == "failed: No space left on device"
    assert (tmp_path / "recording.wav.part").stat().st_size == 44 + 4 * RATE_HZ
    assert open_files(tmp_path) == []


async def test_its_file_is_open_while_it_lasts_and_closed_after(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)
    await recording.flush(1.0, inline)
    assert open_files(tmp_path) == ["recording.wav.part"]

    await recording.close(1.0, inline)

    assert open_files(tmp_path) == []


async def test_a_recording_that_nobody_could_close_gives_its_file_back(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(second(1), 1.0)
    await recording.flush(1.0, inline)

    del recording
    gc.collect()

    assert open_files(tmp_path) == []

from pathlib import Path

import numpy as np
import pytest

from gateway.audio.clip import read_wav
from gateway.audio.g711 import CODECS
from gateway.report.waveform import RecordingUnusable, encoded, outline, read_recording
from tests.report.made_calls import write_recording


def stereo(left: list[int], right: list[int]) -> bytes:
    return np.array([left, right], "<i2").T.tobytes()


def test_a_recording_is_read_as_caller_and_agent(tmp_path: Path):
    write_recording(tmp_path, stereo([1, 2, 3], [-1, -2, -3]))

    recording = read_recording(tmp_path)

    assert recording.samples.tolist() == [[1, -1], [2, -2], [3, -3]]
    assert recording.duration_s == 3 / 8000


def test_a_recording_that_was_not_completed_is_read_to_its_end(tmp_path: Path):
    write_recording(tmp_path, stereo([1, 2], [3, 4]) + b"\x01", name="recording.wav.part")

    recording = read_recording(tmp_path)

    assert recording.name == "recording.wav.part"
    assert recording.samples.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "recording.wav cannot be read (No such file or directory)"),
        (b"", "recording.wav has no WAV header"),
        (b"RIFF" + bytes(60), "recording.wav is not stereo PCM of 16 bits at 8000 Hz"),
    ],
)
def test_what_is_no_recording_is_said_in_one_sentence(tmp_path: Path, content: bytes | None, why: str):
    if content is not None:
        (tmp_path / "recording.wav").write_bytes(content)

    with pytest.raises(RecordingUnusable) as raised:
        read_recording(tmp_path)

    assert str(raised.value) == why


def test_a_recording_without_a_sample_is_unusable(tmp_path: Path):
    write_recording(tmp_path, b"")

    with pytest.raises(RecordingUnusable, match="no audio"):
        read_recording(tmp_path)


def test_an_outline_has_the_lowest_and_the_highest_of_every_20_ms(tmp_path: Path):
    left = [0] * 160 + [16384] + [0] * 100 + [-8192] + [0] * 10
    write_recording(tmp_path, stereo(left, [0] * len(left)))

    shape = outline(read_recording(tmp_path), 0)

    assert shape.column_s == 0.02
    assert shape.high.tolist() == [0, 0.5]
    assert shape.low.tolist() == [0, -0.25]


def test_the_outline_of_a_long_call_has_longer_columns(tmp_path: Path):
    write_recording(tmp_path, bytes(4 * 8000 * 3600))

    shape = outline(read_recording(tmp_path), 1)

    assert len(shape.low) <= 12_000
    assert len(shape.low) * shape.column_s == pytest.approx(3600, abs=shape.column_s)


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_the_audio_of_a_page_is_what_came_over_the_phone(tmp_path: Path, law: str):
    heard = np.frombuffer(CODECS[law].decode(bytes(range(256))), "<i2")
    write_recording(tmp_path, np.stack([heard, heard], axis=1).tobytes())
    path = tmp_path / "page.wav"

    path.write_bytes(encoded(read_recording(tmp_path), law))

    assert read_wav(path).rate_hz == 8000
    assert read_wav(path).pcm == heard.tobytes()


def test_audio_takes_a_byte_a_sample(tmp_path: Path):
    write_recording(tmp_path, bytes(4 * 8000))

    content = encoded(read_recording(tmp_path), "")

    assert len(content) == 2 * 8000 + 58

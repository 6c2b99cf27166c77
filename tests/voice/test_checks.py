"""What people may give a session."""

import math
from array import array
from decimal import Decimal
from typing import Any

import pytest

from gateway.contracts import AudioFormat
from gateway.voice.checks import audio_format, checked_audio, checked_turns

PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)


@pytest.mark.parametrize(
    ("rate_hz", "name", "expected"),
    [
        (8000, "pcm16", AudioFormat(rate_hz=8000)),
        (16_000, "pcm16", AudioFormat(rate_hz=16_000)),
        (24_000, "pcm16", AudioFormat()),
        (8000, "pcmu", PHONE),
        (8000, "pcma", AudioFormat(encoding="pcma", rate_hz=8000)),
    ],
)
def test_what_works(rate_hz: int, name: str, expected: AudioFormat):
    assert audio_format(rate_hz, 1, name) == expected


@pytest.mark.parametrize(
    ("rate_hz", "channels", "name"),
    [
        (44_100, 1, "pcm16"),
        (0, 1, "pcm16"),
        (-8000, 1, "pcm16"),
        (24_000, 2, "pcm16"),
        (24_000, 0, "pcm16"),
        (16_000, 1, "pcmu"),
        (24_000, 1, "pcma"),
        (24_000, 1, "PCM16"),
        (24_000, 1, "mp3"),
        (8000, 2, "pcmu"),
        ("24000", 1, "pcm16"),
        (24_000, 1, None),
    ],
)
def test_anything_else_is_an_error_that_lists_what_works(rate_hz: Any, channels: Any, name: Any):
    with pytest.raises(
        ValueError, match="pcm16 at 8000, 16000 or 24000 Hz, pcmu or pcma at 8000 Hz"
    ) as raised:
        audio_format(rate_hz, channels, name)

    assert repr(rate_hz) in str(raised.value)


def test_a_rate_with_a_point_is_a_whole_one():
    assert isinstance(audio_format(24_000.0, 1, "pcm16").bytes_per_ms, int)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_audio_is_bytes_of_any_kind(kind: type):
    assert checked_audio(kind(b"\1\2\3\4"), AudioFormat()) == b"\1\2\3\4"


def test_audio_that_is_changed_afterwards_is_not_changed_here():
    data = bytearray(4)
    audio = checked_audio(data, AudioFormat())

    data[0] = 1

    assert audio == bytes(4)


@pytest.mark.parametrize("wrong", ["text", None, 12, [1, 2], array("h", [1]), 1.5])
def test_what_is_no_bytes_is_a_wrong_type(wrong: Any):
    with pytest.raises(TypeError, match=f"audio of type {type(wrong).__name__}: expected bytes"):
        checked_audio(wrong, AudioFormat())


@pytest.mark.parametrize("size", [1, 959])
def test_half_a_sample_is_an_error(size: int):
    with pytest.raises(ValueError, match=f"{size} bytes of audio"):
        checked_audio(bytes(size), AudioFormat())


def test_g711_has_a_byte_a_sample():
    assert checked_audio(bytes(3), PHONE) == bytes(3)


def test_turn_detection_is_as_it_was_set():
    turns = checked_turns(enabled=True, threshold=0.7, prefix_padding_ms=100, silence_duration_ms=400)

    assert (turns.enabled, turns.threshold) == (True, 0.7)
    assert (turns.prefix_padding_ms, turns.silence_duration_ms) == (100, 400)
    assert not turns.create_response


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf])
def test_a_threshold_is_from_0_to_1(threshold: float):
    with pytest.raises(ValueError, match="threshold"):
        checked_turns(enabled=True, threshold=threshold)


@pytest.mark.parametrize(
    "value_ms", [-1, 10_001, 0.5, math.nan, math.inf, -math.inf, pytest.param(10**400, id="huge")]
)
@pytest.mark.parametrize("name", ["prefix_padding", "silence_duration"])
def test_durations_are_whole_ms_up_to_ten_seconds(name: str, value_ms: Any):
    with pytest.raises(ValueError, match=f"{name}=.*expected whole milliseconds from 0 to 10000"):
        checked_turns(enabled=True, **{f"{name}_ms": value_ms})


@pytest.mark.parametrize(("threshold", "padding_ms"), [(0, 0), (1, 10_000), (Decimal("0.5"), 300.0)])
def test_the_ends_of_a_range_and_numbers_of_any_kind_are_allowed(threshold: Any, padding_ms: Any):
    turns = checked_turns(enabled=True, threshold=threshold, prefix_padding_ms=padding_ms)

    assert isinstance(turns.threshold, float)
    assert isinstance(turns.prefix_padding_ms, int)

"""What a caller says and presses, frame by frame."""

import pytest

from gateway.testing.microphone import Microphone

SILENT = (b"\xff" * 160, None)


def test_nothing_said_is_silence() -> None:
    assert Microphone().frame() == SILENT


def test_speech_is_cut_into_frames_and_its_end_filled_with_silence() -> None:
    microphone = Microphone()
    microphone.say(b"\x01" * 200)

    frames = [microphone.frame() for _ in range(3)]

    assert frames == [(b"\x01" * 160, None), (b"\x01" * 40 + b"\xff" * 120, None), SILENT]


def test_a_key_goes_down_in_a_silent_frame_and_takes_200_ms() -> None:
    microphone = Microphone()
    microphone.press("12")

    frames = [microphone.frame() for _ in range(11)]

    assert [digit for _, digit in frames] == ["1", *[None] * 9, "2"]
    assert {payload for payload, _ in frames} == {b"\xff" * 160}


def test_speech_and_keys_wait_for_their_turn() -> None:
    microphone = Microphone()
    microphone.say(b"\x01" * 160)
    microphone.press("*")
    microphone.say(b"\x02" * 160)

    frames = [microphone.frame() for _ in range(12)]

    assert [index for index, frame in enumerate(frames) if frame != SILENT] == [0, 1, 11]


def test_what_was_said_is_kept_with_the_silence_between() -> None:
    microphone = Microphone()
    microphone.frame()
    microphone.say(b"\x01" * 160)
    microphone.frame()

    assert microphone.said == b"\xff" * 160 + b"\x01" * 160


@pytest.mark.parametrize("digits", ["w", "a", "1 2", "+"])
def test_what_is_no_key_is_refused_whole(digits: str) -> None:
    microphone = Microphone()

    with pytest.raises(ValueError, match="keys"):
        microphone.press(digits)

    assert microphone.added_frames == 0

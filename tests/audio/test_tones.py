"""Tones, and the frame code all the way through codecs and resamplers."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS, Codec
from gateway.audio.level import level_dbfs
from gateway.audio.resample import Downsampler, Upsampler
from gateway.audio.tones import CALLS, FRAMES, CodedFrame, decode_frames, dtmf, encode_frame, sine


def through_the_gateway(pcm: bytes, codec: Codec) -> bytes:
    """From the caller to an echoing voice and back: G.711 both ways, up and down."""
    heard = Upsampler().feed(codec.decode(codec.encode(pcm)))
    return codec.decode(codec.encode(Downsampler().feed(heard + bytes(2 * 72))))


def a_minute(call: int) -> list[CodedFrame]:
    return [CodedFrame(call, frame) for frame in range(3000)]


def encoded(frames: list[CodedFrame]) -> bytes:
    return b"".join(encode_frame(*frame) for frame in frames)


# -- tones --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 24_000])
def test_a_sine_has_its_frequency_length_and_level(rate_hz: int) -> None:
    pcm = sine(440, 1000, rate_hz=rate_hz, level_dbfs=-20)

    assert len(pcm) == 2 * rate_hz
    assert int(np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2"))).argmax()) == 440
    assert level_dbfs(pcm) == pytest.approx(-20, abs=0.01)


# -- the frame code -----------------------------------------------------------------------------------


def test_a_coded_frame_is_20_ms_that_do_not_clip() -> None:
    chooser = random.Random(1)
    frames = [encode_frame(chooser.randrange(CALLS), chooser.randrange(FRAMES)) for _ in range(500)]

    levels = np.frombuffer(b"".join(frames), "<i2").astype(int)

    assert {len(frame) for frame in frames} == {320}
    assert np.abs(levels).max() < 32_767


def test_the_sound_of_the_code_lies_in_the_telephone_band() -> None:
    bins = np.abs(np.fft.rfft(np.frombuffer(encoded(a_minute(21)[:500]), "<i2"))) ** 2

    in_band = bins[300 * 10 : 3400 * 10].sum() / bins.sum()

    assert in_band > 0.99


@pytest.mark.parametrize("name", sorted(CODECS))
@pytest.mark.parametrize("call", [0, 37, CALLS - 1])
def test_a_minute_of_a_call_is_read_frame_by_frame_behind_codecs_and_resamplers(name: str, call: int) -> None:
    frames = a_minute(call)

    pcm = through_the_gateway(encoded(frames), CODECS[name])

    assert decode_frames(pcm) == frames


@given(
    delay=st.integers(0, 40),
    seed=st.integers(0, 2**32),
    name=st.sampled_from(sorted(CODECS)),
    gain=st.floats(0.2, 1.2),
)
def test_any_delay_up_to_5_ms_and_any_level_are_the_same_to_the_reader(
    delay: int, seed: int, name: str, gain: float
) -> None:
    chooser = random.Random(seed)
    frames = [CodedFrame(chooser.randrange(CALLS), chooser.randrange(FRAMES)) for _ in range(40)]
    sent = (np.frombuffer(encoded(frames), "<i2") * gain).astype("<i2").tobytes()

    pcm = through_the_gateway(bytes(2 * delay) + sent, CODECS[name])

    assert decode_frames(pcm) == frames


@given(silence=st.integers(0, 2000))
def test_frames_behind_any_length_of_silence_are_found(silence: int) -> None:
    frames = a_minute(5)[:10]

    pcm = bytes(2 * silence) + encoded(frames) + bytes(2 * silence)

    assert decode_frames(pcm) == frames


@given(at=st.integers(0, 20), gap=st.integers(1, 1000))
def test_no_frame_is_lost_when_silence_comes_between_two(at: int, gap: int) -> None:
    frames = a_minute(9)[:20]

    pcm = encoded(frames[:at]) + bytes(2 * gap) + encoded(frames[at:])

    assert decode_frames(pcm) == frames


@given(cut=st.integers(160 * 3, 160 * 15), missing=st.integers(1, 159))
def test_samples_that_are_missing_cost_at_most_the_frames_that_they_are_missing_from(
    cut: int, missing: int
) -> None:
    frames = a_minute(9)[:20]
    pcm = encoded(frames)

    found = decode_frames(pcm[: 2 * cut] + pcm[2 * (cut + missing) :])

    hurt = {cut // 160, (cut + missing - 1) // 160}
    assert [frame for frame in found if frame.frame not in hurt] == [
        frame for frame in frames if frame.frame not in hurt
    ]
    assert all(earlier.frame < later.frame for earlier, later in pairwise(found))


def test_a_frame_that_came_twice_is_found_twice() -> None:
    frames = a_minute(3)[:10]
    doubled = [*frames[:5], frames[4], *frames[5:]]

    assert decode_frames(encoded(doubled)) == doubled


def test_a_frame_that_was_lost_is_missing() -> None:
    frames = a_minute(3)[:10]
    rest = [*frames[:5], *frames[6:]]

    assert decode_frames(encoded(rest)) == rest


def test_frames_that_changed_places_are_found_so() -> None:
    frames = a_minute(3)[:10]
    swapped = [*frames[:5], frames[6], frames[5], *frames[7:]]

    assert decode_frames(encoded(swapped)) == swapped


def test_a_frame_of_another_call_is_found_as_such() -> None:
    frames = [*a_minute(3)[:5], CodedFrame(4, 5), *a_minute(3)[6:10]]

    assert decode_frames(encoded(frames)) == frames


def test_two_calls_mixed_together_are_no_frames() -> None:
    one, other = (np.frombuffer(encoded(a_minute(call)[:50]), "<i2") // 2 for call in (1, 62))

    assert decode_frames((one + other).tobytes()) == []


@pytest.mark.parametrize(
    "pcm",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(16_000), id="silence"),
        pytest.param(bytes(100), id="less than a frame"),
        pytest.param(sine(1000, 1000), id="a tone"),
        pytest.param(dtmf("555", 8000), id="digits"),
        pytest.param(
            np.random.default_rng(1).normal(0, 6000, 80_000).clip(-32_768, 32_767).astype("<i2").tobytes(),
            id="noise",
        ),
    ],
)
def test_what_is_no_code_holds_no_frames(pcm: bytes) -> None:
    assert decode_frames(pcm) == []


@pytest.mark.parametrize(("call", "frame"), [(-1, 0), (CALLS, 0), (0, -1), (0, FRAMES)])
def test_numbers_that_do_not_fit_are_refused(call: int, frame: int) -> None:
    with pytest.raises(ValueError, match="calls go from 0 to 63"):
        encode_frame(call, frame)

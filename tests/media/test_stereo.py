import numpy as np

from gateway.media.stereo import StereoMix

FRAME = 320  # bytes of 20 ms


def channels(pcm: bytes) -> tuple[list[int], list[int]]:
    both = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return both[:, 0].tolist(), both[:, 1].tolist()


def tone(value: int, frames: int = 1) -> bytes:
    return np.full(160 * frames, value, "<i2").tobytes()


def test_the_axis_starts_with_the_callers_first_frame():
    mix = StereoMix()
    mix.caller(tone(1), 5.0)

    caller, agent = channels(mix.finish(5.0))

    assert caller == [1] * 160
    assert agent == [0] * 160


def test_agent_audio_lies_where_the_far_end_plays_it():
    mix = StereoMix()
    mix.caller(tone(1, 5), 0.1)
    mix.agent(tone(7), 0.04)

    _, agent = channels(mix.finish(0.1))

    assert agent == [0] * 320 + [7] * 160 + [0] * 320


def test_what_was_cut_is_not_in_the_recording():
    mix = StereoMix()
    mix.caller(tone(1), 0.02)
    mix.agent(tone(7, 10), 0.02)

    mix.cut(0.06)
    mix.caller(tone(1, 9), 0.2)

    _, agent = channels(mix.finish(0.2))
    assert agent == [0] * 160 + [7] * 320 + [0] * 1120


def test_pieces_taken_on_the_way_make_up_the_same_recording():
    def record(*, piecewise: bool) -> bytes:
        mix, out = StereoMix(), b""
        for k in range(1, 20):
            mix.caller(tone(k), k * 0.02)
            if k % 5 == 0:
                mix.agent(tone(100 + k, 3), k * 0.02)
            if piecewise:
                out += mix.take(k * 0.02)
        return out + mix.finish(19 * 0.02)

    assert record(piecewise=True) == record(piecewise=False)


def test_agent_audio_that_may_still_be_cut_is_not_taken():
    mix = StereoMix()
    mix.caller(tone(1, 10), 0.2)
    mix.agent(tone(7, 10), 0.1)

    taken = mix.take(0.12)

    assert len(taken) == 120 * 8 * 4

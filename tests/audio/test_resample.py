"""The streaming resamplers give one answer, whatever the chunks."""

import math
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.resample import RATES_HZ, Downsampler, Resampler, Upsampler, resampler
from gateway.audio.taps import FRACTION_BITS, TAPS

ALL_PAIRS = pytest.mark.parametrize(("from_hz", "to_hz"), list(permutations(RATES_HZ, 2)))


def noise(samples: int, seed: int = 1) -> bytes:
    """White noise, most of it at full scale, so that the output clips now and then."""
    levels = np.random.default_rng(seed).normal(0, 40_000, samples)
    return levels.clip(-32768, 32767).astype("<i2").tobytes()


def by_integers(from_hz: int, to_hz: int, pcm: bytes) -> bytes:
    """The same filter in integers alone: insert zeros, convolve, drop samples, round halves to even."""
    samples = np.frombuffer(pcm, "<i2").astype(np.int64)
    work_hz = math.lcm(from_hz, to_hz)
    up, down = work_hz // from_hz, work_hz // to_hz
    spread = np.zeros(up * len(samples), np.int64)
    spread[::up] = up * samples
    sums = np.convolve(spread, np.array(TAPS[work_hz], np.int64))[: len(spread)][::down]
    sums = sums[: len(sums) // up * up]  # samples that are there together: none of them before the last
    below, rest = np.divmod(sums, 2**FRACTION_BITS)
    half = 2 ** (FRACTION_BITS - 1)
    rounded = below + ((rest > half) | ((rest == half) & (below % 2 == 1)))
    return bytes(rounded.clip(-32768, 32767).astype("<i2"))


def in_chunks(stream: Resampler, pcm: bytes, cuts: Iterable[int]) -> bytes:
    """`cuts`: where to cut, in samples."""
    edges = [0, *sorted(2 * cut for cut in cuts), len(pcm)]
    return b"".join(stream.feed(pcm[begin:end]) for begin, end in pairwise(edges))


@ALL_PAIRS
def test_the_output_is_that_of_integer_arithmetic(from_hz: int, to_hz: int) -> None:
    pcm = noise(24_000)

    output = resampler(from_hz, to_hz).feed(pcm)

    assert output == by_integers(from_hz, to_hz, pcm)
    assert len(output) * from_hz == len(pcm) * to_hz


@ALL_PAIRS
@pytest.mark.parametrize("taps_sign", [1, -1])
def test_the_loudest_possible_input_clips_instead_of_wrapping_around(
    from_hz: int, to_hz: int, taps_sign: int
) -> None:
    work_hz = math.lcm(from_hz, to_hz)
    signs = np.sign(TAPS[work_hz][1 :: work_hz // from_hz])[::-1] * taps_sign
    pcm = np.where(np.resize(signs, 7200) > 0, 32767, -32768).astype("<i2").tobytes()

    output = resampler(from_hz, to_hz).feed(pcm)

    assert output == by_integers(from_hz, to_hz, pcm)
    assert {-32768, 32767} & set(np.frombuffer(output, "<i2").tolist())


@ALL_PAIRS
@given(
    cuts=st.lists(st.integers(0, 3000), max_size=30),
    samples=st.integers(2995, 3000),
    seed=st.integers(0, 3),
)
def test_any_chunks_give_the_bytes_of_one_chunk(
    from_hz: int, to_hz: int, cuts: list[int], samples: int, seed: int
) -> None:
    pcm = noise(samples, seed)

    output = in_chunks(resampler(from_hz, to_hz), pcm, (min(cut, samples) for cut in cuts))

    assert output == by_integers(from_hz, to_hz, pcm)


@ALL_PAIRS
@pytest.mark.parametrize(
    "chunk", [1, 2, 3, 7, 159, 160, 161, 320, 479, 480, 800, 801, 1600, 2400, 2401, 6400, 19_200]
)
def test_chunks_of_any_size_give_the_bytes_of_one_chunk(from_hz: int, to_hz: int, chunk: int) -> None:
    pcm = noise(7200)

    output = in_chunks(resampler(from_hz, to_hz), pcm, range(chunk, 7200, chunk))

    assert output == by_integers(from_hz, to_hz, pcm)


@ALL_PAIRS
@pytest.mark.parametrize("chunk_ms", [20, 100, 1, 53])
def test_every_chunk_of_whole_milliseconds_gives_as_many_from_the_first_on(
    from_hz: int, to_hz: int, chunk_ms: int
) -> None:
    stream = resampler(from_hz, to_hz)

    sizes = [len(stream.feed(noise(chunk_ms * from_hz // 1000))) // 2 for _ in range(10)]

    assert sizes == [chunk_ms * to_hz // 1000] * 10


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "sizes"),
    [
        (8000, 16_000, [2, 2, 2, 2, 2, 2]),
        (8000, 24_000, [3, 3, 3, 3, 3, 3]),
        (16_000, 8000, [1, 0, 1, 0, 1, 0]),
        (16_000, 24_000, [0, 3, 0, 3, 0, 3]),
        (24_000, 8000, [1, 0, 0, 1, 0, 0]),
        (24_000, 16_000, [0, 2, 0, 0, 2, 0]),
    ],
)
def test_samples_come_as_soon_as_those_that_they_stand_on(from_hz: int, to_hz: int, sizes: list[int]) -> None:
    stream = resampler(from_hz, to_hz)

    given_samples = [len(stream.feed(noise(1))) // 2 for _ in range(6)]

    assert given_samples == sizes


@ALL_PAIRS
def test_nothing_in_gives_nothing_out_and_changes_nothing(from_hz: int, to_hz: int) -> None:
    stream, pcm = resampler(from_hz, to_hz), noise(960)
    first = stream.feed(pcm[:960])

    nothing = stream.feed(b"")

    assert nothing == b""
    assert first + stream.feed(pcm[960:]) == by_integers(from_hz, to_hz, pcm)


@ALL_PAIRS
def test_half_a_sample_is_refused_and_not_taken(from_hz: int, to_hz: int) -> None:
    stream = resampler(from_hz, to_hz)

    with pytest.raises(ValueError, match="961 bytes"):
        stream.feed(bytes(961))

    assert stream.feed(noise(480)) == by_integers(from_hz, to_hz, noise(480))


@ALL_PAIRS
def test_after_a_reset_the_stream_is_a_new_one(from_hz: int, to_hz: int) -> None:
    stream = resampler(from_hz, to_hz)
    stream.feed(noise(1001))

    stream.reset()

    assert stream.feed(noise(480)) == by_integers(from_hz, to_hz, noise(480))


@ALL_PAIRS
def test_streams_know_nothing_of_each_other(from_hz: int, to_hz: int) -> None:
    one, other = resampler(from_hz, to_hz), resampler(from_hz, to_hz)
    pcm = noise(960)

    output = one.feed(pcm[:960])
    other.feed(noise(960, seed=2))
    output += one.feed(pcm[960:])

    assert output == by_integers(from_hz, to_hz, pcm)


@ALL_PAIRS
def test_a_stream_of_20_ms_chunks_keeps_less_than_20_kilobytes(from_hz: int, to_hz: int) -> None:
    pcm = noise(from_hz // 50)
    tracemalloc.start()

    stream = resampler(from_hz, to_hz)
    stream.feed(pcm)
    stream.feed(pcm)

    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 20_000


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_rate_to_itself_hands_on_what_it_gets_without_delay(rate_hz: int) -> None:
    stream = resampler(rate_hz, rate_hz)

    output = stream.feed(noise(161)), stream.feed(b""), stream.feed(noise(7))

    assert output == (noise(161), b"", noise(7))
    assert stream.delay_ms == 0


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_rate_to_itself_is_reset_like_the_others(rate_hz: int) -> None:
    stream = resampler(rate_hz, rate_hz)
    stream.feed(noise(480))

    stream.reset()

    assert stream.feed(noise(480)) == noise(480)


def test_half_a_sample_is_refused_on_the_way_from_a_rate_to_itself_too() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        resampler(8000, 8000).feed(bytes(3))


def test_the_pair_of_every_call_has_names() -> None:
    pcm = noise(480)

    output = Upsampler().feed(pcm), Downsampler().feed(pcm)

    assert output == (by_integers(8000, 24_000, pcm), by_integers(24_000, 8000, pcm))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(8000, 44_100), (44_100, 8000), (48_000, 48_000), (0, 0), (-8000, 8000)]
)
def test_another_rate_is_refused_with_those_that_work(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match=f"{from_hz} Hz to {to_hz} Hz; what works is 8000, 16000, 24000 Hz"):
        resampler(from_hz, to_hz)

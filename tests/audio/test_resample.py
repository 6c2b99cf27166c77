"""The streaming resamplers give one answer, whatever the chunks."""

import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.resample import Downsampler, Upsampler
from gateway.audio.taps import FRACTION_BITS, TAPS

Resampler = Upsampler | Downsampler
BOTH = pytest.mark.parametrize("make", [Upsampler, Downsampler])


def noise(samples: int, seed: int = 1) -> bytes:
    """White noise, most of it at full scale, so that the output clips now and then."""
    levels = np.random.default_rng(seed).normal(0, 40_000, samples)
    return levels.clip(-32768, 32767).astype("<i2").tobytes()


def by_integers(make: Callable[[], Resampler], pcm: bytes) -> bytes:
    """The same filter in integers alone: insert zeros or drop samples, convolve, round halves to even."""
    samples = np.frombuffer(pcm, "<i2").astype(np.int64)
    taps = np.array(TAPS, np.int64)
    if make is Upsampler:
        spread = np.zeros(3 * len(samples), np.int64)
        spread[::3] = 3 * samples
        sums = np.convolve(spread, taps)[: len(spread)]
    else:
        sums = np.convolve(samples, taps)[: len(samples)][::3]
    below, rest = np.divmod(sums, 2**FRACTION_BITS)
    half = 2 ** (FRACTION_BITS - 1)
    rounded = below + ((rest > half) | ((rest == half) & (below % 2 == 1)))
    return bytes(rounded.clip(-32768, 32767).astype("<i2"))


def in_chunks(resampler: Resampler, pcm: bytes, cuts: Iterable[int]) -> bytes:
    """`cuts`: where to cut, in samples."""
    edges = [0, *sorted(2 * cut for cut in cuts), len(pcm)]
    return b"".join(resampler.feed(pcm[begin:end]) for begin, end in pairwise(edges))


@BOTH
def test_the_output_is_that_of_integer_arithmetic(make: Callable[[], Resampler]) -> None:
    pcm = noise(24_000)

    output = make().feed(pcm)

    assert output == by_integers(make, pcm)


@BOTH
@pytest.mark.parametrize("taps_sign", [1, -1])
def test_the_loudest_possible_input_clips_instead_of_wrapping_around(
    make: Callable[[], Resampler], taps_sign: int
) -> None:
    worst = np.where(np.resize(np.repeat(np.sign(TAPS), 3)[::-1], 7200) * taps_sign > 0, 32767, -32768)
    pcm = worst.astype("<i2").tobytes()

    output = make().feed(pcm)

    assert output == by_integers(make, pcm)
    assert {-32768, 32767} & set(np.frombuffer(output, "<i2").tolist())


@BOTH
@given(cuts=st.lists(st.integers(0, 3000), max_size=30), seed=st.integers(0, 3))
def test_any_chunks_give_the_bytes_of_one_chunk(
    make: Callable[[], Resampler], cuts: list[int], seed: int
) -> None:
    pcm = noise(3000, seed)

    output = in_chunks(make(), pcm, cuts)

    assert output == by_integers(make, pcm)


@BOTH
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 159, 160, 161, 479, 480, 800, 801, 2400, 2401, 6400, 19_200])
def test_chunks_of_any_size_give_the_bytes_of_one_chunk(make: Callable[[], Resampler], chunk: int) -> None:
    pcm = noise(7200)

    output = in_chunks(make(), pcm, range(chunk, 7200, chunk))

    assert output == by_integers(make, pcm)


@pytest.mark.parametrize("chunk", [160, 800, 1, 53])
def test_upsampling_gives_three_samples_for_each(chunk: int) -> None:
    resampler = Upsampler()

    sizes = [len(resampler.feed(noise(chunk))) // 2 for _ in range(10)]

    assert sizes == [3 * chunk] * 10


@pytest.mark.parametrize("chunk", [480, 2400, 3, 159])
def test_downsampling_gives_a_third_of_every_chunk_from_the_first_on(chunk: int) -> None:
    resampler = Downsampler()

    sizes = [len(resampler.feed(noise(chunk))) // 2 for _ in range(10)]

    assert sizes == [chunk // 3] * 10


def test_a_downsampled_sample_is_there_with_the_first_of_its_three() -> None:
    resampler = Downsampler()

    sizes = [len(resampler.feed(noise(1))) // 2 for _ in range(9)]

    assert sizes == [1, 0, 0] * 3


@BOTH
def test_nothing_in_gives_nothing_out_and_changes_nothing(make: Callable[[], Resampler]) -> None:
    resampler, pcm = make(), noise(960)
    first = resampler.feed(pcm[:960])

    nothing = resampler.feed(b"")

    assert nothing == b""
    assert first + resampler.feed(pcm[960:]) == by_integers(make, pcm)


@BOTH
def test_half_a_sample_is_refused_and_not_taken(make: Callable[[], Resampler]) -> None:
    resampler = make()

    with pytest.raises(ValueError, match="961 bytes"):
        resampler.feed(bytes(961))

    assert resampler.feed(noise(480)) == by_integers(make, noise(480))


@BOTH
def test_after_a_reset_the_stream_is_a_new_one(make: Callable[[], Resampler]) -> None:
    resampler = make()
    resampler.feed(noise(1001))

    resampler.reset()

    assert resampler.feed(noise(480)) == by_integers(make, noise(480))


@BOTH
def test_streams_know_nothing_of_each_other(make: Callable[[], Resampler]) -> None:
    one, other = make(), make()
    pcm = noise(960)

    output = one.feed(pcm[:960])
    other.feed(noise(960, seed=2))
    output += one.feed(pcm[960:])

    assert output == by_integers(make, pcm)


@BOTH
def test_a_stream_of_20_ms_chunks_keeps_less_than_20_kilobytes(make: Callable[[], Resampler]) -> None:
    pcm = noise(160 if make is Upsampler else 480)
    tracemalloc.start()

    resampler = make()
    resampler.feed(pcm)
    resampler.feed(pcm)

    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 20_000

"""Audio in one format as audio in another."""

from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS
from gateway.contracts import AudioFormat
from gateway.voice.conversion import Conversion

FORMATS = [
    AudioFormat(),
    AudioFormat(rate_hz=16_000),
    AudioFormat(rate_hz=8000),
    AudioFormat(encoding="pcmu", rate_hz=8000),
    AudioFormat(encoding="pcma", rate_hz=8000),
]
PAIRS = list(permutations(FORMATS, 2))
RESAMPLED = [(source, target) for source, target in PAIRS if source.rate_hz != target.rate_hz]

NEAR_ZERO = 10  # A-law has no zero


def named(form: AudioFormat) -> str:
    return f"{form.encoding}{form.rate_hz // 1000}"


def tone(form: AudioFormat, duration_ms: int, *, size: int = 8000) -> bytes:
    """A tone of 400 Hz in `form`, with its crest at the beginning."""
    at_s = np.arange(duration_ms * form.rate_hz // 1000) / form.rate_hz
    pcm = (size * np.cos(2 * np.pi * 400 * at_s)).astype("<i2").tobytes()
    return pcm if form.encoding == "pcm" else CODECS[form.encoding].encode(pcm)


def samples(form: AudioFormat, audio: bytes) -> NDArray[np.float64]:
    pcm = audio if form.encoding == "pcm" else CODECS[form.encoding].decode(audio)
    return np.frombuffer(pcm, "<i2").astype(np.float64)


@pytest.mark.parametrize("form", FORMATS, ids=named)
def test_the_same_format_is_handed_on_untouched(form: AudioFormat):
    conversion = Conversion(form, form)

    assert conversion.carry(tone(form, 20)) == tone(form, 20)
    assert conversion.rest() == b""


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=named)
def test_a_tone_is_the_same_tone(source: AudioFormat, target: AudioFormat):
    conversion = Conversion(source, target)
    expected = samples(target, tone(target, 200))

    got = samples(target, conversion.carry(tone(source, 200)) + conversion.rest())

    late = 0 if source.rate_hz == target.rate_hz else round(_delay_s(source, target) * target.rate_hz)
    middle = slice(len(expected) // 4, len(expected) * 3 // 4)
    error = got[late : late + len(expected)][middle] - expected[middle]
    assert np.sqrt(np.mean(error**2)) < 8000 / 2**0.5 * 10 ** (-28 / 20)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=named)
def test_a_whole_ms_is_a_whole_ms(source: AudioFormat, target: AudioFormat):
    conversion = Conversion(source, target)

    sizes = [len(conversion.carry(tone(source, 1))) for _ in range(50)]

    assert set(sizes) == {target.bytes_per_ms}


@given(pair=st.sampled_from(PAIRS), cuts=st.lists(st.integers(0, 2000), max_size=30))
def test_in_whatever_chunks_it_comes_it_is_the_same(pair: tuple[AudioFormat, AudioFormat], cuts: list[int]):
    source, target = pair
    sample_bytes = 2 if source.encoding == "pcm" else 1
    audio = tone(source, 100)
    edges = [0, *sorted(min(cut * sample_bytes, len(audio)) for cut in cuts), len(audio)]
    whole, chunked = Conversion(source, target), Conversion(source, target)

    got = b"".join(chunked.carry(audio[first:last]) for first, last in pairwise(edges))

    assert got + chunked.rest() == whole.carry(audio) + whole.rest()


@pytest.mark.parametrize(("source", "target"), RESAMPLED, ids=named)
def test_the_last_sample_comes_out_whole(source: AudioFormat, target: AudioFormat):
    click = np.zeros(20 * source.rate_hz // 1000, "<i2")
    click[-1] = 16_000
    audio = click.tobytes() if source.encoding == "pcm" else CODECS[source.encoding].encode(click.tobytes())
    complete, conversion = Conversion(source, target), Conversion(source, target)
    expected = samples(target, complete.carry(audio + tone(source, 20, size=0)))

    got = samples(target, conversion.carry(audio) + conversion.rest())

    assert np.abs(expected[len(got) :]).max() <= NEAR_ZERO
    assert np.abs(got - expected[: len(got)]).max() <= NEAR_ZERO


@pytest.mark.parametrize(("source", "target"), RESAMPLED, ids=named)
def test_a_stretch_that_follows_begins_as_the_first_one_did(source: AudioFormat, target: AudioFormat):
    conversion = Conversion(source, target)
    audio = tone(source, 21)[: -(2 if source.encoding == "pcm" else 1)]
    first = conversion.carry(audio) + conversion.rest()

    second = conversion.carry(audio) + conversion.rest()

    assert first == second


@pytest.mark.parametrize(("source", "target"), RESAMPLED, ids=named)
def test_there_is_no_click_between_two_stretches(source: AudioFormat, target: AudioFormat):
    conversion = Conversion(source, target)
    count = 20 * source.rate_hz // 1000
    pcm = (8000 * np.sin(2 * np.pi * 400 * np.arange(count) / source.rate_hz) * np.hanning(count)).astype(
        "<i2"
    )
    audio = pcm.tobytes() if source.encoding == "pcm" else CODECS[source.encoding].encode(pcm.tobytes())

    stretches = [conversion.carry(audio) + conversion.rest() for _ in range(3)]

    steepest = 8000 * 2 * np.pi * 400 / target.rate_hz
    assert np.abs(np.diff(samples(target, b"".join(stretches)))).max() < 1.1 * steepest


@pytest.mark.parametrize(("source", "target"), list(product(FORMATS, FORMATS)), ids=named)
def test_where_nothing_went_in_there_is_no_rest(source: AudioFormat, target: AudioFormat):
    conversion = Conversion(source, target)
    conversion.carry(tone(source, 20))
    conversion.rest()

    assert conversion.rest() == b""
    assert conversion.carry(b"") == b""
    assert conversion.rest() == b""


def _delay_s(source: AudioFormat, target: AudioFormat) -> float:
    return 0.0010 if 8000 not in {source.rate_hz, target.rate_hz} else 0.0015


# -- what a caller says, on its way to a voice

PCMU, PCMA = CODECS["pcmu"], CODECS["pcma"]
LINE = {name: AudioFormat(encoding=CODECS[name].name, rate_hz=8000) for name in CODECS}
EVERY_CODE = bytes(range(256)) * 5


def test_every_code_reaches_a_voice_of_the_other_law_as_the_same_sound():
    carried = Conversion(LINE["pcma"], LINE["pcmu"]).carry(EVERY_CODE)

    assert carried == PCMU.encode(PCMA.decode(EVERY_CODE))


def test_a_linear_voice_at_the_lines_rate_gets_the_decoded_samples():
    assert Conversion(LINE["pcmu"], AudioFormat(rate_hz=8000)).carry(EVERY_CODE) == PCMU.decode(EVERY_CODE)


def test_a_linear_voice_gets_as_many_milliseconds_as_the_caller_spoke():
    forms = (AudioFormat(), AudioFormat(rate_hz=16_000), AudioFormat(rate_hz=8000))

    assert [len(Conversion(LINE["pcmu"], form).carry(bytes(160))) for form in forms] == [960, 640, 320]


def test_every_session_has_a_stream_of_its_own():
    first = Conversion(LINE["pcmu"], AudioFormat())
    before = first.carry(EVERY_CODE)
    first.carry(EVERY_CODE)

    assert Conversion(LINE["pcmu"], AudioFormat()).carry(EVERY_CODE) == before

"""What the user said, cut where the voice says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import AudioFormat
from gateway.voice.utterances import Utterance, Utterances

FORMATS = [
    AudioFormat(),
    AudioFormat(rate_hz=16_000),
    AudioFormat(rate_hz=8000),
    AudioFormat(encoding="pcmu", rate_hz=8000),
    AudioFormat(encoding="pcma", rate_hz=8000),
]
PHONE = FORMATS[3]
MINUTE_MS = 60_000


def numbered(form: AudioFormat, from_ms: int, to_ms: int) -> bytes:
    """Audio in which each ms is another one."""
    size = form.bytes_per_ms
    return b"".join(at.to_bytes(4, "little")[:4] * (size // 4) for at in range(from_ms, to_ms))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"{form.encoding}{form.rate_hz // 1000}")
def test_it_is_cut_where_the_voice_found_its_beginning_and_its_end(form: AudioFormat):
    utterances = Utterances(form)
    utterances.sent(numbered(form, 0, 3000))

    utterances.started(317)
    utterance = utterances.stopped(2041, "u1")

    assert utterance == numbered(form, 317, 2041)
    assert (utterance.item_id, utterance.answer) == ("u1", None)


@given(
    cuts=st.lists(st.integers(0, 3000 * 8), max_size=30),
    turns=st.lists(st.integers(0, 3000), min_size=2, max_size=8, unique=True).map(sorted),
)
def test_in_whatever_chunks_it_was_sent_each_turn_is_whole(cuts: list[int], turns: list[int]):
    audio = numbered(PHONE, 0, 3000)
    utterances = Utterances(PHONE)
    for first, last in pairwise([0, *sorted(cuts), len(audio)]):
        utterances.sent(audio[first:last])

    for from_ms, to_ms in pairwise(turns):
        utterances.started(from_ms)
        assert utterances.stopped(to_ms, "u") == numbered(PHONE, from_ms, to_ms)


def test_a_turn_after_a_long_silence_has_its_padding():
    utterances = Utterances(PHONE)
    for minute in range(20):
        utterances.sent(numbered(PHONE, minute * MINUTE_MS, (minute + 1) * MINUTE_MS))

    utterances.started(19 * MINUTE_MS)
    utterance = utterances.stopped(19 * MINUTE_MS + 1000, "u1")

    assert utterance == numbered(PHONE, 19 * MINUTE_MS, 19 * MINUTE_MS + 1000)


def test_of_a_file_that_was_sent_at_once_the_first_turn_is_still_there():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 4 * MINUTE_MS))

    utterances.started(1000)
    first = utterances.stopped(3000, "u1")
    utterances.started(3 * MINUTE_MS)
    second = utterances.stopped(3 * MINUTE_MS + 2000, "u2")

    assert first == numbered(PHONE, 1000, 3000)
    assert second == numbered(PHONE, 3 * MINUTE_MS, 3 * MINUTE_MS + 2000)


@pytest.mark.parametrize("speaks", [True, False])
def test_no_more_than_five_minutes_are_kept(speaks: bool):
    utterances = Utterances(PHONE)
    if speaks:
        utterances.started(0)
    for _ in range(20):
        utterances.sent(bytes(MINUTE_MS * PHONE.bytes_per_ms))

    utterance = utterances.stopped(20 * MINUTE_MS, "u1")

    assert len(utterance) == 5 * MINUTE_MS * PHONE.bytes_per_ms
    assert utterances.ends_ms == 20 * MINUTE_MS


def test_an_utterance_has_nothing_of_the_one_before_it():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 3000))
    utterances.started(0)
    utterances.stopped(1000, "u1")

    utterances.started(700)

    assert utterances.stopped(2000, "u2") == numbered(PHONE, 1000, 2000)


def test_an_utterance_has_nothing_of_what_was_committed_before():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 3000))
    utterances.forget(1000)

    utterances.started(900)

    assert utterances.stopped(2000, "u1") == numbered(PHONE, 1000, 2000)


def test_an_end_without_a_beginning_ends_what_was_said_since_the_last_turn():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 3000))
    utterances.forget(1000)

    assert utterances.stopped(2000, "u1") == numbered(PHONE, 1000, 2000)


def test_an_end_beyond_what_was_sent_is_the_end_of_that():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 1000))
    utterances.started(500)

    assert utterances.stopped(1200, "u1") == numbered(PHONE, 500, 1000)


def test_an_end_before_the_beginning_is_an_empty_utterance():
    utterances = Utterances(PHONE)
    utterances.sent(numbered(PHONE, 0, 1000))
    utterances.started(500)

    assert utterances.stopped(400, "u1") == b""


def test_time_goes_on_when_the_format_changes():
    utterances = Utterances(AudioFormat())
    utterances.sent(bytes(1000 * 48))
    utterances.change_format(PHONE)
    utterances.sent(numbered(PHONE, 1000, 2000))

    utterances.started(1200)

    assert utterances.stopped(1900, "u1") == numbered(PHONE, 1200, 1900)


def test_what_was_said_in_another_format_is_not_part_of_an_utterance():
    utterances = Utterances(AudioFormat())
    utterances.sent(bytes(1000 * 48))
    utterances.started(500)
    utterances.change_format(PHONE)
    utterances.sent(numbered(PHONE, 1000, 2000))

    assert utterances.stopped(1900, "u1") == numbered(PHONE, 1000, 1900)


def test_half_a_ms_before_the_format_changed_shifts_no_sample():
    narrow = AudioFormat(rate_hz=8000)
    utterances = Utterances(AudioFormat())
    utterances.sent(bytes(48 * 10 + 24))
    utterances.change_format(narrow)
    utterances.sent(b"\1\2" * 8 * 100)

    utterances.started(20)

    assert utterances.stopped(60, "u1") == b"\1\2" * 8 * 40


def test_those_that_are_kept_are_taken_in_their_order():
    utterances = Utterances(PHONE)
    utterances.keep(Utterance(b"a", "u1"))
    utterances.keep(Utterance(b"b", "u2"))

    assert [utterances.take(), utterances.take(), utterances.take()] == [b"a", b"b", None]


def test_of_those_that_nobody_listens_to_the_last_five_minutes_are_kept():
    utterances = Utterances(PHONE)
    for at in range(10):
        utterances.keep(Utterance(bytes(MINUTE_MS * PHONE.bytes_per_ms), f"u{at}"))

    kept = []
    while (utterance := utterances.take()) is not None:
        kept.append(utterance.item_id)

    assert kept == ["u5", "u6", "u7", "u8", "u9"]

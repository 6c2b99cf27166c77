"""Answers in their order, until somebody takes them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import AudioFormat
from gateway.voice.conversion import Conversion
from gateway.voice.responses import AudioChunk, Responses

VOICE = AudioFormat()
PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
NARROW = AudioFormat(rate_hz=8000)


def tone(duration_ms: int, size: int = 8000) -> bytes:
    """A tone as a voice says it."""
    samples = np.arange(duration_ms * 24)
    return (size * np.sin(samples / 9)).astype("<i2").tobytes()


def answered(*pcm: bytes, form: AudioFormat = VOICE, status: str = "completed") -> Responses:
    """An answer that was asked for, with one item of these parts."""
    responses = Responses(VOICE, form)
    say(responses, "r1", *pcm, status=status)
    return responses


def say(responses: Responses, response: str, *pcm: bytes, status: str = "completed") -> None:
    responses.begin(response)
    for part in pcm:
        responses.audio(f"item_{response}", part, len(part) / VOICE.bytes_per_ms)
    responses.audio_done(f"item_{response}")
    responses.end(response, status, calls=False)


def chunks(responses: Responses) -> list[AudioChunk]:
    """What is taken of the first answer, to its end."""
    taken = []
    while (chunk := responses.take_chunk(0.0)) is not None:
        taken.append(chunk)
    responses.take_end()
    return taken


# -- taking


def test_a_whole_answer_is_taken_when_it_is_over():
    responses = Responses(VOICE, VOICE)
    responses.begin("r1")
    responses.audio("i1", tone(20), 20.0)
    before = responses.take_whole(0.0)

    responses.words("i1", "Hello.")
    responses.end("r1", "completed", calls=False)

    assert before is None
    assert responses.take_whole(0.0) == (tone(20), "Hello.", "i1", "completed", 20)
    assert responses.take_whole(0.0) is None


def test_audio_is_taken_as_it_comes():
    responses = Responses(VOICE, VOICE)
    responses.begin("r1")
    responses.audio("i1", tone(20), 20.0)

    chunk = responses.take_chunk(0.0)

    assert chunk == (tone(20), "i1")
    assert responses.take_chunk(0.0) is None
    assert not responses.take_end()


def test_what_was_taken_in_pieces_is_not_in_the_rest():
    responses = answered(tone(20), tone(40))
    responses.take_chunk(0.0)

    response = responses.take_whole(0.0)

    assert response is not None
    assert (response.data, response.duration_ms) == (tone(40), 40)


def test_an_answer_without_audio_is_an_answer():
    responses = answered()

    response = responses.take_whole(0.0)

    assert response == (b"", "", "item_r1", "completed", 0)


def test_answers_are_taken_in_their_order():
    responses = answered(tone(20))
    say(responses, "r2", tone(40))

    first, second = responses.take_whole(0.0), responses.take_whole(0.0)

    assert first is not None
    assert second is not None
    assert (first.item_id, second.item_id) == ("item_r1", "item_r2")


def test_one_answer_is_taken_and_what_was_answered_before_is_dropped():
    responses = answered(tone(20))
    wanted = responses.want()
    say(responses, "r2", tone(40))

    response = responses.take_this(wanted, 0.0)

    assert response is not None
    assert response.item_id == "item_r2"
    assert responses.front is None


def test_one_answer_waits_for_what_is_being_answered_before_it():
    responses = Responses(VOICE, VOICE)
    responses.begin("r1")
    wanted = responses.want()

    assert responses.take_this(wanted, 0.0) is None
    assert responses.front is not wanted


def test_what_nobody_has_taken_is_counted():
    responses = answered(tone(20), tone(40))
    responses.take_chunk(0.0)

    assert responses.queued_ms == 40


def test_an_answer_is_there_until_it_is_taken():
    responses = Responses(VOICE, VOICE)
    wanted = responses.want()
    say(responses, "r1")
    before = wanted in responses

    responses.take_whole(0.0)

    assert before
    assert wanted not in responses


# -- formats


@pytest.mark.parametrize("form", [PHONE, NARROW, AudioFormat(rate_hz=16_000)])
def test_audio_is_taken_in_the_format_of_the_session_to_its_end(form: AudioFormat):
    conversion = Conversion(VOICE, form)
    expected = conversion.carry(tone(100)) + conversion.rest()

    response = answered(tone(100)[:2400], tone(100)[2400:], form=form).take_whole(0.0)

    assert response is not None
    assert (response.data, response.duration_ms) == (expected, 100)


@given(cuts=st.lists(st.integers(0, 2400), max_size=20))
def test_in_whatever_pieces_it_comes_it_is_the_same_audio_and_all_is_counted_as_taken(cuts: list[int]):
    pcm = tone(100)
    edges = [0, *sorted(2 * cut for cut in cuts), len(pcm)]
    responses = answered(*(pcm[a:b] for a, b in pairwise(edges)), form=PHONE)
    whole = answered(pcm, form=PHONE).take_whole(0.0)
    answer = responses.front

    taken = chunks(responses)

    assert answer is not None
    assert whole is not None
    assert b"".join(chunk.data for chunk in taken) == whole.data
    assert all(chunk.data for chunk in taken)
    assert answer.taken_ms == answer.received_ms == pytest.approx(100)


def test_an_item_begins_as_if_nothing_had_been_before_it():
    responses = answered(tone(50, size=30_000), form=NARROW)
    say(responses, "r2", tone(50))
    alone = answered(tone(50), form=NARROW).take_whole(0.0)
    responses.take_whole(0.0)

    response = responses.take_whole(0.0)

    assert response is not None
    assert alone is not None
    assert response.data == alone.data


def test_an_answer_that_is_left_in_the_midst_leaves_nothing_in_the_next_one():
    responses = answered(tone(50, size=30_000), tone(50), form=NARROW)
    wanted = responses.want()
    say(responses, "r2", tone(50))
    alone = answered(tone(50), form=NARROW).take_whole(0.0)
    responses.take_chunk(0.0)

    response = responses.take_this(wanted, 0.0)

    assert response is not None
    assert alone is not None
    assert response.data == alone.data


def test_what_waits_is_taken_in_the_format_that_is_wanted_by_then():
    responses = answered(tone(100))

    responses.hear_in(PHONE)

    response = responses.take_whole(0.0)
    whole = answered(tone(100), form=PHONE).take_whole(0.0)
    assert response == whole


# -- strange voices


def test_audio_that_belongs_to_no_answer_is_dropped():
    responses = answered(tone(20))
    responses.take_whole(0.0)

    responses.audio("i9", tone(20), 20.0)

    assert responses.front is None


def test_more_of_an_answer_that_is_over_is_still_part_of_it():
    responses = answered(tone(20))

    responses.audio("item_r1", tone(40), 40.0)

    response = responses.take_whole(0.0)
    assert response is not None
    assert response.duration_ms == 60


def test_words_that_come_before_the_audio_are_of_the_answer_that_is_being_made():
    responses = Responses(VOICE, VOICE)
    responses.begin("r1")

    responses.words("i1", "Hello.")
    responses.end("r1", "completed", calls=False)

    response = responses.take_whole(0.0)
    assert response is not None
    assert response.transcript == "Hello."


def test_the_end_of_a_response_that_nobody_knows_is_none():
    responses = Responses(VOICE, VOICE)
    responses.want()

    assert responses.end("r9", "completed", calls=False) is None


# -- what was heard


@given(
    items_ms=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    taken=st.integers(0, 5),
    passed_ms=st.integers(0, 3000),
    heard_ms=st.one_of(st.none(), st.floats(0, 3000)),
    over=st.booleans(),
)
def test_what_was_heard_is_never_more_than_was_received(
    items_ms: list[int], taken: int, passed_ms: int, heard_ms: float | None, over: bool
):
    responses = Responses(VOICE, VOICE)
    responses.begin("r1")
    for at, duration_ms in enumerate(items_ms):
        responses.audio(f"i{at}", bytes(2), float(duration_ms))
    if over:
        responses.end("r1", "completed", calls=False)
    for _ in range(min(taken, len(items_ms))):
        responses.take_chunk(0.0)

    cut = responses.cut(passed_ms / 1000, heard_ms, () if over else (f"i{len(items_ms) - 1}",))

    lost = {item.item_id: item for item in cut.items}
    in_time_ms = min(sum(items_ms[:taken]), passed_ms)
    left_ms = in_time_ms if heard_ms is None else heard_ms
    for at, duration_ms in enumerate(items_ms):
        heard_of_it_ms = lost[f"i{at}"].heard_ms if f"i{at}" in lost else duration_ms
        assert isinstance(heard_of_it_ms, int)
        assert 0 <= heard_of_it_ms <= duration_ms
        assert heard_of_it_ms == pytest.approx(min(left_ms, duration_ms), abs=1.01)
        left_ms = max(left_ms - duration_ms, 0)
    assert responses.take_chunk(10.0) is None
    assert bool(cut.answers) is not over

"""Which sounds of the caller are interruptions."""

import pytest

from gateway.calls.barge_in import BargeIn, BargeInSettings, Verdict

HANGOVER_S = 0.5


def barge_in(*, min_speech_ms: int = 0, min_words: int = 0) -> BargeIn:
    return BargeIn(BargeInSettings(min_speech_ms=min_speech_ms, min_words=min_words), HANGOVER_S)


def spoken(*items: str, min_words: int = 2) -> BargeIn:
    """The caller has made these sounds, a second each, and nobody has written them down."""
    caller = barge_in(min_speech_ms=400, min_words=min_words)
    for at, item in enumerate(items):
        caller.began(item, float(at))
        caller.stopped(1000, at + 0.9)
    return caller


def test_any_sound_interrupts_at_once_unless_it_is_set_otherwise():
    caller = barge_in()

    assert caller.began("u1", 0.0) is Verdict.INTERRUPTED
    assert not caller.suspected


@pytest.mark.parametrize(
    ("settings", "waits"), [({}, False), ({"min_speech_ms": 1}, True), ({"min_words": 1}, True)]
)
def test_what_is_set_tells_whether_a_sound_is_believed_at_once(settings: dict[str, int], waits: bool):
    assert barge_in(**settings).waits is waits


def test_nothing_is_suspected_before_a_sound():
    caller = barge_in(min_speech_ms=400)

    assert not caller.suspected
    assert caller.stopped(5000, 1.0) is None
    assert caller.advance(100.0) is None


# -- how long it lasts


def test_a_sound_is_only_suspected_at_first():
    caller = barge_in(min_speech_ms=400)

    assert caller.began("u1", 0.0) is None
    assert caller.suspected


@pytest.mark.parametrize(
    ("lasted_ms", "verdict"),
    [(399, Verdict.NOTHING), (400, Verdict.INTERRUPTED), (5000, Verdict.INTERRUPTED), (0, Verdict.NOTHING)],
)
def test_how_long_a_sound_lasted_decides(lasted_ms: int, verdict: Verdict):
    caller = barge_in(min_speech_ms=400)
    caller.began("u1", 0.0)

    assert caller.stopped(lasted_ms, 1.0) is verdict
    assert not caller.suspected


def test_a_sound_that_lasts_is_believed_before_it_ends():
    caller = barge_in(min_speech_ms=400)
    caller.began("u1", 10.0)

    assert caller.advance(10.88) is None
    assert caller.advance(10.9) is Verdict.INTERRUPTED


def test_what_was_decided_is_not_decided_again():
    caller = barge_in(min_speech_ms=400)
    caller.began("u1", 0.0)
    caller.advance(1.0)

    assert caller.advance(2.0) is None
    assert caller.stopped(3000, 3.0) is None
    assert caller.written_down("u1", "Stop it now") is None


# -- what it says


def test_a_sound_with_words_is_judged_when_they_are_written_down():
    caller = barge_in(min_words=2)
    caller.began("u1", 0.0)

    assert caller.advance(30.0) is None
    assert caller.stopped(400, 30.0) is None
    assert caller.written_down("u1", "Hold on") is Verdict.INTERRUPTED


@pytest.mark.parametrize("text", ["", "   ", "Mhm."])
def test_too_few_words_are_nothing(text: str):
    assert spoken("u1").written_down("u1", text) is Verdict.NOTHING


def test_a_short_sound_is_nothing_whatever_it_would_have_said():
    caller = barge_in(min_speech_ms=400, min_words=1)
    caller.began("u1", 0.0)

    assert caller.stopped(200, 0.7) is Verdict.NOTHING
    assert caller.written_down("u1", "Stop") is None


def test_words_of_another_turn_decide_nothing():
    caller = spoken("u2")

    assert caller.written_down("u1", "Of an earlier turn") is None
    assert caller.suspected


def test_a_caller_whose_words_do_not_come_is_believed_after_two_seconds():
    caller = barge_in(min_words=2)
    caller.began("u1", 0.0)
    caller.stopped(1000, 10.0)

    assert caller.advance(11.98) is None
    assert caller.advance(12.0) is Verdict.INTERRUPTED


# -- one sound after the other


def test_words_are_not_forgotten_because_of_a_cough_behind_them():
    caller = spoken("u1")
    caller.began("u2", 1.5)
    assert caller.stopped(100, 2.1) is None

    assert caller.written_down("u1", "Stop it please") is Verdict.INTERRUPTED


def test_words_are_believed_while_the_next_sound_is_being_made():
    caller = spoken("u1")
    caller.began("u2", 1.5)

    assert caller.written_down("u1", "Stop it please") is Verdict.INTERRUPTED
    assert not caller.suspected


def test_two_sounds_are_nothing_when_both_are():
    caller = spoken("u1", "u2")

    assert caller.written_down("u1", "Mhm.") is None
    assert caller.written_down("u2", "Ah.") is Verdict.NOTHING
    assert caller.item == "u2"


def test_a_second_sound_does_not_put_off_the_words_of_the_first():
    caller = barge_in(min_words=2)
    caller.began("u1", 0.0)
    caller.stopped(500, 1.0)
    caller.began("u2", 2.5)

    assert caller.advance(3.0) is Verdict.INTERRUPTED


def test_what_is_forgotten_is_not_judged():
    caller = spoken("u1")
    caller.began("u2", 1.5)

    caller.forget()

    assert not caller.suspected
    assert caller.written_down("u1", "Stop it please") is None
    assert caller.advance(100.0) is None

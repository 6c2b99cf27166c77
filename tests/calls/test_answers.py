"""What is owed to the caller, and how long he waits for it."""

from gateway.calls.answers import Answers


def test_a_conversation_begins_with_a_greeting_that_is_owed():
    answers = Answers(10.0, now=1.0)

    assert answers.owed
    assert not answers.overdue(11.0)
    assert answers.overdue(11.1)


def test_an_answer_that_came_is_owed_no_more():
    answers = Answers(10.0, now=0.0)

    answers.came()

    assert not answers.owed
    assert not answers.overdue(100.0)


def test_the_wait_counts_from_when_the_caller_fell_silent():
    answers = Answers(10.0, now=0.0)
    answers.turn_over(5.0, silent_for_s=0.5)

    answers.came()

    assert answers.sent(5.2) == 700
    assert answers.sent(5.4) is None


def test_a_filler_is_no_answer():
    answers = Answers(10.0, now=0.0)
    answers.turn_over(5.0)

    assert answers.sent(5.4) is None
    answers.came()

    assert answers.sent(6.0) == 1000


def test_what_follows_an_answer_without_audio_answers_something_else():
    answers = Answers(10.0, now=0.0)
    answers.turn_over(5.0)
    answers.came()

    answers.forget_turn()

    assert answers.sent(9.0) is None


def test_a_caller_who_speaks_is_owed_nothing_yet():
    answers = Answers(10.0, now=0.0)
    answers.turn_over(5.0)

    answers.nothing_owed()

    assert not answers.owed
    assert answers.sent(6.0) is None

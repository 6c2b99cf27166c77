"""The order of what tools answer."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.tool_answers import ToolAnswers


def running(*calls: str) -> ToolAnswers:
    answers = ToolAnswers()
    for call in calls:
        answers.began(call)
    return answers


def test_an_answer_is_told_at_once_if_none_is_missing_before_it():
    answers = running("a", "b")

    assert answers.done("a", "1") == [("a", "1")]


def test_an_answer_waits_for_those_that_were_called_before():
    answers = running("a", "b")
    early = answers.done("b", "2")

    assert early == []
    assert answers.done("a", "1") == [("a", "1"), ("b", "2")]


def test_an_answer_that_nobody_waits_for_is_not_told():
    answers = running("a")

    assert answers.done("z", "9") == []
    assert answers.running


def test_the_agent_is_asked_to_go_on_once():
    answers = running("a", "b")
    answers.done("a", "1")
    before = answers.due
    answers.done("b", "2")
    after = answers.due

    answers.asked()

    assert (before, after, answers.due) == (False, True, False)


def test_nothing_is_due_where_nothing_was_called():
    assert not running().due


def test_one_that_is_called_meanwhile_is_waited_for():
    answers = running("a")
    answers.done("a", "1")

    answers.began("b")

    assert not answers.due


@given(st.permutations(range(6)))
def test_in_whatever_order_they_answer_they_are_told_in_the_order_of_the_calls(order: list[int]):
    answers = running(*(str(call) for call in range(6)))

    told = [call for each in order for call, _ in answers.done(str(each), "")]

    assert told == [str(call) for call in range(6)]
    assert answers.due

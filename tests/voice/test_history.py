"""What is known of a conversation, and what a new session is told of it."""

from typing import Any

import pytest

from gateway.voice.history import History, Message


def told(history: History) -> list[dict[str, Any]]:
    return [item for _, item in history.items()]


def words(history: History) -> list[tuple[str, str]]:
    """Who says what in the items that a new session is told."""
    messages = [item for item in told(history) if item["type"] == "message"]
    return [(item["role"], item["content"][0]["text"]) for item in messages]


def talk() -> History:
    history = History()
    history.spoke("a1", "Good morning.")
    history.turn("u1")
    history.written_down("u1", "When do you open?")
    history.spoke("a2", "At nine.")
    return history


# -- what is said


def test_a_session_is_told_who_said_what_in_its_order():
    assert words(talk()) == [
        ("assistant", "Good morning."),
        ("user", "When do you open?"),
        ("assistant", "At nine."),
    ]


def test_what_the_caller_says_is_input_and_what_the_agent_says_is_output():
    assert [item["content"][0]["type"] for item in told(talk())] == [
        "output_text",
        "input_text",
        "output_text",
    ]


def test_every_item_comes_with_the_name_it_has_here():
    assert [name for name, _ in talk().items()] == ["a1", "u1", "a2"]


def test_a_turn_that_nobody_has_written_down_is_not_told():
    history = talk()

    history.turn("u2")

    assert words(history) == words(talk())
    assert history.last == Message(who="caller", item="u2")


@pytest.mark.parametrize("item", ["a9", "u9"])
def test_what_has_no_words_is_not_told(item: str):
    history = talk()

    history.spoke("a9", "")
    history.turn("u9", "")

    assert item not in [name for name, _ in history.items()]


def test_a_turn_stands_where_it_was_taken_and_not_where_it_was_written_down():
    history = History()
    history.turn("u1")
    history.spoke("a1", "At nine.")

    history.written_down("u1", "When do you open?")

    assert words(history) == [("user", "When do you open?"), ("assistant", "At nine.")]


def test_a_turn_that_is_written_down_before_it_is_taken_is_one_turn():
    history = History()
    history.written_down("u1", "When do you open?")

    history.turn("u1")

    assert words(history) == [("user", "When do you open?")]
    assert history.last == Message(who="caller", item="u1", text="When do you open?")


def test_what_the_agent_says_grows_in_its_place():
    history = History()
    history.spoke("a1", "We are")
    history.turn("u1", "Yes?")

    history.spoke("a1", "We are open.")

    assert words(history) == [("assistant", "We are open."), ("user", "Yes?")]


def test_what_was_said_in_an_item_that_nobody_knows_is_empty():
    assert History().text("a1") == ""


def test_a_turn_that_is_not_written_down_has_no_words_yet():
    history = History()
    history.turn("u1")

    assert history.text("u1") == ""


def test_nothing_was_said_last_when_nothing_was_said():
    assert History().last is None


def test_a_tool_call_is_not_what_was_said_last():
    history = talk()

    history.called("c1", "hours", "{}")

    assert history.last is not None
    assert history.last.item == "a2"


# -- what was heard


def test_of_an_interrupted_answer_a_session_is_told_what_was_heard():
    history = talk()
    history.spoke("a3", "We close at five on every day but Sunday.")

    history.cut("a3", "We close at")

    assert words(history)[-1] == ("assistant", "We close at")


def test_words_that_come_late_do_not_undo_a_cut():
    history = talk()
    history.cut("a2", "At")

    history.spoke("a2", "At nine, every day.")

    assert history.text("a2") == "At"


def test_an_answer_of_which_nothing_was_heard_is_not_told():
    history = talk()

    history.cut("a2", "")

    assert words(history) == words(talk())[:-1]


def test_of_two_cuts_the_second_one_counts():
    history = talk()
    history.cut("a2", "At nine")

    history.cut("a2", "At")

    assert history.text("a2") == "At"


def test_a_cut_of_something_that_is_no_item_of_the_conversation_changes_nothing():
    history = talk()

    history.cut("filler7", "")

    assert words(history) == words(talk())


# -- tools


def test_a_tool_call_and_its_answer_are_told_in_the_protocols_words():
    history = History()
    history.called("c1", "hours", '{"day": 1}')
    history.answered("c1", "nine")

    assert told(history) == [
        {"type": "function_call", "call_id": "c1", "name": "hours", "arguments": '{"day": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "nine"},
    ]


def test_a_tool_that_still_runs_is_told_without_its_answer():
    history = History()

    history.called("c1", "hours", "{}")

    assert [item["type"] for item in told(history)] == ["function_call"]


def test_a_tool_that_answers_nothing_has_answered():
    history = History()
    history.called("c1", "note", "{}")

    history.answered("c1", "")

    assert told(history)[-1]["output"] == ""


def test_an_answer_stands_behind_its_call_whenever_it_came():
    history = History()
    history.called("c1", "hours", "{}")
    history.turn("u1", "Are you there?")

    history.answered("c1", "nine")

    assert [item["type"] for item in told(history)] == ["function_call", "function_call_output", "message"]


def test_an_answer_to_a_call_that_nobody_knows_means_nothing():
    history = talk()

    history.answered("c9", "nine")

    assert told(history) == told(talk())


# -- hours


def said_for_hours(turns: int) -> History:
    history = History()
    for turn in range(turns):
        history.turn(f"u{turn}", f"question {turn}")
        history.spoke(f"a{turn}", f"answer {turn}")
    return history


def test_a_session_is_told_the_last_forty_things():
    history = said_for_hours(100)

    assert len(words(history)) == 40
    assert words(history)[-1] == ("assistant", "answer 99")


def test_a_call_of_hours_remembers_the_last_four_hundred_things():
    history = said_for_hours(10_000)

    assert len(history.messages) == 400
    assert history.text("u9800") == "question 9800"
    assert history.text("u9799") == ""


def test_what_is_long_forgotten_can_be_cut_or_answered_without_harm():
    history = said_for_hours(300)
    history.called("c1", "hours", "{}")
    for turn in range(500):
        history.turn(f"later{turn}", "x")

    history.cut("a0", "answer")
    history.answered("c1", "nine")

    assert history.text("a0") == ""
    assert len(told(history)) == 40

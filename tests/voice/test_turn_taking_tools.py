"""Functions that the agent calls in the midst of an answer."""

from typing import Any

import pytest

from gateway.voice.states import SessionState
from tests.voice.taking_turns import Talk

ASK, ITEM = "response.create", "conversation.item.create"


def calling(*calls: str) -> Talk:
    """The voice was asked for an answer, has said something, and called these."""
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.begin("r1")
    talk.audio("i1", 100)
    talk.words("i1", "Let me see.")
    talk.audio_done("i1")
    talk.done("r1", calls=calls)
    talk.forget()
    return talk


def outputs(talk: Talk) -> list[Any]:
    """What the voice was told, and when it was asked to go on."""
    return [event["item"]["output"] if event["type"] == ITEM else event["type"] for event in talk.told()]


def test_those_that_are_called_are_to_be_run():
    talk = calling("c1", "c2")

    assert [(call.call, call.name, call.arguments) for call in talk.core.calls()] == [
        ("c1", "look", "{}"),
        ("c2", "look", "{}"),
    ]
    assert talk.core.calls() == []


def test_those_who_want_to_know_are_told():
    talk = Talk()
    talk.begin("r1")

    talk.done("r1", calls=("c1",))

    (called,) = talk.seen("tool_called")
    assert (called.value, called.details) == ("look", {"arguments": "{}", "call_id": "c1"})


def test_the_voice_is_asked_to_go_on_with_their_answers():
    talk = calling("c1")

    talk.core.tool_answered("c1", "42")

    assert outputs(talk) == ["42", ASK]


@pytest.mark.parametrize("order", [("c1", "c2", "c3"), ("c3", "c2", "c1"), ("c2", "c3", "c1")])
def test_answers_are_told_in_the_order_of_the_calls_and_once_is_asked(order: tuple[str, ...]):
    talk = calling("c1", "c2", "c3")

    for call in order:
        talk.core.tool_answered(call, f"of {call}")

    assert outputs(talk) == ["of c1", "of c2", "of c3", ASK]


def test_all_of_it_is_one_response():
    talk = calling("c1")
    talk.core.tool_answered("c1", "42")
    talk.begin("r2")
    talk.audio("i2", 100, "r2")
    talk.words("i2", "It is 42.", "r2")
    talk.audio_done("i2", "r2")

    talk.done("r2")

    (response,) = talk.take()
    assert (response.transcript, response.duration_ms, response.item_id) == (
        "Let me see. It is 42.",
        200,
        "i2",
    )
    assert len(talk.seen("response_started", "response_ended")) == 1


def test_an_answer_may_call_again():
    talk = calling("c1")
    talk.core.tool_answered("c1", "1")
    talk.begin("r2")
    talk.done("r2", calls=("c2",))
    talk.core.tool_answered("c2", "2")

    talk.answer("r3", text="Three.")

    assert outputs(talk) == ["1", ASK, "2", ASK]
    assert talk.statuses() == ["completed"]


def test_nobody_has_the_whole_answer_while_functions_run():
    talk = calling("c1")

    assert talk.take() == []
    assert talk.core.responses.take_chunk(0.0) is not None
    assert not talk.core.responses.take_end()


def test_what_is_wanted_meanwhile_is_answered_after_it():
    talk = calling("c1")
    talk.commit()
    talk.committed("u2")
    talk.told()
    talk.core.tool_answered("c1", "1")
    talk.answer("r2", text="One.")

    talk.answer("r3", text="Two.")

    assert outputs(talk) == ["1", ASK, ASK]
    assert [response.transcript for response in talk.take()] == ["Let me see. One.", "Two."]


def test_a_result_that_nobody_waits_for_is_dropped():
    talk = calling("c1")

    talk.core.tool_answered("c9", "42")
    talk.core.tool_answered("c1", "1")
    talk.core.tool_answered("c1", "again")

    assert outputs(talk) == ["1", ASK]


def test_an_interruption_while_they_run_ends_the_answer():
    talk = calling("c1")

    talk.core.interrupt(0.0, None)

    assert talk.statuses() == ["cancelled"]


def test_a_result_that_comes_after_an_interruption_is_told_and_nothing_is_asked():
    talk = calling("c1")
    talk.core.interrupt(0.0, None)
    talk.told()

    talk.core.tool_answered("c1", "42")

    assert outputs(talk) == ["42"]


def test_what_is_wanted_after_an_interruption_does_not_wait_for_them():
    talk = calling("c1")
    talk.commit()
    talk.committed("u2")
    talk.told()

    talk.core.interrupt(0.0, 100)

    assert outputs(talk) == [ASK]


def test_the_functions_of_the_next_answer_do_not_wait_for_those_of_an_interrupted_one():
    talk = calling("c1")
    talk.core.interrupt(0.0, 100)
    talk.commit()
    talk.committed("u2")
    talk.begin("r2")
    talk.done("r2", calls=("c2",))
    talk.told()

    talk.core.tool_answered("c2", "2")

    assert outputs(talk) == ["2", ASK]


def test_an_interruption_after_they_have_answered_ends_what_was_to_follow():
    talk = calling("c1")
    talk.core.tool_answered("c1", "42")
    talk.core.interrupt(0.0, None)
    talk.begin("r2")
    talk.done("r2", "cancelled")

    assert talk.statuses() == ["cancelled"]


def test_the_turn_after_it_has_its_own_answer():
    talk = calling("c1")
    talk.core.tool_answered("c1", "42")
    talk.core.interrupt(0.0, None)
    talk.commit()
    talk.committed("u2")
    talk.begin("r2")
    talk.done("r2", "cancelled")
    talk.answer("r3", text="Yes.")

    assert talk.statuses() == ["cancelled", "completed"]


@pytest.mark.parametrize(("refusals", "status"), [(1, None), (2, "failed")])
def test_a_busy_voice_is_asked_once_more_to_go_on(refusals: int, status: str | None):
    talk = calling("c1")
    talk.core.tool_answered("c1", "42")

    for _ in range(refusals):
        talk.complain("conversation_already_has_active_response", talk.last_id(ASK))

    front = talk.core.responses.front
    assert front is not None
    assert front.status == status
    assert outputs(talk) == ["42", ASK, ASK]


def test_a_voice_that_goes_on_unasked_is_not_asked():
    talk = calling("c1")
    talk.begin("r2")

    talk.core.tool_answered("c1", "42")
    talk.done("r2")

    assert outputs(talk) == ["42"]
    assert talk.statuses() == ["completed"]


def test_an_answer_that_was_cancelled_calls_nothing():
    talk = Talk()
    talk.begin("r1")

    talk.done("r1", "cancelled", calls=("c1",))

    assert talk.core.calls() == []
    assert talk.statuses() == ["cancelled"]


def test_a_session_that_has_ended_takes_results_without_a_word():
    talk = calling("c1")
    talk.core.ended(None)
    talk.told()

    talk.core.tool_answered("c1", "42")

    assert outputs(talk) == []
    assert talk.core.session.state is SessionState.DISCONNECTED

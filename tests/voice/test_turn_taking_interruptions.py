"""The user interrupts: the agent is silent, and its voice knows what was heard."""

import pytest

from gateway.contracts import Agent, AudioFormat
from gateway.voice.states import SessionState
from tests.voice.taking_turns import BYTES_PER_MS, Talk, answering, truncated

CANCEL, TRUNCATE, ASK = "response.cancel", "conversation.item.truncate", "response.create"


# -- what it does


def test_what_is_being_said_is_cancelled_before_it_is_truncated():
    talk = answering(("i1", 300))

    talk.core.interrupt(0.0, None)

    assert talk.kinds() == [CANCEL, TRUNCATE]


def test_what_was_said_whole_is_not_cancelled():
    talk = answering(("i1", 300), over=True)

    talk.core.interrupt(0.0, None)

    assert talk.kinds() == [TRUNCATE]


def test_those_who_want_to_know_are_told_what_was_heard():
    talk = answering(("i1", 300), ("i2", 300))

    talk.core.interrupt(0.0, 400)

    ended, interrupted = talk.seen("response_ended", "interrupted")
    assert ended.details["status"] == "cancelled"
    assert interrupted.details == {"item_id": "i2", "heard_ms": 100}


def test_an_answer_that_was_cut_ends_as_cancelled_and_is_empty():
    talk = answering(("i1", 300))

    talk.core.interrupt(0.0, None)

    (response,) = talk.take()
    assert (response.status, response.data, response.duration_ms) == ("cancelled", b"", 0)


def test_an_answer_that_was_complete_and_not_taken_is_cancelled_too():
    talk = answering(("i1", 300), over=True)

    talk.core.interrupt(0.0, None)

    (response,) = talk.take()
    assert (response.status, response.data) == ("cancelled", b"")


def test_no_audio_of_an_answer_that_was_cut_comes_out():
    talk = answering(("i1", 300))
    talk.core.interrupt(0.0, None)

    talk.audio("i1", 300)
    talk.audio("i2", 300)
    talk.audio_done("i2")
    talk.done("r1", "cancelled")

    assert talk.core.responses.take_chunk(0.0) is None
    assert [response.data for response in talk.take()] == [b""]


def test_an_item_that_was_on_its_way_is_truncated_when_it_comes():
    talk = answering(("i1", 300))
    talk.core.interrupt(0.0, None)
    talk.told()

    talk.audio("i2", 300)

    assert truncated(talk) == {"i2": 0}


def test_the_next_answer_has_nothing_of_the_one_that_was_cut():
    talk = Talk(form=AudioFormat(rate_hz=8000))
    talk.begin("r1")
    talk.audio("i1", 300, sample=b"\xff\x7f")
    talk.core.responses.take_chunk(0.0)
    talk.core.interrupt(0.0, None)
    talk.done("r1", "cancelled")
    talk.take()
    talk.begin("r2")
    talk.audio("i2", 100, "r2", sample=b"\0\0")
    talk.done("r2")

    (response,) = talk.take()

    assert not any(response.data)


# -- before it says anything


def test_an_answer_that_was_only_asked_for_is_over_at_once():
    talk = Talk()
    talk.commit()
    talk.committed("u1")

    talk.core.interrupt(0.0, None)

    assert talk.statuses() == ["cancelled"]
    assert [each.event for each in talk.seen("response_ended", "interrupted")] == [
        "response_ended",
        "interrupted",
    ]


def test_an_answer_that_begins_after_it_was_interrupted_is_cancelled_unheard():
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.core.interrupt(0.0, None)
    talk.forget()

    talk.begin("r1")
    talk.audio("i1", 100)
    talk.done("r1", "cancelled")

    assert talk.kinds() == [CANCEL, TRUNCATE]
    assert not talk.seen("response_started", "response_ended")
    assert talk.statuses() == ["cancelled"]
    assert talk.core.session.state is SessionState.CONNECTED


def test_an_answer_that_was_interrupted_and_is_refused_is_over_once():
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    ask = talk.last_id(ASK)
    talk.core.interrupt(0.0, None)
    talk.forget()

    talk.complain("conversation_already_has_active_response", ask)

    assert talk.kinds() == []
    assert talk.statuses() == ["cancelled"]


def test_a_commit_on_its_way_is_answered_after_an_interruption():
    talk = answering(("i1", 300))
    talk.commit()
    talk.core.interrupt(0.0, None)
    talk.committed("u2")
    talk.done("r1", "cancelled")

    talk.answer("r2")

    assert talk.statuses() == ["cancelled", "completed"]


def test_a_greeting_that_waits_for_an_unasked_answer_is_said_after_its_interruption():
    talk = Talk(agent=Agent(name="a", greeting="Hello."))
    talk.begin("r0")
    talk.core.interrupt(0.0, None)
    talk.done("r0", "cancelled")
    talk.commit()
    talk.committed("u1")
    talk.answer("r1")

    assert talk.statuses() == ["cancelled", "completed"]


# -- again and again


def test_nothing_happens_when_nothing_is_said():
    talk = Talk()

    talk.core.interrupt(0.0, None)
    talk.core.interrupt(1.0, 100)

    assert talk.told() == []
    assert talk.seen() == []


@pytest.mark.parametrize("heard_ms", [None, 100])
def test_twice_is_once(heard_ms: float | None):
    talk = answering(("i1", 300))
    talk.core.interrupt(0.0, heard_ms)
    talk.forget()

    talk.core.interrupt(0.0, heard_ms)

    assert talk.told() == []
    assert talk.seen() == []


def test_twice_leaves_what_was_wanted_after_it():
    talk = answering(("i1", 300))
    talk.commit()
    talk.committed("u2")
    talk.core.interrupt(0.0, None)
    talk.core.interrupt(0.0, None)
    talk.done("r1", "cancelled")

    talk.answer("r2")

    assert talk.statuses() == ["cancelled", "completed"]


def test_what_was_wanted_after_it_is_asked_for_when_the_voice_is_done():
    talk = answering(("i1", 300))
    talk.commit()
    talk.committed("u2")
    talk.core.interrupt(0.0, None)
    before = talk.kinds()

    talk.done("r1", "cancelled")

    assert ASK not in before
    assert talk.kinds() == [ASK]


def test_a_cancellation_that_comes_too_late_is_no_error():
    talk = answering(("i1", 300))
    talk.core.interrupt(0.0, None)

    talk.done("r1")
    talk.complain("response_cancel_not_active", talk.last_id(CANCEL))

    assert not talk.seen("error")
    assert talk.statuses() == ["cancelled"]


# -- answers that nobody takes


def test_an_answer_that_nobody_takes_is_cut_off_at_five_minutes():
    talk = Talk()
    talk.begin("r1")

    for _ in range(31):
        talk.audio("i1", 10_000)

    assert talk.kinds() == [CANCEL]
    assert [each.value.code for each in talk.seen("error")] == ["response_overran"]
    assert talk.core.responses.queued_ms <= 310_000


def test_what_was_received_of_an_answer_that_is_cut_off_can_be_taken():
    talk = Talk()
    talk.begin("r1")
    for _ in range(31):
        talk.audio("i1", 10_000)

    talk.done("r1", "cancelled")

    (response,) = talk.take()
    assert (response.status, len(response.data)) == ("cancelled", 310_000 * BYTES_PER_MS)

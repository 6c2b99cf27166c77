"""Who has the floor: turns that the voice finds, sooner or later, and answers that it gives or refuses."""

import pytest

from gateway.contracts import Agent, AudioFormat
from gateway.voice.checks import checked_turns
from gateway.voice.states import SessionState
from tests.voice.taking_turns import BYTES_PER_MS, Talk

EMPTY = "input_audio_buffer_commit_empty"
BUSY = "conversation_already_has_active_response"
COMMIT, ASK = "input_audio_buffer.commit", "response.create"


# -- turns that the voice finds


def test_a_turn_that_is_found_is_answered():
    talk = Talk()
    talk.send(2000)

    talk.turn("u1", 0, 1500)
    talk.answer("r1")

    assert talk.kinds() == [ASK]
    assert talk.statuses() == ["completed"]


def test_each_turn_that_is_found_is_answered():
    talk = Talk()
    talk.send(4000)
    talk.turn("u1", 0, 1500)
    talk.begin("r1")

    talk.turn("u2", 2000, 3500)
    talk.done("r1")
    talk.answer("r2")

    assert talk.statuses() == ["completed", "completed"]


def test_a_turn_that_was_found_is_there_to_be_listened_to():
    talk = Talk()
    talk.core.send(bytes(range(1, 11)) * (100 * BYTES_PER_MS))
    said = bytes(range(1, 11)) * (100 * BYTES_PER_MS)

    talk.turn("u1", 100, 700)

    utterance = talk.core.utterances.take()
    assert utterance == said[100 * BYTES_PER_MS : 700 * BYTES_PER_MS]
    assert utterance is not None
    assert utterance.answer is talk.core.responses.front


def test_part_of_what_was_committed_is_not_listened_to():
    talk = Talk()
    talk.commit(2000)

    talk.turn("u1", 0, 1500)

    assert talk.core.utterances.take() is None


def test_a_turn_whose_end_nobody_has_told_is_answered():
    talk = Talk()
    talk.send(2000)
    talk.started("u1", 500)

    talk.committed("u1")

    utterance = talk.core.utterances.take()
    assert talk.kinds() == [ASK]
    assert len(utterance or b"") == 1500 * BYTES_PER_MS


def test_a_turn_whose_beginning_nobody_has_told_is_answered():
    talk = Talk()
    talk.send(2000)

    talk.stopped("u1", 1500)
    talk.committed("u1")

    assert talk.kinds() == [ASK]
    assert not talk.seen("speech_ended")


def test_a_turn_that_was_found_before_detection_was_turned_off_is_answered():
    talk = Talk()
    talk.send(2000)
    talk.started("u1", 0)
    talk.core.detect_turns(checked_turns(enabled=False))
    talk.told()

    talk.stopped("u1", 1500)
    talk.committed("u1")

    assert talk.kinds() == [ASK]


# -- a detection that lags


def test_speech_that_is_found_in_what_was_committed_is_over():
    talk = Talk()
    talk.commit(1000)
    talk.committed("u1")
    talk.forget()

    talk.started("u2", 300)

    assert talk.core.session.state is SessionState.PROCESSING
    assert not talk.seen()


def test_speech_that_is_found_late_does_not_silence_the_answer():
    talk = Talk()
    talk.commit(1000)
    talk.committed("u1")
    talk.begin("r1")
    talk.audio("i1", 100)

    talk.started("u2", 300)

    assert talk.core.session.state is SessionState.SPEAKING


def test_speech_that_begins_in_the_padding_of_what_was_committed_is_new_if_anything_was_said_since():
    talk = Talk()
    talk.commit(1000)
    talk.committed("u1")
    talk.send(500)

    talk.started("u2", 900)

    assert talk.core.session.state is SessionState.LISTENING


def test_speech_cannot_begin_in_the_padding_of_what_was_committed_when_nothing_was_said_since():
    talk = Talk()
    talk.commit(1000)
    talk.committed("u1")

    talk.started("u2", 900)

    assert talk.core.session.state is SessionState.PROCESSING


def test_speech_that_is_found_while_the_commit_is_on_its_way_is_speech():
    talk = Talk()
    talk.commit(1000)

    talk.started("u1", 300)

    assert talk.core.session.state is SessionState.LISTENING


def test_a_commit_that_is_refused_ends_the_listening():
    talk = Talk()
    commit = talk.commit(2000)
    talk.turn("u1", 0, 1500)
    talk.started("u2", 1900)

    talk.complain(EMPTY, commit)

    assert talk.core.session.state is SessionState.PROCESSING


# -- answers that nobody asked for, and questions that are refused


def test_what_the_voice_says_unasked_is_an_answer():
    talk = Talk()

    talk.answer("r1")

    assert talk.statuses() == ["completed"]


def test_a_voice_that_answers_a_commit_unasked_is_taken_at_its_word():
    talk = Talk()
    talk.commit()
    talk.begin("r1")
    talk.committed("u1")

    talk.done("r1")

    assert talk.kinds() == [COMMIT]
    assert talk.statuses() == ["completed"]


def test_a_voice_that_answers_unasked_while_it_is_asked_refuses_that_without_harm():
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    ask = talk.last_id(ASK)
    talk.begin("r1")
    talk.complain(BUSY, ask)

    talk.done("r1")

    assert talk.statuses() == ["completed"]
    assert not talk.seen("error")


@pytest.mark.parametrize("named", [True, False])
def test_a_voice_that_is_busy_is_asked_once_more(named: bool):
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    ask = talk.last_id(ASK)
    talk.told()

    talk.complain(BUSY, ask if named else None)

    assert talk.kinds() == [ASK]
    assert not talk.seen("response_ended", "error")


def test_a_busy_voice_that_then_answers_has_given_one_answer():
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.complain(BUSY, talk.last_id(ASK))
    again = talk.last_id(ASK)
    talk.begin("r1")
    talk.complain(BUSY, again)

    talk.done("r1")

    assert talk.statuses() == ["completed"]


def test_an_answer_that_is_refused_again_has_failed():
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.complain(BUSY, talk.last_id(ASK))

    talk.complain(BUSY, talk.last_id(ASK))

    assert talk.statuses() == ["failed"]
    assert talk.core.session.state is SessionState.CONNECTED


def test_an_answer_that_is_refused_has_failed():
    talk = Talk()
    talk.commit()
    talk.committed("u1")

    talk.complain("rate_limit_exceeded", talk.last_id(ASK))

    assert talk.statuses() == ["failed"]
    assert [each.details["status"] for each in talk.seen("response_ended")] == ["failed"]
    assert talk.core.session.state is SessionState.CONNECTED


def test_what_was_wanted_after_an_answer_that_was_refused_is_asked_for():
    talk = Talk()
    talk.commit()
    talk.commit()
    talk.committed("u1")
    ask = talk.last_id(ASK)
    talk.committed("u2")
    talk.told()

    talk.complain("rate_limit_exceeded", ask)

    assert talk.kinds() == [ASK]


@pytest.mark.parametrize("status", ["failed", "incomplete", "cancelled"])
def test_an_answer_ends_as_the_voice_says(status: str):
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.begin("r1")

    talk.done("r1", status)

    assert talk.statuses() == [status]


def test_a_voice_that_does_not_tell_when_it_begins_has_answered():
    talk = Talk()
    talk.commit()
    talk.committed("u1")

    talk.audio("i1", 100)
    talk.done("r1")

    (response,) = talk.take()
    assert (response.status, response.duration_ms) == ("completed", 100)


def test_a_voice_that_tells_nothing_but_that_it_failed_has_answered():
    talk = Talk()
    talk.commit()
    talk.committed("u1")

    talk.done("r1", "failed")
    talk.commit()
    talk.committed("u2")

    assert talk.statuses() == ["failed"]
    assert talk.kinds() == [COMMIT, ASK, COMMIT, ASK]


# -- beginnings


def test_an_agent_with_a_greeting_speaks_first():
    talk = Talk(agent=Agent(name="a", greeting="Hello."))

    greeting = talk.told()[-1]

    assert greeting["response"]["metadata"] == {"say": "Hello."}


def test_a_session_that_is_configured_once_more_does_not_greet_again():
    talk = Talk(agent=Agent(name="a", greeting="Hello."))
    talk.answer("r1", text="Hello.")
    talk.forget()

    talk.hear("session.updated", session={"id": "sess_1"})

    assert talk.kinds() == []
    assert talk.statuses() == ["completed"]


def test_what_is_committed_during_the_greeting_is_answered_after_it():
    talk = Talk(agent=Agent(name="a", greeting="Hello."))
    talk.commit()
    talk.begin("r1")
    talk.committed("u1")
    talk.told()

    talk.done("r1")

    (ask,) = talk.told()
    assert "response" not in ask


def test_a_greeting_that_a_busy_voice_refuses_is_the_greeting_when_it_is_asked_again():
    talk = Talk(agent=Agent(name="a", greeting="Hello."))

    talk.complain(BUSY, talk.last_id(ASK))

    assert talk.told()[-1]["response"]["metadata"] == {"say": "Hello."}


# -- states


def test_the_states_of_a_turn_that_is_committed_by_hand():
    talk = Talk(detection=False)
    talk.send(200)
    talk.commit()
    talk.committed("u1")
    talk.answer("r1")

    states = [each.value for each in talk.seen("state_changed")]

    assert states == [
        SessionState.LISTENING,
        SessionState.PROCESSING,
        SessionState.SPEAKING,
        SessionState.CONNECTED,
    ]


def test_turning_detection_off_ends_the_speech_that_was_found():
    talk = Talk()
    talk.send(500)
    talk.started("u1", 0)

    talk.core.detect_turns(checked_turns(enabled=False))

    assert [each.details["item_id"] for each in talk.seen("speech_ended")] == ["u1"]


# -- the end, and what else there may be


def test_those_who_want_to_know_are_told_why_it_ended():
    talk = Talk()

    talk.core.ended(ConnectionError("gone"))

    error, disconnected = talk.seen("error", "disconnected")
    assert isinstance(error.value, ConnectionError)
    assert disconnected.value == "gone"


def test_an_end_as_it_should_be_is_no_error():
    talk = Talk()

    talk.core.ended(None)

    assert [(each.event, each.value) for each in talk.seen("error", "disconnected")] == [
        ("disconnected", None)
    ]


def test_what_the_protocol_may_have_one_day_changes_nothing():
    talk = Talk()

    talk.hear("weather.changed", sky="blue")

    assert talk.told() == []
    assert talk.seen() == []


def test_an_event_of_the_wrong_shape_is_an_error():
    talk = Talk()

    talk.hear("response.created", response="r1")

    assert [each.value.code for each in talk.seen("error")] == ["malformed_event"]


def test_what_is_said_in_another_format_is_heard_and_answered_in_it():
    phone = AudioFormat(encoding="pcmu", rate_hz=8000)
    talk = Talk()
    talk.core.hear_in(phone)
    talk.core.send(bytes(8 * 1000))

    talk.turn("u1", 100, 600)
    talk.answer("r1", 100)

    (response,) = talk.take()
    assert len(talk.core.utterances.take() or b"") == 500 * phone.bytes_per_ms
    assert response.duration_ms == 100
    assert len(response.data) == pytest.approx(100 * phone.bytes_per_ms, abs=3 * phone.bytes_per_ms)

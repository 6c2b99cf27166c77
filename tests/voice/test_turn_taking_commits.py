"""A commit has one answer, in whatever order the voice says what became of it."""

import base64

import pytest

from tests.voice.taking_turns import BYTES_PER_MS, Talk

EMPTY = "input_audio_buffer_commit_empty"
COMMIT, ASK = "input_audio_buffer.commit", "response.create"


@pytest.mark.parametrize("detection", [True, False])
def test_what_is_committed_is_asked_for_when_the_voice_has_taken_it(detection: bool):
    talk = Talk(detection=detection)
    talk.commit()
    before = talk.kinds()

    talk.committed("u1")

    assert before == [COMMIT]
    assert talk.kinds() == [ASK]


@pytest.mark.parametrize("detection", [True, False])
def test_a_commit_gets_one_answer(detection: bool):
    talk = Talk(detection=detection)
    talk.commit()
    talk.committed("u1")

    talk.answer("r1")

    assert talk.statuses() == ["completed"]
    assert talk.kinds().count(ASK) == 1


def test_a_turn_that_detection_took_first_is_the_one_that_was_committed():
    talk = Talk()
    commit = talk.commit(2000)
    talk.turn("u1", 0, 1500)
    before = talk.kinds()

    talk.complain(EMPTY, commit)
    talk.answer("r1")

    assert before == [COMMIT]
    assert talk.kinds() == [ASK]
    assert talk.statuses() == ["completed"]


def test_that_detection_was_first_is_no_error():
    talk = Talk()
    commit = talk.commit(2000)
    talk.turn("u1", 0, 1500)

    talk.complain(EMPTY, commit)

    assert not talk.seen("error")


def test_a_clip_that_detection_splits_is_answered_once():
    talk = Talk()
    talk.commit(5000)
    talk.turn("u1", 0, 1500)
    talk.turn("u2", 2000, 3500)

    talk.committed("u3")
    talk.answer("r1")

    assert talk.kinds() == [COMMIT, ASK]
    assert talk.statuses() == ["completed"]


def test_a_turn_whose_beginning_alone_was_found_is_the_one_that_was_committed():
    talk = Talk()
    talk.commit(2000)
    talk.started("u1", 100)

    talk.committed("u1")

    assert talk.kinds() == [COMMIT, ASK]
    assert [each.event for each in talk.seen("speech_started", "speech_ended")] == [
        "speech_started",
        "speech_ended",
    ]


def test_an_end_that_is_found_after_the_commit_is_told_once():
    talk = Talk()
    talk.commit(2000)
    talk.started("u1", 100)
    talk.committed("u1")

    talk.stopped("u1", 2000)

    assert len(talk.seen("speech_ended")) == 1
    assert talk.kinds() == [COMMIT, ASK]


def test_a_voice_that_ends_its_own_turn_when_it_is_told_to_has_answered_the_commit():
    talk = Talk()
    talk.commit(2000)

    talk.turn("u1", 100, 2003)

    assert talk.kinds() == [COMMIT, ASK]


def test_two_commits_are_answered_in_their_order():
    talk = Talk()
    talk.commit()
    talk.commit()
    talk.committed("u1")
    talk.answer("r1", text="One.")

    talk.committed("u2")
    talk.answer("r2", text="Two.")

    assert [response.transcript for response in talk.take()] == ["One.", "Two."]


def test_the_second_of_two_commits_waits_for_the_answer_to_the_first():
    talk = Talk()
    talk.commit()
    talk.commit()
    talk.committed("u1")
    talk.committed("u2")
    talk.begin("r1")
    before = talk.kinds()

    talk.done("r1")

    assert before == [COMMIT, COMMIT, ASK]
    assert talk.kinds() == [ASK]


def test_an_error_that_names_the_second_of_two_commits_leaves_the_first_to_wait():
    talk = Talk()
    talk.commit()
    second = talk.commit()
    talk.told()

    talk.complain(EMPTY, second)

    assert talk.kinds() == []


@pytest.mark.parametrize("cause", [None, ""])
def test_an_error_that_does_not_say_what_it_complains_of_is_of_the_first_commit(cause: str | None):
    talk = Talk()
    talk.commit()
    talk.commit()

    talk.complain(EMPTY, cause)

    assert talk.kinds() == [COMMIT, COMMIT, ASK]
    assert talk.core.responses.front is talk.core.responses.begin("r1")


def test_the_error_of_a_commit_that_is_dealt_with_is_not_of_the_next_one():
    talk = Talk()
    first = talk.commit(2000)
    talk.turn("u1", 0, 2003)
    talk.answer("r1")
    talk.commit()
    talk.told()

    talk.complain(EMPTY, first)

    assert talk.kinds() == []


def test_a_commit_that_is_refused_for_another_reason_is_answered_all_the_same():
    talk = Talk()
    commit = talk.commit()

    talk.complain("rate_limit_exceeded", commit)

    assert talk.kinds() == [COMMIT, ASK]
    assert [each.value.code for each in talk.seen("error")] == ["rate_limit_exceeded"]


def test_an_error_of_something_else_does_not_end_the_waiting():
    talk = Talk()
    talk.commit()
    talk.told()

    talk.complain("server_error")

    assert talk.kinds() == []


def test_nothing_but_a_commit_is_a_turn_of_silence():
    talk = Talk()

    talk.core.commit(b"")

    sent = [event for event, _ in talk.core.outgoing()]
    audio = base64.b64decode(sent[0].split('"audio":"')[1].rstrip('"}'))
    assert audio == bytes(100 * BYTES_PER_MS)


def test_a_short_clip_is_made_as_long_as_the_shortest_turn():
    talk = Talk()

    talk.core.commit(bytes(2 * 1188))  # 49.5 ms

    assert talk.core.utterances.ends_ms >= 100


def test_a_short_clip_behind_a_turn_that_was_found_is_a_turn_of_its_own():
    talk = Talk()
    talk.send(3000)
    talk.turn("u1", 0, 3000)

    talk.commit(20)

    assert talk.core.utterances.ends_ms == 3100

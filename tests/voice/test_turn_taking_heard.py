"""What was heard of an answer that was interrupted, and what is said about it."""

import pytest

from gateway.voice.happenings import Message
from tests.voice.taking_turns import Talk, answering, truncated

TRUNCATE = "conversation.item.truncate"


# -- what was heard


def test_of_an_answer_that_nobody_has_taken_nothing_was_heard():
    talk = answering(("i1", 500))

    talk.core.interrupt(1.0, None)

    assert truncated(talk) == {"i1": 0}


def test_of_an_answer_that_is_partly_taken_that_part_was_heard():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 300)
    talk.audio("i1", 300)
    talk.core.responses.take_chunk(0.0)

    talk.core.interrupt(10.0, None)

    assert truncated(talk) == {"i1": 300}


def test_of_an_answer_that_was_taken_whole_as_much_was_heard_as_there_was_time_for():
    talk = answering(("i1", 1000), over=True)
    talk.take(now=5.0)

    talk.core.interrupt(5.4, None)

    assert truncated(talk) == {"i1": 400}


def test_an_answer_that_was_played_long_ago_is_left_alone():
    talk = answering(("i1", 1000), over=True)
    talk.take(now=5.0)

    talk.core.interrupt(7.0, None)

    assert talk.told() == []
    assert not talk.seen("interrupted")


def test_answers_that_were_taken_at_once_are_heard_one_after_the_other():
    talk = Talk()
    talk.answer("r1", 1000)
    talk.answer("r2", 1000)
    talk.take(now=0.0)

    talk.core.interrupt(0.6, None)

    assert truncated(talk) == {"item_r1": 600, "item_r2": 0}


def test_an_answer_that_follows_another_one_at_once_is_heard_when_that_was():
    talk = Talk()
    talk.answer("r1", 1000)
    talk.answer("r2", 1000)
    talk.take(now=0.0)

    talk.core.interrupt(1.6, None)

    assert truncated(talk) == {"item_r2": 600}


def test_a_pause_between_what_was_taken_is_not_heard_audio():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 500)
    talk.core.responses.take_chunk(0.0)
    talk.audio("i1", 500)
    talk.core.responses.take_chunk(5.0)

    talk.core.interrupt(5.25, None)

    assert truncated(talk) == {"i1": 750}


def test_what_the_voice_has_not_sent_yet_was_not_heard():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 300)
    talk.core.responses.take_chunk(0.0)
    talk.forget()

    talk.core.interrupt(10.0, None)

    assert talk.told()[-1] | {"event_id": ""} == {
        "type": TRUNCATE,
        "event_id": "",
        "item_id": "i1",
        "content_index": 0,
        "audio_end_ms": 300,
    }


def test_an_item_that_is_complete_and_heard_is_not_truncated():
    talk = answering(("i1", 300))
    talk.core.responses.take_chunk(0.0)

    talk.core.interrupt(10.0, None)

    assert truncated(talk) == {}


@pytest.mark.parametrize(
    ("heard_ms", "expected"),
    [
        (0, {"i1": 0, "i2": 0, "i3": 0}),
        (299.9, {"i1": 299, "i2": 0, "i3": 0}),
        (300, {"i2": 0, "i3": 0}),
        (450.5, {"i2": 150, "i3": 0}),
        (800, {"i3": 300}),
        (900, {}),
        (1e9, {}),
        (float("inf"), {}),
    ],
)
def test_who_knows_what_was_heard_says_so_over_all_items(heard_ms: float, expected: dict[str, int]):
    talk = answering(("i1", 300), ("i2", 200), ("i3", 400), over=True)
    talk.take(now=0.0)

    talk.core.interrupt(0.0, heard_ms)

    assert truncated(talk) == expected


def test_what_was_heard_is_counted_over_a_function_that_was_called_in_between():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 300)
    talk.audio_done("i1")
    talk.done("r1", calls=("c1",))
    talk.core.tool_answered("c1", "42")
    talk.begin("r2")
    talk.audio("i2", 300, "r2")
    talk.forget()

    talk.core.interrupt(0.0, 400)

    assert truncated(talk) == {"i2": 100}


def test_what_is_known_to_be_heard_is_of_the_answer_that_comes_and_not_of_one_that_was_played():
    talk = Talk()
    talk.answer("r1", 1000)
    talk.take(now=0.0)
    talk.begin("r2")
    talk.audio("i2", 500, "r2")
    talk.forget()

    talk.core.interrupt(60.0, 0)

    assert truncated(talk) == {"i2": 0}


def test_what_is_known_to_be_heard_is_of_the_answer_taken_last_and_those_before_were_heard():
    talk = Talk()
    talk.answer("r1", 1000)
    talk.answer("r2", 1000)
    talk.take(now=0.0)

    talk.core.interrupt(0.1, 250)

    assert truncated(talk) == {"item_r2": 250}


def test_who_has_stopped_playing_knows_better_than_the_clock():
    talk = answering(("i1", 1000), over=True)
    talk.take(now=0.0)

    talk.core.interrupt(60.0, 250)

    assert truncated(talk) == {"i1": 250}


def test_nothing_is_truncated_at_more_than_was_received():
    talk = answering(("i1", 300))

    talk.core.interrupt(0.0, 10_000)

    assert truncated(talk) == {}


def test_whole_ms_are_told():
    talk = Talk()
    talk.begin("r1")
    talk.hear("response.output_audio.delta", response_id="r1", item_id="i1", delta="AAAA" * 20)  # 1.25 ms

    talk.core.interrupt(0.0, 1.1)

    (event,) = [event for event in talk.told() if event["type"] == TRUNCATE]
    assert event["audio_end_ms"] == 1
    assert isinstance(event["audio_end_ms"], int)


# -- the truth about what was heard


def test_the_messages_have_the_words_that_were_heard():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 1000)
    talk.words("i1", "One two three four.")
    talk.audio_done("i1")
    talk.done("r1")

    talk.core.interrupt(0.0, 500)

    assert talk.core.messages == [Message("agent", "One two", "i1", interrupted=True)]


def test_the_response_has_the_words_that_were_heard():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 1000)
    talk.words("i1", "One two three four.")
    talk.audio("i2", 1000)

    talk.core.interrupt(0.0, 500)

    (response,) = talk.take()
    assert response.transcript == "One two"


def test_words_that_come_after_it_change_nothing():
    talk = Talk()
    talk.begin("r1")
    talk.audio("i1", 1000)
    talk.words("i1", "One two three four.")
    talk.core.interrupt(0.0, 500)

    talk.words("i1", "One two three four.")

    assert [message.text for message in talk.core.messages] == ["One two"]
    assert [response.transcript for response in talk.take()] == ["One two"]


def test_of_what_was_heard_to_its_end_the_messages_have_all():
    talk = answering(("i1", 1000))
    talk.words("i1", "One two three four.")
    talk.done("r1")
    talk.take(now=0.0)

    talk.core.interrupt(2.0, None)

    assert talk.core.messages[-1] == Message("agent", "One two three four.", "i1", interrupted=False)


def test_what_the_user_said_is_among_the_messages_before_it_is_written_down():
    talk = Talk()
    talk.send(1000)
    talk.turn("u1", 0, 1000)
    before = talk.core.messages

    talk.hear("conversation.item.input_audio_transcription.completed", item_id="u1", transcript=" Hi. ")

    assert before == [Message("user", None, "u1", interrupted=False)]
    assert talk.core.messages == [Message("user", "Hi.", "u1", interrupted=False)]

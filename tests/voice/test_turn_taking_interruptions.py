"""The user interrupts: the agent is silent, and its voice knows what was heard."""

from typing import Any

import pytest

from gateway.contracts import Agent, AudioFormat
from gateway.voice.happenings import Message
from gateway.voice.states import SessionState
from tests.voice.taking_turns import BYTES_PER_MS, Talk

CANCEL, TRUNCATE, ASK = "response.cancel", "conversation.item.truncate", "response.create"


def answering(*items: tuple[str, int], over: bool = False) -> Talk:
    """The voice has said so many ms of each item."""
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.begin("r1")
    for item, duration_ms in items:
        talk.audio(item, duration_ms)
        talk.audio_done(item)
    if over:
        talk.done("r1")
    talk.forget()
    return talk


def truncated(talk: Talk) -> dict[str, int]:
    """What was heard of the items that were truncated, as the voice was told."""
    events: list[dict[str, Any]] = [event for event in talk.told() if event["type"] == TRUNCATE]
    return {event["item_id"]: event["audio_end_ms"] for event in events}


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

"""What a new session is asked for, whatever the old one left unsaid."""

import json
from typing import Any

import pytest

from gateway.calls.recovery import Recovery
from gateway.contracts import Agent, VoiceTraits
from gateway.voice.history import History
from gateway.voice.session_core import SessionCore

GREETING = "Good morning. How can I help you?"
AGENT = Agent(name="a", greeting=GREETING, instructions="Be brief.")


def opened(history: History | None = None, agent: Agent = AGENT) -> SessionCore:
    """A session that stands and has said nothing."""
    session = SessionCore(agent, VoiceTraits(name="puppet"), history=history)
    session.connect()
    session.opened()
    session.outgoing()
    return session


def hear(session: SessionCore, kind: str, **event: Any) -> None:
    session.receive(json.dumps({"type": kind, "event_id": "e"} | event))


def answering(session: SessionCore, words: str = "") -> SessionCore:
    """The agent has begun to answer; `words` of it are known."""
    about = {"response_id": "r1", "item_id": "i1"}
    hear(session, "response.created", response={"id": "r1"})
    hear(session, "response.output_audio.delta", delta="AAAAAAAA", **about)
    if words:
        hear(session, "response.output_audio_transcript.delta", delta=words, **about)
    return session


def asked(session: SessionCore) -> list[dict[str, Any]]:
    """The responses that the session is asked for."""
    events = [json.loads(event) for event, _ in session.outgoing()]
    return [event.get("response", {}) for event in events if event["type"] == "response.create"]


def asked_after(
    old: SessionCore, *, owed: bool = True, speaking: bool = False, greeted: bool = True
) -> list[dict[str, Any]]:
    """What a new session is asked for when the old one is lost."""
    recovery = Recovery(old.agent)
    if greeted:
        recovery.heard()
    recovery.lost(old, owed=owed, speaking=speaking)
    new = opened(old.history, old.agent)
    recovery.go_on(new)
    return asked(new)


def instructions(wish: dict[str, Any]) -> str:
    text = wish["instructions"]
    assert isinstance(text, str)
    return text


# -- nothing was said yet


def test_the_first_session_is_asked_to_greet():
    session, recovery = opened(), Recovery(AGENT)

    recovery.go_on(session)

    assert recovery.wanted
    assert [wish["metadata"]["say"] for wish in asked(session)] == [GREETING]


def test_a_session_that_was_lost_before_the_greeting_leaves_it_to_the_next_one():
    (wish,) = asked_after(opened(), greeted=False)

    assert wish["metadata"] == {"say": GREETING}


def test_a_caller_who_was_quicker_than_the_greeting_is_greeted():
    (wish,) = asked_after(opened(), greeted=False, speaking=True)

    assert wish["metadata"] == {"say": GREETING}


def test_a_greeting_of_which_no_word_is_known_is_said_as_a_whole():
    (wish,) = asked_after(answering(opened()))

    assert wish["metadata"] == {"say": GREETING}


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ("Good morning.", "How can I help you?"),
        ("Good morning. How can", "I help you?"),
        ("Good mor", "morning. How can I help you?"),
        ("Goo", GREETING),
    ],
)
def test_of_a_greeting_that_broke_off_the_rest_is_said_in_whole_words(said: str, rest: str):
    (wish,) = asked_after(answering(opened(), said))

    assert wish["metadata"] == {"say": rest}
    assert rest in instructions(wish)


@pytest.mark.parametrize("said", [GREETING, GREETING.removesuffix("?")])
def test_of_a_greeting_that_was_said_nothing_is_left(said: str):
    recovery, old = Recovery(AGENT), answering(opened(), said)
    recovery.heard()
    recovery.lost(old, owed=False, speaking=False)
    new = opened(old.history)

    recovery.go_on(new)

    assert asked(new) == []
    assert not recovery.wanted


def test_a_greeting_in_other_words_is_carried_on_like_any_answer():
    (wish,) = asked_after(answering(opened(), "Hello there, this is"))

    assert wish["metadata"] == {"carry_on": "yes"}


def test_an_agent_without_a_greeting_begins_by_itself():
    assert asked_after(opened(agent=Agent(name="a")), greeted=False) == [{}]


# -- an answer broke off


def after_a_question() -> SessionCore:
    session = opened()
    session.history.spoke("i0", GREETING)
    session.history.turn("u1", "When do you open?")
    return session


def test_an_answer_that_broke_off_is_carried_on_from_its_words():
    (wish,) = asked_after(answering(after_a_question(), "We open at"))

    assert wish["metadata"] == {"carry_on": "yes"}
    assert "after the words “We open at”" in instructions(wish)
    assert instructions(wish).startswith("Be brief.")


def test_an_answer_of_which_no_word_is_known_is_asked_for_again_as_a_whole():
    assert asked_after(answering(after_a_question())) == [{}]


def test_an_answer_is_carried_on_for_an_agent_without_instructions():
    session = opened(agent=Agent(name="a"))
    session.history.turn("u1", "When do you open?")

    (wish,) = asked_after(answering(session, "We open at"))

    assert instructions(wish).startswith("Your last answer broke off")


def test_an_answer_that_the_caller_interrupted_is_not_carried_on():
    session = answering(after_a_question(), "We open at")
    session.cancel()

    assert asked_after(session, owed=False, speaking=True) == []


def test_an_answer_to_which_nothing_was_missing_but_its_end_is_not_carried_on():
    session = answering(after_a_question(), "At nine.")
    hear(session, "response.output_audio.done", response_id="r1", item_id="i1")
    hear(session, "response.done", response={"id": "r1", "status": "completed"})

    assert asked_after(session, owed=False) == []


# -- an answer was owed


def test_an_answer_that_was_owed_is_asked_for():
    assert asked_after(after_a_question()) == [{}]


def test_an_answer_that_was_being_made_is_asked_for():
    session = after_a_question()
    hear(session, "response.created", response={"id": "r1"})

    assert asked_after(session, owed=False) == [{}]


def test_nothing_is_asked_for_when_nothing_was_owed():
    assert asked_after(after_a_question(), owed=False) == []


def test_a_caller_who_speaks_is_not_answered_before_he_is_done():
    assert asked_after(after_a_question(), speaking=True) == []


def test_words_that_nobody_has_written_down_are_answered_when_they_are_heard_again():
    session = after_a_question()
    session.history.turn("u2")

    assert asked_after(session) == []


# -- what happens while there is no session


def test_what_comes_while_the_voice_is_away_is_answered_when_it_is_back():
    recovery, session = Recovery(AGENT), opened(after_a_question().history)
    recovery.heard()

    recovery.owe()
    recovery.go_on(session)

    assert asked(session) == [{}]


def test_a_key_counts_more_than_an_answer_that_broke_off_before_it():
    recovery, old = Recovery(AGENT), answering(after_a_question(), "We open at")
    recovery.heard()
    recovery.lost(old, owed=False, speaking=False)

    recovery.owe()
    new = opened(old.history)
    recovery.go_on(new)

    assert asked(new) == [{}]


def test_the_greeting_comes_before_the_answer_to_anything():
    recovery, session = Recovery(AGENT), opened()

    recovery.owe()
    recovery.go_on(session)

    assert [wish["metadata"] for wish in asked(session)] == [{"say": GREETING}]


def test_a_session_that_was_asked_already_is_not_asked_twice():
    recovery, session = Recovery(AGENT), opened(after_a_question().history)
    recovery.heard()
    recovery.owe()
    session.press("1")

    recovery.go_on(session)

    assert len(asked(session)) == 1
    hear(session, "response.created", response={"id": "r1"})
    hear(session, "response.done", response={"id": "r1", "status": "completed"})
    assert asked(session) == []


def test_a_second_loss_before_anything_was_heard_changes_nothing():
    recovery, old = Recovery(AGENT), answering(after_a_question(), "We open at")
    recovery.heard()
    recovery.lost(old, owed=False, speaking=False)
    between = opened(old.history)
    recovery.go_on(between)

    recovery.lost(between, owed=True, speaking=False)
    last = opened(old.history)
    recovery.go_on(last)

    assert [wish["metadata"] for wish in asked(last)] == [{"carry_on": "yes"}]


def test_once_the_agent_is_heard_nothing_is_left_to_ask_for():
    recovery = Recovery(AGENT)

    recovery.heard()

    assert not recovery.wanted

"""The server core goes on with a conversation that began in another session."""

import pytest

from gateway.voice.embedded.brain import Act, Turn
from gateway.voice.embedded.minds import rest_of
from tests.voice.core_client import Client, Event, one, types

QUESTION, ANSWER = "When do you open?", "You said When do you open?."
HOURS = {"type": "function", "name": "hours", "description": "", "parameters": {}}


def said(client: Client, who: str, text: str, **fields: str) -> list[Event]:
    """Tell the session what was said in an earlier one."""
    role, kind = ("user", "input_text") if who == "caller" else ("assistant", "output_text")
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return client.send("conversation.item.create", item=item, **fields)


def carry_on(client: Client) -> list[Event]:
    return client.send("response.create", response={"metadata": {"carry_on": "yes"}})


def spoken(events: list[Event]) -> str:
    """The words of the only answer; nothing when it had none."""
    done = [event for event in events if event["type"] == "response.output_audio_transcript.done"]
    assert len(done) <= 1
    text: str = done[0]["transcript"] if done else ""
    return text


def status(events: list[Event]) -> str:
    text: str = one(events, "response.done")["response"]["status"]
    return text


# -- the rest of an answer


def test_an_answer_that_broke_off_is_carried_on_behind_what_was_said():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", "You said When")

    assert spoken(carry_on(client)) == "do you open?."


def test_an_answer_that_broke_off_twice_is_carried_on_behind_both_pieces():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", "You said")
    said(client, "agent", "When do")

    assert spoken(carry_on(client)) == "you open?."


def test_an_opening_that_broke_off_is_carried_on():
    client = Client()
    said(client, "agent", "Hello.")

    assert spoken(carry_on(client)) == "How can I help?"


def test_an_answer_deep_in_a_conversation_is_carried_on():
    client = Client()
    said(client, "agent", "Hello. How can I help?")
    said(client, "caller", "Good evening")
    said(client, "agent", "You said Good evening.")
    said(client, "caller", QUESTION)
    said(client, "agent", "You said")

    assert spoken(carry_on(client)) == "When do you open?."


def test_an_answer_that_was_said_to_its_end_leaves_nothing():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", ANSWER)

    events = carry_on(client)

    assert (spoken(events), status(events)) == ("", "completed")


def test_another_answer_than_the_brains_is_not_carried_on():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", "We open at nine")

    events = carry_on(client)

    assert (spoken(events), status(events)) == ("", "completed")


def test_a_session_that_was_told_nothing_has_nothing_to_carry_on():
    events = carry_on(Client())

    assert (spoken(events), status(events)) == ("", "completed")


def test_a_rest_is_said_once():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", "You said When")
    carry_on(client)

    assert spoken(carry_on(client)) == ""


def test_what_an_answer_would_have_done_is_done_when_it_is_carried_on():
    client = Client()
    client.configure(tools=[HOURS])
    client.brain.acts = (Act("hours", {}),)
    said(client, "caller", QUESTION)
    said(client, "agent", "You said")

    events = carry_on(client)

    assert one(events, "response.done")["response"]["output"][-1]["name"] == "hours"


def test_the_rest_tells_what_the_question_was_taken_for():
    client = Client()
    said(client, "caller", QUESTION)
    said(client, "agent", "You said")

    response = one(carry_on(client), "response.done")["response"]

    assert response["metadata"] == {"carry_on": "yes", "matched": "heard"}


# -- what the brain has heard


def test_the_brain_hears_all_that_was_said_before_in_its_order():
    client = Client()
    said(client, "agent", "Hello. How can I help?")
    said(client, "caller", QUESTION)
    said(client, "agent", ANSWER)

    assert client.brain.asked == [("begin",), ("heard", QUESTION)]


def test_nothing_is_said_because_of_what_was_said_before():
    client = Client()

    events = [*said(client, "caller", QUESTION), *said(client, "agent", ANSWER)]

    assert set(types(events)) == {"conversation.item.added", "conversation.item.done"}


def test_a_question_that_was_not_answered_before_is_answered_when_it_is_asked_for():
    client = Client()
    said(client, "agent", "Hello. How can I help?")
    said(client, "caller", QUESTION)

    assert spoken(client.send("response.create")) == ANSWER


def test_a_question_that_was_answered_before_is_not_answered_again():
    client = Client("And on Sunday?")
    said(client, "caller", QUESTION)
    said(client, "agent", ANSWER)

    assert spoken(client.says_something()) == "You said And on Sunday?."


def test_a_key_that_was_pressed_before_is_heard_as_a_key():
    client = Client()
    said(client, "agent", "Hello. How can I help?")
    said(client, "caller", "[DTMF] 5")

    client.send("response.create")

    assert client.brain.asked == [("begin",), ("digit", "5")]


def test_a_tool_that_answered_before_is_told_to_the_brain():
    client = Client()
    call = {"type": "function_call", "call_id": "c1", "name": "hours", "arguments": "{}"}
    said(client, "agent", "Hello. How can I help?")
    client.send("conversation.item.create", item=call)
    client.send(
        "conversation.item.create",
        item={"type": "function_call_output", "call_id": "c1", "output": "nine"},
    )

    assert spoken(client.send("response.create")) == "hours says nine."


def test_a_correction_of_what_was_heard_leaves_the_callers_question_to_be_answered():
    client = Client()
    said(client, "agent", "Hello. How can I help?")
    told = client.events[-1]["item"]["id"]
    said(client, "caller", QUESTION)

    said(client, "agent", "Hello.", previous_item_id=told)

    assert spoken(client.send("response.create")) == ANSWER


# -- a caller who is silent


def test_the_brain_breaks_a_silence_when_it_is_asked_to():
    client = Client()
    client.send("response.create")

    events = client.send("response.create", response={"metadata": {"idle": "yes"}, "instructions": "Ask."})

    assert spoken(events) == "Are you there?"
    assert client.brain.asked[-1] == ("silence",)


def test_a_silence_at_the_very_beginning_is_broken_and_not_greeted():
    client = Client("Yes")

    client.send("response.create", response={"metadata": {"idle": "yes"}})
    client.says_something()

    assert client.brain.asked == [("silence",), ("heard", "Yes")]


# -- the rest, alone


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ("We open", "at nine."),
        ("We  open\n", "at nine."),
        ("We open at nine.", ""),
        ("", ""),
        ("   ", ""),
        ("We close", ""),
        ("We open at nine. Always.", ""),
    ],
)
def test_the_rest_of_an_answer_is_what_follows_the_words_that_were_said(begun: str, rest: str):
    assert rest_of(Turn("We open at  nine."), begun).say == rest


def test_the_rest_of_an_answer_keeps_what_it_does():
    turn = Turn("Goodbye.", "bye", (Act("end_call", {}),))

    assert rest_of(turn, "Goodbye.") == turn._replace(say="")


def test_of_another_answer_nothing_is_done_either():
    turn = Turn("Goodbye.", "bye", (Act("end_call", {}),))

    assert rest_of(turn, "Hello.") == Turn("")

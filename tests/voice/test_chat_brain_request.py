"""A conversation becomes a request that the strictest servers of chat completions take."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from gateway.testing.fake_chat import FakeChat
from gateway.voice.embedded.asked import Asked, Terms
from gateway.voice.embedded.chat_request import ChatRequest, chat_request
from gateway.voice.embedded.conversation import Heard, Input
from gateway.voice.embedded.items import Content, FunctionCall, FunctionCallOutput, Item, Message, Tool

PARAMETERS = TypeAdapter(CompletionCreateParamsStreaming)
HOURS = Tool(name="hours", description="When we are open.", parameters={"type": "object", "properties": {}})
TERMS = Terms(
    wish="answer",
    say=None,
    voice="heart",
    instructions="You are Anna.",
    instructed=False,
    language="en",
    tools=(),
    tool_choice="auto",
    parallel_tool_calls=None,
    most_tokens=None,
)


def user(text: str) -> Message:
    return Message(role="user", content=[Content(type="input_text", text=text)])


def agent(text: str) -> Message:
    return Message(role="assistant", content=[Content(type="output_text", text=text)])


def background(text: str) -> Message:
    return Message(role="system", content=[Content(type="input_text", text=text)])


def call(call_id: str, name: str = "hours") -> FunctionCall:
    return FunctionCall(name=name, arguments='{"day":"today"}', call_id=call_id)


def result(call_id: str, output: str = "nine") -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=output)


def asked(*items: Item, inputs: tuple[Input, ...] = (), **terms: Any) -> ChatRequest | None:
    """What is asked of the model."""
    changed = msgspec.structs.replace(TERMS, **terms)
    return chat_request(Asked(terms=changed, inputs=list(inputs), begun=True, items=list(items)))


def request(*items: Item, **terms: Any) -> ChatRequest:
    made = asked(*items, **terms)
    assert made is not None
    return made


def spoken(*items: Item, **terms: Any) -> list[tuple[str, str]]:
    """Who said what in the request, after the instructions."""
    return [(line["role"], line["content"]) for line in request(*items, **terms).messages[1:]]


def is_accepted(made: ChatRequest) -> bool:
    body = {"model": "any", "stream": True} | msgspec.to_builtins(made)
    PARAMETERS.validate_python(body)
    return FakeChat(["Yes."]).answer(msgspec.json.encode(body)).status == 200


# -- what was said


def test_the_instructions_come_first_with_how_to_speak_and_in_which_language():
    first = request(user("Hello")).messages[0]

    assert first["role"] == "system"
    assert first["content"].startswith("You are Anna.\n\nWhat you write is read out aloud")
    assert first["content"].endswith("Speak the language “en” (ISO 639-1).")


def test_a_session_that_is_not_transcribed_names_no_language():
    assert "language" not in request(user("Hello"), language=None).messages[0]["content"]


def test_what_was_said_follows_in_its_order():
    lines = spoken(user("Hello"), agent("Good day."), user("When do you open?"))

    assert lines == [("user", "Hello"), ("assistant", "Good day."), ("user", "When do you open?")]


def test_a_key_is_a_text_of_the_user():
    assert spoken(user("[DTMF] 5")) == [("user", "[DTMF] 5")]


def test_what_one_says_in_pieces_is_one_message():
    lines = spoken(user("A table"), user("for four."), agent("For four."), agent("When?"), user("Now."))

    assert lines == [("user", "A table\nfor four."), ("assistant", "For four. When?"), ("user", "Now.")]


def test_what_nobody_understood_or_heard_is_left_out():
    assert spoken(user("Hello"), agent(""), user("")) == [("user", "Hello")]


def test_an_agent_that_spoke_first_was_asked_to():
    lines = spoken(agent("Good day."), user("Hello"))

    assert lines[0] == ("user", "(The conversation begins. Speak first.)")
    assert lines[1:] == [("assistant", "Good day."), ("user", "Hello")]


def test_background_at_the_beginning_belongs_to_the_instructions():
    made = request(background("The user is called Eve."), user("Hello"))

    assert made.messages[0]["content"].endswith("\n\nThe user is called Eve.")
    assert [line["role"] for line in made.messages] == ["system", "user"]


def test_background_in_between_stays_where_it_is():
    lines = spoken(user("Hello"), agent("Good day."), background("It rains."), user("And now?"))

    assert lines[2] == ("system", "It rains.")


def test_of_a_very_long_conversation_the_end_is_told():
    items = [line for number in range(2000) for line in (user(f"Question {number}?"), agent("Yes. " * 10))]

    lines = spoken(*items, user("The last question?"))

    assert lines[-1] == ("user", "The last question?")
    assert ("user", "Question 0?") not in lines
    assert 30_000 < sum(len(text) for _, text in lines) < 34_000


def test_a_single_thing_that_is_too_long_is_told_all_the_same():
    assert spoken(user("Hello"), agent("Yes?"), user("word " * 10_000))[-1][1].startswith("word word")


# -- what is wanted


def test_without_anything_said_the_model_is_asked_to_speak_first():
    assert spoken() == [("user", "(The conversation begins. Speak first.)")]


def test_whoever_has_been_answered_asks_the_model_to_go_on():
    lines = spoken(user("Hello"), agent("Good day."))

    assert lines[-1] == ("user", "(The user has said nothing since. Go on as your instructions say.)")


def test_a_silence_is_told_and_what_to_do_about_it():
    lines = spoken(user("Hello"), agent("Good day."), wish="idle")

    assert lines[-1][1] == (
        "(The user has said nothing for some time.) Ask in one short sentence whether they are still there."
    )


def test_who_has_instructions_for_a_silence_needs_no_others():
    made = request(agent("Good day."), wish="idle", instructed=True, instructions="Say goodbye.")

    assert made.messages[0]["content"].startswith("Say goodbye.")
    assert made.messages[-1]["content"] == "(The user has said nothing for some time.)"


def test_an_answer_that_broke_off_is_carried_on_where_it_ends():
    lines = spoken(user("When?"), agent("We open at"), wish="carry_on")

    assert lines[-1][0] == "user"
    assert lines[-1][1].startswith("(Your last answer broke off after “We open at”. Go on right there.")


def test_a_question_that_nobody_has_begun_to_answer_is_answered_though_it_is_to_be_carried_on():
    assert spoken(user("When?"), wish="carry_on") == [("user", "When?")]


def test_a_noise_after_an_answer_asks_for_nothing():
    assert asked(user("Hello"), agent("Good day."), user(""), inputs=(Heard(""),)) is None
    assert asked(user(""), inputs=(Heard(""),)) is None


def test_a_noise_after_a_question_leaves_the_question():
    assert asked(user("When?"), user(""), inputs=(Heard(""),)) is not None


def test_a_response_with_instructions_of_its_own_is_made_though_nothing_was_understood():
    made = asked(agent("Good day."), user(""), inputs=(Heard(""),), instructed=True)

    assert made is not None


# -- functions


def test_functions_are_offered_as_this_protocol_has_them():
    made = request(user("When?"), tools=(HOURS,), parallel_tool_calls=False)

    assert made.tools == [
        {
            "type": "function",
            "function": {
                "name": "hours",
                "description": "When we are open.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]
    assert made.parallel_tool_calls is False


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "name": "hours"}, {"type": "function", "function": {"name": "hours"}}),
        ({"type": "mcp", "server_label": "x"}, "auto"),
        (5, "auto"),
    ],
)
def test_the_choice_of_a_function_is_the_clients(choice: Any, sent: Any):
    assert request(user("When?"), tools=(HOURS,), tool_choice=choice).tool_choice == sent


def test_without_functions_nothing_is_said_of_them():
    body = msgspec.to_builtins(request(user("When?"), tool_choice="required", parallel_tool_calls=True))

    assert body.keys() == {"messages"}


def test_a_call_and_its_result_follow_each_other():
    made = request(user("When?"), agent("Let me see."), call("c1"), result("c1", "nine"))

    called = made.messages[2]
    assert called["content"] == "Let me see."
    assert called["tool_calls"] == [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": "hours", "arguments": '{"day":"today"}'},
        }
    ]
    assert made.messages[3] == {"role": "tool", "tool_call_id": "call00001", "content": "nine"}


@pytest.mark.parametrize("arguments", ["", "{", "[]", "null", "\ud800"])
def test_arguments_that_are_no_object_are_none(arguments: str):
    made = request(user("When?"), FunctionCall(name="hours", arguments=arguments, call_id="c1"))

    assert made.messages[2]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_calls_of_one_answer_stand_together():
    made = request(user("When?"), call("c1"), call("c2"), result("c2", "two"), result("c1", "one"))

    assert [line["role"] for line in made.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [line["content"] for line in made.messages[3:]] == ["one", "two"]


def test_calls_of_two_answers_stand_apart():
    made = request(user("When?"), call("c1"), result("c1"), call("c2"), result("c2"))

    assert [line["role"] for line in made.messages[2:]] == ["assistant", "tool", "assistant", "tool"]


def test_a_result_that_came_late_stands_behind_its_call():
    made = request(user("When?"), call("c1"), user("Hello?"), result("c1", "nine"))

    assert [line["content"] for line in made.messages[2:]] == [None, "nine", "Hello?"]


def test_a_call_without_a_result_has_none_yet():
    made = request(user("When?"), call("c1"), user("Hello?"))

    assert made.messages[3]["content"] == "(There is no result yet.)"


def test_a_result_without_a_call_is_left_out():
    assert spoken(user("When?"), result("c9")) == [("user", "When?")]


def test_the_tokens_are_bounded_where_the_client_bounds_them():
    assert request(user("When?"), most_tokens=300).max_completion_tokens == 300


ITEMS = st.lists(
    st.one_of(
        st.sampled_from(["Hello", "", "When?"]).map(user),
        st.sampled_from(["Good day.", ""]).map(agent),
        st.sampled_from(["c1", "c2", "c3"]).map(call),
        st.sampled_from(["c1", "c2", "c3"]).map(result),
    ),
    max_size=12,
)


@given(items=ITEMS, wish=st.sampled_from(["answer", "idle", "carry_on"]))
def test_whatever_was_said_is_accepted(items: list[Item], wish: str):
    assert is_accepted(request(*items, wish=wish, tools=(HOURS,)))

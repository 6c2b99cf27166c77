"""The server core has a model answer: what it asks, and what it makes of what comes back."""

import json
from typing import Any

import pytest

from gateway.voice.embedded.brain import Act, Decided, Failure
from tests.voice.core_client import Event, error_of, one, types
from tests.voice.model_client import ModelClient

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "transfer_call",
    "description": "",
    "parameters": {"type": "object", "properties": {"to": {"type": "string", "enum": ["kitchen"]}}},
}
LOST = Failure("server_error", "connection_lost", "The server of the model: the answer broke off")


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def response_of(events: list[Event]) -> Event:
    response: Event = one(events, "response.done")["response"]
    return response


def spoken(events: list[Event]) -> list[str]:
    return [e["delta"].strip() for e in events if e["type"] == "response.output_audio_transcript.delta"]


# -- questions


def test_the_model_is_asked_what_the_caller_said():
    client = ModelClient("When do you open?")

    client.says_something()

    assert client.lines == [("user", "When do you open?")]


def test_the_model_is_asked_when_the_words_are_known_and_not_before():
    client = ModelClient("When do you open?")
    client.working = False

    client.says_something()
    before = len(client.jobs)
    client.work()

    assert before == 1
    assert len(client.asked) == 1


def test_a_response_without_anything_said_has_the_model_speak_first():
    client = ModelClient()
    client.configure(instructions="You are Anna.")

    client.send("response.create")

    assert client.asked[0].messages[0]["content"].startswith("You are Anna.")
    assert client.lines == [("user", "(The conversation begins. Speak first.)")]


def test_instructions_of_a_response_stand_in_place_of_the_sessions():
    client = ModelClient()
    client.configure(instructions="You are Anna.")

    client.send("response.create", response={"instructions": "Say goodbye."})

    assert client.asked[0].messages[0]["content"].startswith("Say goodbye.")
    assert "Anna" not in client.asked[0].messages[0]["content"]


def test_the_language_is_that_of_the_transcription():
    client = ModelClient()
    client.configure(audio={"input": {"transcription": {"language": "de"}}})

    client.send("response.create")

    assert "“de”" in client.asked[0].messages[0]["content"]


def test_a_text_to_say_is_said_exactly_and_no_model_is_asked():
    client = ModelClient()

    events = client.send(
        "response.create",
        response={"instructions": "Greet.", "metadata": {"say": "Good evening. I am Anna."}},
    )

    assert client.asked == []
    assert spoken(events) == ["Good evening.", "I am Anna."]


def test_the_model_knows_what_was_said_exactly():
    client = ModelClient("Hello")
    client.send("response.create", response={"metadata": {"say": "Good evening."}})

    client.says_something()

    assert client.lines[1:] == [("assistant", "Good evening."), ("user", "Hello")]


def test_the_tools_are_the_clients_unless_the_response_has_its_own():
    client = ModelClient()
    client.configure(tools=[TOOL], tool_choice="required")
    client.send("response.create")
    client.answer()

    client.send("response.create", response={"tools": [], "tool_choice": "auto"})

    assert [tool["function"]["name"] for tool in client.asked[0].tools] == ["transfer_call"]
    assert client.asked[0].tool_choice == "required"
    assert client.asked[1].tools == []


def test_a_client_that_wants_no_function_called_offers_none():
    client = ModelClient()
    client.configure(tools=[TOOL])

    client.send("response.create", response={"tool_choice": "none"})

    assert client.asked[0].tools == []


@pytest.mark.parametrize(("own", "asked"), [({}, 300), ({"max_output_tokens": 20}, 20)])
def test_the_tokens_of_an_answer_are_bounded_by_the_session_or_the_response(own: dict[str, Any], asked: int):
    client = ModelClient()
    client.configure(max_output_tokens=300)

    client.send("response.create", response=own)

    assert client.asked[0].max_completion_tokens == asked


def test_without_a_bound_there_is_none():
    client = ModelClient()
    client.configure(max_output_tokens="inf")

    client.send("response.create")

    assert client.asked[0].max_completion_tokens is None


def test_a_key_is_told_to_the_model():
    client = ModelClient()
    client.send("conversation.item.create", item=message("user", "[DTMF] 5"))

    client.send("response.create")

    assert client.lines == [("user", "[DTMF] 5")]


def test_what_was_said_in_an_earlier_session_is_the_models_history():
    client = ModelClient()
    for role, text in (("user", "Hello"), ("assistant", "Good day."), ("user", "When do you open?")):
        client.send("conversation.item.create", item=message(role, text))

    client.send("response.create")

    assert client.lines == [("user", "Hello"), ("assistant", "Good day."), ("user", "When do you open?")]


def test_an_answer_that_broke_off_in_an_earlier_session_is_carried_on():
    client = ModelClient()
    client.send("conversation.item.create", item=message("user", "When do you open?"))
    client.send("conversation.item.create", item=message("assistant", "We open at"))

    client.send("response.create", response={"metadata": {"carry_on": "yes"}})
    events = client.answer("nine.")

    assert client.lines[-1][1].startswith("(Your last answer broke off after “We open at”.")
    assert spoken(events) == ["nine."]


def test_a_silence_is_broken_by_the_model():
    client = ModelClient()
    client.turn_detection(idle_timeout_ms=6000)
    client.send("response.create", response={"metadata": {"say": "Hello."}})

    client.wait(10)

    assert client.lines[-1][1].startswith("(The user has said nothing for some time.) Ask")


def test_a_prompt_for_a_silence_has_its_own_instructions():
    client = ModelClient()

    client.send("response.create", response={"instructions": "Ask him.", "metadata": {"idle": "yes"}})

    assert client.asked[0].messages[0]["content"].startswith("Ask him.")
    assert client.lines[-1][1].endswith("(The user has said nothing for some time.)")


def test_a_noise_is_no_question():
    client = ModelClient("Hello", "")
    client.says_something()
    client.answer("Good day.")

    events = client.says_something()

    assert len(client.asked) == 1
    assert response_of(events)["status"] == "completed"
    assert response_of(events)["output"] == []


def test_a_noise_that_interrupts_a_question_leaves_it_to_be_answered():
    client = ModelClient("When do you open?", "")
    client.says_something()

    client.says_something()

    assert len(client.asked) == 2
    assert client.lines == [("user", "When do you open?")]


# -- answers


def test_the_first_sentence_is_spoken_while_the_rest_is_still_written():
    client = ModelClient("Hello")
    client.says_something()

    events = client.think("Good day.")

    assert spoken(events) == ["Good day."]
    assert "response.output_audio.delta" in types(events)
    assert "response.done" not in types(events)


def test_sentences_that_are_written_while_one_is_spoken_wait_for_it():
    client = ModelClient("Hello")
    client.says_something()
    client.working = False
    client.think("One.", "Two.", "Three.", Decided())
    waiting = len(client.jobs)

    client.working = True
    events = client.work()

    assert waiting == 1
    assert spoken(events) == ["One.", "Two.", "Three."]
    assert response_of(events)["status"] == "completed"


def test_an_answer_is_one_message():
    client = ModelClient("Hello")
    client.says_something()

    events = client.answer("Good day.", "How can I help?")

    (item,) = response_of(events)["output"]
    assert item["content"][0]["transcript"] == "Good day. How can I help?"


def test_an_answer_without_words_is_a_response_without_output():
    client = ModelClient("Hello")
    client.says_something()

    events = client.answer()

    assert response_of(events)["output"] == []


def test_functions_are_called_after_what_is_said():
    client = ModelClient("The chef, please")
    client.configure(tools=[TOOL])
    client.says_something()

    events = client.answer("One moment.", acts=(Act("transfer_call", {"to": "kitchen"}),))

    said, call = response_of(events)["output"]
    assert said["type"] == "message"
    assert (call["name"], json.loads(call["arguments"])) == ("transfer_call", {"to": "kitchen"})
    assert call["call_id"].startswith("call_")


def test_the_arguments_of_a_model_stay_as_they_are():
    client = ModelClient("The chef, please")
    client.configure(tools=[TOOL])
    client.says_something()

    events = client.answer(acts=(Act("transfer_call", {"to": "the garage"}),))

    assert json.loads(response_of(events)["output"][0]["arguments"]) == {"to": "the garage"}


def test_the_result_of_a_function_is_told_to_the_model():
    client = ModelClient("The chef, please")
    client.configure(tools=[TOOL])
    client.says_something()
    call = response_of(client.answer(acts=(Act("transfer_call", {}),)))["output"][0]

    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "busy"}
    client.send("conversation.item.create", item=output)
    client.send("response.create")

    assert client.asked[-1].messages[-1] == {"role": "tool", "tool_call_id": "call00001", "content": "busy"}


def test_a_function_that_nobody_offered_is_not_called():
    client = ModelClient("Hello")
    client.says_something()

    events = client.answer("Good day.", acts=(Act("open_door", {}),))

    assert [item["type"] for item in response_of(events)["output"]] == ["message"]
    assert response_of(events)["status"] == "completed"


def test_an_answer_that_is_only_such_a_function_has_failed():
    client = ModelClient("Hello")
    client.says_something()

    events = client.answer(acts=(Act("open_door", {}),))

    assert response_of(events)["status_details"]["error"]["code"] == "unknown_function"


@pytest.mark.parametrize("cut", ["max_output_tokens", "content_filter"])
def test_an_answer_that_was_cut_is_incomplete_and_says_why(cut: Any):
    client = ModelClient("Hello")
    client.says_something()

    events = client.think("Good", Decided(cut=cut))

    response = response_of(events)
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": cut}


def test_a_written_answer_is_not_spoken():
    client = ModelClient()
    client.configure(output_modalities=["text"])
    client.send("response.create")

    events = client.answer("Good day.", "How can I help?")

    assert one(events, "response.output_text.done")["text"] == "Good day. How can I help?"
    assert client.jobs == []


# -- interruptions


def test_speech_stops_the_model():
    client = ModelClient("Hello")
    client.says_something()

    events = client.audio(1.0)

    assert client.thinking == []
    assert response_of(events)["status_details"]["reason"] == "turn_detected"


def test_a_client_stops_the_model():
    client = ModelClient("Hello")
    client.says_something()

    client.send("response.cancel")

    assert client.thinking == []


def test_speech_that_interrupts_nothing_leaves_the_model_alone():
    client = ModelClient("Hello")
    client.turn_detection(interrupt_response=False)
    client.says_something()

    client.audio(1.0)

    assert len(client.thinking) == 1


def test_a_response_that_waits_for_words_has_nothing_to_stop():
    client = ModelClient("Hello")
    client.working = False
    client.says_something()

    events = client.send("response.cancel")

    assert response_of(events)["status"] == "cancelled"
    assert len(client.jobs) == 1


def test_a_thought_that_comes_too_late_is_dropped():
    client = ModelClient("Hello")
    client.says_something()
    client.send("response.cancel")

    late = client.think("Good day.", Decided())

    assert late == []


def test_a_thought_of_a_cancelled_response_is_not_the_next_ones():
    client = ModelClient("Hello", "When do you open?")
    client.says_something()
    client.says_something()

    late = client.think("Good day.", Decided(), of=0)
    events = client.answer("At nine.")

    assert late == []
    assert spoken(events) == ["At nine."]


def test_once_the_answer_is_known_there_is_nothing_to_stop():
    client = ModelClient("Hello")
    client.says_something()
    client.working = False
    client.answer("One.", "Two.")

    client.send("response.cancel")

    assert [job for job in client.jobs if not hasattr(job, "text")] == []


def test_what_was_not_heard_is_not_told_to_the_model():
    client = ModelClient("Hello", "And when?", sentence_ms=1000)
    client.says_something()
    events = client.answer("We open at nine every day.", "We close at five.")
    item_id = response_of(events)["output"][0]["id"]
    client.audio(1.0)

    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1500)
    client.audio(*[1.0] * 9, *[0.0] * 16)

    assert client.lines[1] == ("assistant", "We open at nine every day. We close")
    assert "five" not in json.dumps(client.lines)


def test_an_answer_that_was_cut_twice_was_heard_as_far_as_the_second_time():
    client = ModelClient("Hello", "And when?", sentence_ms=1000)
    client.says_something()
    item_id = response_of(client.answer("one two three four five six seven eight nine ten"))["output"][0][
        "id"
    ]

    for heard_ms in (800, 400):
        client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=heard_ms)
    client.says_something()

    assert client.lines[1] == ("assistant", "one two three")


def test_an_answer_of_which_nothing_was_heard_was_not_given():
    client = ModelClient("Hello", "Anybody?")
    client.says_something()
    item_id = response_of(client.answer("Good day."))["output"][0]["id"]

    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    client.says_something()

    assert client.lines == [("user", "Hello\nAnybody?")]


def test_an_answer_that_was_interrupted_while_it_was_written_is_told_as_far_as_it_came():
    client = ModelClient("Hello", "Stop")
    client.says_something()
    client.think("Good day.")

    client.says_something()

    assert client.lines == [("user", "Hello"), ("assistant", "Good day."), ("user", "Stop")]


# -- failures


def test_a_failure_ends_the_response_and_says_why():
    client = ModelClient("Hello")
    client.says_something()

    events = client.think(LOST)

    response = response_of(events)
    assert response["status"] == "failed"
    assert response["status_details"] == {
        "type": "failed",
        "error": {
            "type": "server_error",
            "code": "connection_lost",
            "message": "The server of the model: the answer broke off",
        },
    }


def test_what_was_whole_before_a_failure_is_spoken():
    client = ModelClient("Hello")
    client.says_something()
    client.working = False
    client.think("One.", "Two.", LOST)

    events = client.work()

    assert spoken(events) == ["One.", "Two."]
    assert response_of(events)["status"] == "failed"
    assert response_of(events)["output"][0]["status"] == "incomplete"


def test_after_a_failure_the_session_goes_on():
    client = ModelClient("Hello", "Hello?")
    client.says_something()
    client.think(LOST)

    client.says_something()
    events = client.answer("Good day.")

    assert client.lines == [("user", "Hello\nHello?")]
    assert response_of(events)["status"] == "completed"


def test_while_the_model_thinks_there_is_a_response():
    client = ModelClient("Hello")
    client.says_something()

    error = error_of(client.send("response.create"))

    assert error["code"] == "conversation_already_has_active_response"


def test_nobody_is_asked_whether_he_is_there_while_the_model_thinks():
    client = ModelClient("Hello")
    client.turn_detection(idle_timeout_ms=6000)
    client.says_something()

    events = client.wait(60)

    assert events == []

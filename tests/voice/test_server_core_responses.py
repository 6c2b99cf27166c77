"""The server core: what the voice says and does."""

import json

from gateway.voice.embedded.brain import Act
from tests.voice.core_client import Client, Event, error_of, one, types

TOOL = {
    "type": "function",
    "name": "transfer_call",
    "description": "",
    "parameters": {
        "type": "object",
        "properties": {"destination": {"type": "string", "enum": ["kitchen", "front-desk"]}},
    },
}


def response_of(events: list[Event]) -> Event:
    response: Event = one(events, "response.done")["response"]
    return response


def test_a_response_is_told_in_the_order_of_the_protocol():
    client = Client()

    events = client.send("response.create", response={"metadata": {"say": "One moment, please."}})

    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        *["response.output_audio.delta"] * 3,
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]


def test_the_first_response_without_a_turn_is_the_brains_opening():
    client = Client()

    events = client.send("response.create")

    assert client.brain.asked == [("begin",)]
    assert one(events, "response.output_audio_transcript.done")["transcript"] == "Hello. How can I help?"


def test_a_text_to_say_is_said_exactly_and_no_brain_is_asked():
    client = Client()

    events = client.send(
        "response.create",
        response={"instructions": "Greet the caller", "metadata": {"say": "Good evening. This is Anna."}},
    )

    assert client.brain.asked == []
    assert one(events, "response.output_audio_transcript.done")["transcript"] == "Good evening. This is Anna."
    assert response_of(events)["metadata"] == {"say": "Good evening. This is Anna."}


def test_after_a_greeting_the_brain_hears_the_caller_and_does_not_begin():
    client = Client("Hello")
    client.send("response.create", response={"metadata": {"say": "Good evening."}})

    client.says_something()

    assert client.brain.asked == [("heard", "Hello")]


def test_a_second_response_with_nothing_new_to_answer_says_nothing():
    client = Client()
    client.send("response.create")

    events = client.send("response.create")

    assert types(events) == ["response.created", "response.done"]
    assert response_of(events)["output"] == []


def test_a_response_names_what_was_understood():
    client = Client("Hello")

    events = client.says_something()

    assert response_of(events)["metadata"] == {"matched": "heard"}


def test_speech_comes_sentence_by_sentence():
    client = Client()
    client.working = False

    client.send("response.create", response={"metadata": {"say": "First. Second."}})
    first = client.work(1)
    second = client.work(1)

    assert one(first, "response.output_audio_transcript.delta")["delta"] == "First."
    assert one(second, "response.output_audio_transcript.delta")["delta"] == " Second."
    assert "response.done" not in types(first)


def test_a_delta_holds_two_hundred_milliseconds():
    client = Client(sentence_ms=500)

    events = client.send("response.create", response={"metadata": {"say": "Hello."}})

    sizes = [
        len(event["delta"]) * 3 // 4 for event in events if event["type"] == "response.output_audio.delta"
    ]
    assert sizes == [9600, 9600, 4800]


def test_speech_cancels_the_response_that_is_being_made():
    client = Client()
    client.working = False
    client.send("response.create", response={"metadata": {"say": "First. Second."}})
    client.work(1)

    events = client.audio(1.0)

    response = response_of(events)
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"


def test_speech_cancels_nothing_where_the_client_decides_that_itself():
    client = Client()
    client.turn_detection(interrupt_response=False)
    client.working = False
    client.send("response.create", response={"metadata": {"say": "First. Second."}})

    events = client.audio(1.0)

    assert types(events) == ["input_audio_buffer.speech_started"]


def test_a_turn_that_ends_during_a_response_is_answered_after_it():
    client = Client("Hello")
    client.turn_detection(interrupt_response=False)
    client.working = False
    client.send("response.create", response={"metadata": {"say": "First."}})
    client.says_something()

    events = client.work()

    assert types(events).count("response.done") == 2
    assert client.brain.asked == [("heard", "Hello")]


def test_what_was_asked_of_a_cancelled_response_comes_too_late():
    client = Client()
    client.working = False
    client.send("response.create", response={"metadata": {"say": "First."}})
    client.send("response.cancel")

    events = client.work()

    assert events == []


def test_a_client_cancels_its_response():
    client = Client()
    client.working = False
    created = client.send("response.create")

    events = client.send("response.cancel", response_id=created[0]["response"]["id"])

    assert response_of(events)["status_details"]["reason"] == "client_cancelled"


def test_there_must_be_a_response_to_cancel():
    client = Client()

    error = error_of(client.send("response.cancel", event_id="mine"))

    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")


def test_only_the_running_response_can_be_cancelled():
    client = Client()
    client.working = False
    client.send("response.create")

    error = error_of(client.send("response.cancel", response_id="resp_other"))

    assert error["code"] == "response_cancel_not_active"


def test_there_is_one_response_at_a_time():
    client = Client()
    client.working = False
    client.send("response.create")

    error = error_of(client.send("response.create"))

    assert error["code"] == "conversation_already_has_active_response"


def test_an_answer_waits_for_the_transcript():
    client = Client("Hello")
    client.working = False

    before = client.says_something()
    client.work()

    assert types(before)[-1] == "response.created"
    assert client.brain.asked == [("heard", "Hello")]


def test_a_turn_in_two_parts_is_heard_as_one_when_the_first_was_not_answered():
    client = Client("I would like a table", "for four.")
    client.working = False
    client.says_something()
    client.says_something()

    client.work()

    assert client.brain.asked == [("heard", "I would like a table for four.")]


def test_a_turn_without_words_gets_an_answer_without_words():
    client = Client("")

    events = client.says_something()

    assert response_of(events)["output"] == []
    assert response_of(events)["status"] == "completed"


def test_a_function_is_called_after_what_is_said():
    client = Client("Operator")
    client.configure(tools=[TOOL])
    client.brain.acts = (Act("transfer_call", {"destination": "kitchen"}),)

    events = client.says_something()

    message, call = response_of(events)["output"]
    assert message["type"] == "message"
    assert (call["type"], call["name"]) == ("function_call", "transfer_call")
    assert json.loads(call["arguments"]) == {"destination": "kitchen"}
    assert one(events, "response.function_call_arguments.done")["call_id"] == call["call_id"]


def test_an_argument_becomes_the_nearest_value_that_the_client_allows():
    client = Client("Operator")
    client.configure(tools=[TOOL])
    client.brain.acts = (Act("transfer_call", {"destination": "front_desk"}),)

    events = client.says_something()

    assert json.loads(response_of(events)["output"][1]["arguments"]) == {"destination": "front-desk"}


def test_a_function_that_the_client_does_not_have_counts_as_done():
    client = Client("Operator")
    client.brain.acts = (Act("transfer_call", {"destination": "kitchen"}),)

    events = client.says_something()

    (message,) = response_of(events)["output"]
    assert message["content"][0]["transcript"] == "You said Operator. transfer_call says ."


def test_a_response_may_have_tools_of_its_own():
    client = Client()
    client.brain.acts = (Act("transfer_call", {"destination": "kitchen"}),)

    events = client.send("response.create", response={"tools": [TOOL]})

    assert response_of(events)["output"][1]["name"] == "transfer_call"


def test_no_function_is_called_when_the_client_forbids_it():
    client = Client()
    client.configure(tools=[TOOL], tool_choice="none")
    client.brain.acts = (Act("transfer_call", {"destination": "kitchen"}),)

    events = client.send("response.create")

    assert [item["type"] for item in response_of(events)["output"]] == ["message"]


def test_the_result_of_a_function_goes_to_the_brain():
    client = Client()
    client.configure(tools=[TOOL])
    client.brain.acts = (Act("transfer_call", {"destination": "kitchen"}),)
    call = response_of(client.send("response.create"))["output"][1]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "busy"}

    client.send("conversation.item.create", item=output)
    client.send("response.create")

    assert client.brain.asked[1:] == [("told", "transfer_call", "busy")]


def test_a_response_outside_of_the_conversation_leaves_no_item_in_it():
    client = Client()

    events = client.send("response.create", response={"conversation": "none", "metadata": {"say": "Psst."}})

    assert response_of(events)["conversation_id"] is None
    assert "conversation.item.added" not in types(events)


def test_a_response_outside_of_the_conversation_must_say_what():
    client = Client()

    error = error_of(client.send("response.create", response={"conversation": "none"}))

    assert error["param"] == "response.conversation"

"""The server core: what a client does wrong is told in the protocol's own words, and changes nothing."""

import json
from typing import Any

import pytest

from tests.voice.core_client import Client, Event, error_of, one


def message(role: str = "user", **part: Any) -> Event:
    return {"type": "message", "role": role, "content": [part]}


def text(words: str = "Hello", **fields: Any) -> Event:
    return message(type="input_text", text=words) | fields


def create(item: Event, **fields: Any) -> Event:
    return {"type": "conversation.item.create", "item": item, **fields}


def update(**session: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def error_for(event: Event) -> Event:
    client = Client()
    client.send("conversation.item.create", item=text(id="known"))
    return error_of(client.send_text(json.dumps({**event, "event_id": "mine"})))


# What was sent; the code, the parameter and the words of the answer. The words that stand in quotes in public
# recordings of OpenAI's server are those.
REFUSALS: dict[str, tuple[Event, str, str | None, str]] = {
    "no type": ({}, "missing_required_parameter", "type", "Missing required parameter: 'type'."),
    "a type of the wrong kind": (
        {"type": 5},
        "invalid_value",
        "type",
        "Invalid value: '5'. Supported values are: 'session.update', ",
    ),
    "an unknown event": (
        {"type": "response.start"},
        "invalid_value",
        "type",
        "Invalid value: 'response.start'. Supported values are: 'session.update', ",
    ),
    "a missing field": (
        {"type": "input_audio_buffer.append"},
        "missing_required_parameter",
        "audio",
        "Missing required parameter: 'audio'.",
    ),
    "a missing field deep inside": (
        update(tools=[{"type": "function"}]),
        "missing_required_parameter",
        "session.tools[0].name",
        "Missing required parameter: 'session.tools[0].name'.",
    ),
    "an unknown field": (
        {"type": "response.create", "response": {"modalities": ["text"]}},
        "unknown_parameter",
        "response.modalities",
        "Unknown parameter: 'response.modalities'.",
    ),
    "a number that is not whole": (
        {"type": "conversation.item.truncate", "item_id": "known", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_type",
        "audio_end_ms",
        "Invalid type for 'audio_end_ms': expected an integer, but got a decimal number instead.",
    ),
    "a string in place of an object": (
        update(audio={"input": {"format": "pcm16"}}),
        "invalid_type",
        "session.audio.input.format",
        "Invalid type for 'session.audio.input.format': expected an object, but got a string instead.",
    ),
    "null where there must be something": (
        update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": None}}}),
        "invalid_type",
        "session.audio.input.turn_detection.create_response",
        "Invalid type for 'session.audio.input.turn_detection.create_response': expected a boolean, but got null",
    ),
    "a value that is not among those that work": (
        update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "keen"}}}),
        "invalid_value",
        "session.audio.input.turn_detection.eagerness",
        "Invalid value: 'keen'",
    ),
    "another kind of session": (
        {"type": "session.update", "session": {"type": "transcription"}},
        "invalid_value",
        "session.type",
        "Invalid value: 'transcription'",
    ),
    "no kind of session": (
        {"type": "session.update", "session": {}},
        "missing_required_parameter",
        "session.type",
        "Missing required parameter: 'session.type'.",
    ),
    "a number that is too small": (
        update(audio={"output": {"speed": 0.1}}),
        "decimal_below_min_value",
        "session.audio.output.speed",
        "Invalid 'session.audio.output.speed': decimal below minimum value. Expected a value >= 0.25.",
    ),
    "a number that is too large": (
        update(max_output_tokens=5000),
        "integer_above_max_value",
        "session.max_output_tokens",
        "Invalid 'session.max_output_tokens': integer above maximum value. Expected a value <= 4096.",
    ),
    "audio that is no base64": (
        {"type": "input_audio_buffer.append", "audio": "not base64!"},
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes, but got an invalid value.",
    ),
    "no audio": (
        {"type": "input_audio_buffer.append", "audio": ""},
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got empty bytes.",
    ),
    "half a sample": (
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got 3 bytes.",
    ),
    "an empty buffer": (
        {"type": "input_audio_buffer.commit"},
        "input_audio_buffer_commit_empty",
        None,
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer",
    ),
    "nothing to cancel": (
        {"type": "response.cancel"},
        "response_cancel_not_active",
        None,
        "Cancellation failed: no active response found",
    ),
    "to show no item": (
        {"type": "conversation.item.retrieve", "item_id": "x"},
        "item_retrieve_invalid_item_id",
        None,
        "Error retrieving item: the item with id 'x' does not exist.",
    ),
    "to delete no item": (
        {"type": "conversation.item.delete", "item_id": "x"},
        "item_delete_invalid_item_id",
        None,
        "Error deleting item: the item with id 'x' does not exist.",
    ),
    "to cut no item": (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0},
        "item_truncate_invalid_item_id",
        None,
        "Error truncating item: the item with id 'x' does not exist.",
    ),
    "to cut what the caller said": (
        {"type": "conversation.item.truncate", "item_id": "known", "content_index": 0, "audio_end_ms": 0},
        "unsupported_content_type",
        None,
        "Only model output audio messages can be truncated",
    ),
    "to cut before the beginning": (
        {"type": "conversation.item.truncate", "item_id": "known", "content_index": 0, "audio_end_ms": -1},
        "integer_below_min_value",
        "audio_end_ms",
        "Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0.",
    ),
    "an item behind none": (
        create(text(), previous_item_id="x"),
        "item_create_invalid_previous_item_id",
        None,
        "Error adding item: the previous item with id 'x' does not exist.",
    ),
    "an id that is taken": (
        create(text(id="known")),
        "item_create_duplicate_id",
        "item.id",
        "Error adding item: there is an item with id 'known' already.",
    ),
    "the answer of a function that was not called": (
        create({"type": "function_call_output", "call_id": "call_x", "output": "1"}),
        "invalid_tool_call_id",
        None,
        "Tool call ID 'call_x' not found in conversation.",
    ),
    "a part of another speaker": (
        create(message("assistant", type="input_text", text="Hello")),
        "invalid_value",
        "item.content[0].type",
        "Invalid value: 'input_text'. Supported values of 'assistant' are: 'output_text'.",
    ),
    "something said aloud by the assistant": (
        create(message("assistant", type="output_audio", transcript="Hello")),
        "invalid_value",
        "item.content[0].type",
        "Invalid value: 'output_audio'.",
    ),
    "a text without text": (
        create(message(type="input_text")),
        "missing_required_parameter",
        "item.content[0].text",
        "Missing required parameter: 'item.content[0].text'.",
    ),
    "a recording without sound": (
        create(message(type="input_audio")),
        "missing_required_parameter",
        "item.content[0].audio",
        "Missing required parameter: 'item.content[0].audio'.",
    ),
    "a recording of half a sample": (
        create(message(type="input_audio", audio="AAAA")),
        "invalid_value",
        "item.content[0].audio",
        "Invalid 'item.content[0].audio'. Expected base64-encoded audio bytes",
    ),
    "a text that is too long": (
        create(text("x" * 256_001)),
        "string_above_max_length",
        "item.content[0].text",
        "Invalid 'item.content[0].text': string too long. Expected a string with maximum length 256000",
    ),
    "an id that is too long": (
        create(text(id="x" * 33)),
        "string_above_max_length",
        "item.id",
        "Invalid 'item.id': string too long. Expected a string with maximum length 32",
    ),
    "too many parts": (
        create({"type": "message", "role": "user", "content": [{"type": "input_text", "text": ""}] * 65}),
        "array_above_max_length",
        "item.content",
        "Invalid 'item.content': array too long. Expected an array with maximum length 64",
    ),
    "too many tools": (
        update(tools=[{"type": "function", "name": f"tool{n}"} for n in range(129)]),
        "array_above_max_length",
        "session.tools",
        "Invalid 'session.tools': array too long. Expected an array with maximum length 128",
    ),
    "instructions that are too long": (
        update(instructions="x" * 256_001),
        "string_above_max_length",
        "session.instructions",
        "Invalid 'session.instructions': string too long.",
    ),
    "settings that are too long together": (
        update(
            tools=[
                {"type": "function", "name": f"t{n}", "parameters": {"x": "y" * 200_000}} for n in range(6)
            ]
        ),
        "string_above_max_length",
        "session",
        "Invalid 'session': the settings have ",
    ),
    "too much metadata": (
        {"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}},
        "object_above_max_length",
        "response.metadata",
        "Invalid 'response.metadata': object too long.",
    ),
    "a name of metadata that is too long": (
        {"type": "response.create", "response": {"metadata": {"x" * 65: ""}}},
        "string_above_max_length",
        "response.metadata",
        "Invalid 'response.metadata': string too long.",
    ),
}


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_mistake_is_told_with_its_code_its_parameter_and_its_event(mistake: str):
    event, code, param, words = REFUSALS[mistake]

    error = error_for(event)

    assert error["message"].startswith(words)
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert error["event_id"] == "mine"


def test_a_second_response_names_the_one_that_is_being_made():
    client = Client()
    client.working = False
    created = client.send("response.create")[0]

    error = error_of(client.send("response.create"))

    assert error["code"] == "conversation_already_has_active_response"
    assert error["message"] == (
        f"Conversation already has an active response in progress: {created['response']['id']}. "
        "Wait until the response is finished before creating a new one."
    )


def test_an_empty_previous_item_is_none():
    client = Client()
    client.send("conversation.item.create", item=text(id="first"))

    events = client.send("conversation.item.create", item=text(), previous_item_id="")

    assert one(events, "conversation.item.added")["previous_item_id"] == "first"


def test_an_event_id_that_is_too_long_is_not_sent_back():
    client = Client()

    error = error_of(client.send("response.cancel", event_id="x" * 513))

    assert (error["code"], error["param"]) == ("string_above_max_length", "event_id")
    assert error["event_id"] is None


@pytest.mark.parametrize("event", ["", '{"type":"session.update","session":'])
def test_an_event_as_deep_as_a_well_is_refused(event: str):
    client = Client()

    error = error_of(client.send_text(event + '{"a":' * 100_000))

    assert error["code"] == "invalid_json"


def test_a_mistake_changes_nothing():
    client = Client()

    error_of(client.configure(instructions="Be brief.", tools=5))
    (updated,) = client.configure()

    assert updated["session"] == client.events[0]["session"]


def test_an_object_of_another_type_replaces_the_one_before():
    client = Client()
    client.turn_detection(threshold=0.7)
    client.configure(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})

    (updated,) = client.turn_detection()

    assert updated["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.5

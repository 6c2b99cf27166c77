"""The server core: the items of the conversation, and events that are not of the protocol."""

import json

import pytest

from tests.voice.core_client import Client, Event, error_of, one, types


def message(text: str, role: str = "user", **fields: str) -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


def test_a_written_message_is_heard_with_the_next_response():
    client = Client()

    added = client.send("conversation.item.create", item=message("Hello"))
    client.send("response.create")

    assert types(added) == ["conversation.item.added", "conversation.item.done"]
    assert client.brain.asked == [("heard", "Hello")]


def test_a_key_is_a_message_of_the_form_that_gateways_write():
    client = Client()

    client.send("conversation.item.create", item=message("[DTMF] 5"))
    client.send("response.create")

    assert client.brain.asked == [("digit", "5")]


def test_what_a_new_session_is_told_of_an_earlier_one_is_not_answered_again():
    client = Client()
    client.send("conversation.item.create", item=message("I want a table"))
    client.send("conversation.item.create", item=message("For how many?", role="assistant"))
    client.send("conversation.item.create", item=message("Four"))

    events = client.send("response.create")

    assert client.brain.asked == [("heard", "I want a table"), ("heard", "Four")]
    assert one(events, "response.output_audio_transcript.done")["transcript"] == "You said Four."


def test_an_item_takes_its_place_after_another():
    client = Client()
    client.send("conversation.item.create", item=message("One", id="one"))
    client.send("conversation.item.create", item=message("Two", id="two"))

    events = client.send("conversation.item.create", item=message("Between", id="b"), previous_item_id="one")
    first = client.send("conversation.item.create", item=message("First", id="f"), previous_item_id="root")

    assert one(events, "conversation.item.added")["previous_item_id"] == "one"
    assert one(first, "conversation.item.added")["previous_item_id"] is None


def test_an_item_can_be_shown_and_deleted():
    client = Client()
    client.send("conversation.item.create", item=message("Hello", id="hello"))

    (shown,) = client.send("conversation.item.retrieve", item_id="hello")
    (deleted,) = client.send("conversation.item.delete", item_id="hello")
    client.send("response.create")

    assert shown["item"]["content"][0]["text"] == "Hello"
    assert deleted["item_id"] == "hello"
    assert client.brain.asked == [("begin",)]


def test_what_was_not_heard_can_be_cut_off():
    client = Client(sentence_ms=500)
    events = client.send("response.create", response={"metadata": {"say": "Hello."}})
    item = one(events, "response.output_item.added")["item"]["id"]

    (truncated,) = client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=200)

    assert (truncated["item_id"], truncated["audio_end_ms"]) == (item, 200)


def test_more_than_was_said_cannot_have_been_heard():
    client = Client(sentence_ms=500)
    events = client.send("response.create", response={"metadata": {"say": "Hello."}})
    item = one(events, "response.output_item.added")["item"]["id"]

    error = error_of(
        client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=501)
    )

    assert error["param"] == "audio_end_ms"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id"),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
        ),
        (
            {"type": "conversation.item.create", "item": message("Hello"), "previous_item_id": "x"},
            "item_create_invalid_previous_item_id",
        ),
        (
            {"type": "conversation.item.create", "item": message("Hello", id="known")},
            "item_create_duplicate_id",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_audio", "audio": "AAAA"}],
                },
            },
            "invalid_value",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user"}},
            "missing_required_parameter",
        ),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter"),
        ({"type": "input_audio_buffer.append", "audio": "not base64!"}, "invalid_value"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value"),
        ({"type": "response.create", "response": {"modalities": ["audio"]}}, "unknown_parameter"),
        ({"no": "type"}, "missing_required_parameter"),
    ],
)
def test_what_cannot_be_done_is_answered_with_an_error_that_names_its_cause(event, code):
    client = Client()
    client.send("conversation.item.create", item=message("Known", id="known"))

    error = error_of(client.send_text(json.dumps({**event, "event_id": "mine"})))

    assert (error["type"], error["code"], error["event_id"]) == ("invalid_request_error", code, "mine")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"\\ud800"', "{}", '{"type": 5}', "\ud800"])
def test_what_is_no_event_is_answered_with_an_error(text):
    client = Client()

    error = error_of(client.send_text(text))

    assert error["type"] == "invalid_request_error"

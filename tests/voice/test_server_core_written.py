"""The server core: answers in writing, and what a client puts into the conversation itself."""

import base64

import pytest

from gateway.voice.embedded.brain import Act
from gateway.voice.embedded.jobs import Transcribe
from tests.voice.core_client import Client, Event, error_of, one, types

TOOL = {"type": "function", "name": "end_call", "description": "", "parameters": {}}
WRITTEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def spoken_item(**part: str) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", **part}]}


AUDIO = base64.b64encode(bytes(48 * 500)).decode()


# -- answers in writing


def test_an_answer_in_writing_is_told_in_the_order_of_the_protocol():
    client = Client()
    client.configure(output_modalities=["text"])

    events = client.send("response.create")

    assert types(events) == WRITTEN


def test_an_answer_in_writing_has_its_words_in_every_place():
    client = Client()
    client.configure(output_modalities=["text"])

    events = client.send("response.create")

    text = "Hello. How can I help?"
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    response = one(events, "response.done")["response"]
    assert "".join(deltas) == one(events, "response.output_text.done")["text"] == text
    assert one(events, "response.content_part.added")["part"] == {"type": "text", "text": ""}
    assert one(events, "response.content_part.done")["part"] == {"type": "text", "text": text}
    assert response["output"][0]["content"] == [{"type": "output_text", "text": text}]
    assert response["output_modalities"] == ["text"]


def test_nothing_is_synthesized_for_an_answer_in_writing():
    client = Client()
    client.working = False
    client.configure(output_modalities=["text"])

    events = client.send("response.create")

    assert client.jobs == []
    assert types(events)[-1] == "response.done"


def test_one_response_may_be_in_writing():
    client = Client("Hello")

    written = client.send("response.create", response={"output_modalities": ["text"]})
    spoken = client.says_something()

    assert "response.output_audio.delta" not in types(written)
    assert "response.output_audio.delta" in types(spoken)


def test_one_response_may_be_aloud():
    client = Client()
    client.configure(output_modalities=["text"])

    events = client.send("response.create", response={"output_modalities": ["audio"]})

    assert one(events, "response.created")["response"]["output_modalities"] == ["audio"]
    assert "response.output_audio.delta" in types(events)


def test_what_is_said_to_a_session_in_writing_is_answered_in_writing():
    client = Client("Hello")
    client.configure(output_modalities=["text"])

    events = client.says_something()

    assert one(events, "response.output_text.done")["text"] == "You said Hello."


def test_functions_are_called_after_what_is_written():
    client = Client("Goodbye")
    client.configure(output_modalities=["text"], tools=[TOOL])
    client.brain.acts = (Act("end_call", {}),)

    events = client.says_something()

    assert [item["type"] for item in one(events, "response.done")["response"]["output"]] == [
        "message",
        "function_call",
    ]


def test_what_was_written_cannot_be_cut_off():
    client = Client()
    client.configure(output_modalities=["text"])
    item = one(client.send("response.create"), "response.output_item.added")["item"]["id"]

    error = error_of(client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=0))

    assert error["message"] == "Only model output audio messages can be truncated"


@pytest.mark.parametrize("modalities", [[], ["text", "audio"], ["audio", "text"]])
def test_an_answer_is_either_aloud_or_in_writing(modalities: list[str]):
    client = Client()

    session = error_of(client.configure(output_modalities=modalities))
    response = error_of(client.send("response.create", response={"output_modalities": modalities}))

    assert (session["code"], session["param"]) == ("invalid_value", "session.output_modalities")
    assert (response["code"], response["param"]) == ("invalid_value", "response.output_modalities")


# -- spoken items of the client


def test_a_recording_in_an_item_is_heard_with_the_next_response():
    client = Client("Hello")

    added = client.send("conversation.item.create", item=spoken_item(audio=AUDIO))
    client.send("response.create")

    assert types(added) == ["conversation.item.added", "conversation.item.done"]
    assert client.brain.asked == [("heard", "Hello")]


def test_a_recording_in_an_item_is_not_sent_back():
    client = Client("Hello")

    added = client.send("conversation.item.create", item=spoken_item(audio=AUDIO))
    (shown,) = client.send("conversation.item.retrieve", item_id=added[0]["item"]["id"])

    assert added[0]["item"]["content"] == [{"type": "input_audio"}]
    assert shown["item"]["content"] == [{"type": "input_audio", "transcript": "Hello"}]


def test_a_recording_in_an_item_is_in_the_format_of_the_session():
    client = Client("Hello")
    client.configure(audio={"input": {"format": {"type": "audio/pcmu"}}})
    client.working = False
    audio = base64.b64encode(b"\xff" * 8 * 500).decode()

    client.send("conversation.item.create", item=spoken_item(audio=audio))

    (job,) = client.jobs
    assert isinstance(job, Transcribe)
    assert len(job.clip) == 48 * 500


def test_an_answer_to_a_recording_waits_for_its_words():
    client = Client("Hello")
    client.working = False
    client.send("conversation.item.create", item=spoken_item(audio=AUDIO))
    client.send("response.create")
    before = list(client.brain.asked)

    client.work()

    assert before == []
    assert client.brain.asked == [("heard", "Hello")]


def test_a_recording_that_has_its_transcript_is_not_written_down_again():
    client = Client()

    client.send("conversation.item.create", item=spoken_item(audio=AUDIO, transcript="Good evening"))
    client.send("response.create")

    assert client.brain.asked == [("heard", "Good evening")]


def test_text_beside_a_recording_is_heard_with_it():
    client = Client("what I say.")
    text = {"type": "input_text", "text": "Listen to"}
    item = {"type": "message", "role": "user", "content": [text, {"type": "input_audio", "audio": AUDIO}]}

    client.send("conversation.item.create", item=item)
    client.send("response.create")

    assert client.brain.asked == [("heard", "Listen to what I say.")]


def test_a_picture_is_taken_and_not_kept():
    client = Client()
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    text = {"type": "input_text", "text": "Look"}

    added = client.send(
        "conversation.item.create", item={"type": "message", "role": "user", "content": [text, picture]}
    )

    assert added[0]["item"]["content"] == [text, {"type": "input_image", "detail": "low"}]


def test_a_recording_that_is_deleted_before_it_is_written_down_is_not_heard():
    client = Client("Hello")
    client.working = False
    item = client.send("conversation.item.create", item=spoken_item(audio=AUDIO))[0]["item"]["id"]
    client.send("conversation.item.delete", item_id=item)
    client.work()
    client.working = True

    client.send("response.create")

    assert client.brain.asked == [("begin",)]

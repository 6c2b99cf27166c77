"""The server core: an answer is interrupted, and the conversation goes on in its right mind."""

from gateway.voice.embedded.brain import Act
from gateway.voice.embedded.conversation import Conversation
from tests.voice.core_client import Client, Event, one, types

TOOL = {"type": "function", "name": "end_call", "description": "", "parameters": {}}
LONG = {"metadata": {"say": "First of all. Second of all. Third."}}


def speaking(client: Client, *, sentences: int) -> str:
    """Have an answer begun; the item of what was said so far."""
    client.working = False
    client.send("response.create", response=LONG)
    client.work(sentences)
    item: str = one(client.events, "response.output_item.added")["item"]["id"]
    return item


def statuses(events: list[Event]) -> list[str]:
    return [event["response"]["status"] for event in events if event["type"] == "response.done"]


def test_speech_ends_the_answer_before_anything_else_happens():
    client = Client()
    speaking(client, sentences=1)

    events = client.audio(1.0)

    assert types(events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]


def test_an_interrupted_item_has_the_words_that_were_sent_and_is_incomplete():
    client = Client()
    item = speaking(client, sentences=2)
    client.audio(1.0)

    (shown,) = client.send("conversation.item.retrieve", item_id=item)

    assert shown["item"]["status"] == "incomplete"
    assert shown["item"]["content"][0]["transcript"] == "First of all. Second of all."


def test_who_interrupts_is_answered():
    client = Client("Wait a moment")
    speaking(client, sentences=1)
    client.says_something()

    events = client.work()

    assert client.brain.asked == [("heard", "Wait a moment")]
    assert statuses(events) == ["completed"]


def test_what_was_said_stands_before_what_interrupted_it():
    client = Client("Wait a moment")
    item = speaking(client, sentences=1)

    events = client.says_something()

    assert one(events, "input_audio_buffer.committed")["previous_item_id"] == item


def test_an_answer_that_was_interrupted_before_it_was_known_is_given_with_the_next():
    client = Client("I would like a table", "for four.")
    client.working = False
    client.says_something()

    events = [*client.says_something(), *client.work()]

    assert statuses(events) == ["cancelled", "completed"]
    assert client.brain.asked == [("heard", "I would like a table for four.")]


def test_nobody_answers_an_earlier_turn_while_the_caller_speaks():
    client = Client("Hello", "Hello again")
    client.audio(1.0)
    client.working = False
    client.send("response.create", response=LONG)  # the client's own, while the caller speaks
    client.audio(*[0.0] * 16)  # his turn has to wait for its answer,
    client.audio(1.0)  # and he speaks again

    events = client.work()
    later = [*client.audio(*[0.0] * 16), *client.work()]

    assert "response.created" not in types(events)
    assert statuses(later) == ["completed"]
    assert client.brain.asked == [("heard", "Hello Hello again")]


def test_functions_of_an_interrupted_answer_are_not_called():
    client = Client("Goodbye", "Wait")
    client.configure(tools=[TOOL])
    client.brain.acts = (Act("end_call", {}),)
    client.working = False
    client.says_something()
    client.work(1)  # the words are known, and are being said

    events = [*client.says_something(), *client.work()]

    assert "response.function_call_arguments.done" not in types(events)
    assert statuses(events) == ["cancelled", "completed"]


def test_silence_after_an_interruption_counts_from_the_answer_to_it():
    client = Client("Wait", sentence_ms=1000)
    client.turn_detection(idle_timeout_ms=6000)
    speaking(client, sentences=1)
    client.says_something()
    client.work()

    early = client.wait(6.9)
    events = client.wait(0.2)

    assert early == []
    assert types(events)[0] == "input_audio_buffer.timeout_triggered"


def test_where_the_client_interrupts_the_answer_goes_on():
    client = Client("Hello")
    client.turn_detection(interrupt_response=False)
    speaking(client, sentences=1)

    events = [*client.audio(1.0), *client.work()]

    assert statuses(events) == ["completed"]


def test_neither_interrupting_nor_answering_only_tells_what_happens():
    client = Client("Hello")
    client.turn_detection(interrupt_response=False, create_response=False)

    events = client.says_something()

    assert types(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]


# -- what was heard of it


def conversation_of(client: Client) -> Conversation:
    return client.core._conversation


def heard_words(client: Client) -> str:
    (item,) = conversation_of(client).heard()
    return item.text  # type: ignore[union-attr] # it is a message


def test_of_what_was_cut_the_voice_knows_the_words_that_were_heard():
    client = Client(sentence_ms=1000)
    item = speaking(client, sentences=2)
    client.send("response.cancel")

    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1500)

    assert heard_words(client) == "First of all. Second"


def test_what_was_cut_to_nothing_was_not_heard():
    client = Client()
    item = speaking(client, sentences=1)
    client.send("response.cancel")

    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=0)

    assert heard_words(client) == ""


def test_what_was_cut_can_be_cut_further():
    client = Client(sentence_ms=1000)
    item = speaking(client, sentences=2)
    client.send("response.cancel")
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1000)

    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=500)

    assert heard_words(client) == "First"


def test_the_client_is_shown_no_words_of_what_was_cut():
    client = Client(sentence_ms=1000)
    item = speaking(client, sentences=2)
    client.send("response.cancel")
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1500)

    (shown,) = client.send("conversation.item.retrieve", item_id=item)

    assert shown["item"]["content"] == [{"type": "output_audio"}]

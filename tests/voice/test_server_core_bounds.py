"""The server core: whatever a client does for however long, what is kept of it has a bound."""

import base64

import pytest

from tests.voice.core_client import Client, Event, error_of, one, types

FIVE_MINUTES = base64.b64encode(bytes(48 * 300_000)).decode()


def message(text: str, **fields: str) -> Event:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def add(client: Client, text: str, **fields: str) -> list[Event]:
    return client.send("conversation.item.create", item=message(text, **fields))


def knows(client: Client, item_id: str) -> bool:
    return types(client.send("conversation.item.retrieve", item_id=item_id)) == [
        "conversation.item.retrieved"
    ]


def append(client: Client, audio: str) -> list[Event]:
    return client.send("input_audio_buffer.append", audio=audio)


# -- items


def test_of_very_many_items_the_oldest_are_forgotten_without_a_word():
    client = Client()

    events = [event for number in range(1030) for event in add(client, "Hello", id=f"item{number}")]

    assert set(types(events)) == {"conversation.item.added", "conversation.item.done"}
    assert not knows(client, "item5")
    assert knows(client, "item6")


def test_of_very_long_items_the_oldest_are_forgotten():
    client = Client()

    for number in range(10):
        add(client, "x" * 250_000, id=f"item{number}")

    assert not knows(client, "item1")
    assert knows(client, "item2")


def test_what_was_forgotten_is_not_answered():
    client = Client()
    for number in range(1026):
        add(client, f"{number}")
    client.working = False

    client.send("response.create")

    (asked,) = client.brain.asked
    assert asked[1].startswith("2 3 ")


def test_an_item_that_is_being_made_is_never_forgotten():
    client = Client()
    client.working = False
    client.send("response.create")
    client.work(1)
    item = one(client.events, "response.output_item.added")["item"]["id"]

    for _ in range(1030):
        add(client, "Hello")
    events = client.work()

    assert one(events, "conversation.item.done")["item"]["id"] == item
    assert one(events, "response.done")["response"]["status"] == "completed"


def test_an_item_that_is_deleted_while_it_is_being_made_stays_away():
    client = Client()
    client.working = False
    client.send("response.create", response={"metadata": {"say": "One. Two."}})
    client.work(1)
    item = one(client.events, "response.output_item.added")["item"]["id"]
    client.send("conversation.item.delete", item_id=item)

    events = client.work()

    assert "conversation.item.done" not in types(events)
    assert one(events, "response.done")["response"]["status"] == "completed"
    assert not knows(client, item)


# -- audio


def test_five_minutes_at_once_are_taken():
    client = Client()

    events = append(client, FIVE_MINUTES)

    assert events == []


@pytest.mark.parametrize(("name", "bytes_per_ms"), [("pcm", 48), ("pcmu", 8)])
def test_an_event_holds_fifteen_mebibytes_of_pcm_or_as_long_a_call(name: str, bytes_per_ms: int):
    client = Client()
    if name != "pcm":
        client.configure(audio={"input": {"format": {"type": f"audio/{name}"}}})

    error = error_of(append(client, base64.b64encode(bytes(327_681 * bytes_per_ms)).decode()))

    assert (error["code"], error["param"]) == ("string_above_max_length", "audio")


def test_who_sends_faster_than_it_can_be_heard_is_told_so():
    client = Client()
    client.judging = False
    for _ in range(3):
        append(client, FIVE_MINUTES)

    error = error_of(append(client, FIVE_MINUTES))
    client.judge(20_000)
    later = client.audio(0.0)

    assert error["code"] == "rate_limit_exceeded"
    assert later == []


def test_who_commits_faster_than_it_can_be_written_down_is_told_so():
    client = Client(*["Hello"] * 65)
    client.configure(audio={"input": {"turn_detection": None}})
    client.working = False
    for _ in range(64):
        client.audio(*[0.0] * 4)
        client.send("input_audio_buffer.commit")
    client.audio(*[0.0] * 4)

    error = error_of(client.send("input_audio_buffer.commit"))
    client.work()
    events = client.send("input_audio_buffer.commit")

    assert error["code"] == "rate_limit_exceeded"
    assert types(events)[0] == "input_audio_buffer.committed"


def test_a_recording_in_an_item_waits_for_room_too():
    client = Client(*["Hello"] * 65)
    client.working = False
    audio = base64.b64encode(bytes(4800)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}] * 64}
    client.send("conversation.item.create", item=item)

    error = error_of(client.send("conversation.item.create", item=item))

    assert error["code"] == "rate_limit_exceeded"
    assert types(client.events).count("conversation.item.added") == 1


# -- an hour


def test_an_hour_of_talk_takes_no_more_than_its_first_minutes():
    client = Client(*["Hello there"] * 900)
    sizes = []

    for turns in (600, 300):
        for _ in range(turns):
            client.audio(1.0, *[0.0] * 16)
        sizes.append(_size_of(client))

    assert sizes[1] < 1.02 * sizes[0]


def _size_of(client: Client) -> int:
    """What a core holds, about: its texts, its audio and its tables."""
    seen: set[int] = set()

    def size(value: object) -> int:
        if id(value) in seen:
            return 0
        seen.add(id(value))
        match value:
            case str() | bytes() | bytearray():
                return len(value)
            case dict():
                return sum(size(key) + size(each) for key, each in value.items())
            case list() | tuple() | set() | frozenset():
                return sum(size(each) for each in value)
            case _ if hasattr(value, "__dict__") and not callable(value):
                return size(vars(value))
            case _ if hasattr(value, "__struct_fields__"):
                return sum(size(getattr(value, name)) for name in value.__struct_fields__)
            case _:
                return 8

    seen.add(id(client.brain))  # the test's, which remembers everything
    return size(client.core)

"""The judge of the events: what is of the protocol passes, what is not is named."""

import json
from collections.abc import Mapping

import pytest

from gateway.testing.realtime_schema import SchemaError, ServerOrder, check_client_event, check_server_event

PCM = {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"format": PCM}}}},
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
        },
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        {"type": "response.create", "response": {"metadata": {"say": "Hello"}}},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 5},
    ],
)
def test_what_a_client_may_send_passes(event):
    check_client_event(json.dumps(event))

    assert event["type"]  # the check raises on what is wrong


@pytest.mark.parametrize(
    ("event", "place"),
    [
        (
            {"type": "session.update", "session": {"type": "realtime", "modalities": ["audio"]}},
            "session.modalities",
        ),
        ({"type": "session.update", "session": {"type": "realtime", "voice": "alloy"}}, "session.voice"),
        (
            {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"input": {"format": "g711_ulaw"}}},
            },
            "format",
        ),
        (
            {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"input": {"format": {**PCM, "rate": 8000}}}},
            },
            "rate",
        ),
        ({"type": "input_audio_buffer.append"}, "audio"),
        ({"type": "input_audio.append", "audio": "AAAA"}, "no event of type"),
        ({"type": "response.create", "respnse": {}}, "respnse"),
    ],
)
def test_what_no_client_may_send_is_named(event, place):
    with pytest.raises(SchemaError, match=place):
        check_client_event(json.dumps(event))


@pytest.mark.parametrize(
    ("event", "place"),
    [
        ({"type": "response.audio.delta", "event_id": "e"}, "no event of type"),
        (
            {"type": "session.created", "event_id": "e", "session": {"type": "realtime", "vice": "x"}},
            "session.vice",
        ),
        ({"type": "input_audio_buffer.cleared"}, "event_id"),
        ({"type": "output_audio_buffer.cleared", "event_id": "e", "response_id": "r"}, "WebRTC"),
    ],
)
def test_what_no_server_may_send_is_named(event, place):
    with pytest.raises(SchemaError, match=place):
        check_server_event(json.dumps(event))


CREATED = {"type": "session.created"}
RESPONSE = {"type": "response.created", "response": {"id": "r"}}
ITEM = {"type": "response.output_item.added", "response_id": "r", "output_index": 0, "item": {"id": "i"}}
PART = {"type": "response.content_part.added", "response_id": "r", "item_id": "i"}
DELTA = {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i"}
END = {"type": "response.done", "response": {"id": "r", "output": []}}


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([RESPONSE], "session.created comes first"),
        ([CREATED, CREATED], "session.created comes first"),
        ([CREATED, RESPONSE, RESPONSE], "r is not done"),
        ([CREATED, ITEM], "r is not being made"),
        ([CREATED, RESPONSE, PART], "had no response.output_item.added"),
        ([CREATED, RESPONSE, ITEM, DELTA], "had no response.content_part.added"),
        ([CREATED, RESPONSE, ITEM, PART, DELTA, END], "lacks what ends"),
        ([CREATED, RESPONSE, END, DELTA], "r is not being made"),
        ([CREATED, END], "is not the response that was made"),
        (
            [CREATED, {"type": "input_audio_buffer.speech_stopped", "item_id": "i"}],
            "had no input_audio_buffer.speech",
        ),
    ],
)
def test_an_event_out_of_order_is_named(events, complaint):
    order = ServerOrder()
    texts = [json.dumps({**event, "event_id": f"e{count}"}) for count, event in enumerate(events)]
    for text in texts[:-1]:
        order.check(text)

    with pytest.raises(SchemaError, match=complaint):
        order.check(texts[-1])


def test_an_event_id_is_used_once():
    order = ServerOrder()
    order.check('{"type": "session.created", "event_id": "e"}')

    with pytest.raises(SchemaError, match="was used before"):
        order.check('{"type": "session.updated", "event_id": "e"}')


TEXT = {"type": "response.output_text.delta", "response_id": "r", "item_id": "i"}
TEXT_DONE = {"type": "response.output_text.done", "response_id": "r", "item_id": "i"}
PART_DONE = {"type": "response.content_part.done", "response_id": "r", "item_id": "i"}


def in_order(*events: Mapping[str, object]) -> ServerOrder:
    order = ServerOrder()
    for count, event in enumerate(events):
        order.check(json.dumps({**event, "event_id": f"e{count}"}))
    return order


def test_a_part_is_over_when_its_text_is():
    order = in_order(CREATED, RESPONSE, ITEM, PART, TEXT, TEXT_DONE, PART_DONE)

    assert order.sent_ms("i") == 0


def test_a_part_whose_text_goes_on_is_not_over():
    with pytest.raises(
        SchemaError, match=r"had no response\.output_audio\.done or response\.output_text\.done"
    ):
        in_order(CREATED, RESPONSE, ITEM, PART, TEXT, PART_DONE)


def test_audio_is_measured_in_the_format_of_its_response():
    audio = {"output": {"format": {"type": "audio/pcmu"}}}
    response = {"type": "response.created", "response": {"id": "r", "audio": audio}}

    order = in_order(CREATED, response, ITEM, PART, DELTA | {"delta": "A" * 32})

    assert order.sent_ms("i") == 3  # 24 bytes

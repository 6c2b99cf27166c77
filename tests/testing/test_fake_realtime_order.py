import base64
import json
from typing import Any

import pytest

from gateway.testing.realtime_schema import SchemaError, ServerOrder, check_client_event

CREATED: dict[str, Any] = {"type": "session.created", "session": {}}
ADDED = {"type": "conversation.item.added", "item": {"id": "i"}}
DONE = {"type": "conversation.item.done", "item": {"id": "i"}}
RESPONSE = {"type": "response.created", "response": {"id": "r"}}
OUTPUT = {"type": "response.output_item.added", "response_id": "r", "output_index": 0, "item": {"id": "i"}}
PART = {"type": "response.content_part.added", "response_id": "r", "item_id": "i"}
AUDIO = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "i",
    "delta": base64.b64encode(bytes(480)).decode(),
}
SPOKEN: list[dict[str, Any]] = [CREATED, RESPONSE, OUTPUT, ADDED, PART, AUDIO]
PHONE: dict[str, Any] = {
    "type": "session.updated",
    "session": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
}


def truncated(audio_end_ms: int) -> dict[str, Any]:
    return {"type": "conversation.item.truncated", "item_id": "i", "audio_end_ms": audio_end_ms}


def turn(what: str, item: str) -> dict[str, Any]:
    return {"type": f"input_audio_buffer.{what}", "item_id": item}


def checked(*events: dict[str, Any]) -> ServerOrder:
    order = ServerOrder()
    for count, event in enumerate(events):
        order.check(json.dumps(event | {"event_id": f"e{count}"}))
    return order


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([CREATED, truncated(0)], "had no conversation.item.added"),
        ([CREATED, {"type": "conversation.item.retrieved", "item": {"id": "i"}}], "had no"),
        ([CREATED, {"type": "conversation.item.deleted", "item_id": "i"}], "had no"),
        ([CREATED, ADDED, ADDED], "past that"),
        ([*SPOKEN, truncated(11)], "never sent"),
        (
            [CREATED, turn("speech_started", "i"), turn("speech_stopped", "i"), turn("committed", "j")],
            "i was said before j",
        ),
    ],
)
def test_what_comes_too_early_is_named(events: list[dict[str, Any]], complaint: str):
    checked(*events[:-1])

    with pytest.raises(SchemaError, match=complaint):
        checked(*events)


@pytest.mark.parametrize(
    "events",
    [
        [CREATED, ADDED, DONE, {"type": "conversation.item.retrieved", "item": {"id": "i"}}],
        [*SPOKEN, truncated(10), truncated(4)],
        [CREATED, turn("speech_started", "i"), turn("speech_stopped", "i"), turn("committed", "i")],
        [CREATED, turn("speech_started", "i"), turn("committed", "j")],
    ],
)
def test_what_comes_in_order_passes(events: list[dict[str, Any]]):
    order = checked(*events)

    assert order.sent_ms("nothing of that name") == 0


def test_audio_is_measured_in_the_format_of_the_session():
    pcm = checked(*SPOKEN)
    pcmu = checked(CREATED, PHONE, *SPOKEN[1:])

    assert (pcm.sent_ms("i"), pcmu.sent_ms("i")) == (10, 60)


@pytest.mark.parametrize("text", ["{", "", "[]", "7", '"session.update"'])
def test_what_is_no_event_is_named(text: str):
    with pytest.raises(SchemaError):
        check_client_event(text)

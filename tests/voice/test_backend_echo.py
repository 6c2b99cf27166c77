"""The echo."""

import base64
import json
import random
from typing import Any

from gateway.testing.realtime_schema import ServerOrder, check_server_event
from gateway.voice.backends.echo import EchoCore

AUDIO = base64.b64encode(b"\x01\x02" * 480).decode()


class Listener:
    """An echo and all that it said, checked."""

    def __init__(self) -> None:
        self._core = EchoCore(random.Random(0))
        self._order = ServerOrder()
        self.events = self._drain()

    def send(self, event_type: str, **fields: object) -> list[dict[str, Any]]:
        self._core.receive(json.dumps({"type": event_type, **fields}))
        return self._drain()

    def _drain(self) -> list[dict[str, Any]]:
        texts = self._core.outgoing()
        for text in texts:
            check_server_event(text)
            self._order.check(text)
        return [json.loads(text) for text in texts]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_the_first_audio_opens_a_response_and_comes_back_at_once():
    echo = Listener()

    events = echo.send("input_audio_buffer.append", audio=AUDIO)

    assert types(echo.events) == ["session.created"]
    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
    ]
    assert events[-1]["delta"] == AUDIO


def test_all_further_audio_belongs_to_the_same_response():
    echo = Listener()
    first = echo.send("input_audio_buffer.append", audio=AUDIO)

    (delta,) = echo.send("input_audio_buffer.append", audio=AUDIO)

    assert (delta["type"], delta["delta"]) == ("response.output_audio.delta", AUDIO)
    assert delta["item_id"] == first[-1]["item_id"]


def test_a_response_that_was_asked_for_is_the_one_that_echoes():
    echo = Listener()

    asked = echo.send("response.create", response={"metadata": {"say": "Hello"}})
    events = echo.send("input_audio_buffer.append", audio=AUDIO)

    assert types(asked) == ["response.created"]
    assert events[-1]["response_id"] == asked[0]["response"]["id"]


def test_a_cancelled_echo_begins_again_with_the_next_audio():
    echo = Listener()
    first = echo.send("input_audio_buffer.append", audio=AUDIO)

    cancelled = echo.send("response.cancel")
    events = echo.send("input_audio_buffer.append", audio=AUDIO)

    assert cancelled[-1]["response"]["status"] == "cancelled"
    assert events[0]["response"]["id"] != first[0]["response"]["id"]


def test_settings_are_taken_and_mistakes_are_told():
    echo = Listener()

    (updated,) = echo.send("session.update", session={"type": "realtime", "instructions": "Echo."})
    errors = [echo.send(event)[0] for event in ("response.cancel", "input_audio_buffer.commit", "nonsense")]

    assert updated["session"]["instructions"] == "Echo."
    assert types(errors) == ["error"] * 3


def test_what_was_heard_of_it_can_be_said():
    echo = Listener()
    events = echo.send("input_audio_buffer.append", audio=AUDIO)
    item = events[-1]["item_id"]

    (truncated,) = echo.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=20)

    assert truncated["audio_end_ms"] == 20

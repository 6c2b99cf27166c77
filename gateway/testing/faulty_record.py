"""What passed over one connection of a voice, checked against the protocol as it passes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.testing.realtime_schema import ServerOrder, check_client_event, check_server_event

__all__ = ["Passed", "VoiceRecord", "decode"]

Event = dict[str, Any]


class Passed(NamedTuple):
    """An event, and when it passed on trio's clock. Audio in it is replaced by its size in bytes."""

    at_s: float
    event: Event


class VoiceRecord:
    """One connection. `received`: what the voice was told; `sent`: what it said. `ended`: why it is over.

    `strict` of False lets the client's mistakes pass, for whoever wants to see how they are answered.
    """

    def __init__(self, agent: str, opened_at_s: float, *, strict: bool = True) -> None:
        self.agent = agent
        self.opened_at_s = opened_at_s
        self.ended_at_s: float | None = None
        self.ended = ""
        self.received: list[Passed] = []
        self.sent: list[Passed] = []
        self._strict = strict
        self._order = ServerOrder()
        self._heard_ms: dict[str, int] = {}  # of items that were truncated

    # -- as it passes

    def receive(self, text: str, now: float) -> str:
        """Take what the client says; return its type. Raises `SchemaError`."""
        if self._strict:
            check_client_event(text)
        event = decode(text)
        _measure(event, "audio")
        self.received.append(Passed(now, event))
        return str(event.get("type", ""))

    def send(self, text: str, now: float) -> str:
        """Take what the server says; return its type. Raises `SchemaError`."""
        check_server_event(text)
        self._order.check(text)
        event = decode(text)
        kind = str(event["type"])
        if kind == "response.output_audio.delta":
            _measure(event, "delta")
        elif kind == "conversation.item.truncated":
            self._heard_ms[event["item_id"]] = event["audio_end_ms"]
        self.sent.append(Passed(now, event))
        return kind

    def end(self, why: str, now: float) -> None:
        """The first reason stays."""
        if self.ended_at_s is None:
            self.ended, self.ended_at_s = why, now

    # -- for a test to ask

    def received_of(self, kind: str) -> list[Event]:
        """What the voice was told, by type."""
        return [event for _, event in self.received if event.get("type") == kind]

    def sent_of(self, kind: str) -> list[Event]:
        """What the voice said, by type."""
        return [event for _, event in self.sent if event["type"] == kind]

    @property
    def errors(self) -> list[Event]:
        """What the voice complained of."""
        return [event["error"] for event in self.sent_of("error")]

    @property
    def caller_bytes(self) -> int:
        """How much of the caller it was given, in the session's input format."""
        return sum(event["audio"] for event in self.received_of("input_audio_buffer.append"))

    @property
    def seeded(self) -> list[tuple[str, str]]:
        """The messages that the client put into the conversation: role and text."""
        items = (event["item"] for event in self.received_of("conversation.item.create"))
        return [(item["role"], _text(item)) for item in items if item["type"] == "message"]

    @property
    def said(self) -> dict[str, str]:
        """What the agent said, by item, as far as its words are still in the conversation."""
        done = self.sent_of("response.output_audio_transcript.done")
        return {
            event["item_id"]: event["transcript"] for event in done if event["item_id"] not in self._heard_ms
        }

    @property
    def truncated(self) -> dict[str, int]:
        """The items that were cut, and how much of each was heard, in ms."""
        return dict(self._heard_ms)

    def heard_ms(self, item_id: str) -> int:
        """How much of an item the voice believes to have been heard: what it was told, or else all it sent."""
        return self._heard_ms.get(item_id, self._order.sent_ms(item_id))


def decode(text: str) -> Event:
    """An event; nothing for what is none."""
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        event = None
    return event if isinstance(event, dict) else {}


def _measure(event: Event, field: str) -> None:
    audio = event.get(field)
    if isinstance(audio, str):
        event[field] = len(audio.rstrip("=")) * 3 // 4


def _text(item: Mapping[str, Any]) -> str:
    return " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"])

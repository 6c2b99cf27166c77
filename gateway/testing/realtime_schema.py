"""Is an event what the OpenAI Realtime protocol (GA) says? The types of the `openai` package are the judge.

They are generated from OpenAI's own specification. The package itself never refuses an event: an unknown type
silently becomes another one, and fields that do not exist are kept. So the class is chosen here by the event's
type, and whatever it does not know is a mistake. `pip install openai` to use this; nothing else here needs it.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

__all__ = ["SchemaError", "ServerOrder", "check_client_event", "check_server_event"]

# The server has them on the wire and in the examples of the reference, the generated types have not.
_ON_THE_WIRE = {"session.id", "session.object", "session.expires_at"}


class SchemaError(AssertionError):
    """An event is not of the protocol; the text says where."""


def check_client_event(event: str) -> None:
    """Raise `SchemaError` unless this is what a client may send."""
    try:
        decoded = json.loads(event)
    except ValueError as error:
        raise SchemaError(f"this is no JSON: {error}") from None
    _check(decoded, _classes("RealtimeClientEvent"))


def check_server_event(event: str) -> None:
    """Raise `SchemaError` unless this is what a server may send over a WebSocket."""
    decoded = json.loads(event)
    if str(decoded.get("type", "")).startswith("output_audio_buffer."):
        raise SchemaError(f"{decoded['type']} exists over WebRTC and SIP only")
    _check(decoded, _classes("RealtimeServerEvent"))


def _check(event: Mapping[str, Any], classes: Mapping[str, Any]) -> None:
    from pydantic import ValidationError

    kind = classes.get(event.get("type", "")) if isinstance(event, Mapping) else None
    if kind is None:
        named = event.get("type") if isinstance(event, Mapping) else event
        raise SchemaError(f"there is no event of type {named!r}")
    try:
        model = kind.model_validate(event)
    except ValidationError as error:
        raise SchemaError(f"{event['type']}: {error}") from None
    unknown = sorted(set(_unknown(model, "")) - _ON_THE_WIRE)
    if unknown:
        raise SchemaError(f"{event['type']}: there is no {', '.join(unknown)}")


def _unknown(value: Any, where: str) -> Iterator[str]:
    """Paths of fields that the types do not know."""
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each, where)
    elif hasattr(value, "model_extra"):
        for name in value.model_extra or {}:
            yield f"{where}{name}"
        for name in value.model_fields_set:
            yield from _unknown(getattr(value, name, None), f"{where}{name}.")


@functools.cache
def _classes(union: str) -> dict[str, Any]:
    import openai.types.realtime as types

    members = get_args(get_args(getattr(types, union))[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


# What must have come before, for the same response or item; one of several.
_AFTER: dict[str, str | tuple[str, ...]] = {
    "response.output_item.added": "response.created",
    "response.content_part.added": "response.output_item.added",
    "response.output_audio_transcript.delta": "response.content_part.added",
    "response.output_audio.delta": "response.content_part.added",
    "response.output_audio.done": "response.content_part.added",
    "response.output_audio_transcript.done": "response.content_part.added",
    "response.output_text.delta": "response.content_part.added",
    "response.output_text.done": "response.content_part.added",
    "response.content_part.done": ("response.output_audio.done", "response.output_text.done"),
    "response.function_call_arguments.delta": "response.output_item.added",
    "response.function_call_arguments.done": "response.function_call_arguments.delta",
    "response.output_item.done": "response.output_item.added",
    "conversation.item.done": "conversation.item.added",
    "conversation.item.retrieved": "conversation.item.added",
    "conversation.item.truncated": "conversation.item.added",
    "conversation.item.deleted": "conversation.item.added",
    "conversation.item.input_audio_transcription.completed": "conversation.item.added",
    "input_audio_buffer.speech_stopped": "input_audio_buffer.speech_started",
}
_ENDS = {
    "response.output_audio.delta": "response.output_audio.done",
    "response.output_audio_transcript.delta": "response.output_audio_transcript.done",
    "response.output_text.delta": "response.output_text.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
    "response.content_part.added": "response.content_part.done",
    "response.output_item.added": "response.output_item.done",
}
_BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}


class ServerOrder:
    """What the types cannot say: the order of a server's events. Feed it all of one session to `check`."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._seen: dict[str, set[str]] = {}  # for each response or item: the types of its events
        self._responding: str | None = None
        self._items: list[str] = []  # of the running response
        self._stopped: str | None = None  # what was said, and is not a turn of the conversation yet
        self._bytes_per_ms = _BYTES_PER_MS["audio/pcm"]  # of the session
        self._responds_in = self._bytes_per_ms  # of the running response
        self._sent: dict[str, tuple[int, int]] = {}  # audio, by item: bytes, and of these in a millisecond

    def sent_ms(self, item_id: str) -> int:
        """How long the audio of an item is, as far as it was sent."""
        size_bytes, bytes_per_ms = self._sent.get(item_id, (0, self._bytes_per_ms))
        return size_bytes // bytes_per_ms

    def check(self, event: str) -> None:
        """Raise `SchemaError` when this event may not come now."""
        decoded = json.loads(event)
        kind = decoded["type"]
        if bool(self._ids) == (kind == "session.created"):
            raise SchemaError(f"{kind}: session.created comes first, and once")
        if decoded["event_id"] in self._ids:
            raise SchemaError(f"{kind}: the event_id {decoded['event_id']!r} was used before")
        self._ids.add(decoded["event_id"])
        if kind == "response.created":
            self._created(decoded["response"])
        elif kind == "response.done":
            self._done(decoded["response"])
        else:
            self._belongs(kind, decoded)
            self._measure(kind, decoded)

    def _created(self, response: Mapping[str, Any]) -> None:
        if self._responding is not None:
            raise SchemaError(f"response.created: {self._responding} is not done")
        self._responding = response["id"]
        self._responds_in = _bytes_per_ms_of(response, self._bytes_per_ms)
        self._seen[response["id"]] = {"response.created"}
        self._items = []

    def _done(self, response: Mapping[str, Any]) -> None:
        if response["id"] != self._responding:
            raise SchemaError(f"response.done: {response['id']} is not the response that was made")
        for item in self._items:
            open_parts = [
                start
                for start, end in _ENDS.items()
                if start in self._seen[item] and end not in self._seen[item]
            ]
            if open_parts:
                raise SchemaError(f"response.done: {item} lacks what ends {', '.join(open_parts)}")
        if [item["id"] for item in response["output"]] != self._items:
            raise SchemaError("response.done: the output is not what was added")
        self._responding = None

    def _belongs(self, kind: str, event: Mapping[str, Any]) -> None:
        if "response_id" in event and event["response_id"] != self._responding:
            raise SchemaError(f"{kind}: {event['response_id']} is not being made")
        item = event.get("item_id") or event.get("item", {}).get("id")
        if item is None:
            return
        seen = self._seen.setdefault(item, set())
        before = _AFTER.get(kind, ())
        earlier = self._seen[event["response_id"]] if before == "response.created" else seen
        needed = (before,) if isinstance(before, str) else before
        if needed and earlier.isdisjoint(needed):
            raise SchemaError(f"{kind}: {item} had no {' or '.join(needed)}")
        if _ENDS.get(kind) in seen or (
            kind in seen and not kind.endswith((".delta", ".retrieved", ".truncated"))
        ):
            raise SchemaError(f"{kind}: {item} is past that")
        if kind == "response.output_item.added":
            if event["output_index"] != len(self._items):
                raise SchemaError(f"{kind}: output_index {event['output_index']} is not the next one")
            self._items.append(item)
        seen.add(kind)

    def _measure(self, kind: str, event: Mapping[str, Any]) -> None:
        """What audio there is, and what is said of it."""
        match kind:
            case "session.created" | "session.updated":
                self._bytes_per_ms = _bytes_per_ms_of(event.get("session", {}), self._bytes_per_ms)
            case "response.output_audio.delta":
                size_bytes = len(event.get("delta", "").rstrip("=")) * 3 // 4
                before_bytes, bytes_per_ms = self._sent.get(event["item_id"], (0, self._responds_in))
                self._sent[event["item_id"]] = (before_bytes + size_bytes, bytes_per_ms)
            case "conversation.item.truncated" if event["audio_end_ms"] > self.sent_ms(event["item_id"]):
                raise SchemaError(f"{kind}: so much of {event['item_id']} was never sent")
            case "input_audio_buffer.speech_stopped":
                self._stopped = event["item_id"]
            case "input_audio_buffer.committed":
                if self._stopped not in (None, event["item_id"]):
                    raise SchemaError(f"{kind}: {self._stopped} was said before {event['item_id']}")
                self._stopped = None


def _bytes_per_ms_of(shown: Mapping[str, Any], otherwise: int) -> int:
    """Of the output of a session or a response, where it says so."""
    encoding = ((shown.get("audio") or {}).get("output") or {}).get("format", {}).get("type")
    return _BYTES_PER_MS.get(encoding, otherwise)

"""What a Realtime client sends, read strictly: an event of the wrong shape is answered and changes nothing.

Settings that only a large model could use are accepted and have no effect. OpenAI API reference, Realtime (GA).
"""

import re
from typing import Any, Literal

import msgspec

from gateway.voice.embedded.items import Item, Tool

__all__ = [
    "AppendAudio",
    "CancelResponse",
    "ClearAudio",
    "ClientEvent",
    "CommitAudio",
    "CreateItem",
    "CreateResponse",
    "DeleteItem",
    "InvalidRequest",
    "ResponseOptions",
    "RetrieveItem",
    "TruncateItem",
    "UpdateSession",
    "decode",
    "event_id_of",
    "invalid",
]


class InvalidRequest(Exception):
    """What the client asked for cannot be done; the session goes on. Becomes an `error` event."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self._code = code
        self._param = param

    def body(self, event_id: str | None) -> dict[str, str | None]:
        """The `error` of an error event. `event_id`: the client's, of the event that was wrong."""
        return {
            "type": "invalid_request_error",
            "code": self._code,
            "message": str(self),
            "param": self._param,
            "event_id": event_id,
        }


class _Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    event_id: str | None = None


class UpdateSession(_Event, frozen=True, tag="session.update"):
    session: dict[str, Any]


class AppendAudio(_Event, frozen=True, tag="input_audio_buffer.append"):
    """`audio`: PCM16 little endian mono at 24 000 Hz, from base64."""

    audio: bytes


class CommitAudio(_Event, frozen=True, tag="input_audio_buffer.commit"):
    pass


class ClearAudio(_Event, frozen=True, tag="input_audio_buffer.clear"):
    pass


class CreateItem(_Event, frozen=True, tag="conversation.item.create"):
    item: Item
    previous_item_id: str | None = None


class RetrieveItem(_Event, frozen=True, tag="conversation.item.retrieve"):
    item_id: str


class TruncateItem(_Event, frozen=True, tag="conversation.item.truncate"):
    item_id: str
    content_index: int
    audio_end_ms: int


class DeleteItem(_Event, frozen=True, tag="conversation.item.delete"):
    item_id: str


class ResponseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overrides of one response. `metadata` with `say`: the response is exactly this text.

    `conversation` of "none": the response is not added to the conversation.
    """

    conversation: Literal["auto", "none"] = "auto"
    metadata: dict[str, str] | None = None
    output_modalities: tuple[Literal["audio"], ...] = ("audio",)
    tools: tuple[Tool, ...] | None = None
    tool_choice: Any = None
    audio: Any = None
    input: Any = None
    instructions: str | None = None
    max_output_tokens: Any = None
    parallel_tool_calls: bool | None = None
    prompt: Any = None
    reasoning: Any = None


class CreateResponse(_Event, frozen=True, tag="response.create"):
    response: ResponseOptions = ResponseOptions()


class CancelResponse(_Event, frozen=True, tag="response.cancel"):
    response_id: str | None = None


ClientEvent = (
    UpdateSession
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | CreateItem
    | RetrieveItem
    | TruncateItem
    | DeleteItem
    | CreateResponse
    | CancelResponse
)

_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)


def decode(text: str) -> ClientEvent:
    """Read one client event. Raises `InvalidRequest`."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidRequest("invalid_json", f"This is no JSON: {error}") from None


def invalid(error: msgspec.ValidationError, prefix: str = "") -> InvalidRequest:
    """Put a validation error into the protocol's words. `prefix`: where the validated part stands."""
    complaint, _, at = str(error).partition(" - at `$")
    path = prefix + at.rstrip("`")
    unknown = re.search(r"unknown field `(.*)`", complaint)
    missing = re.search(r"missing required field `(.*)`", complaint)
    if unknown is not None:
        path, code = f"{path}.{unknown[1]}", "unknown_parameter"
    elif missing is not None:
        path, code = f"{path}.{missing[1]}", "missing_required_parameter"
    else:
        code = "invalid_value"
    return InvalidRequest(code, complaint, param=path.strip(".") or None)


def event_id_of(text: str) -> str | None:
    """The id that the client gave an event, even one that is otherwise wrong."""
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None

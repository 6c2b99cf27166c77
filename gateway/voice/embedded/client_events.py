"""What a Realtime client sends, read strictly: an event of the wrong shape is answered and changes nothing.

Settings that only a large model could use are accepted and have no effect. OpenAI API reference, Realtime (GA).
"""

from typing import Annotated, Any, Literal, get_args

import msgspec

from gateway.contracts import AudioFormat
from gateway.voice.embedded.items import Item, LongText, Tools
from gateway.voice.embedded.refusals import InvalidRequest, refusal_of
from gateway.voice.embedded.session_settings import Format, Modalities, MostTokens, VoiceName

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
    "check_audio",
    "decode",
    "event_id_of",
]

_LONGEST_EVENT_ID = 512
_LONGEST_AUDIO_MS = 327_680  # of one event: OpenAI takes 15 MiB, which is so much PCM
_EventId = Annotated[str, msgspec.Meta(max_length=_LONGEST_EVENT_ID)]


class _Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    event_id: _EventId | None = None


class UpdateSession(_Event, frozen=True, tag="session.update"):
    session: dict[str, Any]


class AppendAudio(_Event, frozen=True, tag="input_audio_buffer.append"):
    """`audio`: in the format of the session's input, from base64."""

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
    content_index: Annotated[int, msgspec.Meta(ge=0)]
    audio_end_ms: Annotated[int, msgspec.Meta(ge=0)]


class DeleteItem(_Event, frozen=True, tag="conversation.item.delete"):
    item_id: str


# OpenAI takes metadata of 512 characters a value. What is to be said exactly (`say`) may be longer here.
_Metadata = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=32_768)]],
    msgspec.Meta(max_length=16),
]


class ResponseOutput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one response has instead of the session's."""

    format: Format | None = None
    voice: VoiceName | None = None


class ResponseAudio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    output: ResponseOutput = ResponseOutput()


class ResponseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overrides of one response. `metadata` with `say`: the response is exactly this text.

    `conversation` of "none": the response is not added to the conversation. None: as the session has it.
    """

    conversation: Literal["auto", "none"] = "auto"
    metadata: _Metadata | None = None
    output_modalities: Modalities | None = None
    tools: Tools | None = None
    tool_choice: Any = None
    audio: ResponseAudio | None = None
    input: Any = None
    instructions: LongText | None = None
    max_output_tokens: MostTokens | None = None
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
_TYPES = [event.__struct_config__.tag for event in get_args(ClientEvent)]


def decode(text: str) -> ClientEvent:
    """Read one client event. Raises `InvalidRequest`."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        refusal = refusal_of(error)
        raise _unknown_type(text) if refusal.param == "type" else refusal from None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidRequest("invalid_json", f"This is no JSON: {error}") from None


def check_audio(audio: bytes, sound: AudioFormat, param: str) -> None:
    """Whether what came from base64 can be audio of that format. Raises `InvalidRequest`."""
    if not audio or (sound.encoding == "pcm" and len(audio) % 2):
        got = f"{len(audio)} bytes" if audio else "empty bytes"
        wants = "mono PCM16 at 24kHz" if sound.encoding == "pcm" else f"mono G.711 {sound.encoding} at 8kHz"
        message = f"Invalid '{param}'. Expected base64-encoded audio bytes ({wants}) but got {got}."
        raise InvalidRequest("invalid_value", message, param=param)
    most = _LONGEST_AUDIO_MS * sound.bytes_per_ms
    if len(audio) > most:
        message = (
            f"Invalid '{param}': string too long. Expected audio with maximum length {most} bytes, "
            f"but got {len(audio)} bytes instead."
        )
        raise InvalidRequest("string_above_max_length", message, param=param)


def event_id_of(text: str) -> str | None:
    """The id that the client gave an event, even one that is otherwise wrong."""
    event_id = _top_of(text).get("event_id")
    return event_id if isinstance(event_id, str) and len(event_id) <= _LONGEST_EVENT_ID else None


def _unknown_type(text: str) -> InvalidRequest:
    event = _top_of(text)
    if "type" not in event:
        return InvalidRequest(
            "missing_required_parameter", "Missing required parameter: 'type'.", param="type"
        )
    supported = ", ".join(f"'{name}'" for name in _TYPES)
    message = f"Invalid value: '{str(event['type'])[:64]}'. Supported values are: {supported}."
    return InvalidRequest("invalid_value", message, param="type")


def _top_of(text: str) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}

"""What a client says in the words of the Realtime protocol's beta, for servers that never learned the new ones.

OpenAI ended the beta in May 2026. Only what a client sends is here: what such a server says is read by `realtime`
as it is. The beta's shapes are those of `openai.types.beta.realtime`.
"""

from typing import Any, Literal, assert_never

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["to_beta"]

_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_CONTENT = {"output_text": "text", "output_audio": "audio"}
# The beta's voice is silent for as long as the caller is.
_NO_TURN_DETECTION = {"idle_timeout_ms"}


class _Format(msgspec.Struct):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]  # a rate has no word in the beta


class _Input(msgspec.Struct):
    format: _Format | UnsetType = UNSET
    transcription: Any = UNSET
    noise_reduction: Any = UNSET
    turn_detection: dict[str, Any] | UnsetType | None = UNSET


class _Output(msgspec.Struct):
    format: _Format | UnsetType = UNSET
    voice: Any = UNSET
    speed: Any = UNSET


class _Audio(msgspec.Struct):
    input: _Input = msgspec.field(default_factory=_Input)
    output: _Output = msgspec.field(default_factory=_Output)


class _Settings(msgspec.Struct):
    """Of a session, or of one response. What has no word in the beta is not here, and so not sent."""

    instructions: Any = UNSET
    output_modalities: list[str] | UnsetType = UNSET
    audio: _Audio = msgspec.field(default_factory=_Audio)
    tools: Any = UNSET
    tool_choice: Any = UNSET
    max_output_tokens: Any = UNSET
    tracing: Any = UNSET
    conversation: Any = UNSET
    metadata: Any = UNSET
    input: list[dict[str, Any]] | UnsetType = UNSET


class _Event(msgspec.Struct, kw_only=True, tag_field="type"):
    event_id: str | UnsetType = UNSET


class _UpdateSession(_Event, tag="session.update"):
    session: _Settings


class _CreateResponse(_Event, tag="response.create"):
    response: _Settings | UnsetType = UNSET


class _CreateItem(_Event, tag="conversation.item.create"):
    item: dict[str, Any]
    previous_item_id: str | UnsetType | None = UNSET


_decoder = msgspec.json.Decoder(_UpdateSession | _CreateResponse | _CreateItem)
_encoder = msgspec.json.Encoder()


def to_beta(event_text: str) -> str:
    """A client event in the beta's words; it comes back as it is where they are the same, or where it is no event.

    Settings that the beta does not know are left out. Never raises.
    """
    try:
        event = _decoder.decode(event_text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):  # every other event is the same in both
        return event_text
    match event:
        case _UpdateSession():
            beta = _told(session=_flat(event.session))
        case _CreateResponse():
            beta = _told(response=_flat(event.response) if event.response else UNSET)
        case _CreateItem():
            beta = _told(previous_item_id=event.previous_item_id, item=_item(event.item))
        case _:
            assert_never(event)
    head = _told(type=event.__struct_config__.tag, event_id=event.event_id)
    return _encoder.encode(head | beta).decode()


def _flat(settings: _Settings) -> dict[str, Any]:
    heard, spoken = settings.audio.input, settings.audio.output
    turns = heard.turn_detection
    if turns:
        turns = {key: value for key, value in turns.items() if key not in _NO_TURN_DETECTION}
    return _told(
        instructions=settings.instructions,
        modalities=_modalities(settings.output_modalities),
        voice=spoken.voice,
        speed=spoken.speed,
        input_audio_format=_FORMATS[heard.format.type] if heard.format else UNSET,
        output_audio_format=_FORMATS[spoken.format.type] if spoken.format else UNSET,
        input_audio_transcription=heard.transcription,
        input_audio_noise_reduction=heard.noise_reduction,
        turn_detection=turns,
        tools=settings.tools,
        tool_choice=settings.tool_choice,
        max_response_output_tokens=settings.max_output_tokens,
        tracing=settings.tracing,
        conversation=settings.conversation,
        metadata=settings.metadata,
        input=[_item(item) for item in settings.input] if settings.input else settings.input,
    )


def _told(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not UNSET}


def _modalities(modalities: list[str] | UnsetType) -> list[str] | UnsetType:
    """In the beta audio never comes alone: its transcript is a modality of its own."""
    return ["audio", "text"] if modalities == ["audio"] else modalities


def _item(item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    return item | {"content": [_part(part) for part in content]} if isinstance(content, list) else item


def _part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    return part | {"type": _CONTENT[kind]} if isinstance(kind, str) and kind in _CONTENT else part

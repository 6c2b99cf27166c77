"""The OpenAI Realtime protocol (GA) as the client sees it: JSON text <-> events. OpenAI API reference, Realtime.

Fields we do not use are not declared: msgspec skips them. An event type we do not know is `Unknown`.

Four server events that we read have another name in the beta of the protocol, which servers other than OpenAI's
still speak; both names are read, always. What we would have to say in the beta's words is in `realtime_beta`.
"""

from typing import Annotated, Any, get_args

import msgspec

__all__ = [
    "AudioDelta",
    "Committed",
    "Failed",
    "FunctionCall",
    "InputTranscript",
    "ItemDone",
    "OutputItemDone",
    "OutputTranscript",
    "Response",
    "ResponseCreated",
    "ResponseDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptDelta",
    "Unknown",
    "decode",
    "encode",
]


Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class _Event(msgspec.Struct, frozen=True, tag_field="type"):
    """Any server event."""


class SessionInfo(msgspec.Struct, frozen=True):
    id: str = ""


class SessionCreated(_Event, frozen=True, tag="session.created"):
    session: SessionInfo


class SessionUpdated(_Event, frozen=True, tag="session.updated"):
    session: SessionInfo


class SpeechStarted(_Event, frozen=True, tag="input_audio_buffer.speech_started"):
    audio_start_ms: Milliseconds
    item_id: str


class SpeechStopped(_Event, frozen=True, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: Milliseconds
    item_id: str


class Committed(_Event, frozen=True, tag="input_audio_buffer.committed"):
    """What the caller said is a turn of the conversation now."""

    item_id: str


class InputTranscript(_Event, frozen=True, tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    transcript: str


class FunctionCall(msgspec.Struct, frozen=True):
    """An output item; `type` tells whether it is a function call."""

    id: str = ""
    type: str = ""
    name: str = ""
    call_id: str = ""
    arguments: str = ""


class ResponseError(msgspec.Struct, frozen=True):
    type: str = ""
    code: str | None = None
    message: str = ""


class StatusDetails(msgspec.Struct, frozen=True):
    reason: str | None = None
    error: ResponseError | None = None


class Response(msgspec.Struct, frozen=True):
    id: str
    status: str = "in_progress"
    status_details: StatusDetails | None = None
    metadata: dict[str, str] | None = None
    output: tuple[FunctionCall, ...] | None = None


class OutputItemDone(_Event, frozen=True, tag="response.output_item.done"):
    """Something that a response holds is complete. Not every server names it in `response.done` again."""

    response_id: str
    item: FunctionCall


class ResponseCreated(_Event, frozen=True, tag="response.created"):
    response: Response


class ResponseDone(_Event, frozen=True, tag="response.done"):
    response: Response


class AudioDelta(_Event, frozen=True, tag="response.output_audio.delta"):
    """`delta`: audio in the session's output format, decoded from base64."""

    response_id: str
    item_id: str
    delta: bytes
    content_index: int = 0


class ItemDone(_Event, frozen=True, tag="response.output_audio.done"):
    """All audio of an item has come."""

    response_id: str
    item_id: str


class TranscriptDelta(_Event, frozen=True, tag="response.output_audio_transcript.delta"):
    response_id: str
    item_id: str
    delta: str


class OutputTranscript(_Event, frozen=True, tag="response.output_audio_transcript.done"):
    response_id: str
    item_id: str
    transcript: str


class ErrorBody(msgspec.Struct, frozen=True):
    type: str = ""
    message: str = ""
    code: str | None = None
    event_id: str | None = None


class Failed(_Event, frozen=True, tag="error"):
    error: ErrorBody


class Unknown(msgspec.Struct, frozen=True):
    """An event that we have no use for, or that is not an event at all (`problem`)."""

    type: str
    problem: str = ""


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | Committed
    | InputTranscript
    | ResponseCreated
    | OutputItemDone
    | ResponseDone
    | AudioDelta
    | ItemDone
    | TranscriptDelta
    | OutputTranscript
    | Failed
)


# The beta's names for them, each the same event with another tag: one table lookup, whichever name it has.
class _BetaAudioDelta(AudioDelta, frozen=True, tag="response.audio.delta"):
    pass


class _BetaItemDone(ItemDone, frozen=True, tag="response.audio.done"):
    pass


class _BetaTranscriptDelta(TranscriptDelta, frozen=True, tag="response.audio_transcript.delta"):
    pass


class _BetaOutputTranscript(OutputTranscript, frozen=True, tag="response.audio_transcript.done"):
    pass


_Spelling = ServerEvent | _BetaAudioDelta | _BetaItemDone | _BetaTranscriptDelta | _BetaOutputTranscript

# Server events that we have no use for, in both spellings. Whatever else comes is news to us.
UNUSED = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "ping",  # of xAI's server alone
        "rate_limits.updated",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_item.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.text.delta",
        "response.text.done",
    }
)

# Broken text, lone surrogates, and brackets nested a hundred thousand deep.
_NO_JSON = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


class _AnyEvent(msgspec.Struct):
    type: str


_decoder: msgspec.json.Decoder[ServerEvent] = msgspec.json.Decoder(_Spelling)
_any_decoder = msgspec.json.Decoder(_AnyEvent)
_encoder = msgspec.json.Encoder()
_known = {event.__struct_config__.tag for event in get_args(_Spelling)}


def decode(text: str) -> ServerEvent | Unknown:
    """One server event. Never raises: what is no event, or a known one of the wrong shape, is `Unknown`."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        problem = str(error)
    except _NO_JSON as error:
        return Unknown("", str(error))
    try:
        kind = _any_decoder.decode(text).type
    except (msgspec.ValidationError, *_NO_JSON) as error:
        return Unknown("", str(error))
    return Unknown(kind, problem if kind in _known else "")


def encode(event: dict[str, Any]) -> str:
    """One client event; bytes become base64."""
    return _encoder.encode(event).decode()

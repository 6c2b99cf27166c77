"""How the client wants its session. OpenAI API reference, Realtime (GA), `session`."""

from typing import Annotated, Any, Literal

import msgspec

from gateway.voice.embedded.client_events import InvalidRequest, invalid
from gateway.voice.embedded.items import Tool

__all__ = ["ServerVad", "SessionSettings", "updated"]

_Ms = Annotated[int, msgspec.Meta(ge=0, le=60_000)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Pcm(_Part, frozen=True, tag_field="type", tag="audio/pcm"):
    """The only format here: PCM16 little endian mono."""

    rate: Literal[24000] = 24000


class ServerVad(_Part, frozen=True, tag_field="type", tag="server_vad"):
    """When speech begins and ends, and what follows from it.

    `idle_timeout_ms`: the voice speaks up when the caller says nothing for so long after what it said.
    """

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: _Ms = 300
    silence_duration_ms: _Ms = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, msgspec.Meta(ge=1000, le=60_000)] | None = 6000


class Transcription(_Part, frozen=True, omit_defaults=True):
    """Asks for transcripts as events. There is one recognizer, whatever `model` says."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    prompt: str | None = None
    delay: str | None = None


class Input(_Part, frozen=True):
    format: Pcm = Pcm()
    noise_reduction: dict[str, Any] | None = None
    transcription: Transcription | None = Transcription(model="moonshine-tiny-en", language="en")
    turn_detection: ServerVad | None = ServerVad()


class Output(_Part, frozen=True):
    format: Pcm = Pcm()
    speed: float = 1.0
    voice: str | dict[str, str] = "heart"


class Audio(_Part, frozen=True):
    input: Input = Input()
    output: Output = Output()


class SessionSettings(_Part, frozen=True, kw_only=True):
    """All settings of a session. `tools`: functions that the client carries out; no other one is called.

    What only a large model could use is kept, and has no effect.
    """

    type: Literal["realtime"] = "realtime"
    model: str
    output_modalities: tuple[Literal["audio"], ...] = ("audio",)
    instructions: str = ""
    audio: Audio = msgspec.field(default_factory=Audio)
    tools: tuple[Tool, ...] = ()
    tool_choice: Any = "auto"
    include: Any = None
    max_output_tokens: Any = None
    parallel_tool_calls: bool | None = None
    prompt: Any = None
    reasoning: Any = None
    tracing: Any = None
    truncation: Any = None

    @property
    def voice(self) -> str:
        """The voice's name, or the id of a custom one."""
        voice = self.audio.output.voice
        return voice if isinstance(voice, str) else voice.get("id", "")

    def shown(self) -> dict[str, Any]:
        """The settings as they stand in an event."""
        return {key: value for key, value in msgspec.to_builtins(self).items() if value is not None}


def updated(settings: SessionSettings, changes: dict[str, Any]) -> SessionSettings:
    """Merge what a client sent into its settings: what it left out stays. Raises `InvalidRequest`."""
    if "type" not in changes:
        raise InvalidRequest(
            "missing_required_parameter", "session.type must be 'realtime'", param="session.type"
        )
    try:
        return msgspec.convert(_merge(msgspec.to_builtins(settings), changes), SessionSettings)
    except msgspec.ValidationError as error:
        raise invalid(error, "session") from None


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {key: _merge(old.get(key), value) for key, value in new.items()}

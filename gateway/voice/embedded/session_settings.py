"""How the client wants its session. OpenAI API reference, Realtime (GA), `session`."""

from typing import Annotated, Any, Literal

import msgspec

from gateway.contracts import AudioFormat
from gateway.voice.embedded.items import LongText, Tools
from gateway.voice.embedded.refusals import InvalidRequest, refusal_of

__all__ = [
    "Format",
    "Modalities",
    "MostTokens",
    "Pcm",
    "SemanticVad",
    "ServerVad",
    "SessionSettings",
    "TurnDetection",
    "VoiceName",
    "keep_voice",
    "name_of",
    "updated",
]

_Ms = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
_MOST_CHARACTERS = 1 << 20  # of all settings together: tools have schemas of any size

Modalities = tuple[Literal["audio", "text"]]
"""What a response is made of: one of them. What is said aloud always has its words beside it."""

VoiceName = str | dict[str, str]
"""A voice's name, or an object with the id of a custom one."""


MostTokens = Annotated[int, msgspec.Meta(ge=1, le=4096)] | Literal["inf"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


# -- audio on the wire


class Pcm(_Part, frozen=True, tag_field="type", tag="audio/pcm"):
    """PCM16 little endian mono."""

    rate: Literal[24000] = 24000

    @property
    def audio(self) -> AudioFormat:
        return AudioFormat()


class Pcmu(_Part, frozen=True, tag_field="type", tag="audio/pcmu"):
    """G.711 mu-law at 8000 Hz."""

    @property
    def audio(self) -> AudioFormat:
        return AudioFormat(encoding="pcmu", rate_hz=8000)


class Pcma(_Part, frozen=True, tag_field="type", tag="audio/pcma"):
    """G.711 A-law at 8000 Hz."""

    @property
    def audio(self) -> AudioFormat:
        return AudioFormat(encoding="pcma", rate_hz=8000)


Format = Pcm | Pcmu | Pcma


# -- turns


class ServerVad(_Part, frozen=True, tag_field="type", tag="server_vad"):
    """When speech begins and ends, and what follows from it.

    `idle_timeout_ms`: the voice speaks up when the caller says nothing for so long after what it said.
    """

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: _Ms = 300
    silence_duration_ms: _Ms = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, msgspec.Meta(ge=1000, le=60_000)] | None = None


# OpenAI asks a model whether the speaker sounds as if he had more to say, and waits for 8, 4 or 2 s at most if so.
# There is no such model here: every turn ends with the same silence. These are the pauses that people make inside a
# sentence: hardly any is above 1.2 s, few are above 0.6 s, and with 0.3 s who takes a breath has lost the word.
_SILENCE_MS = {"low": 1200, "medium": 600, "auto": 600, "high": 300}


class SemanticVad(_Part, frozen=True, tag_field="type", tag="semantic_vad"):
    """Turns that end when the speaker seems to have said all: here, after a silence by `eagerness`."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    @property
    def threshold(self) -> float:
        return ServerVad().threshold

    @property
    def prefix_padding_ms(self) -> int:
        return ServerVad().prefix_padding_ms

    @property
    def silence_duration_ms(self) -> int:
        return _SILENCE_MS[self.eagerness]

    @property
    def idle_timeout_ms(self) -> int | None:
        return None  # the protocol has it for server_vad alone


TurnDetection = ServerVad | SemanticVad


# -- the session


class Transcription(_Part, frozen=True, omit_defaults=True):
    """Asks for transcripts as events. There is one recognizer, whatever `model` says."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    prompt: str | None = None
    delay: str | None = None


class Input(_Part, frozen=True):
    format: Format = Pcm()
    noise_reduction: dict[str, Any] | None = None
    transcription: Transcription | None = Transcription(model="moonshine-tiny-en", language="en")
    turn_detection: TurnDetection | None = ServerVad()


class Output(_Part, frozen=True):
    format: Format = Pcm()
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=1.5)] = 1.0
    voice: VoiceName = "heart"

    @property
    def voice_name(self) -> str:
        return name_of(self.voice)


class Audio(_Part, frozen=True):
    input: Input = Input()
    output: Output = Output()


class SessionSettings(_Part, frozen=True, kw_only=True):
    """All settings of a session. `tools`: functions that the client carries out; no other one is called.

    What only a large model could use is kept, and has no effect.
    """

    type: Literal["realtime"] = "realtime"
    model: str
    output_modalities: Modalities = ("audio",)
    instructions: LongText = ""
    audio: Audio = msgspec.field(default_factory=Audio)
    tools: Tools = ()
    tool_choice: Any = "auto"
    include: Any = None
    max_output_tokens: MostTokens | None = None
    parallel_tool_calls: bool | None = None
    prompt: Any = None
    reasoning: Any = None
    tracing: Any = None
    truncation: Any = None

    @property
    def voice(self) -> str:
        """The voice's name, or the id of a custom one."""
        return self.audio.output.voice_name

    def shown(self) -> dict[str, Any]:
        """The settings as they stand in an event."""
        return {key: value for key, value in msgspec.to_builtins(self).items() if value is not None}


def name_of(voice: VoiceName) -> str:
    """The voice's name, or the id of a custom one."""
    return voice if isinstance(voice, str) else voice.get("id", "")


def keep_voice(old: str, new: str) -> None:
    """Once a voice was heard, no other one speaks. Raises `InvalidRequest`."""
    if new != old:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise InvalidRequest("cannot_update_voice", message)


def updated(
    settings: SessionSettings, changes: dict[str, Any], *, has_spoken: bool = False
) -> SessionSettings:
    """Merge what a client sent into its settings: what it left out stays.

    `has_spoken`: the voice was heard in this session, which keeps it then. Raises `InvalidRequest`.
    """
    if "type" not in changes:
        message = "Missing required parameter: 'session.type'."
        raise InvalidRequest("missing_required_parameter", message, param="session.type")
    try:
        new = msgspec.convert(_merge(msgspec.to_builtins(settings), changes), SessionSettings)
    except msgspec.ValidationError as error:
        raise refusal_of(error, "session") from None
    if has_spoken:
        keep_voice(settings.voice, new.voice)
    characters = len(msgspec.json.encode(new))
    if characters > _MOST_CHARACTERS:
        message = (
            f"Invalid 'session': the settings have {characters} characters, {_MOST_CHARACTERS} are the most."
        )
        raise InvalidRequest("string_above_max_length", message, param="session")
    return new


def _merge(old: Any, new: Any) -> Any:
    """`new` where it says something. An object of another `type` replaces what stood there."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if old.get("type", "") != new.get("type", old.get("type", "")):
        return new
    return old | {key: _merge(old.get(key), value) for key, value in new.items()}

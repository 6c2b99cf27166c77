"""What happens in a conversation with a voice, in the order in which it happened."""

from typing import NamedTuple

__all__ = [
    "AgentAudio",
    "AgentAudioDone",
    "ResponseEnded",
    "ResponseStarted",
    "SessionEvent",
    "SessionReady",
    "SpeechStarted",
    "SpeechStopped",
    "ToolCalled",
    "Transcript",
    "VoiceTrouble",
]


class SessionReady(NamedTuple):
    session_id: str


class SpeechStarted(NamedTuple):
    """The caller speaks. `at_ms`: on the axis of audio sent to the voice."""

    at_ms: int


class SpeechStopped(NamedTuple):
    """The caller's turn is over. `silent_for_s`: how long ago he stopped, as the voice found it."""

    silent_for_s: float


class Transcript(NamedTuple):
    """`who`: caller or agent."""

    who: str
    text: str
    item: str


class ResponseStarted(NamedTuple):
    response: str


class AgentAudio(NamedTuple):
    """PCM16 at 24 000 Hz, in order; faster than it can be played."""

    item: str
    pcm: bytes


class AgentAudioDone(NamedTuple):
    item: str


class ResponseEnded(NamedTuple):
    """`status`: completed, cancelled, failed or incomplete. `matched`: what the voice took the turn for, if it says."""

    response: str
    status: str
    matched: str | None


class ToolCalled(NamedTuple):
    """`arguments`: JSON text as the model wrote it. Answer with `SessionCore.tool_answered`."""

    call: str
    name: str
    arguments: str


class VoiceTrouble(NamedTuple):
    """The voice said `error`, or something we do not know. `code`: its word for it, for counting."""

    code: str
    message: str


SessionEvent = (
    SessionReady
    | SpeechStarted
    | SpeechStopped
    | Transcript
    | ResponseStarted
    | AgentAudio
    | AgentAudioDone
    | ResponseEnded
    | ToolCalled
    | VoiceTrouble
)

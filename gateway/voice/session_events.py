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
    "TurnTaken",
    "UnknownEvent",
    "VoiceTrouble",
]


class SessionReady(NamedTuple):
    session_id: str


class SpeechStarted(NamedTuple):
    """The caller speaks, in what will be the turn `item`. `at_ms`: on the axis of audio sent to the voice."""

    at_ms: int
    item: str


class SpeechStopped(NamedTuple):
    """The caller is silent. `silent_for_s`: how long ago he stopped, as the voice found it. `lasted_ms`: his speech.

    `at_ms`: the end of the turn `item` on the axis of audio sent to the voice, with the silence that ended it.
    """

    silent_for_s: float
    lasted_ms: int
    at_ms: int
    item: str


class TurnTaken(NamedTuple):
    """The caller's turn is over and part of the conversation."""

    item: str


class Transcript(NamedTuple):
    """`who`: caller or agent."""

    who: str
    text: str
    item: str


class ResponseStarted(NamedTuple):
    response: str


class AgentAudio(NamedTuple):
    """Audio in the format of the voice's `traits.output`, in order; faster than it can be played."""

    item: str
    audio: bytes


class AgentAudioDone(NamedTuple):
    item: str


class ResponseEnded(NamedTuple):
    """`status`: completed, cancelled, failed or incomplete. `matched`: what the voice took the turn for, if it says.

    `code`: why it failed. `calls`: how many tool calls come with it.
    """

    response: str
    status: str
    matched: str | None
    code: str | None
    calls: int = 0


class ToolCalled(NamedTuple):
    """`arguments`: JSON text as the model wrote it. Answer with `SessionCore.tool_answered`."""

    call: str
    name: str
    arguments: str


class VoiceTrouble(NamedTuple):
    """The voice said `error`, or something that has the wrong shape. `code`: its word for it, for counting.

    `cause`: the id of the client event it complains of. `refused`: that was our asking for a response, which will
    not come.
    """

    code: str
    message: str
    cause: str | None = None
    refused: bool = False


class UnknownEvent(NamedTuple):
    """The voice said something that the protocol did not have when this was written."""

    type: str


SessionEvent = (
    SessionReady
    | SpeechStarted
    | SpeechStopped
    | TurnTaken
    | Transcript
    | ResponseStarted
    | AgentAudio
    | AgentAudioDone
    | ResponseEnded
    | ToolCalled
    | UnknownEvent
    | VoiceTrouble
)

"""What can happen in a recorded call, in words that no carrier and no voice has a part in.

All times are `t_us`, microseconds since the call began, as the trace has them: sums of whole numbers are exact.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = [
    "AgentSpoke",
    "AgentSpokeAll",
    "AgentWords",
    "AudioSent",
    "CallerAudio",
    "CallerBegan",
    "CallerStopped",
    "CarrierTold",
    "Cleared",
    "ClipNamed",
    "Done",
    "Happening",
    "Held",
    "KeyPressed",
    "MarkReturned",
    "MarkSent",
    "ResponseAsked",
    "ResponseCreated",
    "Signal",
    "SilenceSent",
    "Told",
]


class Told(NamedTuple):
    """A fact, as log and record have it."""

    t_us: int
    name: str
    fields: dict[str, Any]


class Done(NamedTuple):
    """What the call asked of its driver, or what the driver reported: `kind` is `request` or `report`."""

    t_us: int
    kind: str
    name: str
    fields: dict[str, Any]


class CarrierTold(NamedTuple):
    """Something that the carrier says of the call, which is neither audio nor a key."""

    t_us: int
    name: str
    fields: dict[str, Any]


class Signal(NamedTuple):
    """A message of the protocol that sets up calls. `sent`: by us. `sdp`: its description of a session, if any.

    `line`: "INVITE", "180 Ringing". `cseq`: the number and method by which answers belong to a request.
    """

    t_us: int
    sent: bool
    line: str
    cseq: str
    transport: str
    headers: Sequence[tuple[str, str]]
    sdp: str


class CallerAudio(NamedTuple):
    """So much of the caller's audio is here."""

    t_us: int
    ms: float


class CallerBegan(NamedTuple):
    """The voice hears the caller. `began_us`: when he began to speak, as the voice found it."""

    t_us: int
    item: str
    began_us: int


class CallerStopped(NamedTuple):
    """The voice took the caller's turn for over. None: the trace does not tell.

    `stopped_us`: when he fell silent, as the voice found it. `carried_us`: when the carrier brought the end of
    his speech. `appended_us`: when that was sent to the voice. `waited_us`: when the last of the silence was
    sent for which the voice waits.
    """

    t_us: int
    item: str
    stopped_us: int
    carried_us: int | None
    appended_us: int | None
    waited_us: int | None


class KeyPressed(NamedTuple):
    t_us: int
    digit: str


class ResponseAsked(NamedTuple):
    """The voice was asked to answer. Mostly it does so by itself."""

    t_us: int


class ResponseCreated(NamedTuple):
    t_us: int
    response: str


class AgentSpoke(NamedTuple):
    """Audio of the voice, or of a clip (`response` is empty), of a response that was not cancelled."""

    t_us: int
    response: str
    item: str
    ms: float


class AgentSpokeAll(NamedTuple):
    """No more audio of this item will come. `tail_ms`: of silence, at most, that resampling leaves behind it."""

    t_us: int
    item: str
    tail_ms: float = 0.0


class AgentWords(NamedTuple):
    """The next words of an item, as the voice writes them down while it speaks."""

    t_us: int
    item: str
    text: str


class ClipNamed(NamedTuple):
    """What a clip says."""

    t_us: int
    item: str
    text: str


class AudioSent(NamedTuple):
    """Agent audio went to the carrier."""

    t_us: int
    ms: float


class SilenceSent(NamedTuple):
    """Digital silence went to the carrier, as in a stream that never pauses: the agent's, or nobody's."""

    t_us: int
    ms: float


class Held(NamedTuple):
    """The agent falls silent until it is known whether he was interrupted."""

    t_us: int


class Cleared(NamedTuple):
    """The carrier was told to throw away what it had not played."""

    t_us: int


class MarkSent(NamedTuple):
    t_us: int
    name: str


class MarkReturned(NamedTuple):
    t_us: int
    name: str


Happening = (
    Told
    | Done
    | CarrierTold
    | Signal
    | CallerAudio
    | CallerBegan
    | CallerStopped
    | KeyPressed
    | ResponseAsked
    | ResponseCreated
    | AgentSpoke
    | AgentSpokeAll
    | AgentWords
    | ClipNamed
    | AudioSent
    | SilenceSent
    | Held
    | Cleared
    | MarkSent
    | MarkReturned
)

"""What enters and leaves a call core: the words that a trace holds, each of which can be written to JSON."""

from typing import Any, Literal

import msgspec

from gateway.endings import EndReason

# -- inputs of a call core ----------------------------------------------------------------------------

Port = Literal["carrier", "voice", "command", "tick"]


class CarrierClosed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="carrier.closed"):
    """The carrier's connection is gone. `detail`: what the driver saw, for people."""

    detail: str = ""


class VoiceOpened(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="voice.opened"):
    """The connection asked for by `OpenVoice` stands."""

    session: int


class VoiceEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="voice.ended"):
    """The connection could not be had (`refused`: and never will be) or is gone.

    `busy_s`: the voice has too many callers, and asks us to stay away for so long.
    """

    session: int
    refused: bool
    detail: str = ""
    busy_s: float | None = None


class StandbySaid(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="standby.said"):
    """An event of a session that is made ready while another one still talks. `event`: JSON text."""

    session: int
    event: str


class ClipReady(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="clip.ready"):
    """The audio of a `Synthesize` or `LoadClip`. `pcm`: PCM16 little endian mono at 24 000 Hz."""

    id: int
    pcm: bytes


class ClipFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="clip.failed"):
    id: int
    detail: str


class ToolDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool.done"):
    """What a tool answered, or, with `failed`, what to tell the model instead."""

    id: str
    output: str
    failed: bool = False


class TransferRefused(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transfer.refused"):
    destination: str
    detail: str


class TransferTaken(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transfer.taken"):
    """The carrier will connect the caller with `destination` as soon as this call ends."""

    destination: str


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hang_up"):
    """An operator, a drain or a deadline ends the call."""

    reason: EndReason


Command = (
    CarrierClosed
    | VoiceOpened
    | VoiceEnded
    | StandbySaid
    | ClipReady
    | ClipFailed
    | ToolDone
    | TransferRefused
    | TransferTaken
    | HangUp
)


# -- outputs of a call core ---------------------------------------------------------------------------


class CarrierMessage(msgspec.Struct, frozen=True, tag_field="type", tag="carrier"):
    """To the carrier's wire, in emit order."""

    data: str | bytes


class VoiceMessage(msgspec.Struct, frozen=True, tag_field="type", tag="voice"):
    """To the wire of a voice's session, in emit order. `caller_ms`: caller audio in it; 0: control, never dropped."""

    data: str
    caller_ms: int = 0
    session: int = 1


class Cut(msgspec.Struct, frozen=True, tag_field="type", tag="cut"):
    """The agent was interrupted: what came before this output must reach both wires within its deadline."""


class AnswerCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="answer_call"):
    pass


class TransferCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transfer_call"):
    """Answered by `TransferTaken` or `TransferRefused`. `destination`: a key of the dialplan, never a number."""

    destination: str


class OpenVoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="open_voice"):
    """Answered by `VoiceOpened`, then at some time `VoiceEnded`. `backend`: which of the call's voices.

    A session that is opened while another one stands is its standby: what it says enters as `StandbySaid`, until
    the other one is closed.
    """

    session: int
    agent: str
    backend: str


class CloseVoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="close_voice"):
    """No answer; nothing of that session enters the core any more."""

    session: int


class Synthesize(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="synthesize"):
    """Answered by `ClipReady` or `ClipFailed`."""

    id: int
    text: str
    voice: str | None = None


class LoadClip(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="load_clip"):
    """Answered by `ClipReady` or `ClipFailed`. `name`: a WAV that ships with the gateway."""

    id: int
    name: str


class RunTool(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="run_tool"):
    """Answered by `ToolDone`. `arguments`: JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


Request = AnswerCall | TransferCall | OpenVoice | CloseVoice | Synthesize | LoadClip | RunTool


class Fact(msgspec.Struct, frozen=True, tag_field="type", tag="fact"):
    """Something that happened, for log, record and whoever watches. `name`: `noun.past_participle`."""

    name: str
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


class Ended(msgspec.Struct, frozen=True, tag_field="type", tag="ended"):
    """The core's last word: the driver ends the call."""

    reason: EndReason


Output = CarrierMessage | VoiceMessage | Cut | Request | Fact | Ended

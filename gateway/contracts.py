"""The seams of the gateway and the words that cross them. Read this first.

A call is one `CallCore` (calls/core.py) between two halves that it knows only through this page:

    CallLeg  (driver, trio)  <-> LegCore  (core)       the carrier's half
    VoiceConnection (driver) <-> SessionCore (core)    the voice's half, voice/session_core.py

What enters a call core is an *input*: text or bytes on one of four ports, with the time. What leaves it
is an *output*. Inputs and outputs are all that a trace holds, so everything here can be written to JSON.
Drivers decide nothing; cores know no clock, socket or task. `now` is always seconds since the call began.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import msgspec

from gateway.media.heard import Heard as Heard
from gateway.tools import Tool as Tool
from gateway.tools import as_tools

T = TypeVar("T")

# -- how a call ends ----------------------------------------------------------------------------------


class EndReason(enum.StrEnum):
    """How a call ended. The first reason given wins; there is never a second one."""

    CALLER_HUNG_UP = "caller_hung_up"
    PLAN_ENDED = "plan_ended"
    AGENT_HUNG_UP = "agent_hung_up"
    TRANSFERRED = "transferred"
    REJECTED = "rejected"
    OPERATOR = "operator"
    DRAINED = "drained"
    TOO_LONG = "too_long"
    CARRIER_LOST = "carrier_lost"
    CARRIER_SILENT = "carrier_silent"
    CARRIER_STALLED = "carrier_stalled"
    CARRIER_INVALID = "carrier_invalid"
    NEVER_STARTED = "never_started"
    VOICE_UNAVAILABLE = "voice_unavailable"
    UNAPOLOGIZED = "unapologized"
    BUG = "bug"


class Ending(msgspec.Struct, frozen=True):
    """What an `EndReason` means to the outside.

    `fault`: whose failure it was. `sip_status`: the answer or the cause towards a SIP peer (RFC 3261 §21,
    RFC 3326). `twilio`: what `/twilio/after` answers.
    """

    fault: Literal["ours", "theirs", "nobody"]
    sip_status: int
    twilio: Literal["hangup", "apologize", "dial", "resume"]


ENDINGS: Mapping[EndReason, Ending] = {
    EndReason.CALLER_HUNG_UP: Ending("nobody", 200, "hangup"),
    EndReason.PLAN_ENDED: Ending("nobody", 200, "hangup"),
    EndReason.AGENT_HUNG_UP: Ending("nobody", 200, "hangup"),
    EndReason.TRANSFERRED: Ending("nobody", 200, "dial"),
    EndReason.REJECTED: Ending("nobody", 603, "hangup"),
    EndReason.OPERATOR: Ending("nobody", 200, "hangup"),
    EndReason.DRAINED: Ending("ours", 503, "apologize"),
    EndReason.TOO_LONG: Ending("nobody", 200, "hangup"),
    EndReason.CARRIER_LOST: Ending("theirs", 500, "resume"),
    EndReason.CARRIER_SILENT: Ending("theirs", 408, "hangup"),
    EndReason.CARRIER_STALLED: Ending("theirs", 500, "resume"),
    EndReason.CARRIER_INVALID: Ending("theirs", 400, "apologize"),
    EndReason.NEVER_STARTED: Ending("theirs", 408, "hangup"),
    EndReason.VOICE_UNAVAILABLE: Ending("ours", 503, "hangup"),  # the apology was played in the call
    EndReason.UNAPOLOGIZED: Ending("ours", 503, "apologize"),  # the same, but no apology could be played
    EndReason.BUG: Ending("ours", 500, "apologize"),
}


# -- who answers --------------------------------------------------------------------------------------


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks for us. `script` names the dialogue of an embedded voice; other voices ignore it.

    `voice` and `model` of None: the backend's own. `language`: ISO 639-1. `tools`: typed functions, plain or
    `async`, become tools (`gateway.tools.PythonTool`). Raises `ToolUnusable`.
    """

    name: str
    instructions: str = ""
    greeting: str | None = None
    voice: str | None = None
    model: str | None = None
    language: str = "en"
    script: str | None = None
    tools: tuple[Tool, ...] = ()

    if TYPE_CHECKING:  # msgspec makes it of the fields; type checkers are told what `tools` takes

        def __init__(
            self,
            *,
            name: str,
            instructions: str = "",
            greeting: str | None = None,
            voice: str | None = None,
            model: str | None = None,
            language: str = "en",
            script: str | None = None,
            tools: Iterable[Tool | Callable[..., Any]] = (),
        ) -> None: ...

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "tools", as_tools(self.tools))


# -- inputs of a call core ----------------------------------------------------------------------------

Port = Literal["carrier", "voice", "command", "tick"]


class CarrierClosed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="carrier.closed"):
    """The carrier's connection is gone. `detail`: what the driver saw, for people."""

    detail: str = ""


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Mono audio on a voice's wire. `pcm`: 16 bit little endian; `pcmu` and `pcma`: G.711, always at 8 000 Hz."""

    encoding: Literal["pcm", "pcmu", "pcma"] = "pcm"
    rate_hz: int = 24_000

    @property
    def bytes_per_ms(self) -> int:
        return self.rate_hz * (2 if self.encoding == "pcm" else 1) // 1000


class VoiceTraits(msgspec.Struct, frozen=True, kw_only=True):
    """How a voice wants to be spoken to. Part of every trace, so that its replay asks for the same session.

    `name`: of its backend. `transcription_model`: what writes the caller's words down; None: nobody does.
    """

    name: str
    input: AudioFormat = AudioFormat()
    output: AudioFormat = AudioFormat()
    transcription_model: str | None = "gpt-4o-mini-transcribe"


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


# -- the carrier's half -------------------------------------------------------------------------------


class LegTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier can do.

    `confirms_playout`: it tells when audio was played. `lead_ms`: how far ahead of the playout we send.
    `queue_ms`: the most it holds. `sends_digits`: it has digits out.
    """

    carrier: str
    confirms_playout: bool
    lead_ms: int
    queue_ms: int
    sends_digits: bool


class LegStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Media flows. `codec`: a key of `gateway.audio.g711.CODECS`."""

    codec: str
    carrier_call_id: str


class CallerAudio(msgspec.Struct, frozen=True):
    """G.711 from the caller, gapless: `at_ms` on the media clock continues where the last one ended."""

    payload: bytes
    at_ms: int


class DigitPressed(msgspec.Struct, frozen=True):
    digit: str


class LegTrouble(msgspec.Struct, frozen=True):
    """Something odd from the carrier that the call survives. `what`: one word group for counting."""

    what: str
    detail: str = ""


class LegEnded(msgspec.Struct, frozen=True):
    reason: EndReason
    detail: str = ""


LegEvent = LegStarted | CallerAudio | DigitPressed | Heard | LegTrouble | LegEnded


class LegCore(Protocol):
    """One carrier's messages as frames, digits and `Heard`, and the reverse. Never raises on what a peer sent."""

    @property
    def traits(self) -> LegTraits: ...

    def receive(self, data: str | bytes, now: float) -> None:
        """Take one message of the carrier."""

    def advance(self, now: float) -> None:
        """Check deadlines; called at every tick."""

    def play(self, payload: bytes, now: float) -> None:
        """Send G.711 to be played after all that was sent before. Whole 20 ms frames of 160 bytes."""

    def clear(self, now: float) -> None:
        """Have the carrier throw away what it has not played."""

    def events(self) -> Sequence[LegEvent]:
        """What happened since the last call of this method."""

    def outgoing(self) -> Sequence[str | bytes]:
        """What the carrier must be sent, in order, since the last call of this method."""


class LegLost(Exception):
    """The carrier's connection is gone; nothing more can be sent or received on it."""


class TransferFailed(Exception):
    """The carrier did not take the transfer; the text says why, without any number."""


class CallLeg(Protocol):
    """The driver of one leg: one connection of one call at one carrier."""

    async def receive(self) -> str | bytes:
        """The next message of the carrier. Raises `LegLost` when there will be none."""

    async def send(self, data: str | bytes) -> None:
        """Raises `LegLost` when the peer is gone or does not read for 2 s."""

    async def answer(self) -> None:
        """Take the call, where the carrier has such a step."""

    async def transfer(self, destination: str) -> None:
        """Arrange that the caller is connected with a destination of the dialplan once this leg is closed.

        Raises `TransferFailed`.
        """

    async def finish(self, reason: EndReason) -> None:
        """End the carrier's call politely. Called once, under a deadline."""

    def release(self) -> None:
        """Give back every resource at once. Never raises; harmless when repeated."""


# -- the voice's half ---------------------------------------------------------------------------------


class SessionLost(Exception):
    """The voice went away; another attempt may succeed."""


class SessionBusy(SessionLost):
    """The voice has too many callers or requests (HTTP 429). `retry_after_s`: when to come back, if it says."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class SessionRefused(Exception):
    """The voice will not have us (bad key, unknown model, missing part); no attempt will succeed."""


class VoiceConnection(Protocol):
    """OpenAI Realtime GA events as JSON text, both ways. Either method raises `SessionLost` or `SessionRefused`."""

    async def send(self, event: str) -> None: ...

    async def receive(self) -> str:
        """The next server event."""


class VoiceBackend(Protocol):
    """What gives voices. One of these serves all calls."""

    @property
    def traits(self) -> VoiceTraits: ...

    def connect(self, agent: Agent) -> AbstractAsyncContextManager[VoiceConnection]:
        """A connection that lives as long as the block.

        Raises `SessionLost` (of that, `SessionBusy`) or `SessionRefused`.
        """

    async def run(self) -> None:
        """What all its connections share (models, batches); runs in plumbing until cancelled."""


# -- requests and threads ------------------------------------------------------------------------------


class RequestFailed(Exception):
    """A clip could not be made, a tool did not work; the text is for people."""


class RunBlocking(Protocol):
    """Runs a function that blocks (models, disk): in a worker thread in production, inline in tests.

    `limiter`: a `trio.CapacityLimiter` for work that must not run beside too much of its kind.
    """

    async def __call__(self, blocking: Callable[..., T], /, *args: Any, limiter: Any = None) -> T: ...


# -- the plan's half ----------------------------------------------------------------------------------


class Milestone(enum.Enum):
    """What a step of a plan waits for."""

    ANSWERED = enum.auto()
    SAID = enum.auto()
    CONVERSED = enum.auto()


class CallControl(Protocol):
    """What a step may ask of its call."""

    def answer(self) -> None:
        """Then `Milestone.ANSWERED`."""

    def say(self, text: str, voice: str | None) -> None:
        """Speak a text; `Milestone.SAID` when the caller has heard it."""

    def converse(self, agent: str, *, interruptible: bool) -> None:
        """Let an agent of the plan talk with the caller; `Milestone.CONVERSED` when it is done.

        Without `interruptible` what the agent says is heard to its end, whoever speaks meanwhile.
        """

    def transfer(self, destination: str) -> None:
        """Connect the caller with a named destination; this ends the call."""

    def hang_up(self, reason: EndReason) -> None:
        """End the call when what was said is heard."""

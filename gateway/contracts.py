"""The seams of the gateway and the words that cross them. Read this first.

A call is one `CallCore` (calls/core.py) between two halves that it knows only through this page:

    CallLeg  (driver, trio)  <-> LegCore  (core)       the carrier's half
    VoiceConnection (driver) <-> SessionCore (core)    the voice's half, voice/session_core.py

What enters a call core is an *input*: text or bytes on one of four ports, with the time. What leaves it
is an *output*; both are in messages.py, and are all that a trace holds.
Drivers decide nothing; cores know no clock, socket or task. `now` is always seconds since the call began.
"""

import enum
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from gateway.endings import ENDINGS as ENDINGS
from gateway.endings import Ending as Ending
from gateway.endings import EndReason as EndReason
from gateway.leg_events import CallerAudio as CallerAudio
from gateway.leg_events import DigitPressed as DigitPressed
from gateway.leg_events import LegDelayed as LegDelayed
from gateway.leg_events import LegEnded as LegEnded
from gateway.leg_events import LegEvent as LegEvent
from gateway.leg_events import LegFact as LegFact
from gateway.leg_events import LegHeld as LegHeld
from gateway.leg_events import LegPreviewed as LegPreviewed
from gateway.leg_events import LegStarted as LegStarted
from gateway.leg_events import LegTrouble as LegTrouble
from gateway.media.heard import Heard as Heard
from gateway.messages import AnswerCall as AnswerCall
from gateway.messages import CarrierClosed as CarrierClosed
from gateway.messages import CarrierMessage as CarrierMessage
from gateway.messages import ClipFailed as ClipFailed
from gateway.messages import ClipReady as ClipReady
from gateway.messages import CloseVoice as CloseVoice
from gateway.messages import Command as Command
from gateway.messages import Cut as Cut
from gateway.messages import Ended as Ended
from gateway.messages import Fact as Fact
from gateway.messages import HangUp as HangUp
from gateway.messages import LoadClip as LoadClip
from gateway.messages import OpenVoice as OpenVoice
from gateway.messages import Output as Output
from gateway.messages import Port as Port
from gateway.messages import Request as Request
from gateway.messages import RunTool as RunTool
from gateway.messages import StandbySaid as StandbySaid
from gateway.messages import Synthesize as Synthesize
from gateway.messages import ToolDone as ToolDone
from gateway.messages import TransferCall as TransferCall
from gateway.messages import TransferRefused as TransferRefused
from gateway.messages import TransferTaken as TransferTaken
from gateway.messages import VoiceEnded as VoiceEnded
from gateway.messages import VoiceMessage as VoiceMessage
from gateway.messages import VoiceOpened as VoiceOpened
from gateway.tools import Tool as Tool
from gateway.tools import as_tools

T = TypeVar("T")

_G711_HZ = 8000

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


# -- the carrier's half -------------------------------------------------------------------------------


class LegTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier can do.

    `lead_ms`: how far ahead of the playout we send. `queue_ms`: the most it holds. `sends_digits`: it has digits out,
    so that nobody has to hear tones.
    """

    carrier: str
    lead_ms: int
    queue_ms: int
    sends_digits: bool


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
        """Have the carrier throw away what it has not played. Digits are no audio: those that wait are sent."""

    def send_digits(self, digits: str) -> None:
        """Press keys behind all that was played so far, where `traits.sends_digits`: 0-9, *, # and A-D.

        They take the place of what is played next, 180 ms each, which should be silence. Raises `ValueError` on what
        is no digit; those that the far end does not take are a `LegTrouble`.
        """

    def leave(self, now: float) -> None:
        """The call ends: say goodbye, and tell how it was. Harmless when repeated, and after `LegEnded`.

        What a leg says here is only sent if its driver is a `PromptLeg`; others end their connection.
        """

    def events(self) -> Sequence[LegEvent]:
        """What happened since the last call of this method."""

    def outgoing(self) -> Sequence[str | bytes]:
        """What the carrier must be sent, in order, since the last call of this method."""


class LegLost(Exception):
    """The carrier's connection is gone; nothing more can be sent or received on it."""


class TransferFailed(Exception):
    """The carrier did not take the transfer; the text says why, without any number."""


@runtime_checkable
class PromptLeg(Protocol):
    """What a `CallLeg` has besides whose wire never makes anybody wait: datagrams go at once, or are lost.

    A task a packet each way costs more than the packet.
    """

    def hear_with(self, hear: Callable[[str | bytes], None]) -> None:
        """Call `hear` with every message of the carrier from now on, and with those that wait. It raises nothing."""

    def send_now(self, data: str | bytes) -> None:
        """As `CallLeg.send`, and nothing is raised: who is gone will be heard of."""


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

    def last_words(self) -> Sequence[str | bytes]:
        """What the carrier said that nobody received, or while it finished: for the trace, behind the call's end."""

    def release(self) -> None:
        """Give back every resource at once. Never raises; harmless when repeated."""


# -- the voice's half ---------------------------------------------------------------------------------


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Mono audio on a voice's wire. `pcm`: 16 bit little endian; `pcmu` and `pcma`: G.711, always at 8 000 Hz."""

    encoding: Literal["pcm", "pcmu", "pcma"] = "pcm"
    rate_hz: int = 24_000

    def __post_init__(self) -> None:
        if self.encoding != "pcm" and self.rate_hz != _G711_HZ:
            raise ValueError(f"{self.encoding} at {self.rate_hz} Hz: G.711 has {_G711_HZ} Hz")

    @property
    def bytes_per_ms(self) -> int:
        return self.rate_hz * (2 if self.encoding == "pcm" else 1) // 1000


class VoiceTraits(msgspec.Struct, frozen=True, kw_only=True):
    """How a voice wants to be spoken to. Part of every trace, so that its replay asks for the same session.

    `name`: of its backend. `chunk_ms`: of the caller's audio it is told so much at a time; 0: as it comes.
    `transcription_model`: what writes the caller's words down; None: nobody does.
    """

    name: str
    input: AudioFormat = AudioFormat()
    output: AudioFormat = AudioFormat()
    chunk_ms: int = 0
    transcription_model: str | None = "gpt-4o-mini-transcribe"


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


@runtime_checkable
class PromptVoice(Protocol):
    """What a `VoiceConnection` has besides that is in this process, and answers while it is told something."""

    def hear_with(self, hear: Callable[[str], None]) -> None:
        """Call `hear` with every server event from now on, and with those that wait. It raises nothing."""

    def send_now(self, event: str) -> None:
        """As `VoiceConnection.send`, without a task's turn."""


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
    """What a step may ask of its call. Who speaks, or transfers, has answered."""

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


class Steps(Protocol):
    """The plan's step machine, built around the call that it controls."""

    def begin(self) -> None: ...

    def reached(self, milestone: Milestone) -> None: ...

    def fall_back(self) -> bool:
        """Go on with what the plan has for a voice that cannot be had. False when there is nothing."""

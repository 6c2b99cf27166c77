"""An agent talks with the caller: what the voice says becomes audio, cuts, tools and facts."""

import collections
from collections.abc import Callable, Collection
from typing import assert_never

import msgspec

from gateway.calls.paths import Downlink
from gateway.contracts import CloseVoice, Cut, Fact, OpenVoice, Output, RunTool, Tool, VoiceMessage
from gateway.media.heard import words_heard
from gateway.voice import session_events as said
from gateway.voice.session_core import SessionCore

__all__ = ["Conversation", "EndCall", "Transfer", "Wish", "built_in_tools"]


class EndCall(msgspec.Struct, frozen=True):
    """The agent ends the conversation, once what it said is heard."""


class Transfer(msgspec.Struct, frozen=True):
    """The agent hands the caller on. `call`: the tool call that asked for it."""

    destination: str
    call: str


Wish = EndCall | Transfer


# Audio of the caller that waits for the voice to be reached; older words than these are no use to anybody.
_MOST_EARLY_S = 3
_MOST_APPEND_BYTES = 48_000  # a second: a gap that is filled with silence comes in one piece


class _TransferArguments(msgspec.Struct):
    destination: str


def built_in_tools(destinations: Collection[str]) -> list[Tool]:
    """What every agent may do in a call: end it and, where the plan names destinations, transfer it."""
    tools = [Tool(name="end_call", description="End the call, after you have said goodbye.")]
    if destinations:
        destination = {"type": "string", "enum": sorted(destinations)}
        parameters = {
            "type": "object",
            "properties": {"destination": destination},
            "required": ["destination"],
        }
        description = "Connect the caller with somebody else, after you have said so."
        tools.append(Tool(name="transfer_call", description=description, parameters=parameters))
    return tools


class Conversation:
    """One `converse` step: a `SessionCore` on one side, the downlink on the other.

    `emit` takes outputs in order. `settle_leg` has the call read what the leg has to say at once.
    `dead_air_s`: how long the voice may owe an answer.
    """

    def __init__(
        self,
        *,
        number: int,
        session: SessionCore,
        downlink: Downlink,
        destinations: Collection[str],
        emit: Callable[[Output], None],
        settle_leg: Callable[[float], None],
        dead_air_s: float,
    ) -> None:
        self.number = number
        self._session = session
        self._downlink = downlink
        self._destinations = destinations
        self._emit = emit
        self._settle_leg = settle_leg
        self._dead_air_s = dead_air_s
        self._early: collections.deque[bytes] | None = collections.deque(maxlen=_MOST_EARLY_S * 50)
        self._owed_since: float | None = None  # an answer
        self._has_retried = False
        self._running_tools: set[str] = set()
        self._own_tools = {tool.name for tool in session.agent.tools}
        self._closing: Wish | None = None
        self._wish: Wish | None = None  # the same, until the call takes it
        self._stopped_at: float | None = None  # when the caller stopped, until the agent is sent
        session.connect()
        emit(OpenVoice(session=number, agent=session.agent.name, backend=""))

    # -- what the call says

    def opened(self, now: float) -> None:
        self._session.opened()
        self._owed_since = now
        early, self._early = self._early or (), None
        for pcm in early:
            self._session.send_audio(pcm)
        self._emit(Fact("session.opened", {"agent": self._session.agent.name}))

    def carry(self, pcm: bytes) -> None:
        """The caller's next samples: PCM16 at 24 000 Hz."""
        for at in range(0, len(pcm), _MOST_APPEND_BYTES):
            piece = pcm[at : at + _MOST_APPEND_BYTES]
            if self._early is not None:
                self._early.append(piece)
            else:
                self._session.send_audio(piece)

    def owes_answer(self, now: float) -> bool:
        """The voice has been silent for too long although it was its turn: it is as good as lost."""
        return self._owed_since is not None and now - self._owed_since > self._dead_air_s

    def press(self, digit: str, now: float) -> None:
        """A key is a turn: it interrupts like a word. Once the agent is done, it means nothing."""
        if self._closing is not None:
            return
        self._interrupt(now)
        self._session.press(digit)
        self._stopped_at = self._owed_since = now

    def receive(self, event: str, now: float) -> None:
        self._session.receive(event)
        for happened in self._session.events():
            self._take(happened, now)

    def sent(self, now: float) -> None:
        """Agent audio went out: if it is the first since the caller stopped, the turn is answered."""
        if self._stopped_at is not None:
            latency_ms = round((now - self._stopped_at) * 1000)
            self._emit(Fact("turn.answered", {"latency_ms": latency_ms}))
            self._stopped_at = None

    def tool_done(self, call: str, output: str, now: float, *, failed: bool) -> None:
        if call not in self._running_tools:
            return  # it was asked for in an earlier conversation
        self._running_tools.discard(call)
        self._owed_since = now
        self._emit(Fact("tool.failed" if failed else "tool.answered"))
        self._session.tool_answered(call, output)

    @property
    def closing(self) -> bool:
        """The agent has asked for the end, or for a transfer that was not refused."""
        return self._closing is not None

    def take_wish(self) -> Wish | None:
        """What the agent wants of the call, once; from then on it is heard to its end."""
        wish, self._wish = self._wish, None
        return wish

    def transfer_refused(self, detail: str) -> bool:
        """Tell the agent that its transfer failed; the conversation goes on. False when it asked for none."""
        if not isinstance(self._closing, Transfer):
            return False
        self._session.tool_answered(self._closing.call, f"The transfer failed: {detail}")
        self._closing = None
        return True

    def close(self) -> None:
        """The agent's part is over; nothing of its voice enters the call any more."""
        self._session.ended()
        self._emit(CloseVoice(session=self.number))

    def flush(self) -> None:
        """Hand on what the voice must be sent."""
        for event, caller_ms in self._session.outgoing():
            self._emit(VoiceMessage(event, caller_ms))

    # -- what the voice says

    def _take(self, event: said.SessionEvent, now: float) -> None:
        match event:
            case said.AgentAudio():
                self._owed_since = None
                self._downlink.add(event.item, event.pcm)
                if self._downlink.overfull:
                    self._emit(Fact("response.overran", {"item": event.item}))
                    self._session.cancel()
            case said.AgentAudioDone():
                self._downlink.finish(event.item)
            case said.SpeechStarted():
                self._emit(Fact("caller.started"))
                self._stopped_at = self._owed_since = None
                self._interrupt(now)
            case said.SpeechStopped():
                if self._closing is None:
                    self._stopped_at, self._owed_since = now - event.silent_for_s, now
                self._emit(Fact("caller.stopped", {"silent_ms": round(event.silent_for_s * 1000)}))
            case said.Transcript():
                self._emit(Fact(f"{event.who}.said", {"text": event.text, "item": event.item}))
            case said.ResponseStarted():
                if (
                    self._closing is not None
                ):  # the agent is done; what it would still say keeps nobody waiting
                    self._session.cancel()
            case said.ResponseEnded():
                self._response_ended(event.status, now)
                fields = {"status": event.status, "matched": event.matched}
                self._emit(Fact("response.ended", {k: v for k, v in fields.items() if v is not None}))
            case said.ToolCalled():
                self._call_tool(event)
            case said.SessionReady():
                self._emit(Fact("session.ready", {"session": event.session_id}))
            case said.VoiceTrouble():
                self._emit(Fact("voice.troubled", {"code": event.code, "message": event.message}))
            case _:
                assert_never(event)

    def _response_ended(self, status: str, now: float) -> None:
        if status in ("failed", "incomplete") and not self._has_retried:
            self._has_retried = True
            self._owed_since = now
            self._session.respond()
        elif status == "completed":
            self._has_retried = False
            self._owed_since = None
            if not self._downlink.speaking(now):
                self._stopped_at = None  # an answer without audio: the next audio answers something else

    def _interrupt(self, now: float) -> None:
        if self._closing is not None:
            return  # the goodbye, or the word that a transfer comes, is heard to its end
        responding = self._session.responding
        speaking = self._downlink.speaking(now)
        self._session.cancel()
        if speaking:
            self._downlink.cut(now)
            self._settle_leg(now)
            for item in self._downlink.settle_cut():
                text = words_heard(self._session.text(item.item), item.low_ms, item.received_ms)
                heard = {"heard_low_ms": round(item.low_ms), "heard_high_ms": round(item.high_ms)}
                self._emit(Fact("agent.interrupted", {"item": item.item, **heard, "text": text}))
        if speaking or responding:
            self.flush()
            self._emit(Cut())

    def _call_tool(self, call: said.ToolCalled) -> None:
        self._emit(Fact("tool.called", {"tool": call.name}))
        if call.name == "end_call":
            self._closing = self._wish = EndCall()
        elif call.name == "transfer_call":
            self._transfer(call)
        elif call.name in self._own_tools:
            self._running_tools.add(call.call)
            self._emit(RunTool(id=call.call, name=call.name, arguments=call.arguments))
        else:
            self._session.tool_answered(call.call, f"There is no tool {call.name!r}.")

    def _transfer(self, call: said.ToolCalled) -> None:
        try:
            destination = msgspec.json.decode(call.arguments, type=_TransferArguments).destination
        except msgspec.MsgspecError as error:
            self._session.tool_answered(call.call, f"transfer_call: {error}")
            return
        if destination not in self._destinations:
            known = ", ".join(sorted(self._destinations))
            self._session.tool_answered(call.call, f"There is no destination {destination!r}, only: {known}.")
            return
        self._closing = self._wish = Transfer(destination, call.call)

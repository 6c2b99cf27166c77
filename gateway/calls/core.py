"""The decisions of one call: inputs with `now` go in, outputs come out. No clock, no socket, no task.

It composes the leg, the plan's steps, the two audio paths and the conversation, and knows only their seams.
Everything that a call does follows from the order in which its inputs came: that order is its trace.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

import msgspec

from gateway import contracts as c
from gateway.audio.g711 import CODECS
from gateway.calls.conversation import Conversation, EndCall, Transfer, built_in_tools
from gateway.calls.paths import Downlink, Uplink
from gateway.media.stereo import StereoMix
from gateway.voice.session_core import SessionCore, TurnDetection

__all__ = ["CallCore", "CallSettings", "Steps"]

_APOLOGY = "apology"


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a call core is set to; part of every trace's header."""

    longest_s: float = 4 * 3600
    idle_timeout_ms: int = 6000  # of silence, until the agent asks whether somebody is there
    dead_air_s: float = 15.0  # that the voice may owe an answer, until it is taken for lost


class Steps(Protocol):
    """The plan's step machine."""

    def begin(self) -> None: ...

    def reached(self, milestone: c.Milestone) -> None: ...


_commands: msgspec.json.Decoder[c.Command] = msgspec.json.Decoder(c.Command)


class CallCore:
    """One call. `feed` it, then `drain` it.

    `steps` builds the plan's step machine around this core, which is its `CallControl`. `agents` and
    `destinations`: whom the plan may name. `mix` gathers the recording; whoever gives one takes from it what is
    final.
    """

    def __init__(
        self,
        leg: c.LegCore,
        steps: Callable[[c.CallControl], Steps],
        agents: Mapping[str, c.Agent],
        destinations: frozenset[str],
        settings: CallSettings,
        *,
        mix: StereoMix | None = None,
    ) -> None:
        self._mix = mix
        self.ended: c.EndReason | None = None
        self._leg = leg
        self._steps = steps(self)
        self._agents = agents
        self._destinations = destinations
        self._settings = settings
        self._outputs: list[c.Output] = []
        self._uplink: Uplink | None = None
        self._downlink: Downlink | None = None
        self._conversation: Conversation | None = None
        self._requests = 0
        self._clip: int | None = None  # the clip that is awaited
        # What follows when the caller has heard all that was said; one thing at most.
        self._then: c.Milestone | c.TransferCall | c.EndReason | None = None
        self._agent_ended = False

    # -- in and out

    def feed(self, port: c.Port, data: str | bytes, now: float) -> None:
        """Take one input. After the end nothing has an effect."""
        if self.ended is not None:
            return
        match port:
            case "carrier":
                self._leg.receive(data, now)
            case "voice":
                if self._conversation is not None:
                    self._conversation.receive(str(data), now)
            case "command":
                self._command(_commands.decode(data), now)
            case "tick":
                self._leg.advance(now)
                if now > self._settings.longest_s:
                    self._end(c.EndReason.TOO_LONG)
                elif self._conversation is not None and self._conversation.owes_answer(now):
                    self._lose_voice(f"no answer for {self._settings.dead_air_s:g} s", refused=False)
            case _:
                assert_never(port)
        self._settle(now)

    def drain(self) -> list[c.Output]:
        """What came of the inputs since the last call of this method, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    # -- CallControl: what a step of the plan may ask

    def answer(self) -> None:
        self._emit(c.AnswerCall())
        self._steps.reached(c.Milestone.ANSWERED)

    def say(self, text: str, voice: str | None) -> None:
        self._requests += 1
        self._clip = self._requests
        self._emit(c.Synthesize(id=self._clip, text=text, voice=voice))
        self._then = c.Milestone.SAID

    def converse(self, agent: str, *, interruptible: bool) -> None:
        if self._downlink is None:
            raise AssertionError("a step began before the leg")
        session = SessionCore(
            self._agents[agent],
            tools=built_in_tools(self._destinations),
            turn_detection=TurnDetection(idle_timeout_ms=self._settings.idle_timeout_ms),
        )
        self._requests += 1
        self._conversation = Conversation(
            number=self._requests,
            session=session,
            downlink=self._downlink,
            destinations=self._destinations,
            emit=self._emit,
            settle_leg=self._settle_leg,
            dead_air_s=self._settings.dead_air_s,
        )

    def transfer(self, destination: str) -> None:
        self._then = c.TransferCall(destination=destination)

    def hang_up(self, reason: c.EndReason) -> None:
        if reason is c.EndReason.PLAN_ENDED and self._agent_ended:
            reason = c.EndReason.AGENT_HUNG_UP
        self._then = reason

    # -- what the driver reports

    def _command(self, command: c.Command, now: float) -> None:
        talk = self._conversation
        match command:
            case c.CarrierClosed():
                self._end(c.EndReason.CARRIER_LOST)
            case c.HangUp():
                self._end(command.reason)
            case c.VoiceOpened():
                if talk is not None and talk.number == command.session:
                    talk.opened(now)
            case c.VoiceEnded():
                if talk is not None and talk.number == command.session:
                    self._lose_voice(command.detail, refused=command.refused)
            case c.ClipReady():
                if self._clip == command.id and self._downlink is not None:
                    self._clip = None
                    item = f"clip{command.id}"
                    self._downlink.add(item, command.pcm)
                    self._downlink.finish(item)
            case c.ClipFailed():
                if self._clip == command.id:
                    self._clip_failed(command.detail)
            case c.ToolDone():
                if talk is not None:
                    talk.tool_done(command.id, command.output, now, failed=command.failed)
            case c.TransferTaken():
                self._end(c.EndReason.TRANSFERRED)
            case c.TransferRefused():
                self._transfer_refused(command)
            case _:
                assert_never(command)

    def _lose_voice(self, detail: str, *, refused: bool) -> None:
        self._emit(c.Fact("session.lost", {"refused": refused, "detail": detail}))
        if self._conversation is not None and self._conversation.closing:
            self._close_conversation()  # the agent had said its last word; what it wanted is done all the same
        else:
            self._apologize()

    def _clip_failed(self, detail: str) -> None:
        self._emit(c.Fact("clip.failed", {"detail": detail}))
        if (
            self._then is c.EndReason.VOICE_UNAVAILABLE
        ):  # not even the apology can be had: the carrier says one
            self._end(c.EndReason.UNAPOLOGIZED)
            return
        self._apologize()

    def _transfer_refused(self, command: c.TransferRefused) -> None:
        self._emit(c.Fact("transfer.refused", {"destination": command.destination, "detail": command.detail}))
        if self._conversation is None or not self._conversation.transfer_refused(command.detail):
            self._apologize()

    def _apologize(self) -> None:
        """Never silence: say that we are sorry, then end."""
        self._close_conversation()
        self._requests += 1
        self._clip = self._requests
        self._emit(c.LoadClip(id=self._clip, name=_APOLOGY))
        self._then = c.EndReason.VOICE_UNAVAILABLE

    # -- what the leg says

    def _settle_leg(self, now: float) -> None:
        for event in self._leg.events():
            match event:
                case c.CallerAudio():
                    if self._uplink is not None:
                        pcm = self._uplink.carry(event.payload, now)
                        if self._conversation is not None:
                            self._conversation.carry(pcm)
                case c.Heard():
                    if self._downlink is not None:
                        self._downlink.heard(event)
                case c.DigitPressed():
                    self._emit(c.Fact("digit.pressed"))
                    if self._conversation is not None:
                        self._conversation.press(event.digit, now)
                case c.LegStarted():
                    self._start(event)
                case c.LegTrouble():
                    self._emit(c.Fact("carrier.troubled", {"what": event.what, "detail": event.detail}))
                case c.LegEnded():
                    self._end(event.reason, event.detail)
                case _:
                    assert_never(event)
        for data in self._leg.outgoing():
            self._emit(c.CarrierMessage(data))

    def _start(self, started: c.LegStarted) -> None:
        codec = CODECS[started.codec]
        self._uplink = Uplink(codec, self._mix)
        self._downlink = Downlink(self._leg, codec, self._mix)
        fields = {"carrier_call": started.carrier_call_id, "codec": started.codec}
        self._emit(c.Fact("call.started", fields))
        self._steps.begin()

    # -- after every input

    def _settle(self, now: float) -> None:
        self._settle_leg(now)
        if self._downlink is not None and self.ended is None:
            self._take_wish()
            if self._downlink.pump(now):
                if self._conversation is not None:
                    self._conversation.sent(now)
                self._settle_leg(now)
            if self._then is not None and self._clip is None and self._downlink.silent(now):
                self._go_on()
        if self._conversation is not None:
            self._conversation.flush()

    def _take_wish(self) -> None:
        wish = self._conversation.take_wish() if self._conversation is not None else None
        match wish:
            case None:
                pass
            case EndCall():
                self._agent_ended = True
                self._then = c.Milestone.CONVERSED
            case Transfer():
                self._then = c.TransferCall(destination=wish.destination)
            case _:
                assert_never(wish)

    def _go_on(self) -> None:
        then, self._then = self._then, None
        match then:
            case c.Milestone():
                if then is c.Milestone.CONVERSED:
                    self._close_conversation()
                self._steps.reached(then)
            case c.TransferCall():
                self._emit(c.Fact("transfer.requested", {"destination": then.destination}))
                self._emit(then)
            case c.EndReason():
                self._end(then)
            case None:
                pass
            case _:
                assert_never(then)

    def _close_conversation(self) -> None:
        if self._conversation is not None:
            self._conversation.flush()
            self._conversation.close()
            self._conversation = None

    def _end(self, reason: c.EndReason, detail: str = "") -> None:
        if self.ended is not None:
            return
        self.ended = reason
        self._close_conversation()
        self._emit(c.Fact("call.ending", {"reason": reason.value, "detail": detail}))
        self._emit(c.Ended(reason))

    def _emit(self, output: c.Output) -> None:
        self._outputs.append(output)

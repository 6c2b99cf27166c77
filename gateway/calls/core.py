"""The decisions of one call: inputs with `now` go in, outputs come out. No clock, no socket, no task.

It composes the leg, the plan's steps, the two audio paths and the conversation, and knows only their seams.
Everything that a call does follows from the order in which its inputs came: that order is its trace.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, assert_never

import msgspec

from gateway import contracts as c
from gateway.audio.g711 import CODECS, Codec
from gateway.calls.call_tools import EndCall, Transfer
from gateway.calls.conversation import Conversation, VoiceGone, Wish
from gateway.calls.paths import Downlink
from gateway.calls.settings import CallSettings
from gateway.media.stereo import StereoMix

if TYPE_CHECKING:
    import random

__all__ = ["CallCore"]

_APOLOGY = "apology"

_commands: msgspec.json.Decoder[c.Command] = msgspec.json.Decoder(c.Command)


class CallCore:
    """One call. `feed` it, then `drain` it.

    `steps` builds the plan's step machine around this core, which is its `CallControl`. `agents` and
    `destinations`: whom the plan may name. `rng` spreads what many calls would do at once. `mix` gathers the
    recording; whoever gives one takes from it what is final.
    """

    def __init__(
        self,
        leg: c.LegCore,
        steps: Callable[[c.CallControl], c.Steps],
        agents: Mapping[str, c.Agent],
        destinations: frozenset[str],
        settings: CallSettings,
        *,
        rng: "random.Random",
        mix: StereoMix | None = None,
    ) -> None:
        self._mix = mix
        self.ended: c.EndReason | None = None
        self._leg = leg
        self._steps = steps(self)
        self._agents = agents
        self._destinations = destinations
        self._settings = settings
        self._rng = rng
        self._now = 0.0
        self._outputs: list[c.Output] = []
        self._codec: Codec | None = None
        self._downlink: Downlink | None = None
        self._conversation: Conversation | None = None
        self._requests = 0
        self._clip: int | None = None  # the clip that is awaited
        # What follows when the caller has heard all that was said; one thing at most.
        self._then: c.Milestone | c.TransferCall | c.EndReason | None = None
        self._agent_ended = False
        self._fell_back = False
        self._answered = False

    # -- in and out

    def feed(self, port: c.Port, data: str | bytes, now: float) -> None:
        """Take one input. After the end nothing has an effect."""
        if self.ended is not None:
            return
        self._now = now
        match port:
            case "carrier":
                self._leg.receive(data, now)
                if not self._settle_leg(now):  # a packet of audio waits for its tick
                    return
            case "voice":
                if self._conversation is not None:
                    self._conversation.receive(str(data), now)
            case "command":
                self._command(_commands.decode(data), now)
            case "tick":
                self._leg.advance(now)
                if now > self._settings.longest_s:
                    self._end(c.EndReason.TOO_LONG)
                elif self._conversation is not None:
                    self._conversation.advance(now)
            case _:
                assert_never(port)
        self._settle(now, ticked=port == "tick")

    def drain(self) -> list[c.Output]:
        """What came of the inputs since the last call of this method, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    # -- CallControl: what a step of the plan may ask

    def answer(self) -> None:
        self._take_call()
        self._steps.reached(c.Milestone.ANSWERED)

    def say(self, text: str, voice: str | None) -> None:
        self._take_call()
        self._clip = self._new_number()
        self._emit(c.Synthesize(id=self._clip, text=text, voice=voice))
        self._then = c.Milestone.SAID

    def converse(self, agent: str, *, interruptible: bool) -> None:
        if self._downlink is None or self._codec is None:
            raise AssertionError("a step began before the leg")
        self._take_call()
        self._conversation = Conversation(
            self._agents[agent],
            self._settings,
            codec=self._codec,
            downlink=self._downlink,
            destinations=self._destinations,
            interruptible=interruptible,
            rng=self._rng,
            numbers=self._new_number,
            emit=self._emit,
            settle_leg=self._settle_leg,
            now=self._now,
        )

    def transfer(self, destination: str) -> None:
        self._take_call()
        self._then = c.TransferCall(destination=destination)

    def hang_up(self, reason: c.EndReason) -> None:
        if reason is c.EndReason.PLAN_ENDED and self._fell_back:
            reason = c.EndReason.VOICE_UNAVAILABLE
        elif reason is c.EndReason.PLAN_ENDED and self._agent_ended:
            reason = c.EndReason.AGENT_HUNG_UP
        self._then = reason

    def _take_call(self) -> None:
        if not self._answered:
            self._answered = True
            self._emit(c.AnswerCall())

    # -- what the driver reports

    def _command(self, command: c.Command, now: float) -> None:
        talk = self._conversation
        match command:
            case c.CarrierClosed():
                self._end(c.EndReason.CARRIER_LOST)
            case c.HangUp():
                self._end(command.reason)
            case c.VoiceOpened():
                if talk is not None:
                    talk.opened(command.session, now)
            case c.VoiceEnded():
                if talk is not None:
                    talk.ended(command, now)
            case c.StandbySaid():
                if talk is not None:
                    talk.standby_said(command.session, command.event)
            case c.ClipReady():
                self._clip_ready(command)
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

    def _clip_ready(self, clip: c.ClipReady) -> None:
        if self._clip == clip.id and self._downlink is not None:
            self._clip = None
            self._downlink.sound(f"clip{clip.id}", clip.pcm)
        elif self._conversation is not None:
            self._conversation.clip_ready(clip.id, clip.pcm)

    def _clip_failed(self, detail: str) -> None:
        self._emit(c.Fact("clip.failed", {"detail": detail}))
        if self._then is c.EndReason.VOICE_UNAVAILABLE:
            self._end(c.EndReason.UNAPOLOGIZED)  # not even the apology can be had: the carrier says one
            return
        self._fall_back()

    def _transfer_refused(self, command: c.TransferRefused) -> None:
        self._emit(c.Fact("transfer.refused", {"destination": command.destination, "detail": command.detail}))
        if self._conversation is None or not self._conversation.transfer_refused(command.detail):
            self._fall_back()

    def _fall_back(self) -> None:
        """We cannot do what the plan wants: it says what happens then, or we say that we are sorry. Never silence."""
        self._close_conversation()
        self._clip = self._then = None
        self._fell_back = True
        if not self._steps.fall_back():
            self._apologize()

    def _apologize(self) -> None:
        self._clip = self._new_number()
        self._emit(c.LoadClip(id=self._clip, name=_APOLOGY))
        self._then = c.EndReason.VOICE_UNAVAILABLE

    # -- what the leg says

    def _settle_leg(self, now: float) -> bool:
        """Whether the leg had anything to say."""
        events = self._leg.events()
        for event in events:
            match event:
                case c.CallerAudio():
                    if self._mix is not None and self._codec is not None:
                        self._mix.caller(self._codec.decode(event.payload), now)
                    if self._conversation is not None:
                        self._conversation.carry(event.payload)
                case c.Heard():
                    if self._downlink is not None:
                        self._downlink.heard(event)
                case c.DigitPressed():
                    self._emit(c.Fact("digit.pressed"))
                    if self._conversation is not None:
                        self._conversation.press(event.digit, now)
                case c.LegStarted():
                    self._start(event)
                case c.LegPreviewed():
                    self._codec = CODECS[event.codec]
                    self._emit(c.Fact("media.previewed", {"codec": event.codec}))
                case c.LegDelayed():
                    if self._downlink is not None:
                        self._downlink.delayed(event.queued_ms, now)
                case c.LegHeld():
                    self._hold(event, now)
                case c.LegFact():
                    self._emit(c.Fact(event.name, event.fields))
                case c.LegTrouble():
                    self._emit(c.Fact("carrier.troubled", {"what": event.what, "detail": event.detail}))
                case c.LegEnded():
                    self._end(event.reason, event.detail)
                case _:
                    assert_never(event)
        outgoing = self._leg.outgoing()
        for data in outgoing:
            self._emit(c.CarrierMessage(data))
        return bool(events or outgoing)

    def _start(self, started: c.LegStarted) -> None:
        self._codec = CODECS[started.codec]
        self._downlink = Downlink(self._leg, self._codec, self._mix)
        fields = {"carrier_call": started.carrier_call_id, "codec": started.codec}
        self._emit(c.Fact("call.started", fields))
        self._steps.begin()

    def _hold(self, hold: c.LegHeld, now: float) -> None:
        self._emit(c.Fact("call.held" if hold.held else "call.resumed"))
        if self._downlink is None:
            raise AssertionError("a hold before the leg has started")
        if not hold.held:
            self._downlink.unpark()
            return
        self._downlink.clear(now)
        self._settle_leg(now)
        self._downlink.park(now)

    # -- after every input

    def _settle(self, now: float, *, ticked: bool) -> None:
        self._settle_leg(now)
        talk = self._conversation
        if self._downlink is not None and self.ended is None:
            if talk is not None and (wish := talk.take_wish()) is not None:
                self._grant(wish)
            if self._downlink.pump(now):
                if self._conversation is not None:
                    self._conversation.sent(now)
                self._settle_leg(now)
            if self._then is not None and self._clip is None and self._downlink.silent(now, ticked=ticked):
                self._go_on()
        if self._conversation is not None:
            self._conversation.flush()

    def _grant(self, wish: Wish) -> None:
        match wish:
            case EndCall():
                self._agent_ended = True
                self._then = c.Milestone.CONVERSED
            case Transfer():
                self._then = c.TransferCall(destination=wish.destination)
            case VoiceGone():
                self._fall_back()
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
        self._leg.leave(self._now)
        self._settle_leg(self._now)
        self._emit(c.Fact("call.ending", {"reason": reason.value, "detail": detail}))
        self._emit(c.Ended(reason))

    def _new_number(self) -> int:
        self._requests += 1
        return self._requests

    def _emit(self, output: c.Output) -> None:
        self._outputs.append(output)

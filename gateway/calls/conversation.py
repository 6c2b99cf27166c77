"""An agent talks with the caller: what the voice says becomes audio, cuts, tools and facts.

The sessions of the voice, interruptions, tools and silences are small cores of their own; here they meet.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, assert_never

import msgspec

from gateway import contracts as c
from gateway.audio.g711 import Codec
from gateway.calls.answers import Answers
from gateway.calls.barge_in import BargeIn
from gateway.calls.call_tools import EndCall, Tones, Transfer, built_in_tools
from gateway.calls.fillers import FILLER, WELCOME, Fillers
from gateway.calls.interruptions import Interruptions
from gateway.calls.keys import presses
from gateway.calls.paths import Downlink
from gateway.calls.recovery import Recovery
from gateway.calls.sessions import Sessions
from gateway.calls.settings import CallSettings
from gateway.calls.silences import STILL_THERE, Idle
from gateway.calls.tool_calls import ToolCalls
from gateway.voice import session_events as said
from gateway.voice.history import History
from gateway.voice.session_core import SessionCore, TurnDetection

if TYPE_CHECKING:
    import random

__all__ = ["Conversation", "VoiceGone", "Wish"]

_REFUSED = ("insufficient_quota", "invalid_api_key", "model_not_found")


class VoiceGone(msgspec.Struct, frozen=True):
    """No voice can be had any more."""


Wish = EndCall | Transfer | VoiceGone


class Conversation:
    """One `converse` step: the sessions of a voice on one side, the downlink on the other.

    `numbers` gives the next number for a session or a clip. `emit` takes outputs in order. `settle_leg` has the
    call read what the leg has to say at once. `interruptible`: the agent stops when the caller speaks.
    """

    def __init__(
        self,
        agent: c.Agent,
        settings: CallSettings,
        *,
        codec: Codec,
        downlink: Downlink,
        destinations: Collection[str],
        interruptible: bool,
        rng: "random.Random",
        numbers: Callable[[], int],
        emit: Callable[[c.Output], None],
        settle_leg: Callable[[float], object],
        now: float,
    ) -> None:
        self._agent = agent
        self._offered = built_in_tools(destinations)
        self._silence = codec.silence
        self._downlink = downlink
        self._numbers = numbers
        self._emit = emit
        self._turns = TurnDetection(create_response=not settings.barge_in.waits)
        self._sessions = Sessions(
            settings.voices,
            self._new_session,
            codec,
            numbers=numbers,
            emit=emit,
            renew_s=settings.renew_s,
            rng=rng,
        )
        self._interruptions = Interruptions(
            BargeIn(settings.barge_in, self._turns.silence_duration_ms / 1000),
            downlink,
            interruptible=interruptible,
            emit=emit,
            settle_leg=settle_leg,
            flush=self.flush,
        )
        self._idle = Idle(settings.idle_s)
        self._fillers = Fillers(numbers, emit)
        self._filler = FILLER
        self._recovery = Recovery(agent)
        self._tools = ToolCalls({tool.name for tool in agent.tools}, destinations, emit)
        self._dead_air_s = settings.dead_air_s
        self._answers = Answers(settings.dead_air_s, now)
        self._speaking = False  # the caller
        self._has_retried = False
        self._has_spoken = False  # the running response
        self._closing: Wish | None = None
        self._wish: Wish | None = None  # the same, until the call takes it

    def _new_session(self, voice: c.VoiceTraits, history: History) -> SessionCore:
        return SessionCore(self._agent, voice, tools=self._offered, turns=self._turns, history=history)

    @property
    def _session(self) -> SessionCore:
        return self._sessions.talking.session

    # -- what the call says

    def carry(self, payload: bytes) -> None:
        """The caller's next G.711. On hold he says nothing to us, whatever music there is."""
        self._sessions.carry(self._silence * len(payload) if self._downlink.parked else payload)

    def opened(self, number: int, now: float) -> None:
        """The connection of a session stands."""
        self._sessions.opened(number, now)
        if self._sessions.is_talking(number):
            self._answers.owe(now)  # it has to get ready, at least

    def ended(self, ended: c.VoiceEnded, now: float) -> None:
        """The connection of a session is gone, or could not be had."""
        if self._sessions.is_talking(ended.session):
            how = "refused" if ended.refused else "lost" if ended.busy_s is None else "busy"
            self._lose(how, ended.detail, now, retry_after_s=ended.busy_s or 0.0)
        else:
            self._sessions.standby_lost(ended.session, now, refused=ended.refused)

    def press(self, digit: str, now: float) -> None:
        """A key is a turn. Once the agent is done, it means nothing."""
        if self._closing is None:
            self._interruptions.pressed(self._session, now)
            self._session.press(digit)
            self._answers.turn_over(now)
            self._recover_if_away()

    def receive(self, event: str, now: float) -> None:
        """What the session that talks says."""
        session = self._session
        session.receive(event)
        for happened in session.events():
            self._take(happened, now)
        self._ask_after_tools(now)

    def standby_said(self, number: int, event: str) -> None:
        """What the session says that is to follow."""
        self._sessions.standby_said(number, event)

    def advance(self, now: float) -> None:
        """Time passes."""
        self._interruptions.advance(self._session, now)
        if self._sessions.talking.open_since is not None and self._answers.overdue(now):
            if self._recovery.hurry(self._session):
                self._answers.owe(now)
            else:
                self._lose("silent", f"no answer for {self._dead_air_s:g} s", now)
        away, quiet = self._sessions.lost_since is not None, self._quiet(now)
        self._fill(now, waiting=away and self._answers.owed)
        if self._sessions.advance(now, gap=quiet):
            self._emit(c.Fact("session.renewed"))
        if self._idle.due(now, quiet=quiet and not away):
            self._session.respond(STILL_THERE)
            self._answers.owe(now)
            self._emit(c.Fact("caller.idle"))

    def sent(self, now: float) -> None:
        """Audio went out."""
        latency_ms = self._answers.sent(now)
        if latency_ms is not None:
            self._emit(c.Fact("turn.answered", {"latency_ms": latency_ms}))

    def clip_ready(self, clip: int, pcm: bytes) -> None:
        """A clip that was asked for here can be played."""
        self._fillers.loaded(clip, pcm)

    def tool_done(self, call: str, output: str, now: float, *, failed: bool) -> None:
        """A tool has answered. One that was asked for in an earlier conversation means nothing."""
        self._tools.answered(self._session, call, output, failed=failed)
        self._ask_after_tools(now)

    def take_wish(self) -> Wish | None:
        """What the agent wants of the call, once; from then on it is heard to its end."""
        wish, self._wish = self._wish, None
        return wish

    def transfer_refused(self, detail: str) -> bool:
        """Tell the agent that its transfer failed; the conversation goes on. False when there is none to tell."""
        if not isinstance(self._closing, Transfer) or self._sessions.talking.closed:
            return False
        self._session.tool_answered(self._closing.call, f"The transfer failed: {detail}")
        self._closing = None
        return True

    def flush(self) -> None:
        """Hand on what the voice must be sent."""
        self._sessions.flush()

    def close(self) -> None:
        """The agent's part is over; nothing of its voice enters the call any more."""
        self._sessions.close()

    # -- what the voice says

    def _take(self, event: said.SessionEvent, now: float) -> None:
        match event:
            case said.AgentAudio():
                self._add_audio(event)
            case said.AgentAudioDone():
                self._downlink.finish(event.item)
            case said.SpeechStarted():
                self._caller_began(event, now)
            case said.SpeechStopped():
                self._caller_stopped(event, now)
            case said.TurnTaken():
                if self._closing is None:
                    self._interruptions.turn_taken(self._session, event.item)
            case said.Transcript():
                self._emit(c.Fact(f"{event.who}.said", {"text": event.text, "item": event.item}))
                if event.who == "caller":
                    self._written_down(event, now)
                else:
                    self._recovery.spoke(event.text, self._received_ms(event.item))
            case said.ResponseStarted():
                self._has_spoken = False
                if self._closing is not None:  # what the agent would still say keeps nobody waiting
                    self._session.cancel()
            case said.ResponseEnded():
                fields = {"status": event.status, "matched": event.matched, "code": event.code}
                self._emit(c.Fact("response.ended", {k: v for k, v in fields.items() if v is not None}))
                self._response_ended(event, now)
            case said.ToolCalled():
                self._call_tool(event)
            case said.SessionReady():
                self._begin(event.session_id)
            case said.UnknownEvent():
                self._emit(c.Fact("voice.troubled", {"code": "unknown_event", "message": event.type}))
            case said.VoiceTrouble():
                self._troubled(event, now)
            case _:
                assert_never(event)

    def _begin(self, session_id: str) -> None:
        """The session that talks is as we want it."""
        if self._sessions.talking.ready:
            return  # it was configured once more
        self._emit(c.Fact("session.ready", {"session": session_id}))
        self._go_on()

    def _go_on(self) -> None:
        """Ask the session that talks for what is wanted of it."""
        self._recovery.go_on(self._session)
        self._sessions.ready(asked=self._recovery.wanted)
        if not self._recovery.wanted:
            self._answers.came()

    def _recover_if_away(self) -> None:
        """A voice that is away is asked for what it owes when it is back."""
        if self._sessions.talking.open_since is None:
            self._recovery.owe()

    def _add_audio(self, event: said.AgentAudio) -> None:
        self._answers.came()
        self._has_spoken = True
        self._sessions.proved()
        self._recovery.heard()
        if not self._speaking:
            self._sessions.backlog.release()
        self._downlink.add(event.item, event.audio, self._session.traits.output)
        if self._downlink.overfull:
            self._emit(c.Fact("response.overran", {"item": event.item}))
            self._session.cancel()
            self._downlink.finish(event.item)

    def _response_ended(self, event: said.ResponseEnded, now: float) -> None:
        if event.status == "completed":
            self._has_retried = False
            self._recovery.heard()
            self._answers.came()
            if not self._downlink.speaking(now):
                self._answers.forget_turn()
        elif event.code in _REFUSED:
            self._lose("refused", event.code or "", now)
        elif event.code == "rate_limit_exceeded":
            self._lose("busy", event.code, now)
        elif event.status in ("failed", "incomplete") and not self._has_retried:
            self._retry(event.status, now)

    def _retry(self, status: str, now: float) -> None:
        if self._has_spoken and status == "incomplete":
            return  # it has said all it could
        self._has_retried = True
        if not self._has_spoken:
            self._session.respond()
        elif not self._recovery.carry_on(self._session):
            return  # all was said
        self._answers.owe(now)

    def _troubled(self, trouble: said.VoiceTrouble, now: float) -> None:
        self._emit(c.Fact("voice.troubled", {"code": trouble.code, "message": trouble.message}))
        if trouble.code == "session_expired":
            self._lose("expired", trouble.message, now)

    # -- the caller speaks

    def _caller_began(self, event: said.SpeechStarted, now: float) -> None:
        self._emit(c.Fact("caller.started"))
        self._speaking = True
        self._sessions.backlog.keep()
        self._answers.nothing_owed()
        if self._closing is None:  # the goodbye, or the word that a transfer comes, is heard to its end
            self._interruptions.began(self._session, event.item, now)

    def _caller_stopped(self, event: said.SpeechStopped, now: float) -> None:
        self._speaking = False
        self._emit(c.Fact("caller.stopped", {"silent_ms": round(event.silent_for_s * 1000)}))
        nothing = self._interruptions.stopped(self._session, event.lasted_ms, now)
        if self._closing is None and not nothing:
            self._answers.turn_over(now, event.silent_for_s)
            self._tools.asked()  # what answers him goes on from them

    def _written_down(self, event: said.Transcript, now: float) -> None:
        if not self._speaking:
            self._sessions.backlog.release()
        if self._interruptions.written_down(self._session, event.item, event.text, now):
            self._answers.nothing_owed()

    # -- silences and losses

    def _quiet(self, now: float) -> bool:
        """Nobody speaks, and nothing is under way."""
        return (
            not self._speaking
            and self._closing is None
            and not self._answers.owed
            and not self._session.responding
            and not self._tools.running
            and self._sessions.talking.ready
            and not self._downlink.parked
            and self._downlink.silent(now, ticked=True)
        )

    def _lose(self, how: str, detail: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """The session that talks is of no use any more."""
        self._emit(c.Fact("session.lost", {"how": how, "detail": detail}))
        if self._closing is not None:  # the agent had said its last word; what it wanted is done all the same
            self._sessions.close()
            return
        for item in self._session.unfinished:
            words = self._recovery.words_in(self._sessions.history.text(item), self._received_ms(item))
            self._sessions.history.cut(item, words)
            self._downlink.finish(item)
        self._recovery.lost(self._session, owed=self._answers.owed, speaking=self._speaking)
        self._interruptions.lost()
        self._speaking = False
        self._tools.asked()
        if self._recovery.wanted:
            self._answers.owe(now)
        if not self._sessions.fail(how, now, retry_after_s):
            self._wish = VoiceGone()
        elif self._sessions.talking.ready:  # the one that stood by talks now
            self._go_on()
        else:
            # A voice without room keeps the caller waiting; one that broke is soon back.
            at_start = how == "busy" and not self._sessions.history.messages
            self._filler = WELCOME if at_start else FILLER
            self._fillers.load(self._filler)

    def _received_ms(self, item: str) -> float:
        return self._downlink.ledger.item(item).received_ms

    def _fill(self, now: float, *, waiting: bool) -> None:
        sounding = waiting and self._downlink.speaking(now)
        pcm = self._fillers.due(self._filler, now, waiting=waiting, sounding=sounding)
        if pcm is not None:
            self._downlink.sound(f"filler{self._numbers()}", pcm)
            self._emit(c.Fact("filler.played", {"clip": self._filler}))

    # -- tools

    def _call_tool(self, call: said.ToolCalled) -> None:
        match self._tools.called(self._session, call):
            case (EndCall() | Transfer()) as wish:
                self._closing = self._wish = wish
                self._interruptions.lost()  # the goodbye is heard to its end
            case Tones() as tones:
                for digits, pcm in presses(tones, as_events=self._downlink.sends_digits):
                    self._downlink.sound(f"digits{self._numbers()}", pcm, digits)

    def _ask_after_tools(self, now: float) -> None:
        """The agent goes on once all of its calls are answered, and not in between: it would do so twice."""
        if not self._tools.due or self._speaking:
            return
        self._tools.asked()
        if self._closing is None:
            self._session.respond()
            self._answers.owe(now)
            self._recover_if_away()

"""What must outlive a stream: which call a stream belongs to, and what Twilio is told when it has ended.

Twilio asks three times about a call, and may ask each thing again: `/twilio/voice` when it comes in, the
stream itself with its one-time token, `/twilio/after` when `<Connect>` is over. Plain Python; `now` is in
seconds on any one clock.

    voice ──▶ token given ──▶ streaming ──finish──▶ ending known ──▶ after: hang up, apologize, dial
                  ▲               └──lost──▶ after: once more ──┐
                  └───────────────────── (twice at most) ◀──────┘
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never

import msgspec

from gateway.carriers.twilio import twiml
from gateway.incoming import Admission, Admit, Refuse

__all__ = ["IncomingCall", "LastWord", "Stream", "TwilioCalls"]

# Twilio opens the stream right after it has read our answer; 15 s is the most it waits for one.
TOKEN_S = 30.0
MOST_RESUMES = 2
# A signed request has no date, so that one which was captured can be sent again for ever. For a day, or for
# so many calls, it gets the answer it got; after that an answer that leads nowhere, for lack of a signed stream.
KEEP_S = 24 * 3600.0
MOST_CALLS = 10_000

IN_PROGRESS = "in-progress"
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

Verb = Literal["hangup", "apologize", "dial", "resume"]


class IncomingCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as Twilio describes it. `caller`, `called`: a number in E.164, a SIP URI, or what Twilio has."""

    call_sid: str
    account_sid: str
    caller: str
    called: str
    params: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Stream:
    """One stream of a call. `resumed`: how many streams the call has lost before this one.

    `ask`: to be called when Twilio, by what it asks, says that it is done with the stream.
    """

    incoming: IncomingCall
    resumed: int
    ask: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class LastWord:
    """What has to be done by REST, because Twilio did not ask. `twiml` of None: hang up."""

    call_sid: str
    twiml: str | None


@dataclass(slots=True, eq=False)
class _Call:
    incoming: IncomingCall
    began_at_s: float
    first_answer: str | None = None
    after_answer: str | None = None  # since the last stream began
    token: str | None = None
    token_until_s: float = 0.0
    stream: Stream | None = None  # the youngest one
    is_live: bool = False
    verb: Verb = "resume"
    dial: str = field(default_factory=twiml.apologize)
    resumes: int = 0
    is_over: bool = False  # at Twilio
    was_asked: bool = False  # about the youngest stream
    has_rest: bool = False  # the last word was said by REST


class TwilioCalls:
    """Every call that Twilio told us of, for a day.

    `route` says whether a call is taken. `connect(token)` is the TwiML that opens a stream with that token.
    `new_token` gives 128 random bits as text that a URL's path can hold.
    """

    def __init__(
        self,
        route: Callable[[IncomingCall], Admission],
        connect: Callable[[str], str],
        new_token: Callable[[], str],
    ) -> None:
        self._route = route
        self._connect = connect
        self._new_token = new_token
        self._calls: dict[str, _Call] = {}  # oldest first
        self._waiting: dict[str, _Call] = {}  # by token

    # -- what Twilio asks

    def voice(self, incoming: IncomingCall, now: float) -> str:
        """The TwiML for a call that comes in. Asked again about the same call, the same."""
        call = self._calls.get(incoming.call_sid)
        if call is None:
            call = self._add(incoming, now)
        if call.first_answer is None:
            call.first_answer = self._admit(call, now)
        return call.first_answer

    def after(self, incoming: IncomingCall, status: str, now: float) -> str:
        """The TwiML for a call whose `<Connect>` is over. The same until another stream of the call begins."""
        call = self._calls.get(incoming.call_sid)
        if status != IN_PROGRESS:
            self.status(incoming.call_sid, status)
            if call is not None and status in _OVER:
                self._asked(call)
            return twiml.hang_up()
        if call is None:  # another process took the call, and is gone
            call = self._add(incoming, now)
            call.resumes = 1
            call.after_answer = self._admit(call, now, refusal=twiml.apologize())
        self._asked(call)
        return self._after(call, incoming, now)

    def status(self, call_sid: str, status: str) -> None:
        """A hint of Twilio's, early, late or never: a call that is over needs no hanging up.

        It may overtake the `stop` on a stream that is live, whose own end says more.
        """
        call = self._calls.get(call_sid)
        if call is None or status not in _OVER:
            return
        call.is_over = True
        if call.is_live:
            call.was_asked = True
        else:
            self._asked(call)

    # -- the stream

    def waiting(self, now: float) -> int:
        """How many streams may still begin: their tokens were given, are not used, and not too old."""
        return sum(now < call.token_until_s and not call.is_over for call in self._waiting.values())

    def knows(self, token: str, now: float) -> bool:
        """The token was given, is not used, and not too old."""
        call = self._waiting.get(token)
        return call is not None and now < call.token_until_s

    def begin(self, token: str, now: float) -> Stream | None:
        """Use a token, once and for all. None: there is no such token, or no longer."""
        if not self.knows(token, now):
            return None
        call = self._waiting.pop(token)
        call.token = None
        call.after_answer = None
        call.verb = "resume"
        call.is_live = True
        call.was_asked = False
        call.stream = Stream(call.incoming, call.resumes)
        return call.stream

    def finish(self, stream: Stream, verb: Verb, *, dial: str | None = None) -> None:
        """A stream has ended, and this is how its call goes on. To be said before its connection is closed."""
        call = self._calls.get(stream.incoming.call_sid)
        if call is None or call.stream is not stream:
            return  # another stream of this call has begun since
        call.is_live = False
        call.verb = verb
        call.dial = dial or call.dial

    def abandon(self, stream: Stream) -> None:
        """A stream has ended without a word on how its call goes on: that was our fault."""
        call = self._calls.get(stream.incoming.call_sid)
        if call is not None and call.stream is stream and call.is_live:
            self.finish(stream, "apologize")

    def last_word(self, stream: Stream, now: float) -> LastWord | None:
        """What to do by REST about the call of a stream that has ended: something once, and then nothing."""
        call = self._calls.get(stream.incoming.call_sid)
        if call is None or call.stream is not stream or call.was_asked or call.is_over or call.has_rest:
            return None
        call.has_rest = True
        if call.verb == "hangup":
            return LastWord(stream.incoming.call_sid, None)
        return LastWord(stream.incoming.call_sid, self._after(call, stream.incoming, now))

    # -- answers

    def _admit(self, call: _Call, now: float, refusal: str | None = None) -> str:
        admission = self._route(call.incoming)
        match admission:
            case Admit():
                return self._offer(call, now)
            case Refuse():
                call.verb = "hangup"
                return refusal or twiml.reject(admission.reason)
            case _:
                assert_never(admission)

    def _after(self, call: _Call, incoming: IncomingCall, now: float) -> str:
        expired = call.token is not None and now >= call.token_until_s
        if call.after_answer is None or expired:
            call.after_answer = self._go_on(call, incoming, now)
        return call.after_answer

    def _go_on(self, call: _Call, incoming: IncomingCall, now: float) -> str:
        match call.verb:
            case "hangup":
                return twiml.hang_up()
            case "apologize":
                return twiml.apologize()
            case "dial":
                return call.dial
            case "resume":
                if call.resumes >= MOST_RESUMES:
                    return twiml.apologize()
                call.resumes += 1
                call.incoming = incoming
                return self._offer(call, now)
            case _:
                assert_never(call.verb)

    def _offer(self, call: _Call, now: float) -> str:
        """A stream with a new token; the one before it is void."""
        if call.token is not None:
            self._waiting.pop(call.token, None)
        call.token = self._new_token()
        call.token_until_s = now + TOKEN_S
        self._waiting[call.token] = call
        return self._connect(call.token)

    def _asked(self, call: _Call) -> None:
        call.was_asked = True
        if call.stream is not None:
            call.stream.ask()

    # -- bounds

    def _add(self, incoming: IncomingCall, now: float) -> _Call:
        while (sid := self._oldest(now)) is not None:
            gone = self._calls.pop(sid)
            if gone.token is not None:
                self._waiting.pop(gone.token, None)
        call = self._calls[incoming.call_sid] = _Call(incoming, now)
        return call

    def _oldest(self, now: float) -> str | None:
        """The oldest call that has to make room."""
        for sid, call in self._calls.items():
            if len(self._calls) < MOST_CALLS and now - call.began_at_s < KEEP_S:
                return None
            if not call.is_live:
                return sid
        return None

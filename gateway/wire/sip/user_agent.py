"""All of SIP that one process is, apart from sockets, names and who may call: RFC 3261 §8. A core.

    what comes:   receive, broken; found and reached, as `Find` and `Reach` want; time by advance at `deadline`
    what we do:   begin a session; take, refuse or drop who called; touch a session when one of its verbs was called
    what is to be done, and what happened: outgoing() and events(), after each of these

Every request of a session or of `ask` finds its way, and another if nobody takes it there. Who is no session's gets
what RFC 3261 has for him: OPTIONS an answer, an INVITE is `Called`, all else is refused.
"""

from typing import TYPE_CHECKING, assert_never

from gateway.wire.sip.acceptance import Abilities
from gateway.wire.sip.agent_words import Called as Called
from gateway.wire.sip.agent_words import Event as Event
from gateway.wire.sip.agent_words import Find as Find
from gateway.wire.sip.agent_words import Heard as Heard
from gateway.wire.sip.agent_words import Outgoing as Outgoing
from gateway.wire.sip.agent_words import Passed as Passed
from gateway.wire.sip.agent_words import Reach as Reach
from gateway.wire.sip.agent_words import Refused as Refused
from gateway.wire.sip.agent_words import Replied as Replied
from gateway.wire.sip.agent_words import Send as Send
from gateway.wire.sip.agent_words import SessionSaid as SessionSaid
from gateway.wire.sip.endpoint import SESSION_ABILITIES, Endpoint, Rows
from gateway.wire.sip.errand import Acknowledgement, ErrandWord, Outcome
from gateway.wire.sip.errands import Errands
from gateway.wire.sip.errands import Paths as Paths
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CALL_ID, TO
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.outside import Gate, Outside, was_call
from gateway.wire.sip.routing import Addresses, answer_flow, next_hop, stamp
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Acknowledge, Ask, Cancel, Forget, Respond, SessionWord
from gateway.wire.sip.sessions import Sessions
from gateway.wire.sip.steps import OVER
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.transaction import Timing
from gateway.wire.sip.transactions import (
    Acknowledged,
    Answered,
    Asked,
    Broken,
    ClientKey,
    Happened,
    Key,
    Over,
    ServerKey,
    TimedOut,
    Transactions,
    key_of,
)
from gateway.wire.sip.transactions import Send as SendMessage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from gateway.wire.sip.resolver import Target

__all__ = [
    "Called",
    "Event",
    "Find",
    "Heard",
    "Outgoing",
    "Passed",
    "Paths",
    "Reach",
    "Refused",
    "Replied",
    "Send",
    "SessionSaid",
    "UserAgent",
]


class UserAgent:
    """`addresses`: what we call ourselves. `strangers`: is told whom we send requests to. `rng`: nobody should guess it.

    `abilities`: what is taken outside of sessions. `paths`: what there is to send with. `gate`: who is answered at all;
    None: everybody. `most_transactions`: requests of others under way, of which more are dropped.
    """

    def __init__(
        self,
        addresses: Addresses,
        strangers: Strangers,
        rng: "Random",
        *,
        abilities: Abilities = SESSION_ABILITIES,
        paths: Paths | None = None,
        gate: Gate | None = None,
        timing: Timing | None = None,
        most_transactions: int = 20_000,
    ) -> None:
        self._addresses = addresses
        self._transactions = Transactions(timing, most=most_transactions)
        self._sessions = Sessions()
        self._errands = Errands(self._transactions, addresses, strangers, rng, paths or Paths())
        self._outside = Outside(self._transactions, abilities, rng, gate)
        self._served: dict[ServerKey, Session] = {}  # whose requests of others are
        self._outgoing: list[Outgoing] = []
        self._events: list[Event] = []

    def __len__(self) -> int:
        """How many sessions there are, those included that have ended and wait for the last answer."""
        return len(self._sessions)

    @property
    def draining_s(self) -> int | None:
        """To be set when no more calls are taken: INVITE and OPTIONS get a 503, and these seconds to come again after.

        None: calls are taken.
        """
        return self._outside.draining_s

    @draining_s.setter
    def draining_s(self, draining_s: int | None) -> None:
        self._outside.draining_s = draining_s

    # -- what we do

    def begin(self, session: Session, now: float) -> None:
        """Let a session call that was made by `Session.inviting`."""
        self._sessions.begin(session)
        self._carry(now)

    def touch(self, session: Session, now: float) -> None:
        """A verb of a session was called: carry out what it said."""
        self._sessions.touch(session)
        self._carry(now)

    def take(self, called: Called, endpoint: Endpoint, now: float) -> Session | None:
        """The session that a call begins; None: it is over already, cancelled, or `Refused` as RFC 3261 wants."""
        asked = called.asked
        if not self._outside.decide(called):
            return None
        session = self._sessions.invited(asked, endpoint, now)
        if session is None or session.state == OVER:
            self._carry(now)
            response = self._transactions.answer_to(asked.key)
            if response is not None:
                self._events.append(Refused(asked.request, response, asked.flow))
            return None
        self._served[asked.key] = session
        self._errands.invited(session, asked.flow)
        self._events.append(Passed(session, sent=False, message=asked.request, flow=asked.flow))
        self._carry(now)
        return session if asked.key in self._served else None

    def refuse(
        self, called: Called, status: int, now: float, rows: Rows = (), reason: str | None = None
    ) -> None:
        """Do not take a call. `rows`: headers that say why, or what would help. Harmless if it is over already."""
        self._outside.refuse(called, status, now, rows, reason)
        self._carry(now)

    def drop(self, called: Called) -> None:
        """Do not say a word to a call; if its INVITE comes again, it is `Called` again."""
        self._outside.drop(called)

    def ask(self, request: Request, now: float) -> None:
        """Send a request outside of any session (OPTIONS, REGISTER), which has no Via. `Replied` will follow."""
        self._errands.begin(request, next_hop(request), None, now)
        self._carry(now)

    # -- what comes

    def receive(self, message: Request | Response | SipSyntaxError, flow: Flow, now: float) -> bool:
        """A message came, or what the parser raised of one. False: it is a stranger's, and was dropped."""
        if isinstance(message, SipSyntaxError):
            if self._outside.is_unknown(flow.remote.host, now):
                return False
            answer = self._outside.unreadable(message, flow.remote.host, now)
            if answer is not None:
                self._send(answer, flow, None)
                if was_call(message):
                    self._events.append(Refused(None, answer, flow))
        elif isinstance(message, Request):
            stamp(message, flow)
            heard = self._knows(message) or self._outside.lets_in(message, flow.remote.host, now)
            if not heard:
                return False
            if isinstance(heard, Response):
                self._send(heard, answer_flow(message, flow), None)
                return True
            self._pass(message, flow)
            self._transactions.receive(message, answer_flow(message, flow), now, reliable=flow.reliable)
        elif self._addresses.is_ours(message, flow):
            self._pass(message, flow)
            self._transactions.receive(message, flow, now, reliable=flow.reliable)
        self._carry(now)
        return True

    def broken(self, flow: Flow, now: float) -> None:
        """A flow can carry nothing any more."""
        self._errands.broken(flow)
        self._transactions.broken(flow, now)
        self._carry(now)

    def found(self, errand: int, targets: "Iterable[Target]", now: float) -> None:
        """What `Find` asked for, in the order to try; none: it is not known."""
        self._errands.found(errand, targets, now)
        self._carry(now)

    def reached(self, errand: int, flow: Flow | None, now: float) -> None:
        """What `Reach` asked for; None: nobody can be reached there."""
        self._errands.reached(errand, flow, now)
        self._carry(now)

    def advance(self, now: float) -> None:
        """Time passes."""
        self._transactions.advance(now)
        self._sessions.advance(now)
        self._errands.advance(now)
        self._carry(now)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: no session, no request of ours or theirs, nothing that may have to be sent again."""
        known = (self._sessions, self._transactions, self._outside, self._served)
        return not any(known) and self._errands.is_idle

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do, or a little earlier."""
        deadlines = (self._transactions.deadline, self._sessions.deadline, self._errands.deadline)
        return min((at for at in deadlines if at is not None), default=None)

    def outgoing(self) -> list[Outgoing]:
        """What is to be done, in order, since the last call of this method."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def events(self) -> list[Event]:
        """What happened, in order, since the last call of this method."""
        events, self._events = self._events, []
        return events

    # -- from one part to the other

    def _carry(self, now: float) -> None:
        """Until nobody has anything to say."""
        while True:
            happened = self._transactions.happened()
            for each in happened:
                self._happened(each, now)
            said = self._sessions.said()
            for session, word in said:
                self._said(session, word, now)
            words = self._errands.words()
            for errand_word in words:
                self._went(errand_word, now)
            if not (happened or said or words):
                return

    def _happened(self, happened: Happened, now: float) -> None:
        match happened:
            case SendMessage(message, flow, key):
                self._send(message, flow, self._session_of(key))
            case Asked():
                self._asked(happened, now)
            case Acknowledged():
                self._sessions.receive(happened, now)
            case Answered(key, response):
                self._errands.answered(key, response, now)
            case TimedOut(ClientKey() as key):
                self._errands.unanswered(key, now, status=408)
            case Broken(ClientKey() as key):
                self._errands.unanswered(key, now, status=503)
            case TimedOut() | Broken():
                pass  # an answer that nobody waits for; who took a call finds out by himself
            case Over(ClientKey() as key):
                self._errands.over(key)
            case Over(ServerKey() as key):
                self._outside.over(key)
                self._served.pop(key, None)

    def _said(self, session: Session | None, word: SessionWord, now: float) -> None:
        match word:
            case Ask(request, hop):
                self._errands.begin(request, hop, session, now)
            case Acknowledge(request, hop):
                self._errands.acknowledge(request, hop, session, now)
            case Cancel(invite, rows):
                self._errands.cancel(invite, rows, now)
            case Forget(invite):
                self._errands.forget(invite)
            case Respond(key, response):
                self._transactions.respond(key, response, now)
            case _ if session is not None:
                self._events.append(SessionSaid(session, word))

    def _went(self, word: ErrandWord, now: float) -> None:
        match word:
            case Find() | Reach():
                self._outgoing.append(word)
            case Acknowledgement(errand, message, flow):
                self._send(message, flow, errand.session)
            case Outcome(errand, response) if errand.session is not None:
                self._sessions.answered(errand.request, response, now)
            case Outcome(errand, response):
                if response.status >= 200:
                    self._events.append(Replied(errand.request, response))
            case _:
                assert_never(word)

    def _send(self, message: Request | Response, flow: Flow, session: Session | None) -> None:
        self._outgoing.append(Send(message.encode(), flow))
        if session is not None:
            self._events.append(Passed(session, sent=True, message=message, flow=flow))

    # -- requests of others

    def _asked(self, asked: Asked, now: float) -> None:
        request = asked.request
        session = self._whose(request)
        if session is not None:
            self._served[asked.key] = session
        if self._outside.cancelled(asked, now) or self._sessions.receive(asked, now):
            return
        told = self._outside.asked(asked, now)
        if told is not None:
            self._events.append(told)

    # -- whose a message is

    def _pass(self, message: Request | Response, flow: Flow) -> None:
        session = self._whose(message)
        if session is not None:
            self._events.append(Passed(session, sent=False, message=message, flow=flow))

    def _knows(self, request: Request) -> bool:
        """Whether it is part of what goes on: of a transaction, of the call that it cancels, of a session."""
        key = key_of(request)
        if request.method == "CANCEL" and key._replace(method="INVITE") in self._transactions:
            return True
        return key in self._transactions or self._whose(request) is not None

    def _whose(self, message: Request | Response) -> Session | None:
        """Of what came: by its transaction, which may outlast the session; by the INVITE that it cancels; by its tag."""
        key = key_of(message)
        session = self._session_of(key)
        if session is not None or isinstance(message, Response):
            return session
        if message.method == "CANCEL":
            return self._session_of(key._replace(method="INVITE"))
        return self._sessions.named(message.headers[CALL_ID], message.headers[TO].tag)

    def _session_of(self, key: Key) -> Session | None:
        if isinstance(key, ClientKey):
            return self._errands.session_of(key)
        return self._served.get(key)

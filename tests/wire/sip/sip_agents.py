"""User agents of ours and the network between them, on one clock: what is sent is delayed, lost, doubled, overtaken."""

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.message import Request, Response, cancel_for, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.routing import new_branch, with_via
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import (
    Acknowledge,
    Ask,
    Cancel,
    Ended,
    Forget,
    Respond,
    SessionWord,
)
from gateway.wire.sip.sessions import Sessions
from gateway.wire.sip.transactions import (
    Acknowledged,
    Answered,
    Asked,
    Broken,
    ClientKey,
    Send,
    TimedOut,
    Transactions,
)
from gateway.wire.sip.uri import SipUri, Uri
from gateway.wire.sip.via import Via

__all__ = ["Agent", "Network", "Party", "Passed"]


class Passed(NamedTuple):
    """A message that was sent: by whom, when, and its first words."""

    at: float
    sender: str
    what: str
    message: Request | Response


class _Due(NamedTuple):
    at: float
    number: int
    to: str
    sender: str
    data: bytes


class Party(Protocol):
    """Who is on the network, by a name."""

    @property
    def deadline(self) -> float | None: ...

    def receive(self, data: bytes, sender: str) -> None: ...

    def advance(self) -> None: ...


class Network:
    """`delay_s`: at least and at most, so that one may overtake another. `loss`, `doubles`: how often, from 0 to 1."""

    def __init__(
        self,
        seed: int = 0,
        *,
        delay_s: tuple[float, float] = (0.01, 0.01),
        loss: float = 0.0,
        doubles: float = 0.0,
    ) -> None:
        self.now = 0.0
        self.agents: dict[str, Party] = {}
        self.passed: list[Passed] = []
        self.heard: list[Response] = []  # which a transaction told its user
        self.loses: Callable[[Passed], bool] = lambda _passed: False
        self._rng = Random(seed)
        self._delay_s = delay_s
        self._loss = loss
        self._doubles = doubles
        self._under_way: list[_Due] = []
        self._later: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()

    def send(self, sender: str, to: str, message: Request | Response) -> None:
        what = (
            message.method
            if isinstance(message, Request)
            else f"{message.status} {message.headers['CSeq'].split()[1]}"
        )
        passed = Passed(round(self.now, 3), sender, what, message)
        self.passed.append(passed)
        if self.loses(passed):
            return
        copies = 2 if self._rng.random() < self._doubles else 1
        for _ in range(copies):
            if self._rng.random() >= self._loss:
                at = self.now + self._rng.uniform(*self._delay_s)
                heapq.heappush(self._under_way, _Due(at, next(self._numbers), to, sender, message.encode()))

    def later(self, pause_s: float, do: Callable[[], Any]) -> None:
        heapq.heappush(self._later, (self.now + pause_s, next(self._numbers), do))

    def run(self, until: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        while (at := self._next()) is not None and at <= until:
            self.now = max(self.now, at)
            while self._under_way and self._under_way[0].at <= self.now:
                due = heapq.heappop(self._under_way)
                self.agents[due.to].receive(due.data, due.sender)
            while self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            for agent in self.agents.values():
                agent.advance()
        self.now = until

    def settle(self, most_s: float = 500.0) -> float:
        """Let time pass until nothing is due. When that was."""
        until = self.now + most_s
        while (at := self._next()) is not None and at <= until:
            self.run(at)
        return self.now

    def ladder(self, start: int = 0) -> list[str]:
        """Who sent what, in order."""
        return [f"{each.sender}: {each.what}" for each in self.passed[start:]]

    def _next(self) -> float | None:
        deadlines = [agent.deadline for agent in self.agents.values()]
        deadlines += [waiting[0][0] for waiting in (self._under_way, self._later) if waiting]
        return min((at for at in deadlines if at is not None), default=None)


class Agent:
    """All that one user agent is, apart from sockets. `told`: what each of its sessions said, without messages.

    `hears`: called with each of these as it comes.
    """

    def __init__(self, name: str, network: Network, seed: int = 1, **endpoint: Any) -> None:
        self.name = name
        self.network = network
        rng = Random(seed)
        contact = NameAddr(SipUri(user=name, host=f"{name}.example"))
        self.endpoint = Endpoint(contact=contact, rng=rng, **endpoint)
        self.address = contact
        self.transactions = Transactions()
        self.sessions = Sessions()
        self.calls: list[Session] = []
        self.told: dict[Session, list[SessionWord]] = {}
        self.forgotten: list[Request] = []
        self.hears: Callable[[Agent, Session, SessionWord], None] = lambda _agent, _session, _word: None
        self._rng = rng
        self._asked: dict[ClientKey, Request] = {}
        self._sent: list[tuple[Request, Request, str]] = []  # as it was asked, as it was sent, and where to
        network.agents[name] = self

    # -- what it does

    def call(self, uri: Uri, description: bytes | None = b"offer", **more: Any) -> Session:
        session = Session.inviting(
            uri,
            self.endpoint,
            self.network.now,
            local=self.address,
            description=description,
            **more,
        )
        self._begin(session)
        self.sessions.begin(session)
        self.carry()
        return session

    def does(self, session: Session, verb: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Do something with a session, and send what it says."""
        done = verb(*args, **more)
        self.sessions.touch(session)
        self.carry()
        return done

    def words(self, session: Session, *kinds: type) -> list[SessionWord]:
        return [word for word in self.told[session] if isinstance(word, kinds or (object,))]

    @property
    def ended(self) -> list[Ended]:
        return [word for words in self.told.values() for word in words if isinstance(word, Ended)]

    # -- what comes

    def receive(self, data: bytes, sender: str) -> None:
        self.transactions.receive(parse_datagram(data), sender, self.network.now, reliable=False)
        self.carry()

    def advance(self) -> None:
        self.transactions.advance(self.network.now)
        self.sessions.advance(self.network.now)
        self.carry()

    @property
    def deadline(self) -> float | None:
        deadlines = (self.transactions.deadline, self.sessions.deadline)
        return min((at for at in deadlines if at is not None), default=None)

    # -- the user agent's core

    def carry(self) -> None:
        while True:
            happened = self.transactions.happened()
            for each in happened:
                self._happened(each)
            said = self.sessions.said()
            for session, word in said:
                self._say(session, word)
            if not happened and not said:
                return

    def _happened(self, happened: Any) -> None:
        now = self.network.now
        match happened:
            case Send(message, flow):
                self.network.send(self.name, flow, message)
            case Asked() | Acknowledged() if self.sessions.receive(happened, now):
                pass
            case Asked(key, request) if request.method == "INVITE":
                session = self.sessions.invited(happened, self.endpoint, now)
                if session is not None:
                    self._begin(session)
            case Asked(key, request):
                self.transactions.respond(key, response_to(request, 501, to_tag="x"), now)
            case Answered(key, response) if key in self._asked:
                self.network.heard.append(response)
                self.sessions.answered(self._asked[key], response, now)
            case TimedOut(key) | Broken(key) if key in self._asked:
                self.sessions.unanswered(self._asked[key], now)

    def _say(self, session: Session | None, word: SessionWord) -> None:
        now = self.network.now
        match word:
            case Ask(request, next_hop):
                to = self._name_of(next_hop)
                sent = with_via(request, self._via())
                self._sent.append((request, sent, to))
                self._asked[self.transactions.ask(sent, to, now, reliable=False)] = request
            case Acknowledge(request, next_hop):
                found = [sent for asked, sent, _ in self._sent if asked is request]
                sent = found[0] if found else with_via(request, self._via())
                if not found:
                    self._sent.append((request, sent, ""))
                self.network.send(self.name, self._name_of(next_hop), sent)
            case Cancel(invite, rows):
                sent, to = next((sent, to) for asked, sent, to in self._sent if asked is invite)
                cancel = cancel_for(sent)
                for name, text in rows:
                    cancel.headers.add(name, text)
                self.transactions.ask(cancel, to, now, reliable=False)
            case Respond(key, response):
                self.transactions.respond(key, response, now)
            case Forget(invite):
                self.forgotten.append(invite)
            case _ if session is not None:
                self.told[session].append(word)
                self.hears(self, session, word)

    def _begin(self, session: Session) -> None:
        self.calls.append(session)
        self.told[session] = []

    def _via(self) -> Via:
        via = Via(transport="UDP", host=f"{self.name}.example")
        return Via.parse(f"{via};branch={new_branch(self._rng)}")

    def _name_of(self, uri: Any) -> str:
        return str(uri.host).partition(".")[0]

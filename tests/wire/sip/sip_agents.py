"""User agents of ours and the network between them, on one clock: what is sent is delayed, lost, doubled, overtaken."""

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol, assert_never

from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Ended, SessionWord
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.uri import SipUri, Uri
from gateway.wire.sip.user_agent import (
    Called,
    Event,
    Find,
    Outgoing,
    Passed,
    Reach,
    Replied,
    Send,
    SessionSaid,
    UserAgent,
)

__all__ = ["Agent", "Network", "Party", "Sent"]

PORT = 5060


class Sent(NamedTuple):
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
        self.passed: list[Sent] = []
        self.loses: Callable[[Sent], bool] = lambda _sent: False
        self._rng = Random(seed)
        self._delay_s = delay_s
        self._loss = loss
        self._doubles = doubles
        self._under_way: list[_Due] = []
        self._later: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()
        self._hosts: dict[str, str] = {}  # the address of each name

    def host_of(self, name: str) -> str:
        """The address of somebody, from now on."""
        return self._hosts.setdefault(name, f"192.0.2.{len(self._hosts) + 1}")

    def name_at(self, host: str) -> str:
        """Who is there. Of an address that nobody was given here, whoever is called as it begins."""
        names = {address: name for name, address in self._hosts.items()}
        return names.get(host, host.partition(".")[0])

    def send(self, sender: str, to: str, message: Request | Response | bytes) -> None:
        data = message if isinstance(message, bytes) else message.encode()
        try:
            message = parse_datagram(data)
        except SipSyntaxError:  # an answer repeats what it answers; who wrote that does not listen
            return
        what = (
            message.method
            if isinstance(message, Request)
            else f"{message.status} {message.headers['CSeq'].split()[1]}"
        )
        passed = Sent(round(self.now, 3), sender, what, message)
        self.passed.append(passed)
        if self.loses(passed):
            return
        copies = 2 if self._rng.random() < self._doubles else 1
        for _ in range(copies):
            if self._rng.random() >= self._loss:
                at = self.now + self._rng.uniform(*self._delay_s)
                heapq.heappush(self._under_way, _Due(at, next(self._numbers), to, sender, data))

    def later(self, pause_s: float, do: Callable[[], Any]) -> None:
        heapq.heappush(self._later, (self.now + pause_s, next(self._numbers), do))

    def run(self, until: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        while (at := self._next()) is not None and at <= until:
            self.now = max(self.now, at)
            while self._under_way and self._under_way[0].at <= self.now:
                due = heapq.heappop(self._under_way)
                if due.to in self.agents:  # else it is lost
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
    """A user agent on the network. `told`: what each of its sessions said, without messages; `heard`: what came to them.

    `hears`: called with each word as it comes. `decides`: about who calls. `events`: all that happened.
    `finds`: the DNS. `down`: who cannot be reached. `endpoint`: of its sessions; `agent`: of itself.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        seed: int = 1,
        *,
        agent: dict[str, Any] | None = None,
        **endpoint: Any,
    ) -> None:
        self.name = name
        self.network = network
        self.rng = Random(seed)
        self.host = network.host_of(name)
        self.address = NameAddr(SipUri(user=name, host=f"{name}.example"))
        self.endpoint = Endpoint(contact=self.address, rng=self.rng, **endpoint)
        self.strangers = Strangers({})
        addresses = Addresses({"UDP": PORT, "TCP": PORT})
        self.agent = UserAgent(addresses, self.strangers, self.rng, **(agent or {}))
        self.calls: list[Session] = []
        self.told: dict[Session, list[SessionWord]] = {}
        self.events: list[Event] = []
        self.hears: Callable[[Agent, Session, SessionWord], None] = lambda _agent, _session, _word: None
        self.decides: Callable[[Called], None] = self.take
        self.finds: Callable[[SipUri], tuple[Target, ...]] = self.find
        self.down: set[Address] = set()
        network.agents[name] = self

    # -- what it does

    def call(self, uri: Uri, description: bytes | None = b"offer", **more: Any) -> Session:
        now = self.network.now
        session = Session.inviting(
            uri, self.endpoint, now, local=self.address, description=description, **more
        )
        self._begin(session)
        self.agent.begin(session, now)
        self.carry()
        return session

    def take(self, called: Called) -> None:
        session = self.agent.take(called, self.endpoint, self.network.now)
        if session is not None:
            self._begin(session)

    def does(self, session: Session, verb: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Do something with a session, and send what it says."""
        done = verb(*args, **more)
        self.agent.touch(session, self.network.now)
        self.carry()
        return done

    def find(self, uri: SipUri) -> tuple[Target, ...]:
        """By the first word of a name, over UDP whatever the URI says."""
        host = self.network.host_of(uri.host.partition(".")[0])
        return (Target("UDP", Address(host, uri.port or PORT), uri.host),)

    # -- what there is to see

    def words(self, session: Session, *kinds: type) -> list[SessionWord]:
        return [word for word in self.told[session] if isinstance(word, kinds or (object,))]

    @property
    def ended(self) -> list[Ended]:
        return [word for words in self.told.values() for word in words if isinstance(word, Ended)]

    @property
    def passed(self) -> list[Passed]:
        """Its messages, as its sessions know them."""
        return [each for each in self.events if isinstance(each, Passed)]

    @property
    def replied(self) -> list[Replied]:
        return [each for each in self.events if isinstance(each, Replied)]

    @property
    def heard(self) -> list[Response]:
        """Responses that came to requests of its sessions."""
        return [each.message for each in self.passed if isinstance(each.message, Response) and not each.sent]

    def __len__(self) -> int:
        return len(self.agent)

    # -- what comes

    def receive(self, data: bytes, sender: str) -> None:
        self.receive_by(self.flow_to(self.network.host_of(sender)), data)

    def receive_by(self, flow: Flow, data: bytes) -> None:
        message: Request | Response | SipSyntaxError
        try:
            message = parse_datagram(data)
        except SipSyntaxError as error:
            message = error
        self.agent.receive(message, flow, self.network.now)
        self.carry()

    def advance(self) -> None:
        self.agent.advance(self.network.now)
        self.carry()

    @property
    def deadline(self) -> float | None:
        return self.agent.deadline

    def flow_to(self, host: str, port: int = PORT) -> Flow:
        return Flow("UDP", Address(self.host, PORT), Address(host, port))

    # -- its driver

    def carry(self) -> None:
        """Do what the user agent wants done, and hear what happened."""
        while (outgoing := self.agent.outgoing()) or (events := self.agent.events()):
            if outgoing:
                for each in outgoing:
                    self._do(each)
            else:
                for event in events:
                    self.events.append(event)
                    self._happens(event)

    def _do(self, what: Outgoing) -> None:
        now = self.network.now
        match what:
            case Send(data, flow):
                if flow.remote in self.down:
                    self.agent.broken(flow, now)
                else:
                    self.network.send(self.name, self.network.name_at(flow.remote.host), data)
            case Find(errand, uri):
                self.agent.found(errand, self.finds(uri), now)
            case Reach(errand, target):
                self.agent.reached(errand, self._reach(target), now)
            case _:
                assert_never(what)

    def _reach(self, target: Target) -> Flow | None:
        if target.transport == "UDP":
            return self.flow_to(*target.address)
        local = Address(self.host, 40_000)
        return None if target.address in self.down else Flow(target.transport, local, target.address, 1)

    def _happens(self, event: Event) -> None:
        if isinstance(event, Called):
            self.decides(event)
        elif isinstance(event, SessionSaid):
            self.told[event.session].append(event.word)
            self.hears(self, event.session, event.word)

    def _begin(self, session: Session) -> None:
        self.calls.append(session)
        self.told[session] = []

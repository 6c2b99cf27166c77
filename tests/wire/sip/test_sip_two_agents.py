"""Agents of ours call each other through a network that loses, doubles and reorders, and end at random moments."""

from collections.abc import Callable
from functools import partial
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import (
    Confirmed,
    Ended,
    OfferDue,
    Offered,
    Progressed,
    SessionWord,
    TransferAsked,
)
from gateway.wire.sip.uri import Uri
from tests.wire.sip.sip_agents import Agent, Network

NAMES = ("anna", "bob", "carol")
ACTS = ("hang up", "hold", "refer", "inform")
MOMENTS_S = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 20.0, 65.0, 120.0)
LAST_MOMENT_S = 250.0

Plan = list[tuple[float, int, str]]
"""When somebody does what."""


class Person:
    """Does by chance what people do with their agent."""

    def __init__(self, agent: Agent, seed: int, friends: list[Agent]) -> None:
        self.agent = agent
        self.friends = friends
        self.rng = Random(seed)
        self.wanted_in: dict[Session, Session] = {}  # a call that a REFER asked for: the one it was asked in
        agent.hears = self.hears

    @property
    def now(self) -> float:
        return self.agent.network.now

    def hears(self, agent: Agent, session: Session, word: SessionWord) -> None:
        match word:
            case Offered():
                self.later(lambda: self.decide(session))
            case OfferDue():
                self.later(lambda: agent.does(session, session.offer, b"another offer", self.now))
            case TransferAsked(target=target):
                self.later(lambda: self.transfer(session, target))
            case Progressed(response):
                self.tell(session, response.status)
            case Confirmed():
                self.tell(session, 200)
            case Ended():
                self.tell(session, 487)

    def later(self, do: Callable[[], object]) -> None:
        self.agent.network.later(self.rng.choice((0.0, 0.05, 0.3, 2.0)), do)

    def decide(self, session: Session) -> None:
        if session.state == "invited" and self.rng.random() < 0.6:
            preview = self.rng.choice((None, b"answer"))
            offered = self.agent.told[session][0]
            if isinstance(offered, Offered) and offered.description is None:
                preview = None
            self.agent.does(session, session.ring, self.now, 183 if preview else 180, preview)
            self.later(lambda: self.answer(session))
        else:
            self.answer(session)

    def answer(self, session: Session) -> None:
        if self.rng.random() < 0.8:
            self.agent.does(session, session.accept, b"answer", self.now)
        else:
            self.agent.does(session, session.refuse, self.rng.choice((486, 488, 603)), self.now)

    def transfer(self, session: Session, target: Uri) -> None:
        if self.rng.random() < 0.3:
            self.agent.does(session, session.referral.refuse, self.now)
        elif self.agent.does(session, session.referral.accept, self.now):
            self.wanted_in[self.agent.call(target)] = session

    def tell(self, session: Session, status: int) -> None:
        if session in self.wanted_in:
            referred = self.wanted_in[session]
            self.agent.does(referred, referred.referral.tell, status, self.now)

    def act(self, what: str) -> None:
        """With every call there is."""
        for session in list(self.agent.calls):
            match what:
                case "hang up":
                    self.agent.does(session, session.hang_up, self.now)
                case "hold":
                    self.agent.does(session, session.renegotiate)
                case "inform":
                    self.agent.does(session, session.inform, b"Signal=1", "application/dtmf-relay")
                case "refer":
                    friend = self.rng.choice(self.friends)
                    self.agent.does(session, session.refer, friend.address.uri, self.now)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from((0.0, 0.05, 0.2, 0.4)),
    doubles=st.sampled_from((0.0, 0.2)),
    slowest_s=st.sampled_from((0.02, 0.3, 1.5)),
    expires_s=st.sampled_from((None, 90, 1800)),
    plan=st.lists(
        st.tuples(st.sampled_from(MOMENTS_S), st.integers(0, 2), st.sampled_from(ACTS)), max_size=8
    ),
)
def test_whatever_the_network_does_every_call_ends_once_on_both_sides_and_leaves_nothing(
    *, seed: int, loss: float, doubles: float, slowest_s: float, expires_s: int | None, plan: Plan
):
    network = Network(seed, delay_s=(0.005, slowest_s), loss=loss, doubles=doubles)
    agents = [Agent(name, network, seed + number, expires_s=expires_s) for number, name in enumerate(NAMES)]
    people = [Person(agent, seed + number, agents) for number, agent in enumerate(agents, 10)]
    agents[0].call(agents[1].address.uri)
    agents[1].call(agents[0].address.uri, None)
    for at, who, what in plan:
        network.later(at, partial(people[who].act, what))
    for person in people:
        network.later(LAST_MOMENT_S, partial(person.act, "hang up"))

    network.settle(2500.0)

    for agent in agents:
        assert {ends(words) for words in agent.told.values()} <= {1}
        assert all(session.finished for session in agent.told)
        assert len(agent) == 0
        assert agent.agent.is_idle
        assert agent.deadline is None
        assert {name_of(each) for each in agent.heard if is_taken(each)} <= acknowledged(network)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from((0.0, 0.1, 0.2)),
    holds=st.lists(st.tuples(st.floats(0.0, 7000.0), st.integers(0, 1)), max_size=10),
)
def test_a_call_that_nobody_ends_lasts_for_two_hours_whatever_is_lost(
    seed: int, loss: float, holds: list[tuple[float, int]]
):
    network = Network(seed, delay_s=(0.005, 0.2), loss=loss, doubles=0.1)
    agents = [Agent(name, network, seed + number, expires_s=180) for number, name in enumerate(NAMES)]
    for agent in agents:
        agent.hears = patient
    agents[0].call(agents[1].address.uri)
    for at, who in holds:
        network.later(at, partial(hold, agents[who]))

    network.run(7200.0)

    assert [agent.calls[0].state for agent in agents[:2]] == ["confirmed", "confirmed"]
    assert sum(each.what == "UPDATE" for each in network.passed) >= 7200 // 90 - 1 - len(holds)


def patient(agent: Agent, session: Session, word: SessionWord) -> None:
    """Takes whatever is offered, at once."""
    now = agent.network.now
    if isinstance(word, Offered):
        agent.network.later(0.0, lambda: agent.does(session, session.accept, b"answer", now))
    elif isinstance(word, OfferDue):
        agent.network.later(0.0, lambda: agent.does(session, session.offer, b"offer", now))


def hold(agent: Agent) -> None:
    for session in agent.calls:
        agent.does(session, session.renegotiate)


def ends(words: list[SessionWord]) -> int:
    return sum(isinstance(word, Ended) for word in words)


def is_taken(response: Response) -> bool:
    return 200 <= response.status < 300 and response.headers["CSeq"].endswith("INVITE")


def acknowledged(network: Network) -> set[tuple[str, str, str]]:
    return {name_of(each.message) for each in network.passed if each.what == "ACK"}


def name_of(message: Request | Response) -> tuple[str, str, str]:
    """What an ACK has in common with the 2xx that it is for."""
    headers = message.headers
    return headers["Call-ID"], headers["CSeq"].split()[0], headers["To"].rpartition("tag=")[2]

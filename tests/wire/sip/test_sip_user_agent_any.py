"""Whatever comes, a user agent answers it with the status that it deserves, or drops it, and raises nothing."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.session_words import Ended, Offered, SessionWord
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Send
from tests.wire.sip.corpus import CALL_FLOWS, CAPTURED, IPV6, TORTURE
from tests.wire.sip.sip_agents import PORT, Agent, Network

MESSAGES = {**TORTURE, **IPV6, **CAPTURED, **CALL_FLOWS}
THEM = Address("198.51.100.1", 5060)


def agent_and_flow() -> tuple[Agent, Flow]:
    us = Agent("us", Network())
    return us, us.flow_to(*THEM)


def read(data: bytes) -> Request | Response | SipSyntaxError:
    try:
        return parse_datagram(data)
    except SipSyntaxError as error:
        return error


def answers_to(us: Agent, flow: Flow, data: bytes) -> list[int]:
    """What it is answered with, all of it to who asked."""
    us.agent.receive(read(data), flow, 0.0)
    sends = [each for each in us.agent.outgoing() if isinstance(each, Send)]
    assert {each.flow.remote.host for each in sends} <= {THEM.host}
    return [int(each.data.split()[1]) for each in sends]


def statuses(data: bytes) -> tuple[list[int], bool]:
    """What it is answered with, and whether somebody calls."""
    us, flow = agent_and_flow()
    answers = answers_to(us, flow, data)
    return answers, any(isinstance(each, Called) for each in us.agent.events())


def deserved(data: bytes) -> list[tuple[list[int], bool]]:
    """What it may be answered with, and whether it may be a call: one of these."""
    message = read(data)
    if isinstance(message, SipSyntaxError):
        return [([] if message.status is None else [message.status], False)]
    if isinstance(message, Response) or message.method == "ACK":
        return [([], False)]
    answers = [([status], False) for status in range(200, 600)]
    return [([], True), *answers] if message.method == "INVITE" else answers


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_of_others_is_answered_once_or_dropped_or_calls(name: str):
    data = MESSAGES[name]

    answered, calls = statuses(data)

    assert (answered, calls) in deserved(data)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("asterisk1628-00-INVITE", None),
        ("badvers", 505),
        ("bext01", 420),
        ("insuf", 400),
        ("invut", 415),
        ("ncl", 400),
        ("novelsc", 416),
        ("scalar02", 400),
        ("unkscm", 416),
    ],
)
def test_the_torture_messages_get_what_their_rfc_says(name: str, status: int | None):
    answered, calls = statuses(MESSAGES[name])

    assert answered == ([] if status is None else [status])
    assert calls == (status is None)


def test_who_sends_nothing_readable_is_answered_five_times_at_once_and_no_more():
    us, flow = agent_and_flow()

    answered = [len(answers_to(us, flow, TORTURE["badvers"])) for _ in range(8)]

    assert answered == [1] * 5 + [0] * 3


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(MESSAGES)), min_size=1, max_size=6),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 60), st.binary(max_size=6)), max_size=3),
)
def test_any_messages_of_others_in_any_order_are_survived_and_forgotten(
    names: list[str], cuts: list[tuple[int, int, bytes]]
):
    network = Network()
    us = Agent("us", network)
    us.hears = answering
    for number, name in enumerate(names):
        data = MESSAGES[name]
        for start, length, instead in cuts[: number + 1]:
            data = data[:start] + instead + data[start + length :]
        us.receive_by(us.flow_to(*THEM), data)

    network.settle(3000.0)

    assert len(us) == 0
    assert us.agent.is_idle


def answering(agent: Agent, session: object, word: SessionWord) -> None:
    if isinstance(word, Offered):
        call = agent.calls[-1]
        agent.network.later(0.0, partial(agent.does, call, call.accept, b"answer", agent.network.now))


class Company:
    """anna, and a trunk of three places; each of them may be there, be down, be full, or say nothing."""

    def __init__(self, seed: int, loss: float, doubles: float, slowest_s: float, places: list[str]) -> None:
        self.network = Network(seed, delay_s=(0.005, slowest_s), loss=loss, doubles=doubles)
        self.anna = Agent("anna", self.network, seed)
        self.anna.finds = self.finds
        self.hosts: list[str] = []
        for number, does in enumerate(places):
            name = f"place{number}"
            self.hosts.append(self.network.host_of(name))
            if does == "down":
                self.anna.down.add(Address(self.hosts[-1], PORT))
            elif does != "silent":
                place = Agent(name, self.network, seed + number)
                place.agent.draining_s = 5 if does == "full" else None
                place.hears = answering

    def finds(self, uri: SipUri) -> tuple[Target, ...]:
        host = uri.host.partition(".")[0]
        if host == "trunk":
            return tuple(Target("UDP", Address(each, PORT), uri.host) for each in self.hosts)
        return self.anna.find(uri)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from((0.0, 0.1, 0.3)),
    doubles=st.sampled_from((0.0, 0.2)),
    slowest_s=st.sampled_from((0.01, 0.3, 1.5)),
    places=st.lists(st.sampled_from(("there", "there", "down", "full", "silent")), max_size=3),
    leaves_at=st.sampled_from((0.0, 0.02, 0.5, 3.0, 4.5, 20.0, 200.0)),
)
def test_however_a_trunk_is_every_call_ends_once_and_leaves_nothing(
    *, seed: int, loss: float, doubles: float, slowest_s: float, places: list[str], leaves_at: float
):
    company = Company(seed, loss, doubles, slowest_s, places)
    anna, network = company.anna, company.network
    session = anna.call(SipUri(user="+15550100", host="trunk.example"))
    network.later(leaves_at, lambda: anna.does(session, session.hang_up, network.now))

    network.settle(3000.0)

    for agent in network.agents.values():
        assert isinstance(agent, Agent)
        assert all(sum(isinstance(word, Ended) for word in words) == 1 for words in agent.told.values())
        assert agent.agent.is_idle
        assert agent.deadline is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), places=st.permutations(("there", "down", "full", "silent")))
def test_a_call_gets_through_as_long_as_one_place_is_there(seed: int, places: list[str]):
    company = Company(seed, 0.0, 0.0, 0.02, places)
    anna = company.anna

    session = anna.call(SipUri(user="+15550100", host="trunk.example"))
    company.network.run(10.0)

    assert session.state == "confirmed"

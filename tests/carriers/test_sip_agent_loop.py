"""The loop around the user agent: what it goes on through, and what it does when it is over."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import structlog
import trio
from trio.testing import MockClock

from gateway.carriers.sip.agent_loop import AgentLoop
from gateway.carriers.sip.transport import Unreachable
from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Event, UserAgent

US, THEM = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)
ELSEWHERE = Address("192.0.2.3", 5060)
FLOW = Flow("UDP", US, THEM)


class Wires:
    """In the place of sockets and of the DNS. `sent`: first lines, of `data`. `down`: who cannot be reached.

    `far`: who is not there at once, but must be dialled.
    """

    def __init__(self, *places: Address) -> None:
        self.sent: list[str] = []
        self.data: list[bytes] = []
        self.down: set[Address] = set()
        self.far: set[Address] = set()
        self.places = places or (THEM,)

    def send(self, _flow: Flow, data: bytes) -> bool:
        self.data.append(data)
        self.sent.append(data.partition(b"\r\n")[0].decode())
        return True

    def reached_now(self, target: Target, _local: Address | None = None) -> Flow | None:
        return None if target.address in self.down | self.far else Flow("UDP", US, target.address)

    async def reach(self, target: Target, _local: Address | None = None) -> Flow:
        await trio.lowlevel.checkpoint()
        if target.address in self.down:
            raise Unreachable(f"nobody is at {target.address.host}")
        self.far.discard(target.address)
        return Flow("UDP", US, target.address)

    async def targets(self, uri: SipUri) -> tuple[Target, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(Target("UDP", each, uri.host) for each in self.places)


def nothing(_told: object) -> None:
    pass


@asynccontextmanager
async def running(
    wires: Wires,
    happens: Callable[[Event], None] = nothing,
    advance: Callable[[float], None] = nothing,
    deadline: Callable[[], float | None] = lambda: None,
) -> AsyncIterator[tuple[AgentLoop, UserAgent]]:
    strangers = Strangers({})
    loop = AgentLoop(
        strangers,
        happens=happens,
        advance=advance,
        deadline=deadline,
        dropped=nothing,
        log=structlog.get_logger(),
    )
    agent = UserAgent(Addresses({"UDP": 5060}), strangers, random.Random(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(loop.run, agent, cast("Any", wires), cast("Any", wires))
        yield loop, agent
        nursery.cancel_scope.cancel()


def options(number: int = 1) -> Request:
    rows = [
        ("Via", f"SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{number}"),
        ("Max-Forwards", "70"),
        ("From", "<sip:them@192.0.2.2>;tag=a"),
        ("To", "<sip:us@192.0.2.1>"),
        ("Call-ID", f"c{number}"),
        ("CSeq", f"{number} OPTIONS"),
    ]
    return Request("OPTIONS", SipUri(host="192.0.2.1"), HeaderMap(rows))


def invite(number: int) -> Request:
    request = options(number)
    request.headers["CSeq"] = f"{number} INVITE"
    request.headers["Contact"] = "<sip:them@192.0.2.2>"
    return Request("INVITE", request.uri, request.headers)


async def test_a_bug_in_what_hears_of_one_message_is_no_reason_to_miss_the_next(autojump_clock: MockClock):
    wires, heard = Wires(), []

    def happens(event: Event) -> None:
        heard.append(event)
        raise ValueError("a bug")

    async with running(wires, happens) as (loop, _):
        loop.received(invite(1), FLOW)
        loop.received(invite(2), FLOW)
        loop.received(options(3), FLOW)

    assert len(heard) == 2
    assert wires.sent == ["SIP/2.0 200 OK"]


async def test_a_bug_in_an_alarm_ends_nothing_and_does_not_ring_for_ever(autojump_clock: MockClock):
    wires, rang = Wires(), []

    def advance(now: float) -> None:
        rang.append(now)
        raise ValueError("a bug")

    async with running(wires, advance=advance, deadline=lambda: 0.5) as (loop, _):
        await trio.sleep(3.0)
        loop.received(options(), FLOW)

    assert rang == [0.5, 1.5, 2.5]
    assert wires.sent == ["SIP/2.0 200 OK"]


async def test_when_it_is_over_nothing_is_sent_and_nothing_raised(autojump_clock: MockClock):
    wires = Wires()
    async with running(wires) as (loop, agent):
        pass

    agent.ask(invite(1), 0.0)
    loop.carry()
    loop.received(options(), FLOW)

    assert wires.sent == []
    assert not loop.admits(FLOW)


async def test_a_way_is_found_to_the_first_place_that_can_be_reached(autojump_clock: MockClock):
    wires = Wires(THEM, ELSEWHERE)
    wires.down.add(THEM)

    async with running(wires) as (loop, _):
        flow = await loop.reach(SipUri(host="carrier.example"))

    assert flow.remote == ELSEWHERE


async def test_where_nobody_can_be_reached_the_last_reason_is_told(autojump_clock: MockClock):
    wires = Wires(THEM, ELSEWHERE)
    wires.down |= {THEM, ELSEWHERE}

    async with running(wires) as (loop, _):
        with pytest.raises(Unreachable, match=r"nobody is at 192\.0\.2\.3"):
            await loop.reach(SipUri(host="carrier.example"))


async def test_where_the_name_is_not_known_that_is_told(autojump_clock: MockClock):
    wires = Wires()
    wires.places = ()

    async with running(wires) as (loop, _):
        with pytest.raises(Unreachable, match="its name is not known"):
            await loop.reach(SipUri(host="carrier.example"))


def taken_by(invite: bytes, contact: str) -> Response:
    """The 200 to an INVITE of ours."""
    request = parse_datagram(invite)
    assert isinstance(request, Request)
    response = response_to(request, 200, to_tag="t")
    response.headers["Contact"] = f"<sip:{contact}>"
    response.headers["Content-Type"] = "application/sdp"
    return Response(200, response.reason, response.headers, b"answer")


@pytest.mark.parametrize(
    "contact", ["192.0.2.2", "192.0.2.3", "far.example"], ids=["there", "to be dialled", "to be found"]
)
async def test_who_answers_a_call_that_we_have_left_gets_the_ack_before_the_bye(
    contact: str, autojump_clock: MockClock
):
    orders = set()

    for _ in range(20):  # trio runs tasks that wake together in any order
        wires = Wires()
        async with running(wires) as (loop, agent):
            us = NameAddr(SipUri(host=US.host))
            endpoint = Endpoint(contact=us, rng=random.Random(1))
            session = Session.inviting(
                SipUri(host=THEM.host), endpoint, trio.current_time(), local=us, description=b"offer"
            )
            agent.begin(session, trio.current_time())
            loop.carry()
            session.hang_up(trio.current_time())
            agent.touch(session, trio.current_time())
            wires.places, wires.far = (ELSEWHERE,), {ELSEWHERE}
            loop.received(taken_by(wires.data[0], contact), FLOW)
            await trio.sleep(0.1)
        orders.add(tuple(each.split()[0] for each in wires.sent))

    assert orders == {("INVITE", "ACK", "BYE")}


async def test_what_is_asked_for_while_another_dials_waits_behind_it(autojump_clock: MockClock):
    wires = Wires()
    wires.far.add(THEM)

    async with running(wires) as (loop, agent):
        for number in range(1, 21):
            agent.ask(options(number), 0.0)
            loop.carry()
            wires.far.discard(THEM)  # there is a connection now, and nobody has been told yet
        await trio.sleep(0.1)

    numbers = [data.partition(b"CSeq: ")[2].partition(b" ")[0] for data in wires.data]
    assert numbers == [b"%d" % number for number in range(1, 21)]

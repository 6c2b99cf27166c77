"""Calls of SIP, from a message at the door to nothing left: those that come, those that go, and those that go wrong."""

import pytest
import trio
from trio.testing import MockClock

from gateway.carriers.sip.leg_messages import (
    CallOver,
    MediaAgreed,
    MediaFailed,
    MessagePassed,
    Ringing,
    TransferAsked,
)
from gateway.contracts import EndReason
from gateway.incoming import NotPlaced, Refuse
from gateway.wire.sdp.media import Direction
from gateway.wire.sip.fields import CONTACT, FROM, REASON, TO
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.values import Reason
from tests.carriers.fake_media_ports import PROMISES, FakeMediaPorts
from tests.carriers.sip_exchange import Exchange, Hosted, exchange
from tests.carriers.sip_sides import uri_of
from tests.wire.sip.sip_agents import Agent

CALLEE = "sip:+15551230001@them"


@pytest.mark.parametrize("promise", PROMISES)
def test_ports_without_sockets_keep_every_promise(promise):
    promise(FakeMediaPorts(most=2))


async def calls(ex: Exchange, callee: str = CALLEE, **headers: str) -> None:
    await ex.switchboard.place(callee, ex.trunk, headers, ex.host)
    await ex.rest()


async def hang_up(hosted: Hosted) -> None:
    """Have a call without a word."""
    await hosted.leave(EndReason.OPERATOR)


async def listen(hosted: Hosted) -> None:
    """Do not answer."""
    try:
        await hosted.listen()
    finally:
        with trio.CancelScope(shield=True):
            await hosted.leave(EndReason.NO_ANSWER)


# -- calls that come


async def test_a_call_is_hosted_answered_and_over_when_they_hang_up(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        on = ex.left()

        ex.them.does("hang_up", EndReason.PLAN_ENDED)
        await ex.rest()

        assert on == {"ports": 1, "calls of the trunk": 1}
        assert ex.call.new.direction == "inbound"
        assert [over.why for over in ex.call.heard(CallOver)] == ["hung up"]
        assert ex.left() == {}
        assert ex.errors == []


async def test_media_is_agreed_on_at_the_calls_own_port(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()

        (port,) = ex.media.ports
        assert ex.them.agreed.rtp.port == port.rtp_port
        assert [agreed.port for agreed in port.agreed] == [10_000]


async def test_a_call_that_we_hang_up_is_over_when_they_know(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = hang_up
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("480 INVITE")) == 1
        assert ex.left() == {}


async def test_a_caller_who_cancels_leaves_nothing(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        ex.them.calls_up("us")
        await ex.rest()

        ex.them.does("hang_up", EndReason.OPERATOR)
        await ex.rest()

        assert [over.why for over in ex.call.heard(CallOver)] == ["cancelled"]
        assert ex.left() == {}


async def test_a_caller_who_cancels_at_once_leaves_nothing(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        ex.them.calls_up("us")
        ex.them.does("hang_up", EndReason.OPERATOR)
        await ex.rest()

        assert ex.left() == {}
        assert len(ex.agent) == 0


async def test_a_call_without_a_codec_of_ours_is_refused_and_nobody_hosts_it(autojump_clock: MockClock):
    async with exchange(codecs=("pcma",)) as ex:
        raw = Agent("raw", ex.network, seed=9)
        raw.host = ex.them.agent.host  # another phone at their address
        g729 = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
        ex.them.agent.call(uri_of("us"), g729)
        await ex.rest()

        assert len(ex.sent("488 INVITE")) == 1
        assert ex.calls == []
        assert ex.left() == {}


async def test_a_caller_on_hold_is_told_so_and_taken_back(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()

        ex.them.changes(direction=Direction.SENDONLY)
        await ex.rest()
        ex.them.changes(direction=Direction.SENDRECV)
        await ex.rest()

        agreed = [each.direction for each in ex.call.heard(MediaAgreed)]
        assert agreed == [Direction.SENDRECV, Direction.RECVONLY, Direction.SENDRECV]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refuse("busy", "draining"), 503),
        (Refuse("busy", "too_many_calls"), 503),
        (Refuse("rejected", "no_route"), 404),
        (Refuse("busy", "plan"), 486),
        (Refuse("rejected", "plan"), 603),
    ],
)
async def test_who_is_not_let_in_hears_why(autojump_clock: MockClock, refusal: Refuse, status: int):
    async with exchange() as ex:
        ex.admission = lambda _new: refusal
        ex.them.calls_up("us")
        await ex.rest()

        (answer,) = ex.sent(f"{status} INVITE")
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert ex.left() == {}


async def test_without_ports_a_call_is_sent_elsewhere(autojump_clock: MockClock):
    async with exchange(most_ports=1) as ex:
        ex.them.calls_up("us")
        await ex.rest()
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("503 INVITE")) == 1
        assert ex.left() == {"ports": 1, "calls of the trunk": 1}


async def test_a_trunk_has_no_more_calls_than_it_may_and_room_again_after_each(autojump_clock: MockClock):
    async with exchange(calls=1) as ex:
        for _ in range(2):
            ex.them.calls_up("us")
            await ex.rest()
        ex.them.do(ex.them.calls[0], "hang_up", EndReason.PLAN_ENDED, ex.network.now)
        await ex.rest(1.0)

        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("503 INVITE")) == 1
        assert len(ex.calls) == 2
        assert ex.trunk.active == 1


async def test_a_call_whose_goodbye_is_never_answered_gives_its_place_back_at_once(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        ex.network.agents["them"] = Agent("deaf", ex.network)  # nobody is there any more
        ex.network.loses = lambda sent: sent.sender != "us"

        ex.spawned_scope_cancel()
        await ex.rest(2.0)

        assert ex.left() == {"parting": 1}
        await ex.rest(40.0)
        assert ex.left() == {}
        assert len(ex.agent) == 0


async def test_calls_are_coming_until_somebody_hosts_them(autojump_clock: MockClock):
    async with exchange() as ex:
        seen = []
        ex.admission = lambda _new: seen.append(ex.switchboard.coming) or Refuse("busy", "plan")
        waiting = []
        real, ex.switchboard._spawn = ex.spawn, lambda *task: waiting.append(task)  # type: ignore[assignment]

        assert real is not None
        assert waiting == seen == []

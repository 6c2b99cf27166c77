"""Calls of SIP, from a message at the door to nothing left: those that come, those that go, and those that go wrong."""

from typing import Any

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
from gateway.carriers.sip.media_gate import MediaCounts
from gateway.contracts import EndReason
from gateway.incoming import Admission, Admit, NewCall, NotPlaced, Refuse
from gateway.media.latch import Address
from gateway.wire.sdp.media import Direction
from gateway.wire.sip.fields import CONTACT, FROM, REASON, TO
from gateway.wire.sip.message import response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.values import Reason
from tests.carriers.fake_media_ports import PROMISES, FakeMediaPorts
from tests.carriers.sip_exchange import Exchange, Hosted, exchange, return_at_once
from tests.carriers.sip_sides import uri_of

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
    """Do not answer, or wait for them to do so."""
    await hosted.listen()
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


NUMBERED = b"""INVITE sip:us@us.example SIP/2.0\r
Via: SIP/2.0/UDP them.example;branch=z9hG4bK1\r
Max-Forwards: 70\r
From: <sip:anna@them.example>;tag=a\r
To: <sip:us@us.example>\r
Call-ID: +15557654321-7f@192.168.1.5\r
CSeq: 1 INVITE\r
Contact: <sip:them.example>\r
Content-Length: 0\r
\r
"""


async def test_a_call_is_called_by_its_call_id_without_a_number_or_a_host(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.receive(NUMBERED, "them")
        await ex.rest()

        assert ex.call.new.carrier_call == "+1555765**21-7f"


async def test_media_is_agreed_on_at_the_calls_own_port(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()

        (port,) = ex.media.ports
        assert ex.them.agreed.rtp == Address(ex.network.host_of("us"), port.rtp_port)
        assert [agreed.port for agreed in port.agreed] == [10_000]


async def test_what_strangers_sent_to_a_call_is_counted_when_it_ends(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        (port,) = ex.media.ports
        port.counts = MediaCounts(strangers=7, srtp_failures=2)

        ex.them.does("hang_up", EndReason.PLAN_ENDED)
        await ex.rest()

        lines = ex.metrics.expose().decode().splitlines()
        assert 'gw_sip_dropped_total{reason="rtp_stranger"} 7.0' in lines
        assert 'gw_sip_dropped_total{reason="rtp_forged"} 2.0' in lines


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
        g729 = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
        ex.them.agent.hears = lambda *_: None
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


async def test_a_call_whose_goodbye_is_never_answered_gives_its_place_back_all_the_same(
    autojump_clock: MockClock,
):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        ex.network.loses = lambda sent: sent.sender == "them"

        ex.call.patience.cancel()
        await ex.rest(2.0)
        then = ex.left()
        await ex.rest(40.0)

        assert then == {"parting": 1}
        assert ex.left() == {}
        assert len(ex.agent) == 0


async def test_calls_are_coming_until_somebody_hosts_them(autojump_clock: MockClock):
    async with exchange() as ex:
        coming: list[int] = []

        def admit(_new: NewCall) -> Admission:
            coming.append(ex.switchboard.coming)
            return Admit()

        ex.admission = admit
        ex.network.loses = lambda sent: sent.what.startswith("100")
        for _ in range(3):  # they come in one batch, before any task has its turn
            ex.them.calls_up("us")
        await ex.rest()

        assert coming == [0, 1, 2]
        assert ex.switchboard.coming == 0
        assert ex.trunk.active == 3


async def test_a_call_whose_host_breaks_is_refused_and_leaves_nothing(autojump_clock: MockClock):
    async def break_down(_hosted: Hosted) -> None:
        await trio.sleep(0.1)
        raise ValueError("a bug")

    async with exchange() as ex:
        ex.hosts = break_down
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("500 INVITE")) == 1
        assert ex.left() == {}
        assert ex.errors == []


async def test_a_call_whose_host_returns_without_a_word_is_refused(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = return_at_once
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("500 INVITE")) == 1
        assert ex.left() == {}


async def test_a_call_that_nobody_can_host_any_more_is_refused_and_leaves_nothing(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.nursery = None
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("500 INVITE")) == 1
        assert ex.left() == {}


async def test_a_bug_about_who_calls_is_no_reason_to_leave_them_without_an_answer(autojump_clock: MockClock):
    def admit(_new: NewCall) -> Admission:
        raise ValueError("a bug")

    async with exchange() as ex:
        ex.admission = admit
        ex.them.calls_up("us")
        await ex.rest()

        assert len(ex.sent("500 INVITE")) == 1
        assert ex.left() == {}


async def test_a_bug_in_what_a_call_says_ends_that_call_alone(autojump_clock: MockClock):
    async with exchange() as ex:
        for _ in range(2):
            ex.them.calls_up("us")
            await ex.rest()

        del ex.call.leg.signalling  # as broken as can be, until the end of it
        signalling = ex.them.calls[0].session
        ex.them.agent.does(signalling, signalling.inform, b"Signal=5", "application/dtmf-relay")
        await ex.rest(1.5)

        assert [len(call.heard(MediaFailed)) for call in ex.calls] == [1, 0]
        assert ex.left() == {"ports": 1, "calls of the trunk": 1}


async def test_the_answer_to_their_goodbye_is_the_last_that_is_told(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        ex.them.does("hang_up", EndReason.PLAN_ENDED)
        await ex.rest()

        (words,) = [call.last_words for call in ex.calls]
        passed = [word for word in words if isinstance(word, MessagePassed)]
        assert [(word.sent, word.line) for word in passed] == [(True, "200 OK")]


async def test_our_goodbye_and_its_answer_are_told_when_nobody_listens_any_more(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.them.calls_up("us")
        await ex.rest()
        ex.call.patience.cancel()
        await ex.rest()

        passed = [word for word in ex.call.last_words if isinstance(word, MessagePassed)]
        assert [word.sent for word in passed] == [True, False]


async def test_a_caller_who_has_the_call_moved_leaves_nothing(autojump_clock: MockClock):
    async with exchange(transfers=True) as ex:
        ex.them.calls_up("us")
        await ex.rest()

        ex.them.does("transfer", SipUri(user="+15551230009", host=ex.network.host_of("them")))
        await ex.rest()
        ex.them.do(ex.them.calls[1], "answer", ex.network.now)
        await ex.rest()
        on = ex.left()
        ex.them.do(ex.them.calls[1], "hang_up", EndReason.PLAN_ENDED, ex.network.now)
        await ex.rest()

        assert [asked.taken for asked in ex.call.heard(TransferAsked)] == [True]
        assert on == {"ports": 1, "calls of the trunk": 1}
        assert ex.left() == {}


async def test_who_has_a_call_moved_is_named_where_it_goes(autojump_clock: MockClock):
    async with exchange(transfers=True) as ex:
        ex.them.calls_up("us")
        await ex.rest()
        session, by = ex.them.call.session, "<sip:bob@them.example>"
        target = SipUri(user="+15551230009", host=ex.network.host_of("them"))

        ex.them.agent.does(session, session.refer, target, ex.network.now, (("Referred-By", by),))
        await ex.rest()

        assert [list(invite.headers.rows("Referred-By")) for invite in ex.sent("INVITE")] == [[], [by]]


# -- calls that go


async def test_a_call_of_ours_rings_is_answered_and_over_when_they_hang_up(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        await calls(ex)
        ex.them.rings()
        await ex.rest()
        ex.them.does("answer")
        await ex.rest()
        on = ex.left()
        ex.them.does("hang_up", EndReason.PLAN_ENDED)
        await ex.rest()

        told = [each for each in ex.call.told if not isinstance(each, MessagePassed)]
        assert [type(each) for each in told] == [Ringing, Ringing, MediaAgreed, CallOver]
        assert [each.status for each in ex.call.heard(Ringing)] == [100, 180]
        assert on == {"ports": 1, "calls of the trunk": 1}
        assert ex.left() == {}


async def test_who_calls_and_who_is_called_is_known_of_a_call_of_ours(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        await calls(ex, **{"X-Account": "42"})

        new = ex.call.new
        assert (new.direction, new.caller, new.called) == ("outbound", "+15550009999", "+15551230001")
        assert new.headers == {"X-Account": "42"}


async def test_an_invite_says_who_we_are_where_we_are_and_whom_we_want(autojump_clock: MockClock):
    async with exchange(address=SipUri(host="them.example", parameters=(("transport", "udp"),))) as ex:
        ex.hosts = listen
        await calls(ex, **{"X-Account": "42"})

        (invite,) = ex.sent("INVITE")
        assert str(invite.uri) == "sip:+15551230001@them.example;transport=udp"
        assert str(invite.headers[TO].uri) == "sip:+15551230001@them.example"
        assert str(invite.headers[FROM].uri) == "sip:+15550009999@them.example"
        assert str(invite.headers[CONTACT][0].uri) == f"sip:gateway@{ex.network.host_of('us')}:5060"
        assert invite.headers["X-Account"] == "42"


async def test_where_we_are_registered_calls_come_from_there(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        contact = NameAddr(SipUri(user="gateway", host="203.0.113.7"))
        registration = ex.trunk.register(contact)
        registration.begin()
        (register,) = registration.outgoing()
        registration.answered(register, response_to(register, 200, to_tag="r"), 0.0)
        await calls(ex)

        (invite,) = ex.sent("INVITE")
        assert invite.headers[CONTACT] == (registration.contact,)


async def test_who_is_busy_is_told_with_status_and_cause(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        await calls(ex)
        session = ex.them.call.session
        busy = ("Reason", str(Reason("Q.850", 17, "User busy")))
        ex.them.agent.does(session, session.refuse, 486, ex.network.now, (busy,))
        await ex.rest()

        assert ex.call.heard(CallOver) == [CallOver(why="refused", status=486, cause=17, text="User busy")]
        assert ex.left() == {}


async def test_who_does_not_want_a_call_of_ours_any_more_cancels_it(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        await calls(ex)
        ex.them.rings()
        await ex.rest()

        ex.call.patience.cancel()
        await ex.rest()

        (cancel,) = ex.sent("CANCEL")
        assert cancel.headers[REASON][0].cause == 480
        assert len(ex.sent("487 INVITE")) == 1
        assert ex.left() == {}


async def test_a_call_of_ours_is_cancelled_as_soon_as_anybody_says_that_it_came(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        ex.network.loses = lambda sent: sent.sender == "them" and ex.network.now < 3.0
        await calls(ex)
        ex.call.patience.cancel()
        await ex.rest(2.0)
        then = ex.left(), len(ex.sent("CANCEL"))
        ex.them.rings()
        await ex.rest(5.0)

        assert then == ({"parting": 1}, 0)
        assert len(ex.sent("CANCEL")) == 1
        assert ex.left() == {}


async def test_who_answers_when_we_have_given_up_is_hung_up_on(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = listen
        ex.network.loses = lambda sent: sent.what == "CANCEL"
        await calls(ex)
        ex.them.rings()
        await ex.rest()
        ex.call.patience.cancel()
        await ex.rest(0.1)
        ex.them.does("answer")
        await ex.rest(3.0)

        assert len(ex.sent("ACK")) == 1
        assert len(ex.sent("BYE")) == 1
        assert ex.left() == {}


@pytest.mark.parametrize(
    ("callee", "headers", "trunk", "why"),
    [
        ("sip:+1555@elsewhere.example", {}, {}, "a SIP URI of another domain does not go by trunks.them"),
        (CALLEE, {"X-Other": "1"}, {}, "'X-Other' is not in trunks.them.headers"),
        (CALLEE, {"X-Account": "1\r\nX-Other: 2"}, {}, ""),
        (CALLEE, {}, {"address": None}, "trunks.them.address is missing: no call goes out there"),
    ],
)
async def test_what_cannot_be_called_is_said_and_rings_nobody(
    autojump_clock: MockClock, callee: str, headers: dict[str, str], trunk: dict[str, Any], why: str
):
    async with exchange(**trunk) as ex:
        with pytest.raises(NotPlaced) as told:
            await calls(ex, callee, **headers)

        assert why in str(told.value)
        assert ex.left() == {}
        assert ex.ladder == []


async def test_a_trunk_that_cannot_be_reached_is_said_to_be_so(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.down = True

        with pytest.raises(NotPlaced, match=r"trunks\.them cannot be reached: nobody is there"):
            await calls(ex)

        assert ex.left() == {}


async def test_a_trunk_that_takes_too_long_to_be_reached_cannot_be_reached(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.reach_s = 1000.0

        with pytest.raises(NotPlaced, match=r"trunks\.them cannot be reached: nothing answers within 12 s"):
            await calls(ex)

        assert trio.current_time() == pytest.approx(12.0, abs=0.1)
        assert ex.left() == {}


async def test_calls_of_ours_count_for_the_trunk_while_they_are_placed(autojump_clock: MockClock):
    async with exchange(calls=1) as ex:
        ex.hosts = listen
        ex.reach_s = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls, ex)
            await ex.rest(0.5)
            then = ex.left()
            with pytest.raises(NotPlaced, match=r"trunks\.them has at most 1 calls at a time"):
                await calls(ex)

        assert then == {"calls of the trunk": 1, "coming": 1}
        assert ex.left() == {"ports": 1, "calls of the trunk": 1}


async def test_who_is_cancelled_while_a_call_is_placed_leaves_nothing(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.reach_s = 1.0

        with trio.move_on_after(0.5):
            await calls(ex)

        assert ex.left() == {}
        assert ex.ladder == []


async def test_without_ports_no_call_is_placed(autojump_clock: MockClock):
    async with exchange(most_ports=0) as ex:
        with pytest.raises(NotPlaced, match="no pair of RTP ports"):
            await calls(ex)

        assert ex.left() == {}


async def test_a_call_that_nobody_can_host_any_more_is_not_placed(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.nursery = None

        with pytest.raises(RuntimeError):
            await calls(ex)
        await ex.rest()

        assert ex.left() == {}
        assert len(ex.agent) == 0

"""Blind transfers of a call, asked by us and by them, between user agents. RFC 3515, RFC 5589."""

from random import Random
from typing import Any

import pytest

from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.sip.leg_messages import CallOver, MediaAgreed, TransferAsked, TransferTold
from gateway.carriers.sip.leg_messages import encode as text_of
from gateway.contracts import EndReason, LegEnded
from gateway.media.latch import Address
from gateway.wire.sdp.description import encode
from gateway.wire.sdp.media import Direction
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.parser import parse_fragment
from gateway.wire.sip.session import Session
from gateway.wire.sip.uri import Uri, parse_uri
from tests.carriers.sip_sides import Side, media, uri_of
from tests.wire.sip.sip_agents import Network

CAROL = uri_of("carol")


class Three:
    """We, who called us, and Carol; the first two talk."""

    def __init__(self, *, we_take: bool = True, they_take: bool = False, answered: bool = True) -> None:
        self.network = Network()
        self.us = Side("us", self.network, 1, takes_transfers=we_take)
        self.them = Side("them", self.network, 2, takes_transfers=they_take)
        self.carol = Side("carol", self.network, 3)
        self.them.calls_up("us")
        self.rest()
        if answered:
            self.us.does("answer")
            self.rest()

    def rest(self, pause_s: float = 0.5) -> None:
        self.network.run(self.network.now + pause_s)

    def messages(self, what: str) -> list[Any]:
        return [each.message for each in self.network.passed if each.what == what]

    @property
    def notified(self) -> list[int]:
        """What was told of a transfer, in NOTIFY."""
        return [getattr(parse_fragment(each.body), "status", 0) for each in self.messages("NOTIFY")]

    def they_do(self, verb: str, *args: Any, **more: Any) -> Any:
        session = self.them.call.session
        done = self.them.agent.does(session, getattr(session, verb), *args, **more)
        self.rest()
        return done

    def they_tell(self, status: int) -> None:
        referral = self.them.call.session.referral
        self.them.agent.does(self.them.call.session, referral.tell, status, self.network.now)
        self.rest()

    def they_refer(self, target: Uri = CAROL) -> None:
        self.they_do("refer", target, self.network.now)

    def we_move(self) -> Session:
        session = self.us.moves(CAROL)
        self.rest()
        return session


# -- we ask


def referred(*, answered: bool = True) -> Three:
    """We have asked them to call Carol, and they have said that they will."""
    three = Three(they_take=True, answered=answered)
    assert three.us.does("transfer", CAROL)
    three.rest()
    return three


def test_a_transfer_is_asked_for_and_its_progress_told():
    three = referred()

    for status in (180, 200):
        three.they_tell(status)

    assert three.us.heard(TransferTold) == [
        TransferTold(status=100),
        TransferTold(status=180),
        TransferTold(status=200, last=True),
    ]
    assert three.us.call.transfer_outcome == 200


def test_a_transfer_is_under_way_until_it_is_answered():
    three = referred()
    under_way = not three.us.call.transfer_answered

    three.they_tell(200)

    assert under_way
    assert three.us.call.transfer_answered


def test_there_is_one_transfer_at_a_time():
    three = referred()

    again = three.us.does("transfer", CAROL)

    assert not again
    assert len(three.messages("REFER")) == 1


def test_a_transfer_that_finds_nobody_leaves_the_call_and_may_be_tried_again():
    three = referred()
    three.they_tell(486)
    outcome = three.us.call.transfer_outcome

    again = three.us.does("transfer", CAROL)

    assert outcome == 486
    assert three.us.call.ended is None
    assert again
    assert not three.us.call.transfer_answered


def test_a_refer_that_is_refused_is_told():
    three = Three()

    three.us.does("transfer", CAROL)
    three.rest()

    assert three.us.heard(TransferTold) == [TransferTold(status=603, last=True)]
    assert three.us.call.transfer_outcome == 603
    assert three.us.call.ended is None


def test_who_takes_a_refer_and_hangs_up_without_a_word_has_carried_it_out():
    three = referred()

    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    assert [type(each.message) for each in three.us.told[-2:]] == [TransferTold, CallOver]
    assert three.us.heard(TransferTold)[-1] == TransferTold(status=None, last=True)
    assert three.us.call.transfer_outcome == 202


def test_who_takes_a_refer_and_says_nothing_has_carried_it_out_after_a_while():
    three = Three(they_take=True)
    three.network.loses = lambda passed: passed.what == "NOTIFY"

    three.us.does("transfer", CAROL)
    three.rest(40.0)

    assert three.us.heard(TransferTold) == [TransferTold(status=None, last=True)]
    assert three.us.call.transfer_answered
    assert three.us.call.transfer_outcome == 202


def test_a_refer_that_nobody_answers_ends_the_call():
    three = Three()
    three.network.loses = lambda passed: passed.what == "REFER"

    three.us.does("transfer", CAROL)
    three.rest(40.0)

    assert three.us.heard(TransferTold) == [TransferTold(status=408, last=True)]
    assert three.us.heard(CallOver)[0].why == "lost"
    assert three.us.call.transfer_outcome == 408


def test_a_call_that_is_not_answered_is_answered_to_be_transferred():
    three = referred(answered=False)

    three.they_tell(200)

    assert [each.what for each in three.network.passed if each.what in {"200 INVITE", "ACK", "REFER"}] == [
        "200 INVITE",
        "ACK",
        "REFER",
    ]
    assert three.us.call.transfer_outcome == 200


def test_a_call_that_ends_before_it_can_be_transferred_says_so():
    three = Three(answered=False)
    three.network.loses = lambda passed: passed.what == "ACK"

    three.us.does("transfer", CAROL)
    three.rest(40.0)

    assert three.us.call.transfer_answered
    assert three.us.call.transfer_outcome is None


def test_a_call_that_is_over_cannot_be_transferred():
    three = Three()
    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    taken = three.us.does("transfer", CAROL)

    assert not taken
    assert three.us.call.transfer_answered
    assert three.us.call.transfer_outcome is None


def test_a_leg_that_hears_of_a_transfer_without_a_word_ends_as_transferred():
    three = referred()
    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()
    leg = SipLegCore("c1", rng=Random(1))

    for message, _ in three.us.told:
        leg.receive(text_of(message), 1.0)

    assert [each.reason for each in leg.events() if isinstance(each, LegEnded)] == [EndReason.TRANSFERRED]


# -- they ask


def test_a_transfer_is_refused_unless_it_is_allowed():
    three = Three(we_take=False)

    three.they_refer()

    assert len(three.messages("603 REFER")) == 1
    assert three.us.last == TransferAsked(taken=False)
    assert three.us.call.wanted is None


@pytest.mark.parametrize("target", ["mailto:carol@carol.example", "http://carol.example/"])
def test_a_transfer_to_what_cannot_be_called_is_refused(target: str):
    three = Three()

    three.they_refer(parse_uri(target))

    assert len(three.messages("603 REFER")) == 1
    assert three.us.call.wanted is None


@pytest.mark.parametrize(
    "headers",
    [
        "Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2",
        "replaces=a@b;to-tag=1;from-tag=2",
        "%52eplaces=a",
        "X=1&Replaces=",
    ],
)
def test_an_attended_transfer_is_refused_since_it_would_ring_somebody_up_a_second_time(headers: str):
    three = Three()

    three.they_refer(parse_uri(f"sip:carol@carol.example?{headers}"))

    assert len(three.messages("501 REFER")) == 1
    assert three.us.last == TransferAsked(taken=False)
    assert three.us.call.wanted is None


@pytest.mark.parametrize(
    ("said", "by"),
    [
        (
            (("Referred-By", '"Bob" <sip:bob@them.example>;cid="2@b"'),),
            '"Bob" <sip:bob@them.example>;cid="2@b"',
        ),
        ((("b", "<sip:bob@them.example>"),), "<sip:bob@them.example>"),
        ((("Referred-By", "<<nobody can read it"),), None),
        ((), None),
    ],
)
def test_who_asks_for_a_transfer_is_named_as_they_name_him(said: Rows, by: str | None):
    three = Three()

    three.they_do("refer", CAROL, three.network.now, said)

    assert three.us.call.wanted == CAROL
    assert three.us.call.wanted_by == by


def test_a_transfer_that_is_taken_says_whom_they_want():
    three = Three()

    three.they_refer()

    assert three.us.last == TransferAsked(taken=True)
    assert three.us.call.wanted == CAROL
    assert three.notified == [100]


def test_the_call_moves_when_the_other_answers():
    three = Three()
    three.they_refer()
    session = three.we_move()
    three.carol.rings()
    three.rest()
    before = len(three.us.told)

    three.carol.does("answer")
    three.rest()

    ((message, agreed),) = three.us.told[before:]
    assert isinstance(message, MediaAgreed)
    assert message.rtp == Address("192.0.2.3", 10_000)
    assert agreed is not None
    assert three.us.call.session is session
    assert three.us.call.confirmed
    assert three.notified == [100, 180, 200]


def test_who_asked_for_the_move_is_hung_up_and_nothing_is_told_of_that():
    three = Three()
    three.they_refer()
    three.we_move()

    three.carol.does("answer")
    three.rest()

    assert three.them.call.ended is not None
    assert three.us.heard(CallOver) == []
    assert three.us.call.ended is None


def test_a_call_that_has_moved_ends_with_the_other():
    three = Three()
    three.they_refer()
    three.we_move()
    three.carol.does("answer")
    three.rest()

    three.carol.does("hang_up", EndReason.PLAN_ENDED)
    three.rest(40.0)

    assert three.us.heard(CallOver) == [CallOver(why="hung up", cause=16, text="Normal call clearing")]
    assert three.us.call.parted


def test_a_call_that_has_moved_is_hung_up_where_it_is():
    three = Three()
    three.they_refer()
    three.we_move()
    three.carol.does("answer")
    three.rest()

    three.us.does("hang_up", EndReason.DRAINED)
    three.rest()

    assert three.messages("BYE")[-1].headers[REASON][0].cause == 503
    assert three.carol.call.ended is not None


def test_a_call_that_has_moved_can_move_again():
    three = Three()
    dave = Side("dave", three.network, 4)
    three.they_refer()
    three.we_move()
    three.carol.does("answer")
    three.rest()

    three.carol.agent.does(
        three.carol.call.session, three.carol.call.session.refer, uri_of("dave"), three.network.now
    )
    three.rest()
    three.us.moves(uri_of("dave"))
    three.rest()
    dave.does("answer")
    three.rest()

    assert three.us.agreed.rtp == Address("192.0.2.4", 10_000)
    assert three.carol.call.ended is not None
    assert three.us.heard(CallOver) == []


def test_early_media_of_the_other_is_not_heard_while_they_are_there():
    three = Three()
    three.they_refer()
    three.we_move()
    told = len(three.us.told)

    preview(three)

    assert len(three.us.told) == told


def preview(three: Three) -> None:
    """Carol says 183 with her media."""
    session = three.carol.call.session
    answer = encode(media(3).offer())
    three.carol.agent.does(session, session.ring, three.network.now, 183, answer)
    three.rest()


@pytest.mark.parametrize("status", [486, 603, 404])
def test_the_call_stays_where_the_other_does_not_take_it(status: int):
    three = Three()
    three.they_refer()
    three.we_move()
    told = len(three.us.told)

    three.carol.does("refuse", status)
    three.rest()

    assert three.notified == [100, status]
    assert len(three.us.told) == told
    assert three.us.call.session.state == "confirmed"
    assert three.us.call.wanted is None


def test_the_call_stays_where_the_other_has_no_media_for_us():
    three = Three()
    three.they_refer()
    three.we_move()
    session = three.carol.call.session

    three.carol.agent.does(session, session.accept, b"v=0\r\nwhatever\r\n", three.network.now)
    three.rest()

    assert three.notified == [100, 488]
    assert three.carol.call.ended is not None
    assert three.us.call.session.state == "confirmed"
    assert three.us.heard(CallOver) == []


def test_a_move_that_cannot_be_is_told_to_them():
    three = Three()
    three.they_refer()

    three.us.does("stay", 403)
    three.rest()

    assert three.notified == [100, 403]
    assert three.us.call.wanted is None
    assert three.us.call.ended is None


def test_another_transfer_may_be_wanted_after_one_that_failed():
    three = Three()
    three.they_refer()
    three.us.does("stay", 404)
    three.rest()

    three.they_refer(uri_of("dave"))

    assert three.us.call.wanted == uri_of("dave")


def test_who_asks_for_a_move_and_leaves_has_the_call_wait_as_on_hold():
    three = Three()
    three.they_refer()
    three.we_move()

    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    assert three.us.agreed.direction == Direction.INACTIVE
    assert three.us.heard(CallOver) == []
    assert three.us.call.ended is None


def test_who_has_left_is_replaced_by_who_answers():
    three = Three()
    three.they_refer()
    three.we_move()
    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    preview(three)
    early = three.us.agreed
    three.carol.does("answer")
    three.rest()

    assert early.early
    assert early.rtp == three.us.agreed.rtp == Address("192.0.2.3", 10_000)
    assert not three.us.agreed.early
    assert three.us.heard(CallOver) == []


def test_the_call_is_over_where_they_have_left_and_the_other_does_not_take_it():
    three = Three()
    three.they_refer()
    three.we_move()
    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    three.carol.does("refuse", 486)
    three.rest()

    assert [each.why for each in three.us.heard(CallOver)] == ["hung up"]
    assert three.us.call.ended is not None


def test_the_call_is_over_where_they_have_left_and_there_is_nowhere_to_go():
    three = Three()
    three.they_refer()
    three.them.does("hang_up", EndReason.PLAN_ENDED)
    three.rest()

    three.us.does("stay", 404)
    three.rest()

    assert [each.why for each in three.us.heard(CallOver)] == ["hung up"]


def test_a_call_that_is_hung_up_while_it_moves_is_hung_up_on_both_sides():
    three = Three()
    three.they_refer()
    three.we_move()

    three.us.does("hang_up", EndReason.OPERATOR)
    three.rest(40.0)

    assert len(three.messages("CANCEL")) == 1
    assert three.them.call.ended is not None
    assert three.carol.call.ended is not None
    assert three.us.call.ended is not None
    assert three.us.call.parted


def test_a_session_for_a_move_that_nobody_wants_any_more_is_not_taken():
    three = Three()
    three.they_refer()
    three.us.does("hang_up", EndReason.OPERATOR)
    three.rest()

    terms = media(1)
    session = three.us.agent.call(CAROL, encode(terms.offer()))

    assert not three.us.call.move(session, terms)

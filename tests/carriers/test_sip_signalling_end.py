"""How a call ends: what the other side is told, and the leg."""

import pytest

from gateway.carriers.sip.leg_messages import CallOver, MediaAgreed
from gateway.contracts import EndReason
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.message import Response
from gateway.wire.sip.values import Reason
from tests.carriers.sip_line import Line, offer_of
from tests.wire.sip.sip_agents import Agent

CLEARED = Reason("Q.850", 16, "Normal call clearing")


def test_who_hangs_up_is_told_to_the_other():
    line = Line().called().answered()

    line.them.does("hang_up", EndReason.PLAN_ENDED)
    line.rest()

    assert line.us.heard(CallOver) == [CallOver(why="hung up", cause=16, text="Normal call clearing")]
    assert line.us.call.ended is not None
    assert line.them.heard(CallOver) == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (EndReason.PLAN_ENDED, 480),
        (EndReason.OPERATOR, 480),
        (EndReason.REJECTED, 603),
        (EndReason.DRAINED, 503),
        (EndReason.BUG, 500),
    ],
)
def test_a_call_that_was_never_answered_is_refused_for_its_reason(reason: EndReason, status: int):
    line = Line().called()

    line.us.does("hang_up", reason)
    line.rest()

    assert f"us: {status} INVITE" in line.ladder
    assert line.us.heard(CallOver) == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (EndReason.AGENT_HUNG_UP, CLEARED),
        (EndReason.TRANSFERRED, CLEARED),
        (EndReason.DRAINED, Reason("SIP", 503, "Service Unavailable")),
        (EndReason.CARRIER_SILENT, Reason("SIP", 408, "Request Timeout")),
    ],
)
def test_a_call_that_was_answered_is_hung_up_for_its_reason(reason: EndReason, said: Reason):
    line = Line().called().answered()

    line.us.does("hang_up", reason)
    line.rest()

    assert line.messages("BYE")[0].headers[REASON] == (said,)
    assert line.us.heard(CallOver) == []


def test_a_call_that_is_hung_up_before_its_ack_has_its_bye_after_it():
    line = Line().called()
    line.us.does("answer")

    line.us.does("hang_up", EndReason.OPERATOR)
    line.rest()

    assert line.ladder[-4:] == ["us: 200 INVITE", "them: ACK", "us: BYE", "them: 200 BYE"]
    assert line.us.call.ended is not None


def test_an_ack_with_media_for_a_call_that_is_hung_up_tells_nothing():
    line = Line()
    session = line.asked_by(None)
    line.us.does("hang_up", EndReason.OPERATOR)

    line.raw.does(session, session.accept, offer_of(3), line.network.now)
    line.rest()

    assert line.us.heard(MediaAgreed) == []
    assert "us: BYE" in line.ladder


def test_hanging_up_again_does_nothing():
    line = Line().called().answered()
    line.them.does("hang_up", EndReason.OPERATOR)
    line.rest()

    line.us.does("hang_up", EndReason.BUG)
    line.us.does("answer")
    line.us.rings()
    line.us.does("refuse", 486)
    line.rest()

    assert line.messages("BYE") == line.messages("BYE")[:1]
    assert line.us.call.parted


def test_a_call_whose_peer_knows_nothing_of_it_is_lost():
    line = Line()
    line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()
    line.network.agents["raw"] = Agent("raw", line.network, seed=9)  # it was started again

    line.us.changes()
    line.rest()

    assert line.us.heard(CallOver)[0].why == "lost"
    assert line.us.heard(CallOver)[0].status == 481


def test_a_refused_call_has_parted_when_they_know():
    line = Line().called()
    line.us.does("hang_up", EndReason.REJECTED)
    line.rest()

    assert line.us.call.parted
    assert isinstance(line.messages("603 INVITE")[0], Response)

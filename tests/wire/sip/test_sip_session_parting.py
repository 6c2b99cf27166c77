"""When they know that a call is over: only then nothing is to be sent for it any more."""

from typing import Any

from gateway.wire.sip.message import Request
from tests.wire.sip.sip_peer import Called, Calling


def with_a_transfer(told: int) -> Called:
    """They have had us call somebody, and one NOTIFY of it, which they have not answered; then we told them more."""
    call = Called().answered()
    call.asks("REFER", Refer_To="<sip:carol@carol.example>")
    for verb, *args in (("accept", 0.0), ("tell", told, 0.0)):
        call.us.does(call.session, getattr(call.session.referral, verb), *args)
    return call.at(call.now)


def answer(call: Any, method: str) -> None:
    """They answer our last request of that method."""
    request: Request = call.peer.requests(method)[-1]
    call.answers(request, 200)


def test_a_call_that_is_on_has_not_parted():
    assert Called().answered().session.parted is False


def test_who_hung_up_has_parted_when_the_bye_is_answered():
    call = Calling().answered()
    call.does("hang_up", 0.0)
    before = call.session.parted

    answer(call, "BYE")

    assert (before, call.session.parted) == (False, True)
    assert call.session.finished is False  # its 200 may come again


def test_who_hung_up_has_parted_when_nobody_answers_for_32_s():
    call = Calling().answered()
    call.does("hang_up", 0.0)

    assert call.at(31.0).session.parted is False
    assert call.at(33.0).session.parted is True


def test_who_gave_up_has_not_parted_before_anybody_said_that_it_came():
    call = Calling()
    call.does("hang_up", 0.0)

    assert call.session.parted is False
    assert call.peer.requests("CANCEL") == []


def test_who_gave_up_has_parted_when_the_call_is_refused():
    call = Calling()
    call.answers(call.invite, 180)
    call.does("hang_up", 0.0)
    before = call.session.parted

    call.answers(call.invite, 487)

    assert (before, call.session.parted) == (False, True)


def test_who_gave_up_and_is_answered_all_the_same_has_parted_when_the_bye_is():
    call = Calling()
    call.answers(call.invite, 180)
    call.does("hang_up", 0.0)
    call.answers(call.invite, 200, body=b"answer")
    before = call.session.parted

    answer(call, "BYE")

    assert (before, call.session.parted) == (False, True)


def test_who_was_hung_up_on_has_parted_at_once():
    call = Called().answered()

    call.asks("BYE")

    assert call.session.parted is True


def test_a_bye_waits_until_they_know_how_the_transfer_came_out():
    call = with_a_transfer(200)
    call.does("hang_up", 0.0)
    said = [call.said]

    answer(call, "NOTIFY")
    said.append(call.said)
    answer(call, "NOTIFY")
    said.append(call.said)

    assert said == [["202 REFER", "NOTIFY"], ["NOTIFY"], ["BYE"]]
    assert call.peer.requests("NOTIFY")[-1].body == b"SIP/2.0 200 OK\r\n"


def test_a_bye_does_not_wait_for_ever_for_who_does_not_answer():
    call = with_a_transfer(200)
    call.does("hang_up", 0.0)

    call.at(40.0)

    assert call.times("BYE")[0] == 32.0


def test_a_bye_waits_for_no_transfer_that_is_still_under_way():
    call = with_a_transfer(180)

    call.does("hang_up", 0.0)

    assert len(call.peer.requests("BYE")) == 1


def test_who_hangs_up_while_our_bye_waits_gets_none():
    call = with_a_transfer(200)
    call.does("hang_up", 0.0)

    call.asks("BYE")
    answer(call, "NOTIFY")
    answer(call, "NOTIFY")

    assert call.peer.requests("BYE") == []
    assert call.session.finished is True

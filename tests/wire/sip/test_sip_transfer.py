"""Blind transfer, as who refers and as who is referred, as a ladder on an explicit clock. RFC 3515, RFC 4488, RFC 6665."""

from typing import Any

import pytest

from gateway.wire.sip.message import Request
from gateway.wire.sip.session_words import TransferAsked, TransferTold
from gateway.wire.sip.uri import SipUri
from tests.wire.sip.sip_peer import Called, Calling, number_of

CAROL = SipUri(user="carol", host="carol.example")
ACTIVE = "active;expires=60"
TERMINATED = "terminated;reason=noresource"


def told(call: Calling) -> list[TransferTold]:
    return [each for each in call.told if isinstance(each, TransferTold)]


# -- we refer


def referring(status: int | None = 202, **headers: Any) -> Calling:
    """We have them call Carol; `status`: what they said to that."""
    call = Calling().answered()
    call.does("refer", CAROL, 0.0)
    if status is not None:
        call.answers(call.peer.requests("REFER")[0], status, **headers)
    assert call.said == ["REFER"]
    return call


def notifies(call: Calling, fragment: str, state: str = ACTIVE, **headers: Any) -> None:
    headers = {"Event": "refer", "Subscription_State": state} | headers
    call.asks("NOTIFY", body=fragment.encode(), body_type="message/sipfrag;version=2.0", **headers)


def test_a_refer_says_whom_to_call():
    (refer,) = referring().peer.requests("REFER")

    assert refer.headers["Refer-To"] == "<sip:carol@carol.example>"
    assert refer.headers["Contact"] == "<sip:us@us.example>"


def test_how_their_call_goes_is_told_and_answered():
    call = referring()

    notifies(call, "SIP/2.0 100 Trying")
    notifies(call, "SIP/2.0 180 Ringing")
    notifies(call, "SIP/2.0 200 OK", TERMINATED)

    assert call.said == ["200 NOTIFY"] * 3
    assert told(call) == [TransferTold(100, False), TransferTold(180, False), TransferTold(200, True)]


def test_a_notify_may_overtake_the_answer_to_its_refer():
    call = referring(None)

    notifies(call, "SIP/2.0 100 Trying\r\n\r\n")
    call.answers(call.peer.requests("REFER")[0], 202)
    notifies(call, "SIP/2.0 486 Busy Here", TERMINATED)

    assert told(call) == [TransferTold(100, False), TransferTold(486, True)]


@pytest.mark.parametrize("status", [403, 405, 480, 501, 603])
def test_a_refer_that_is_refused_tells_so_and_the_call_lives(status: int):
    call = referring(status)

    assert told(call) == [TransferTold(status, True)]
    assert call.session.state == "confirmed"


def test_a_refer_that_finds_nobody_ends_the_call():
    call = referring(481)

    assert told(call) == [TransferTold(481, True)]
    assert call.ended == ("lost", False)


def test_a_notify_after_the_last_one_gets_481():
    call = referring()
    notifies(call, "SIP/2.0 200 OK", TERMINATED)

    notifies(call, "SIP/2.0 200 OK", TERMINATED)

    assert call.said == ["200 NOTIFY", "481 NOTIFY"]


def test_a_notify_of_what_we_never_asked_for_gets_481():
    call = Calling().answered()

    notifies(call, "SIP/2.0 200 OK", TERMINATED)

    assert call.said == ["481 NOTIFY"]


def test_a_notify_of_another_event_gets_489_and_what_we_take():
    call = referring()

    notifies(call, "SIP/2.0 200 OK", Event="presence")

    assert call.peer.responses(489)[0].headers["Allow-Events"] == "refer"


def test_a_notify_with_another_body_gets_415():
    call = referring()

    call.asks("NOTIFY", body=b"<x/>", body_type="text/xml", Event="refer", Subscription_State=ACTIVE)

    assert call.peer.responses(415)[0].headers["Accept"] == "message/sipfrag"


@pytest.mark.parametrize(
    "headers", [{"Subscription_State": ""}, {"Subscription_State": ";"}, {"Event": ";"}], ids=str
)
def test_a_notify_that_nobody_can_read_gets_400(headers: dict[str, Any]):
    call = referring()

    notifies(call, "SIP/2.0 200 OK", **headers)

    assert call.said == ["400 NOTIFY"]
    assert told(call) == []


def test_a_fragment_that_nobody_can_read_gets_400():
    call = referring()

    notifies(call, "two hundred")

    assert call.said == ["400 NOTIFY"]


def test_of_a_transfer_without_any_notify_nothing_is_known_after_32_s():
    call = referring().at(32.0)

    assert told(call) == [TransferTold(None, True)]


def test_a_transfer_whose_notifies_end_is_over_when_they_said():
    call = referring()
    notifies(call, "SIP/2.0 180 Ringing", "active;expires=40")

    call.at(40.0)

    assert told(call) == [TransferTold(180, False), TransferTold(180, True)]


def test_we_need_not_know_how_it_goes():
    call = Calling().answered()
    call.does("refer", CAROL, 0.0, watch=False)

    (refer,) = call.peer.requests("REFER")
    call.answers(refer, 202, Refer_Sub="false")

    assert refer.headers["Refer-Sub"] == "false"
    assert told(call) == [TransferTold(None, True)]


def test_a_transfer_is_watched_even_if_the_call_is_over():
    call = referring()
    call.asks("BYE")

    notifies(call, "SIP/2.0 200 OK", TERMINATED)

    assert call.said == ["200 BYE", "200 NOTIFY"]
    assert told(call) == [TransferTold(200, True)]
    assert call.session.finished is False  # a 200 to our INVITE may still come again
    assert len(call.at(33.0).us) == 0


def test_only_one_transfer_is_under_way_at_a_time():
    call = referring()

    assert not call.does("refer", CAROL, 0.0)


def test_nobody_is_referred_before_the_call_is_taken():
    call = Calling()

    assert not call.does("refer", CAROL, 0.0)


# -- we are referred


def referred(**headers: Any) -> Called:
    """They have us call Carol."""
    call = Called().answered()
    call.asks("REFER", **({"Refer_To": "<sip:carol@carol.example>"} | headers))
    return call


def accepted(**headers: Any) -> Called:
    call = referred(**headers)
    call.us.does(call.session, call.session.referral.accept, call.now)
    call.at(call.now)
    return call


def tells(call: Called, status: int) -> None:
    call.us.does(call.session, call.session.referral.tell, status, call.now)
    call.at(call.now)


def notified(call: Called) -> list[tuple[bytes, str]]:
    """What we said of it: fragment and state of the subscription."""
    return [
        (each.body.removesuffix(b"\r\n"), each.headers["Subscription-State"])
        for each in call.peer.requests("NOTIFY")
    ]


def last_notify(call: Called) -> Request:
    return call.peer.requests("NOTIFY")[-1]


def test_whom_they_want_us_to_call_is_asked_before_anything_is_said():
    call = referred()

    (asked,) = [each for each in call.told if isinstance(each, TransferAsked)]
    assert asked.target == CAROL
    assert call.said == []


def test_an_accepted_refer_gets_202_and_a_notify_at_once():
    call = accepted()

    assert call.said == ["202 REFER", "NOTIFY"]
    assert notified(call) == [(b"SIP/2.0 100 Trying", "active;expires=300")]
    assert last_notify(call).headers["Event"] == "refer"
    assert last_notify(call).headers["Content-Type"] == "message/sipfrag;version=2.0"


def test_the_final_status_of_our_call_ends_the_subscription():
    call = accepted()
    call.answers(last_notify(call), 200)

    tells(call, 180)
    call.answers(last_notify(call), 200)
    tells(call, 200)
    call.answers(last_notify(call), 200)

    assert notified(call)[1:] == [
        (b"SIP/2.0 180 Ringing", "active;expires=300"),
        (b"SIP/2.0 200 OK", "terminated;reason=noresource"),
    ]
    assert call.session.referral.idle


def test_one_notify_waits_for_the_other_and_only_the_newest_is_sent():
    call = accepted()
    tells(call, 180)
    tells(call, 183)
    tells(call, 486)
    before = len(notified(call))

    call.answers(last_notify(call), 200)

    assert before == 1
    assert notified(call)[1:] == [(b"SIP/2.0 486 Busy Here", "terminated;reason=noresource")]


def test_a_refer_to_where_we_may_not_call_gets_603():
    call = referred()

    call.us.does(call.session, call.session.referral.refuse, 0.0)
    call.at(0.0)

    assert call.said == ["603 REFER"]
    assert call.session.referral.idle
    assert call.session.state == "confirmed"


@pytest.mark.parametrize("refer_to", ["", "<sip:a@b>, <sip:c@d>", "<sip:a b@c>"], ids=str)
def test_a_refer_that_does_not_say_whom_to_call_gets_400(refer_to: str):
    assert referred(Refer_To=refer_to).said == ["400 REFER"]


def test_a_second_refer_before_the_first_is_done_gets_491():
    call = accepted()

    call.asks("REFER", Refer_To="<sip:dave@dave.example>")

    assert call.said[-1] == "491 REFER"


def test_a_later_refer_is_told_apart_by_its_number():
    call = accepted()
    call.answers(last_notify(call), 200)
    tells(call, 486)
    call.answers(last_notify(call), 200)

    again = call.asks("REFER", Refer_To="<sip:dave@dave.example>")
    call.us.does(call.session, call.session.referral.accept, call.now)
    call.at(call.now)

    assert last_notify(call).headers["Event"] == f"refer;id={number_of(again)}"


def test_who_wants_to_know_nothing_is_told_nothing():
    call = accepted(Refer_Sub="false")
    tells(call, 200)

    assert call.said == ["202 REFER"]
    assert call.peer.responses(202)[0].headers["Refer-Sub"] == "false"


@pytest.mark.parametrize("status", [408, 481])
def test_a_notify_that_finds_nobody_ends_the_subscription_and_not_the_call(status: int):
    call = accepted()

    call.answers(last_notify(call), status)
    tells(call, 200)

    assert len(notified(call)) == 1
    assert call.session.referral.idle
    assert call.session.state == "confirmed"


def test_what_nobody_told_for_five_minutes_is_not_told_any_more():
    call = accepted()
    call.answers(last_notify(call), 200)

    call.at(300.0)

    assert notified(call)[-1] == (b"SIP/2.0 100 Trying", "terminated;reason=timeout")


def test_a_notify_of_a_call_that_is_over_waits_for_the_answer_to_its_bye():
    call = accepted()
    call.answers(last_notify(call), 200)
    call.does("hang_up", 0.0)
    tells(call, 200)
    before = len(notified(call))

    call.answers(call.peer.requests("BYE")[0], 200)
    call.answers(last_notify(call), 200)

    assert before == 1
    assert notified(call)[-1] == (b"SIP/2.0 200 OK", "terminated;reason=noresource")
    assert call.session.finished


def test_a_bye_answers_a_refer_that_waits_for_us():
    call = referred()

    call.asks("BYE")

    assert call.said == ["200 BYE", "487 REFER"]


def test_without_a_refer_there_is_nothing_to_take_or_to_refuse():
    session = Called().answered().session

    assert not session.referral.accept(0.0)
    assert not session.referral.refuse(0.0)


def test_a_refer_that_still_waits_when_the_call_ends_is_not_sent():
    call = Calling().answered()
    call.does("inform", b"Signal=1", "application/dtmf-relay")
    call.does("refer", CAROL, 0.0)

    call.does("hang_up", 0.0)

    assert call.said == ["INFO", "BYE"]
    assert told(call) == [TransferTold(None, True)]

"""How long a session lasts without a refresh, as a ladder on an explicit clock. RFC 4028."""

from typing import Any

import pytest

from gateway.wire.sip.session_words import OfferDue
from tests.wire.sip.sip_peer import Called, Calling

WITH_TIMER: dict[str, Any] = {"Supported": "timer", "Session_Expires": "180"}
ALLOWS_UPDATE: dict[str, Any] = {"Allow": "INVITE, ACK, BYE, UPDATE"}


def called(**headers: Any) -> Called:
    """They call us, and we take it."""
    return Called(headers=headers).answered()


def taken(call: Called) -> dict[str, str]:
    """What our 200 said of it."""
    headers = call.peer.responses(200)[0].headers
    return {name: headers[name] for name in ("Session-Expires", "Require") if name in headers}


# -- what is agreed


def test_our_invite_asks_for_refreshes_and_says_how_often_at_most():
    headers = Calling(expires_s=600).invite.headers

    assert (headers["Session-Expires"], headers["Min-SE"]) == ("600", "90")
    assert "timer" in headers["Supported"]


def test_who_wants_no_refreshes_does_not_ask_for_them():
    assert "Session-Expires" not in Calling(expires_s=None).invite.headers


def test_of_a_caller_who_can_refresh_we_want_that_he_does():
    call = called(**WITH_TIMER)

    assert taken(call) == {"Session-Expires": "180;refresher=uac", "Require": "timer"}


def test_a_caller_may_want_that_we_refresh():
    call = called(Supported="timer", Session_Expires="180;refresher=uas")

    assert taken(call) == {"Session-Expires": "180;refresher=uas"}


def test_for_a_caller_whose_proxy_wants_refreshes_we_refresh():
    call = called(Session_Expires="180")

    assert taken(call) == {"Session-Expires": "180;refresher=uas"}


def test_a_caller_who_knows_no_refreshes_gets_none():
    call = called()

    assert taken(call) == {}
    assert call.at(4000.0).said == []


def test_a_caller_who_could_refresh_and_does_not_say_so_is_asked_to():
    call = called(Supported="timer")

    assert taken(call) == {"Session-Expires": "1800;refresher=uac", "Require": "timer"}


def test_less_than_we_grant_is_refused_with_what_we_would():
    call = Called(headers={"Supported": "timer", "Session_Expires": "60"})

    (refusal,) = call.peer.responses(422)
    assert refusal.headers["Min-SE"] == "90"
    assert len(call.us) == 0


def test_who_would_not_understand_a_422_gets_none():
    assert taken(called(Session_Expires="60")) == {"Session-Expires": "60;refresher=uas"}


def test_a_call_that_lasted_too_short_for_them_is_asked_again_as_they_want_it():
    call = Calling(expires_s=600)

    call.answers(call.invite, 422, Min_SE="900")

    first, second = call.peer.requests("INVITE")
    assert (second.headers["Session-Expires"], second.headers["Min-SE"]) == ("900", "900")
    assert second.headers["Call-ID"] == first.headers["Call-ID"]
    assert call.told == []


def test_a_422_that_asks_for_nothing_new_is_a_refusal():
    call = Calling(expires_s=600)

    call.answers(call.invite, 422, Min_SE="300")

    assert call.ended == ("refused", False)


def test_who_always_wants_more_is_not_asked_for_ever():
    call = Calling(expires_s=600)

    for least_s in range(700, 710):
        call.answers(call.invite, 422, Min_SE=str(least_s))

    assert call.ended == ("refused", False)
    assert len(call.peer.requests("INVITE")) == 5


def test_a_session_expires_that_nobody_can_read_is_refused():
    call = Called(headers={"Supported": "timer", "Session_Expires": "soon"})

    assert call.said == ["400 INVITE"]


# -- we refresh


def test_half_way_we_refresh_by_an_update_which_has_no_offer():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)

    call.at(300.0)

    (update,) = call.peer.requests("UPDATE")
    assert update.headers["Session-Expires"] == "600;refresher=uac"
    assert update.headers["Contact"] == "<sip:us@us.example>"
    assert update.body == b""


def test_each_refresh_is_followed_by_the_next():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)

    for now in (300.0, 600.0, 900.0):
        call.at(now)
        call.answers(call.peer.requests("UPDATE")[-1], 200, Session_Expires="600;refresher=uac")

    assert call.times("UPDATE") == [300.0, 600.0, 900.0]
    assert call.session.state == "confirmed"


def test_who_takes_no_update_is_refreshed_by_an_invite_which_wants_an_offer():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac")

    call.at(300.0)
    due = call.told[-1]
    call.does("offer", b"as before", 300.0)

    assert due == OfferDue()
    assert call.invite.body == b"as before"
    assert call.invite.headers["Session-Expires"] == "600;refresher=uac"


def test_as_who_was_called_we_refresh_too_if_they_want_it():
    call = called(Supported="timer", Session_Expires="180;refresher=uas", **ALLOWS_UPDATE)

    call.at(90.0)

    (update,) = call.peer.requests("UPDATE")
    assert update.headers["Session-Expires"] == "180;refresher=uac"


def test_an_update_that_they_do_not_know_after_all_is_followed_by_an_invite():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)
    call.at(300.0)

    call.answers(call.peer.requests("UPDATE")[0], 405)
    call.at(310.0)

    assert call.told[-1] == OfferDue()


def test_a_refresh_that_lasts_too_short_for_them_is_sent_again_as_they_want_it():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)
    call.at(300.0)

    call.answers(call.peer.requests("UPDATE")[0], 422, Min_SE="1000")

    assert call.peer.requests("UPDATE")[1].headers["Session-Expires"] == "1000;refresher=uac"


def test_a_refresh_that_always_fails_ends_the_call_32_s_before_it_would_expire():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)

    while call.now < 570.0:
        call.at(call.now + 1.0)
        if call.said == ["UPDATE"]:
            call.answers(call.peer.requests("UPDATE")[-1], 503)

    assert call.times("UPDATE")[:3] == [300.0, 310.0, 320.0]
    assert call.times("BYE")[0] == 568.0
    assert call.ended == ("expired", True)


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_finds_nobody_ends_the_call(status: int):
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)
    call.at(300.0)

    call.answers(call.peer.requests("UPDATE")[0], status)

    assert call.ended == ("lost", False)


# -- they refresh


@pytest.mark.parametrize(("expires_s", "bye_at"), [(180, 148.0), (90, 60.0)])
def test_without_their_refresh_the_call_ends_a_third_or_32_s_before_it_expires(expires_s: int, bye_at: float):
    call = called(Supported="timer", Session_Expires=str(expires_s))

    call.at(bye_at + 0.5)

    assert call.times("BYE")[0] == bye_at
    assert "Session expired" in call.peer.requests("BYE")[0].headers["Reason"]
    assert call.ended == ("expired", True)


def test_their_update_refreshes():
    call = called(**WITH_TIMER)

    call.at(100.0).asks("UPDATE", Supported="timer", Session_Expires="180;refresher=uac")

    assert call.said == ["200 UPDATE"]
    assert call.peer.responses(200)[-1].headers["Session-Expires"] == "180;refresher=uac"
    assert call.at(240.0).times("BYE") == []
    assert call.at(249.0).times("BYE")[0] == 248.0


def test_their_invite_refreshes():
    call = called(**WITH_TIMER)

    again = call.at(100.0).asks(
        "INVITE", body=b"as before", Supported="timer", Session_Expires="180;refresher=uac"
    )
    call.does("accept", b"as before", 100.0)
    call.asks("ACK", number=int(again.headers["CSeq"].split()[0]))

    assert call.at(240.0).times("BYE") == []


def test_who_refreshes_may_change_at_each_refresh():
    call = called(Supported="timer", Session_Expires="180", **ALLOWS_UPDATE)

    call.at(80.0).asks("UPDATE", Supported="timer", Session_Expires="180;refresher=uas")

    assert call.at(170.0).times("UPDATE") == [170.0]


def test_who_does_not_say_who_refreshes_leaves_it_as_it_was():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)

    call.at(100.0).asks("UPDATE", Supported="timer", Session_Expires="600")

    assert call.peer.responses(200)[-1].headers["Session-Expires"] == "600;refresher=uas"


def test_who_answers_a_refresh_without_timers_has_none_from_then_on():
    call = Calling(expires_s=600).answered(Session_Expires="600;refresher=uac", **ALLOWS_UPDATE)
    call.at(300.0)

    call.answers(call.peer.requests("UPDATE")[0], 200)

    assert call.at(4000.0).times("BYE") == []


def test_who_wants_a_refresh_every_second_gets_one_every_five():
    call = Calling(expires_s=600).answered(Session_Expires="1;refresher=uac", **ALLOWS_UPDATE)

    call.at(4.9)

    assert call.times("UPDATE") == []


def test_a_call_that_is_over_expires_no_more():
    call = called(**WITH_TIMER)

    call.asks("BYE")

    assert call.at(400.0).times("BYE") == []


def test_a_change_that_lasts_too_short_for_them_is_asked_again_as_they_want_it():
    call = Calling(expires_s=600).answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.answers(call.invite, 422, Min_SE="1000")

    assert call.invite.headers["Session-Expires"] == "1000"
    assert call.invite.body == b"hold"

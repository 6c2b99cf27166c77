"""An INVITE that we are asked, as a ladder on an explicit clock. RFC 3261 §13.3, §9.2, §14.2, §15; RFC 6026."""

import pytest

from gateway.wire.sip.session_words import AnswerCame, Confirmed, Ended, Offered
from tests.wire.sip.sip_peer import Called, Line, number_of

# -- before it is answered


def test_an_invite_gets_a_100_after_200_ms_if_there_is_nothing_else_to_say():
    call = Called().at(0.5)

    assert call.times("100 INVITE") == [0.2]


def test_who_rings_at_once_says_no_100():
    call = Called()

    call.does("ring", 0.0)

    assert call.at(5.0).said == ["180 INVITE"]


def test_an_offer_is_handed_up_as_it_came():
    call = Called(b"their offer")

    assert call.told == [Offered(b"their offer", call.invite)]


def test_an_invite_without_an_offer_asks_us_for_one():
    call = Called(b"")

    assert call.told == [Offered(None, call.invite)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Disposition": "frob;handling=optional"},
        {"Content_Disposition": "early-session;handling=optional"},
        {"Content_Disposition": "session;handling=optional", "Content_Encoding": "gzip"},
    ],
)
def test_an_offer_that_may_be_ignored_and_is_not_understood_is_none(headers: dict[str, str]):
    call = Called(headers=headers)

    assert call.told == [Offered(None, call.invite)]


@pytest.mark.parametrize("disposition", ["frob", "frob;handling=required", "early-session", "icon", "render"])
def test_a_description_that_is_for_something_else_gets_415(disposition: str):
    call = Called(headers={"Content_Disposition": disposition})

    assert call.said == ["415 INVITE"]
    assert call.peer.responses(415)[0].headers["Accept"] == "application/sdp"


def test_an_answer_for_something_else_in_an_ack_is_none():
    call = Called(b"")
    call.does("accept", b"offer", call.now)

    call.asks("ACK", number=101, body=b"answer", Content_Disposition="early-session", Content_Encoding="a b")

    assert call.said == ["200 INVITE", "BYE"]


def test_ringing_is_said_again_every_minute():
    call = Called()

    call.does("ring", 0.0)

    assert call.at(150.0).times("180 INVITE") == [0.0, 60.0, 120.0]


def test_a_provisional_response_may_preview_the_answer():
    call = Called()

    call.does("ring", 0.0, 183, b"answer")

    (progress,) = call.peer.responses(183)
    assert progress.body == b"answer"


def test_no_offer_of_ours_goes_into_a_response_that_may_be_lost():
    call = Called(b"")

    with pytest.raises(ValueError, match="reliable"):
        call.does("ring", 0.0, 183, b"offer")


def test_all_responses_above_100_have_the_same_tag_and_a_contact_and_the_route_back():
    call = Called(headers={"Record_Route": "<sip:proxy.example;lr>"})

    call.does("ring", 0.0)
    call.does("accept", b"answer", 0.0)

    (ringing,), (taken,) = call.peer.responses(180), call.peer.responses(200)
    assert ringing.headers["To"] == taken.headers["To"]
    assert taken.headers["Contact"] == "<sip:us@us.example>"
    assert taken.headers["Record-Route"] == "<sip:proxy.example;lr>"


def test_a_call_that_is_refused_is_over_at_once():
    call = Called()

    assert call.does("refuse", 486, 0.0)

    assert call.said == ["486 INVITE"]
    assert call.ended == ("refused", True)
    assert len(call.us) == 0


def test_an_invite_that_expires_is_refused_as_if_it_had_been_cancelled():
    call = Called(headers={"Expires": "20"}).at(25.0)

    assert call.times("487 INVITE")[0] == 20.0
    assert call.ended == ("cancelled", False)


def test_who_called_without_a_contact_is_hung_up_on_where_he_says_he_is_from():
    call = Called(headers={"Contact": ""}).answered()

    call.does("hang_up", call.now)

    (bye,) = call.peer.requests("BYE")
    assert str(bye.uri) == "sip:peer@peer.example"


def test_an_invite_with_a_body_that_we_do_not_know_is_told_what_we_do():
    line = Line()

    line.asks("INVITE", body=b"hello", body_type="text/plain", to_tag=None)

    (refusal,) = line.peer.responses(415)
    assert refusal.headers["Accept"] == "application/sdp"


# -- taken


def test_a_200_is_sent_again_until_its_ack_comes():
    call = Called()

    call.does("accept", b"answer", 0.0)
    call.at(6.0).acks()

    assert call.at(40.0).times("200 INVITE") == [0.0, 0.5, 1.5, 3.5]
    assert call.told[-1] == Confirmed()


def test_a_200_is_sent_again_at_most_every_4_s_and_after_32_s_comes_a_bye():
    call = Called()

    call.does("accept", b"answer", 0.0)
    call.at(32.0)

    assert call.times("200 INVITE") == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert call.times("BYE") == [32.0]
    assert call.ended == ("unacknowledged", True)


def test_an_ack_that_comes_again_means_nothing():
    call = Called().answered()

    call.acks()
    call.at(40.0)

    assert call.said == []
    assert call.told.count(Confirmed()) == 1


def test_the_same_invite_again_gets_the_same_response_again():
    call = Called()
    call.does("ring", 0.0)

    call.sends(call.invite)

    assert call.said == ["180 INVITE", "180 INVITE"]


def test_the_ack_of_a_stranger_is_none():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.asks("ACK", number=number_of(call.invite), from_tag="stranger")

    assert call.session.state == "accepted"


def test_an_offer_of_ours_in_the_200_is_answered_in_the_ack():
    call = Called(b"")
    call.does("accept", b"our offer", 0.0)

    call.acks(body=b"their answer")

    assert call.told[1:] == [AnswerCame(b"their answer"), Confirmed()]


def test_an_ack_without_the_answer_that_it_owes_is_followed_by_a_bye():
    call = Called(b"")
    call.does("accept", b"our offer", 0.0)

    call.acks()

    assert call.said[-1] == "BYE"
    assert call.ended == ("no answer", True)


def test_a_call_is_taken_once():
    call = Called().answered()

    assert not call.does("accept", b"again", 1.0)
    assert not call.does("refuse", 486, 1.0)
    assert not call.does("ring", 1.0)


# -- cancelled


def test_a_cancel_gets_200_and_its_invite_487():
    call = Called()

    call.cancels()

    assert call.said == ["200 CANCEL", "487 INVITE"]
    assert call.ended == ("cancelled", False)


def test_a_cancel_says_why():
    call = Called()

    call.asks(
        "CANCEL",
        number=101,
        branch="z9hG4bKpeer1",
        to_tag=None,
        Reason='SIP;cause=200;text="Call completed elsewhere"',
    )

    ended = call.told[-1]
    assert isinstance(ended, Ended)
    assert [(reason.protocol, reason.cause) for reason in ended.reasons] == [("SIP", 200)]


def test_a_cancel_after_the_200_changes_nothing():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.cancels()
    call.acks()

    assert call.peer.responses(487) == []
    assert "200 CANCEL" in call.said
    assert call.told[-1] == Confirmed()


def test_a_cancel_after_a_refusal_gets_200_as_well():
    call = Called()
    call.does("refuse", 486, 0.0)

    call.cancels()

    assert call.said == ["486 INVITE", "200 CANCEL"]


def test_a_cancel_of_nothing_gets_481():
    call = Called()

    call.asks("CANCEL", branch="z9hG4bKother", to_tag=None)

    assert call.said == ["481 CANCEL"]

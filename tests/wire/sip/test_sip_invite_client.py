"""An INVITE of ours, as a ladder on an explicit clock. RFC 3261 §13.2, §9.1, §14.1, §15, §22; RFC 6026."""

from random import Random
from typing import Any

import pytest

from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.session_words import (
    AnswerCame,
    Confirmed,
    Ended,
    Offered,
    Progressed,
)
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.values import Reason
from tests.wire.sip.sip_peer import PEER_URI, Calling, Line, number_of

CHALLENGE = 'Digest realm="peer.example", nonce="n1", algorithm=MD5, qop="auth"'


# -- it rings, somewhere


def test_what_is_known_of_the_call_before_it_is_taken_is_told():
    call = Calling()

    call.answers(call.invite, 100)
    call.answers(call.invite, 180)
    call.answers(call.invite, 183, body=b"ringback")

    told = [each.response.status if isinstance(each, Progressed) else each for each in call.told]
    assert told == [180, 183, AnswerCame(b"ringback", early=True)]


def test_who_first_shows_an_answer_keeps_to_it():
    call = Calling()
    call.answers(call.invite, 183, body=b"first")
    call.answers(call.invite, 183, body=b"second")

    call.answers(call.invite, 200, body=b"third")

    assert [each for each in call.told if isinstance(each, AnswerCame)] == [
        AnswerCame(b"first", early=True),
        AnswerCame(b"first"),
    ]


def test_each_place_where_it_rings_has_an_answer_of_its_own():
    call = Calling()
    call.answers(call.invite, 183, body=b"desk's", tag="desk")
    call.answers(call.invite, 183, body=b"mobile's", tag="mobile")

    call.answers(call.invite, 200, tag="desk")

    assert call.told[-2:] == [AnswerCame(b"desk's"), Confirmed()]


@pytest.mark.parametrize("status", [300, 404, 408, 480, 486, 488, 503, 603])
def test_a_call_that_is_not_taken_ends_with_what_they_said(status: int):
    call = Calling()

    call.answers(call.invite, status)

    ended = call.told[-1]
    assert call.ended == ("refused", False)
    assert isinstance(ended, Ended)
    assert ended.message is not None
    assert ended.message.headers["CSeq"] == call.invite.headers["CSeq"]
    assert call.said == ["INVITE", "ACK"]
    assert len(call.us) == 0


def test_a_call_that_moved_says_where_to():
    call = Calling()

    call.answers(call.invite, 302, Contact="<sip:elsewhere@other.example>")

    ended = call.told[-1]
    assert isinstance(ended, Ended)
    assert ended.message is not None
    assert ended.message.headers["Contact"] == "<sip:elsewhere@other.example>"


def test_a_call_that_nobody_answers_ends_after_32_s():
    call = Calling().at(31.9)
    before = call.ended

    call.at(32.1)

    assert before is None
    assert call.ended == ("refused", False)


# -- it is taken


def test_a_200_is_acknowledged_with_the_number_of_its_invite():
    call = Calling()

    call.answers(call.invite, 200, body=b"answer")

    (ack,) = call.peer.requests("ACK")
    assert ack.headers["CSeq"] == f"{number_of(call.invite)} ACK"
    assert call.told == [AnswerCame(b"answer"), Confirmed()]


def test_each_200_that_comes_again_gets_the_same_ack_again():
    call = Calling()
    answer = call.answers(call.invite, 200, body=b"answer")

    call.at(0.5).sends(answer)
    call.at(1.5).sends(answer)

    acks = call.peer.requests("ACK")
    assert len(acks) == 3
    assert len({ack.encode() for ack in acks}) == 1
    assert call.told.count(Confirmed()) == 1


def test_the_ack_is_for_the_contact_even_if_that_is_private_and_goes_to_the_last_proxy_of_theirs():
    call = Calling()
    # As Twilio does: the first hop back is the last Record-Route.
    call.answers(
        call.invite,
        200,
        body=b"answer",
        contact="<sip:peer@10.0.0.5:5060>",
        Record_Route="<sip:inner.example;lr>, <sip:peer.example;lr>",
    )

    (ack,) = call.peer.requests("ACK")
    assert str(ack.uri) == "sip:peer@10.0.0.5:5060"
    assert ack.headers.rows("Route") == ["<sip:peer.example;lr>", "<sip:inner.example;lr>"]


def test_the_contact_of_the_200_counts_not_that_of_the_180():
    call = Calling()
    call.answers(call.invite, 180, contact="<sip:early@peer.example>", Record_Route="<sip:peer.example;lr>")

    call.answers(call.invite, 200, body=b"answer", contact="<sip:taken@peer.example>")

    (ack,) = call.peer.requests("ACK")
    assert str(ack.uri) == "sip:taken@peer.example"
    assert "Route" not in ack.headers


def test_an_offer_of_theirs_is_answered_in_the_ack_when_there_is_an_answer():
    call = Calling(None)
    answer = call.answers(call.invite, 200, body=b"their offer")
    call.at(0.5).sends(answer)
    before = call.said

    call.does("accept", b"our answer", call.now)

    (ack,) = call.peer.requests("ACK")
    assert before == ["INVITE"]
    assert isinstance(call.told[0], Offered)
    assert (ack.body, ack.headers["Content-Type"]) == (b"our answer", "application/sdp")
    assert call.told[-1] == Confirmed()


def test_an_offer_of_theirs_that_is_not_taken_is_acknowledged_and_the_call_ended():
    call = Calling(None)
    call.answers(call.invite, 200, body=b"their offer")

    call.does("refuse", 488, call.now)

    assert call.said == ["INVITE", "ACK", "BYE"]
    assert call.ended == ("refused", True)


def test_a_200_without_the_answer_that_it_owes_is_acknowledged_and_the_call_ended():
    call = Calling()

    call.answers(call.invite, 200)

    assert call.said == ["INVITE", "ACK", "BYE"]
    assert call.ended == ("no answer", True)


def test_who_takes_the_call_too_late_gets_an_ack_and_a_bye():
    call = Calling()
    call.answers(call.invite, 200, body=b"desk's", tag="desk")

    late = call.answers(call.invite, 200, body=b"mobile's", tag="mobile", contact="<sip:mobile@peer.example>")
    call.sends(late)

    assert call.said == ["INVITE", "ACK", "ACK", "BYE", "ACK"]
    (bye,) = call.peer.requests("BYE")
    assert str(bye.uri) == "sip:mobile@peer.example"
    assert bye.headers["To"].endswith("tag=mobile")
    assert call.told == [AnswerCame(b"desk's"), Confirmed()]


def test_a_call_can_be_made_by_way_of_proxies():
    routes = (NameAddr.parse("<sip:peer.example;lr>"), NameAddr.parse("<sip:second.example;lr>"))

    call = Calling(call={"routes": routes})

    assert str(call.invite.uri) == str(PEER_URI)
    assert call.invite.headers.rows("Route") == ["<sip:peer.example;lr>", "<sip:second.example;lr>"]


def test_who_is_called_by_sips_calls_back_by_sips():
    uri = SipUri(user="peer", host="peer.example", secure=True)

    call = Line()
    call.us.call(uri)
    call.at(0.0)

    assert call.peer.requests("INVITE")[0].headers["Contact"] == "<sips:us@us.example>"


# -- nobody wants it any more


def test_a_call_that_nobody_has_answered_yet_is_cancelled_as_soon_as_somebody_does():
    call = Calling()
    call.does("hang_up", 0.0)
    before = call.said

    call.answers(call.invite, 180)

    assert before == ["INVITE"]
    assert call.said == ["CANCEL"]
    assert call.ended == ("hung up", True)


def test_a_call_that_rings_is_cancelled_at_once_and_says_why():
    call = Calling()
    call.answers(call.invite, 180)

    call.does("hang_up", 0.0, [Reason("Q.850", 16, "Normal call clearing")])

    (cancel,) = call.peer.requests("CANCEL")
    assert cancel.headers["Via"] == call.invite.headers["Via"]
    assert cancel.headers["Reason"] == 'Q.850;cause=16;text="Normal call clearing"'


def test_the_487_of_a_cancelled_call_ends_it():
    call = Calling()
    call.answers(call.invite, 180)
    call.does("hang_up", 0.0)

    call.answers(call.peer.requests("CANCEL")[0], 200)
    call.answers(call.invite, 487)

    assert call.said == ["INVITE", "CANCEL", "ACK"]
    assert len(call.us) == 0


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_followed_by_a_bye():
    call = Calling()
    call.answers(call.invite, 180)
    call.does("hang_up", 0.0)

    answer = call.answers(call.invite, 200, body=b"answer")
    call.sends(answer)

    assert call.said == ["INVITE", "CANCEL", "ACK", "BYE", "ACK"]
    assert call.ended == ("hung up", True)


def test_an_invite_whose_cancel_has_no_effect_is_forgotten_after_32_s():
    call = Calling()
    call.answers(call.invite, 180)
    call.does("hang_up", 0.0)
    call.answers(call.peer.requests("CANCEL")[0], 200)

    call.at(33.0)

    assert len(call.us) == 0
    assert call.us.agent.is_idle


# -- challenges


def digest() -> DigestClient:
    return DigestClient("us", "secret", Random(3))


@pytest.mark.parametrize(
    ("status", "challenge", "credentials"),
    [(401, "WWW_Authenticate", "Authorization"), (407, "Proxy_Authenticate", "Proxy-Authorization")],
)
def test_a_challenged_call_is_asked_again_in_the_same_call_id(status: int, challenge: str, credentials: str):
    call = Calling(credentials=digest())

    headers: dict[str, Any] = {challenge: CHALLENGE}
    call.answers(call.invite, status, **headers)

    first, second = call.peer.requests("INVITE")
    assert number_of(second) == number_of(first) + 1
    for same in ("Call-ID", "From", "To"):
        assert first.headers[same] == second.headers[same]
    assert credentials not in first.headers
    assert credentials in second.headers
    assert call.told == []


def test_the_ack_has_the_credentials_of_its_invite():
    call = Calling(credentials=digest())
    call.answers(call.invite, 407, Proxy_Authenticate=CHALLENGE)

    call.answers(call.invite, 200, body=b"answer")

    ack = call.peer.requests("ACK")[-1]
    assert ack.headers["Proxy-Authorization"] == call.invite.headers["Proxy-Authorization"]


def test_a_challenge_that_refuses_our_password_ends_the_call():
    call = Calling(credentials=digest())
    call.answers(call.invite, 401, WWW_Authenticate=CHALLENGE)

    call.answers(call.invite, 401, WWW_Authenticate=CHALLENGE.replace("n1", "n2"))

    assert call.ended == ("refused", False)


def test_without_credentials_a_challenge_is_a_refusal():
    call = Calling()

    call.answers(call.invite, 401, WWW_Authenticate=CHALLENGE)

    assert call.ended == ("refused", False)


def test_a_challenged_bye_is_asked_again():
    call = Calling(credentials=digest()).answered()
    call.does("hang_up", 0.0)

    call.answers(call.peer.requests("BYE")[0], 407, Proxy_Authenticate=CHALLENGE)

    first, second = call.peer.requests("BYE")
    assert number_of(second) == number_of(first) + 1
    assert "Proxy-Authorization" in second.headers


def test_a_challenged_change_is_asked_again():
    call = Calling(credentials=digest()).answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.answers(call.invite, 407, Proxy_Authenticate=CHALLENGE)

    assert call.invite.body == b"hold"
    assert "Proxy-Authorization" in call.invite.headers

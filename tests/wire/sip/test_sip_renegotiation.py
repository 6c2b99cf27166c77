"""A call that is changed while it lasts, by either side. RFC 3261 §14, RFC 3264, RFC 3311, RFC 5407."""

import pytest

from gateway.wire.sip.session_words import AnswerCame, OfferDue, Offered, OfferRefused
from tests.wire.sip.sip_peer import Called, Calling, number_of

# -- we ask


def test_an_offer_is_due_when_it_is_wanted_and_nothing_is_under_way():
    call = Calling().answered()

    call.does("renegotiate")

    assert call.told[-1] == OfferDue()


def test_an_offer_that_nobody_asked_for_is_not_made():
    call = Calling().answered()

    assert not call.does("offer", b"hold", 0.0)
    assert call.said == []


def test_an_offer_is_not_due_before_the_call_is_taken():
    call = Calling()
    call.does("renegotiate")
    before = call.told.copy()

    call.answers(call.invite, 200, body=b"answer")

    assert before == []
    assert call.told[-1] == OfferDue()


def test_an_offer_is_not_due_while_theirs_is_open():
    call = Calling().answered()
    theirs = call.asks("INVITE", body=b"theirs")
    call.does("renegotiate")
    call.does("accept", b"answer", 0.0)
    before = call.told[-1]

    call.asks("ACK", number=number_of(theirs))

    assert isinstance(before, Offered)
    assert call.told[-1] == OfferDue()


def test_an_offer_that_became_due_too_late_is_due_again():
    call = Calling().answered()
    call.does("renegotiate")
    theirs = call.asks("INVITE", body=b"theirs")
    refused = call.does("offer", b"ours", 0.0)
    call.does("accept", b"answer", 0.0)

    call.asks("ACK", number=number_of(theirs))

    assert refused is False
    assert call.told[-1] == OfferDue()


def test_a_change_of_ours_is_taken():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.answers(call.invite, 200, body=b"held", contact="<sip:moved@peer.example>")
    call.does("hang_up", 0.0)

    assert call.said == ["INVITE", "ACK", "BYE"]
    assert AnswerCame(b"held") in call.told
    assert str(call.peer.requests("BYE")[0].uri) == "sip:moved@peer.example"


def test_a_change_of_ours_that_is_refused_leaves_the_call_as_it_was():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.answers(call.invite, 488)

    assert isinstance(call.told[-1], OfferRefused)
    assert call.session.state == "confirmed"


@pytest.mark.parametrize(("line", "least_s", "most_s"), [(Calling, 2.1, 4.0), (Called, 0.0, 2.0)])
def test_of_two_changes_at_once_that_of_the_call_s_owner_is_due_again_later(
    line: type[Calling | Called], least_s: float, most_s: float
):
    pauses = []
    for seed in range(20):
        call = line(seed=seed).answered()
        call.does("renegotiate")
        call.does("offer", b"ours", 0.0)
        call.answers(call.peer.requests("INVITE")[-1], 491)
        while call.told.count(OfferDue()) == 1:
            call.at(call.now + 0.01)
        pauses.append(call.now)

    assert least_s <= min(pauses) < max(pauses) <= most_s + 0.01


def test_a_change_that_they_want_later_is_due_then():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"ours", 0.0)
    call.answers(call.invite, 500, Retry_After="5")
    before = call.told[-1]

    call.at(5.0)

    assert before == OfferDue()
    assert call.told.count(OfferDue()) == 2


@pytest.mark.parametrize("status", [408, 481])
def test_a_change_that_finds_nobody_ends_the_call(status: int):
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.answers(call.invite, status)

    assert call.ended == ("lost", False)
    assert len(call.peer.requests("BYE")) == (status == 408)


def test_a_change_that_nobody_answers_ends_the_call_with_a_bye():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)

    call.at(32.5)

    assert call.ended == ("lost", False)
    assert call.times("BYE")[0] == 32.0


# -- they ask


def test_a_change_is_offered_and_taken():
    call = Called().answered()

    again = call.asks("INVITE", body=b"hold")
    call.does("accept", b"held", call.now)
    call.acks(again)

    assert call.said == ["200 INVITE"]
    assert call.told[-1] == Offered(b"hold", again)
    assert call.peer.responses(200)[-1].body == b"held"


def test_a_change_that_is_refused_leaves_the_call_as_it_was():
    call = Called().answered()

    call.asks("INVITE", body=b"video", Contact="<sip:elsewhere@other.example>")
    call.does("refuse", 488, call.now)
    call.does("hang_up", call.now)

    assert call.said == ["488 INVITE", "BYE"]
    assert str(call.peer.requests("BYE")[0].uri) == "sip:peer@peer.example"


def test_a_change_may_move_where_our_requests_go():
    call = Called().answered()

    again = call.asks("INVITE", body=b"hold", Contact="<sip:moved@peer.example>")
    call.does("accept", b"held", call.now)
    call.acks(again)
    call.does("hang_up", call.now)

    assert str(call.peer.requests("BYE")[0].uri) == "sip:moved@peer.example"


def test_a_change_without_an_offer_is_left_to_us():
    call = Called().answered()

    again = call.asks("INVITE")
    call.does("accept", b"our offer", call.now)
    call.acks(again, b"their answer")

    assert call.told[-2:] == [Offered(None, again), AnswerCame(b"their answer")]


def test_a_second_change_before_the_first_is_answered_gets_500_and_when_to_come_again():
    call = Called().answered()
    call.asks("INVITE", body=b"hold")

    call.asks("INVITE", body=b"resume")

    (refusal,) = call.peer.responses(500)
    assert 0 <= int(refusal.headers["Retry-After"]) <= 10


def test_a_change_while_ours_is_under_way_gets_491():
    call = Called().answered()
    call.does("renegotiate")
    call.does("offer", b"ours", call.now)

    call.asks("INVITE", body=b"theirs")

    assert call.said == ["INVITE", "491 INVITE"]


def test_a_change_before_the_ack_is_as_good_as_the_ack():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.asks("INVITE", body=b"hold")
    call.does("accept", b"held", 0.0)

    assert call.said == ["200 INVITE", "200 INVITE"]


def test_a_change_before_the_answer_in_the_ack_gets_491():
    call = Called(b"")
    call.does("accept", b"our offer", 0.0)

    call.asks("INVITE", body=b"hold")

    assert call.said == ["200 INVITE", "491 INVITE"]


def test_a_change_whose_200_nobody_acknowledges_ends_the_call():
    call = Called().answered()

    call.asks("INVITE", body=b"hold")
    call.does("accept", b"held", call.now)

    assert call.at(33.0).ended == ("unacknowledged", True)
    assert call.times("BYE")[0] == 32.0


def test_a_change_can_be_cancelled_and_the_call_lives():
    call = Called().answered()
    again = call.asks("INVITE", body=b"hold")

    call.cancels(again)

    assert call.said == ["200 CANCEL", "487 INVITE"]
    assert call.session.state == "confirmed"

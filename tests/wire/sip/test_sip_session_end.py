"""How calls end, and what crosses what. RFC 3261 §15, RFC 3326, RFC 5407."""

from gateway.wire.sip.session_words import Ended
from gateway.wire.sip.values import Reason
from tests.wire.sip.sip_peer import Called, Calling

# -- of a call of ours


def test_a_bye_ends_the_call_for_who_sends_it_and_says_why():
    call = Calling().answered()

    call.does("hang_up", 0.0, [Reason("Q.850", 16)])

    (bye,) = call.peer.requests("BYE")
    assert bye.headers["Reason"] == "Q.850;cause=16"
    assert call.ended == ("hung up", True)


def test_a_bye_ends_the_call_for_who_gets_it():
    call = Calling().answered()

    call.asks("BYE", Reason='Q.850;cause=31;text="Normal, unspecified"')

    ended = call.told[-1]
    assert call.said == ["200 BYE"]
    assert isinstance(ended, Ended)
    assert ended.reasons == (Reason("Q.850", 31, "Normal, unspecified"),)


def test_a_bye_with_an_odd_contact_ends_the_call():
    call = Called().answered()

    call.asks("BYE", Contact="<sip:odd@192.0.2.1:0>")

    assert call.said == ["200 BYE"]
    assert call.ended == ("hung up", False)


def test_a_bye_ends_the_call_whatever_is_in_it():
    call = Called().answered()

    call.asks("BYE", body=b"x", body_type="x/y")

    assert call.said == ["200 BYE"]
    assert call.ended == ("hung up", False)


def test_a_bye_that_requires_what_we_have_not_is_to_come_again_without():
    call = Called().answered()

    call.asks("BYE", Require="foo")
    call.asks("BYE")

    assert call.said == ["420 BYE", "200 BYE"]
    assert call.peer.responses(420)[0].headers["Unsupported"] == "foo"
    assert call.ended == ("hung up", False)


def test_a_bye_whose_wishes_nobody_can_read_ends_the_call():
    call = Called().answered()

    call.asks("BYE", Require="a b")

    assert call.said == ["200 BYE"]
    assert call.ended == ("hung up", False)


def test_a_200_to_our_bye_ends_it_whatever_contact_it_has():
    call = Called().answered()
    call.does("hang_up", call.now)

    call.answers(call.peer.requests("BYE")[0], 200, contact="<sip:odd@192.0.2.1:0>")
    call.at(40.0)

    assert call.said == ["BYE"]


def test_an_ack_with_an_odd_date_is_one():
    call = Called()
    call.does("accept", b"answer", call.now)

    call.asks("ACK", number=101, Date="Mon Nov 23 2026")
    call.at(40.0)

    assert call.times("200 INVITE") == [0.0]
    assert call.ended is None


def test_byes_that_cross_both_get_200():
    call = Calling().answered()
    call.does("hang_up", 0.0)

    call.asks("BYE")
    call.answers(call.peer.requests("BYE")[0], 200)

    assert call.said == ["BYE", "200 BYE"]
    assert sum(isinstance(each, Ended) for each in call.told) == 1


def test_a_200_to_a_change_that_crosses_their_bye_is_acknowledged():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)
    call.asks("BYE")

    call.answers(call.invite, 200, body=b"held")

    assert call.said == ["INVITE", "200 BYE", "ACK"]


def test_a_change_that_nobody_answers_any_more_after_their_bye_is_forgotten():
    call = Calling().answered()
    call.does("renegotiate")
    call.does("offer", b"hold", 0.0)
    call.answers(call.invite, 100)
    call.asks("BYE")

    call.at(33.0)

    assert len(call.us) == 0
    assert call.us.agent.is_idle


def test_a_bye_while_it_rings_is_of_one_who_waits_for_an_ack_no_longer():
    call = Calling()
    call.answers(call.invite, 180)

    call.asks("BYE")

    assert call.said == ["INVITE", "200 BYE", "CANCEL"]
    assert call.ended == ("hung up", False)


def test_a_bye_that_nobody_answers_is_given_up_after_32_s():
    call = Calling().answered()
    call.does("hang_up", 0.0)

    call.at(33.0)

    assert len(call.us) == 0


def test_after_the_call_a_200_that_comes_again_is_still_acknowledged():
    call = Calling()
    answer = call.answers(call.invite, 200, body=b"answer")
    call.does("hang_up", 0.0)
    call.answers(call.peer.requests("BYE")[0], 200)

    call.at(10.0).sends(answer)

    assert call.times("ACK") == [0.0, 10.0]
    assert len(call.at(33.0).us) == 0


# -- of a call of theirs


def test_a_bye_before_the_call_is_taken_ends_it():
    call = Called()
    call.does("ring", 0.0)

    call.asks("BYE")

    assert call.said == ["180 INVITE", "200 BYE", "487 INVITE"]
    assert call.ended == ("hung up", False)


def test_a_bye_before_the_ack_ends_the_retransmissions():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.at(0.6).asks("BYE")

    assert call.at(40.0).times("200 INVITE") == [0.0, 0.5]
    assert len(call.us) == 0


def test_who_was_called_hangs_up_no_sooner_than_the_ack_comes():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.does("hang_up", 0.0)
    before = call.said
    call.at(1.0).acks()

    assert before == ["200 INVITE"]
    assert call.ended == ("hung up", True)
    assert call.times("BYE") == [1.0]


def test_the_bye_that_had_to_wait_for_the_ack_says_why_we_hung_up():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.does("hang_up", 0.0, [Reason("Q.850", 16)])
    call.acks()

    assert call.peer.requests("BYE")[0].headers["Reason"] == "Q.850;cause=16"


def test_the_bye_that_no_ack_came_for_says_why_we_hung_up():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.does("hang_up", 0.0, [Reason("Q.850", 16)])
    call.at(33.0)

    assert call.peer.requests("BYE")[0].headers["Reason"] == "Q.850;cause=16"


def test_without_an_ack_the_bye_is_sent_after_32_s():
    call = Called()
    call.does("accept", b"answer", 0.0)

    call.does("hang_up", 0.0)

    assert call.at(33.0).times("BYE")[0] == 32.0


def test_hanging_up_before_the_call_is_taken_refuses_it():
    call = Called()

    call.does("hang_up", 0.0, status=603)

    assert call.said == ["603 INVITE"]


def test_a_bye_while_their_change_waits_for_us_answers_that_too():
    call = Called().answered()
    call.asks("INVITE", body=b"hold")

    call.asks("BYE")

    assert call.said == ["200 BYE", "487 INVITE"]


def test_our_bye_while_their_change_waits_for_us_answers_it_first():
    call = Called().answered()
    call.asks("INVITE", body=b"hold")

    call.does("hang_up", call.now)

    assert call.said == ["487 INVITE", "BYE"]


def test_a_change_that_crosses_our_bye_gets_481():
    call = Called().answered()
    call.does("hang_up", call.now)

    call.asks("INVITE", body=b"hold")

    assert call.said == ["BYE", "481 INVITE"]

"""What is asked within a call besides changes to it, and what belongs to no call. RFC 3261 §8.2, §12.2.2, RFC 3311, RFC 6086."""

import msgspec
import pytest

from gateway.wire.sip.endpoint import SESSION_ABILITIES
from gateway.wire.sip.session_words import AnswerCame, Informed, Offered
from tests.wire.sip.sip_peer import Called, Calling, Line, number_of

# -- in turn


def test_a_request_out_of_turn_gets_500():
    call = Called().answered()

    call.asks("INFO", number=50)

    assert call.said == ["500 INFO"]


def test_a_bye_out_of_turn_ends_nothing():
    call = Called().answered()

    call.asks("BYE", number=50)

    assert call.said == ["500 BYE"]
    assert call.session.state == "confirmed"


def test_our_own_requests_wait_for_one_another():
    call = Called().answered()
    call.does("inform", b"Signal=1", "application/dtmf-relay")
    call.does("inform", b"Signal=2", "application/dtmf-relay")
    before = call.said

    call.answers(call.peer.requests("INFO")[0], 200)

    assert before == ["INFO"]
    assert [each.body for each in call.peer.requests("INFO")] == [b"Signal=1", b"Signal=2"]


def test_a_bye_waits_for_none():
    call = Called().answered()
    call.does("inform", b"Signal=1", "application/dtmf-relay")
    call.does("inform", b"Signal=2", "application/dtmf-relay")

    call.does("hang_up", 0.0)
    call.answers(call.peer.requests("INFO")[0], 481)

    assert call.said == ["INFO", "BYE"]


# -- INFO


def test_digits_in_an_info_are_told_and_answered():
    call = Called().answered()

    info = call.asks("INFO", body=b"Signal=5\r\nDuration=160", body_type="application/dtmf-relay")

    assert call.said == ["200 INFO"]
    assert call.told[-1] == Informed(info)


def test_an_info_with_another_body_gets_415():
    call = Called().answered()

    call.asks("INFO", body=b"x", body_type="text/plain")

    assert call.peer.responses(415)[0].headers["Accept"] == "application/dtmf-relay, application/dtmf"


def test_an_info_of_a_package_gets_469():
    call = Called().answered()

    call.asks("INFO", Info_Package="foo")
    call.asks("INFO", Info_Package="foo", body=b"x", body_type="x/foo", Content_Disposition="Info-Package")

    assert call.said == ["469 INFO", "469 INFO"]


@pytest.mark.parametrize(("status", "ended"), [(200, None), (415, None), (481, ("lost", False))])
def test_an_info_of_ours_that_finds_nobody_ends_the_call(status: int, ended: tuple[str, bool] | None):
    call = Called().answered()
    call.does("inform", b"Signal=1", "application/dtmf-relay")

    call.answers(call.peer.requests("INFO")[0], status)

    assert call.ended == ended


def test_no_info_is_sent_before_the_call_is_taken():
    assert not Called().does("inform", b"Signal=1", "application/dtmf-relay")


# -- UPDATE


def test_an_update_without_an_offer_moves_the_target():
    call = Called().answered()

    call.asks("UPDATE", Contact="<sip:moved@peer.example>")
    call.does("hang_up", 0.0)

    assert call.said == ["200 UPDATE", "BYE"]
    assert str(call.peer.requests("BYE")[0].uri) == "sip:moved@peer.example"
    assert call.peer.responses(200)[-1].headers["Contact"] == "<sip:us@us.example>"


def test_an_update_with_an_offer_is_taken():
    call = Called().answered()

    update = call.asks("UPDATE", body=b"hold")
    call.does("accept", b"held", 0.0)

    assert call.told[-1] == Offered(b"hold", update)
    assert call.said == ["200 UPDATE"]
    assert call.peer.responses(200)[-1].body == b"held"


def test_an_update_with_an_offer_is_refused():
    call = Called().answered()

    call.asks("UPDATE", body=b"video")
    call.does("refuse", 488, 0.0)

    assert call.said == ["488 UPDATE"]
    assert call.session.state == "confirmed"


def test_an_update_while_our_offer_is_open_gets_491():
    call = Called().answered()
    call.does("renegotiate")
    call.does("offer", b"ours", 0.0)

    call.asks("UPDATE", body=b"theirs")

    assert call.said == ["INVITE", "491 UPDATE"]


def test_an_update_while_their_offer_is_open_gets_500_and_when_to_come_again():
    call = Called()

    call.asks("UPDATE", body=b"theirs as well")

    assert 0 <= int(call.peer.responses(500)[0].headers["Retry-After"]) <= 10


def test_an_update_of_a_call_that_rings_is_taken_if_it_offers_nothing():
    call = Calling()
    call.answers(call.invite, 180)

    call.asks("UPDATE")
    call.answers(call.invite, 200, body=b"answer")

    assert call.said == ["INVITE", "200 UPDATE", "ACK"]


def test_an_update_with_an_offer_while_it_rings_gets_491():
    call = Calling()
    call.answers(call.invite, 180)

    call.asks("UPDATE", body=b"theirs")
    call.answers(call.invite, 200, body=b"answer")

    assert call.said == ["INVITE", "491 UPDATE", "ACK"]
    assert AnswerCame(b"answer") in call.told


def test_an_invite_while_it_rings_gets_491():
    call = Calling()
    call.answers(call.invite, 180)

    call.asks("INVITE", body=b"theirs")

    assert call.said == ["INVITE", "491 INVITE"]


# -- others


def test_options_within_a_call_are_answered():
    call = Called().answered()

    call.asks("OPTIONS")

    (answer,) = [each for each in call.peer.responses(200) if "OPTIONS" in each.headers["CSeq"]]
    assert "INVITE" in answer.headers["Allow"]
    assert answer.headers["Accept"] == "application/sdp"


@pytest.mark.parametrize(
    ("method", "status"), [("MESSAGE", 405), ("PRACK", 405), ("SUBSCRIBE", 405), ("DANCE", 501)]
)
def test_what_we_do_not_do_is_refused_with_what_we_do(method: str, status: int):
    call = Called().answered()

    call.asks(method)

    assert call.said == [f"{status} {method}"]
    assert "INVITE, ACK" in call.peer.responses(status)[0].headers["Allow"]


def test_what_no_part_of_a_session_is_for_gets_481_even_if_others_take_it():
    methods = (*SESSION_ABILITIES.methods, "MESSAGE")
    call = Called(abilities=msgspec.structs.replace(SESSION_ABILITIES, methods=methods)).answered()

    call.asks("MESSAGE")

    assert call.said == ["481 MESSAGE"]


def test_an_extension_that_we_do_not_have_is_refused():
    call = Called().answered()

    call.asks("INVITE", body=b"hold", Require="100rel, timer")

    assert call.peer.responses(420)[0].headers["Unsupported"] == "100rel"


def test_a_change_with_another_body_gets_415():
    call = Called().answered()

    call.asks("INVITE", body=b"x", body_type="application/isup")

    assert call.said == ["415 INVITE"]


# -- of no call


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "NOTIFY", "OPTIONS", "REFER", "UPDATE"])
def test_a_request_within_a_call_that_is_not_there_gets_481(method: str):
    line = Line()

    line.asks(method, to_tag="gone")

    assert line.said == [f"481 {method}"]


@pytest.mark.parametrize("method", ["BYE", "INFO", "NOTIFY", "REFER", "UPDATE"])
def test_a_request_that_belongs_to_a_call_and_names_none_gets_481(method: str):
    line = Line()

    line.asks(method, to_tag=None)

    assert line.said == [f"481 {method}"]


def test_a_request_of_another_place_than_the_call_s_gets_481():
    call = Called().answered()

    call.asks("BYE", from_tag="stranger")

    assert call.said == ["481 BYE"]
    assert call.session.state == "confirmed"


def test_an_ack_of_nothing_gets_nothing():
    line = Line()

    line.asks("ACK", to_tag="gone")

    assert line.said == []


def test_what_makes_no_call_is_left_to_others():
    line = Line()

    line.asks("OPTIONS", to_tag=None)

    assert line.said == ["200 OPTIONS"]


def test_a_response_to_what_nobody_asked_any_more_means_nothing():
    call = Calling().answered()
    call.does("hang_up", 0.0)
    (bye,) = call.peer.requests("BYE")
    call.answers(bye, 200)
    told = list(call.told)

    call.at(40.0).answers(call.invite, 486)

    assert call.told == told


def test_an_invite_that_comes_by_another_branch_is_a_loop():
    call = Called()

    call.asks("INVITE", number=number_of(call.invite), body=b"offer", to_tag=None)

    assert call.said == ["482 INVITE"]

"""Requests and responses that are built: to a request, for an ACK, for a CANCEL, and as bytes."""

import pytest

from gateway.wire.sip.fields import CONTENT_LENGTH, CSEQ, TO, VIAS
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response, ack_for, cancel_for, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import parse_uri
from tests.wire.sip.corpus import CAPTURED

INVITE = (
    b"INVITE sip:bob@b.example;user=phone SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP p.example;branch=z9hG4bK2;received=192.0.2.2, SIP/2.0/tcp a.example;branch=z9hG4bK1\r\n"
    b"v: SIP/2.0/UDP o.example;branch=z9hG4bK0\r\n"
    b"Max-Forwards: 68\r\n"
    b"Route: <sip:one.example;lr>\r\n"
    b"Route: <sip:two.example;lr>\r\n"
    b"Record-Route: <sip:p.example;lr>\r\n"
    b'f: "J\xfcrgen" <sip:alice@a.example>;tag=1\r\n'
    b"To: sip:bob@b.example\r\n"
    b"Call-ID: c@a.example\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Timestamp: 54\r\n"
    b"Require: 100rel\r\n"
    b"Contact: <sip:alice@a.example>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


@pytest.fixture
def invite() -> Request:
    message = parse_datagram(INVITE)
    assert isinstance(message, Request)
    return message


def test_a_response_repeats_vias_from_call_id_and_cseq_and_tags_the_to(invite):
    response = response_to(invite, 486, to_tag="ours")

    assert response.encode() == (
        b"SIP/2.0 486 Busy Here\r\n"
        b"Via: SIP/2.0/UDP p.example;branch=z9hG4bK2;received=192.0.2.2, SIP/2.0/tcp a.example;branch=z9hG4bK1\r\n"
        b"v: SIP/2.0/UDP o.example;branch=z9hG4bK0\r\n"
        b'f: "J\xfcrgen" <sip:alice@a.example>;tag=1\r\n'
        b"To: sip:bob@b.example;tag=ours\r\n"
        b"Call-ID: c@a.example\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_a_100_has_no_tag_and_repeats_the_timestamp(invite):
    response = response_to(invite, 100, to_tag="ours")

    assert response.headers[TO].tag is None
    assert response.headers["Timestamp"] == "54"


def test_a_response_above_100_needs_a_tag(invite):
    with pytest.raises(ValueError, match="To tag"):
        response_to(invite, 180)


def test_a_tag_that_is_there_stays(invite):
    invite.headers["To"] = "<sip:bob@b.example>;tag=theirs"

    assert response_to(invite, 200, to_tag="ours").headers["To"] == "<sip:bob@b.example>;tag=theirs"


@pytest.mark.parametrize("tag", ["", "a b", "a\r\nVia: x", "a;lr"])
def test_a_tag_that_is_no_token_is_our_error(invite, tag):
    with pytest.raises(ValueError):
        response_to(invite, 200, to_tag=tag)


def test_a_response_may_give_its_own_reason(invite):
    assert response_to(invite, 400, to_tag="t", reason="Bad Request: why").reason == "Bad Request: why"


@pytest.mark.parametrize("reason", ["a\r\nVia: x", "a\nb", "\0"])
def test_a_reason_that_would_not_stay_in_its_line_is_our_error(invite, reason):
    with pytest.raises(ValueError):
        response_to(invite, 400, to_tag="t", reason=reason)


@pytest.mark.parametrize(
    ("status", "reason"), [(180, "Ringing"), (499, "Request Failure"), (699, "Global Failure")]
)
def test_a_status_that_nobody_registered_is_called_after_its_class(invite, status, reason):
    assert response_to(invite, status, to_tag="t").reason == reason


def test_an_ack_goes_the_way_of_its_invite_with_the_to_of_the_response(invite):
    ack = ack_for(invite, response_to(invite, 486, to_tag="theirs"))

    assert ack.encode() == (
        b"ACK sip:bob@b.example;user=phone SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP p.example;branch=z9hG4bK2;received=192.0.2.2\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:one.example;lr>\r\n"
        b"Route: <sip:two.example;lr>\r\n"
        b'f: "J\xfcrgen" <sip:alice@a.example>;tag=1\r\n'
        b"To: sip:bob@b.example;tag=theirs\r\n"
        b"Call-ID: c@a.example\r\n"
        b"CSeq: 314159 ACK\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_a_cancel_goes_the_way_of_its_invite_and_requires_nothing(invite):
    cancel = cancel_for(invite)

    assert cancel.encode() == (
        b"CANCEL sip:bob@b.example;user=phone SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP p.example;branch=z9hG4bK2;received=192.0.2.2\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:one.example;lr>\r\n"
        b"Route: <sip:two.example;lr>\r\n"
        b'f: "J\xfcrgen" <sip:alice@a.example>;tag=1\r\n'
        b"To: sip:bob@b.example\r\n"
        b"Call-ID: c@a.example\r\n"
        b"CSeq: 314159 CANCEL\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_the_ack_and_the_cancel_of_what_a_real_stack_sent_are_whole(invite):
    sent = parse_datagram(CAPTURED["pjsip2151-00-15652-INVITE"])
    assert isinstance(sent, Request)

    for follower in (ack_for(sent, response_to(sent, 487, to_tag="t")), cancel_for(sent)):
        again = parse_datagram(follower.encode())
        assert again.headers[VIAS].top.branch == sent.headers[VIAS].top.branch
        assert again.headers[CSEQ].number == sent.headers[CSEQ].number


def test_a_message_says_the_length_that_its_body_has():
    request = Request("INFO", parse_uri("sip:h"), HeaderMap([("l", "999"), ("Subject", "x")]), b"body")

    assert request.encode() == b"INFO sip:h SIP/2.0\r\nContent-Length: 4\r\nSubject: x\r\n\r\nbody"
    assert request.headers["Content-Length"] == "999"  # which is its own business


def test_a_request_that_was_read_says_its_length_anew(invite):
    assert parse_datagram(invite.encode()).headers[CONTENT_LENGTH] == 5


@pytest.mark.parametrize("method", ["", "IN VITE", "INVITE\r\n", "INVITÉ"])
def test_a_method_that_is_no_token_is_our_error(method):
    with pytest.raises(ValueError):
        Request(method, parse_uri("sip:h"), HeaderMap())


@pytest.mark.parametrize("status", [0, 99, 700, 1200])
def test_a_status_that_is_none_is_our_error(status):
    with pytest.raises(ValueError):
        Response(status, "", HeaderMap())


def test_a_message_that_is_shown_keeps_its_body_to_itself():
    request = Request(
        "INVITE", parse_uri("sip:h"), HeaderMap(), b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key"
    )

    assert repr(request) == "<INVITE sip:h>"
    assert repr(response_to(request, 100)) == "<100 Trying>"

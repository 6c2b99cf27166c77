"""What a user agent refuses because it lacks something."""

import pytest
from msgspec.structs import replace

from gateway.wire.sip.acceptance import Abilities, Refusal, refusal_of
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request
from gateway.wire.sip.uri import parse_uri

VOICE = Abilities(methods=("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO"), extensions=("timer",))


def asked(method: str = "INVITE", uri: str = "sip:h", body: bytes = b"", **headers: str) -> Request:
    rows = [(name.replace("_", "-"), text) for name, text in headers.items()]
    return Request(method, parse_uri(uri), HeaderMap(rows), body)


def test_what_needs_nothing_is_taken():
    assert refusal_of(asked(), VOICE) is None
    assert (
        refusal_of(asked(body=b"v=0", Content_Type="Application/SDP;charset=utf-8", Require="timer"), VOICE)
        is None
    )


@pytest.mark.parametrize(("method", "status"), [("PUBLISH", 405), ("invite", 501), ("NEWMETHOD", 501)])
def test_a_method_that_is_registered_is_not_allowed_and_another_not_implemented(method, status):
    refusal = refusal_of(asked(method), VOICE)

    assert refusal == Refusal(status, (("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO"),))


@pytest.mark.parametrize("uri", ["urn:service:sos", "http://h", "nobody:knows"])
def test_a_scheme_that_is_not_ours_is_refused_with_416(uri):
    assert refusal_of(asked(uri=uri), VOICE) == Refusal(416)


@pytest.mark.parametrize("uri", ["sip:h", "sips:h", "SIP:h", "tel:+15550001"])
def test_a_scheme_of_telephony_is_taken(uri):
    assert refusal_of(asked(uri=uri), VOICE) is None


def test_an_extension_that_is_not_supported_is_named():
    refusal = refusal_of(asked(Require="100rel, Timer, precondition"), VOICE)

    assert refusal == Refusal(420, (("Unsupported", "100rel, precondition"),))


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_require_nothing(method):
    assert refusal_of(asked(method, Require="100rel"), VOICE) is None


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"Content_Type": "text/plain"}, Refusal(415, (("Accept", "application/sdp"),))),
        (
            {"Content_Type": "application/sdp", "Content_Encoding": "gzip"},
            Refusal(415, (("Accept-Encoding", "identity"),)),
        ),
        ({"Content_Type": "application/sdp", "Content_Encoding": "Identity"}, None),
        ({"Content_Type": "text/plain", "Content_Disposition": "render;handling=Optional"}, None),
        (
            {"Content_Type": "text/plain", "Content_Disposition": "render;handling=required"},
            Refusal(415, (("Accept", "application/sdp"),)),
        ),
        ({"Content_Type": "application/sdp", "Content_Disposition": "Session;handling=required"}, None),
        (
            {"Content_Type": "application/sdp", "Content_Disposition": "frob;handling=required"},
            Refusal(415, (("Accept", "application/sdp"),)),
        ),
        (
            {"Content_Type": "application/sdp", "Content_Disposition": "early-session"},
            Refusal(415, (("Accept", "application/sdp"),)),
        ),
        ({"Content_Type": "application/sdp", "Content_Disposition": "frob;handling=optional"}, None),
        (
            {"Content_Type": "application/sdp", "Content_Disposition": ";;"},
            Refusal(400, reason="Content-Disposition: No token"),
        ),
        ({}, Refusal(400, reason="Missing Content-Type")),
        ({"Content_Type": "sdp"}, Refusal(400, reason="Content-Type: No media type")),
    ],
)
def test_a_body_is_of_a_type_that_is_taken(headers, refusal):
    assert refusal_of(asked(body=b"x", **headers), VOICE) == refusal


@pytest.mark.parametrize("disposition", ["render", "signal;handling=required", "Render"])
def test_a_body_that_describes_nothing_may_be_there_to_be_rendered_or_as_a_signal(disposition):
    pressed = asked("INFO", body=b"5", Content_Type="application/dtmf", Content_Disposition=disposition)

    assert refusal_of(pressed, replace(VOICE, content_types=("application/dtmf",))) is None


def test_a_bye_may_carry_anything():
    assert refusal_of(asked("BYE", body=b"x", Content_Type="text/plain"), VOICE) is None


def test_a_type_without_a_body_does_not_matter():
    assert refusal_of(asked(Content_Type="text/plain"), VOICE) is None


@pytest.mark.parametrize(
    ("accept", "status"), [("text/plain", 406), ("", 406), ("*/*", None), ("application/sdp", None)]
)
def test_an_invite_that_does_not_accept_sdp_cannot_be_answered(accept, status):
    refusal = refusal_of(asked(Accept=accept), VOICE)

    assert (refusal and refusal.status) == status


def test_what_other_requests_accept_is_decided_by_who_answers_them():
    assert refusal_of(asked("OPTIONS", Accept="text/plain"), VOICE) is None


def test_a_header_that_says_what_is_needed_and_cannot_be_read_is_refused_with_400():
    assert refusal_of(asked(Require="a b"), VOICE) == Refusal(400, reason="Require: Not a token")

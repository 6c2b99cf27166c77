"""Datagrams and fragments: real stacks' messages, hostile and sloppy ones, limits, and what can be answered."""

from typing import Any

import pytest

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CONTACT, FROM, MAX_FORWARDS, ROUTE, SESSION_EXPIRES, TO, VIAS
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.grammar import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_MESSAGE_BYTES,
    MAX_START_LINE_BYTES,
    MAX_VALUES,
)
from gateway.wire.sip.headers import Field
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import is_keepalive, parse_datagram, parse_fragment
from gateway.wire.sip.routing import stamp
from tests.wire.sip.corpus import CALL_FLOWS, CAPTURED, same

HEAD = (
    b"Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\n"
    b"Call-ID: c@h\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\n"
)
PLAIN = b"OPTIONS sip:b@h SIP/2.0\r\n" + HEAD + b"\r\n"


def with_header(line: bytes) -> bytes:
    return PLAIN.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")


def refused(data: bytes) -> SipSyntaxError:
    with pytest.raises(SipSyntaxError) as caught:
        parse_datagram(data)
    return caught.value


@pytest.mark.parametrize("name", CAPTURED)
def test_what_real_stacks_sent_is_read_and_reads_the_same_when_it_was_written_again(name):
    message = parse_datagram(CAPTURED[name])

    assert same(parse_datagram(message.encode()), message)


@pytest.mark.parametrize("name", CAPTURED)
def test_what_real_stacks_sent_is_read_field_by_field_and_written_with_the_same_meaning(name):
    message = parse_datagram(CAPTURED[name])
    fields: tuple[Field[Any], ...] = (VIAS, FROM, TO, CONTACT, SESSION_EXPIRES)
    meanings = {field: message.headers.get(field) for field in fields}

    for field, meaning in meanings.items():
        if meaning is not None:
            message.headers[field] = meaning

    again = parse_datagram(message.encode())
    assert {field: again.headers.get(field) for field in meanings} == meanings


@pytest.mark.parametrize("name", CALL_FLOWS)
def test_the_call_flows_of_rfcs_are_read_and_read_the_same_when_they_were_written_again(name):
    message = parse_fragment(CALL_FLOWS[name])  # RFC 5626 prints some without their Vias

    assert same(parse_fragment(message.encode()), message)


@pytest.mark.parametrize("name", [name for name, message in CALL_FLOWS.items() if b"\nVia:" in message])
def test_call_flows_are_whole_messages_where_they_have_a_via(name):
    assert parse_datagram(CALL_FLOWS[name]).headers[VIAS]


# -- what is let through ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"\r\n", b"\n"),
        b"\r\n\r\n" + PLAIN,
        PLAIN.replace(b"SIP/2.0\r\nVia", b"sip/2.0\r\nVia"),
        PLAIN.replace(b"OPTIONS sip", b"OPTIONS SIP"),
        PLAIN.replace(b"Via:", b"v :").replace(b"To:", b"t\t:"),
        PLAIN.replace(b"Max-Forwards: 70\r\n", b""),
        with_header(b"Max-Forwards: 300").replace(b"Max-Forwards: 70\r\n", b""),
        with_header(b"Contact:\r\n\t<sip:a@h>\r\n  ;q=1"),
        with_header(b"Contact: *"),
        with_header(b"X-Empty:"),
        with_header(b"X: \xff\xfe"),
        with_header(b'Subject: "a\\\x00"'),
        with_header(b"Expires: never"),
        with_header(b"Session-Expires: nobody reads this here"),
        with_header(b"Supported:"),
        with_header(b"Content-Length: 00"),
        with_header(b"Content-Length: 0") + b"trailing \0 octets",
        PLAIN.replace(b"tag=1", b"tag=a/b=="),
        PLAIN.replace(b"c@h", b"a=b$c@h"),
        PLAIN.replace(b"<sip:a@h>", "Zoë <sip:a@h>".encode()),
        PLAIN.replace(b"<sip:a@h>", "Zoë <sip:a@h>".encode("latin-1")),
        PLAIN.replace(b"<sip:a@h>", '"Zoë" <sip:a@h>'.encode("latin-1")),
    ],
)
def test_what_sloppy_peers_send_is_read(data):
    message = parse_datagram(data)

    assert isinstance(message, Request)
    assert message.method == "OPTIONS"
    assert same(parse_datagram(message.encode()), message)


def test_a_body_without_a_content_length_ends_with_its_datagram():
    assert parse_datagram(PLAIN + b"v=0\r\n\r\n").body == b"v=0\r\n\r\n"


def test_a_response_without_a_reason_or_the_space_before_it_is_read():
    response = parse_datagram(b"SIP/2.0 200\r\n" + HEAD + b"\r\n")

    assert isinstance(response, Response)
    assert (response.status, response.reason) == (200, "")


ODD = b"\r\n".join(
    (
        *(b"Contact: <sip:a@h:0>", b"Route: nowhere", b"Record-Route: <sip:%@h>", b"Date: today"),
        *(
            b"Contact: <sip:b@[fe80::1%eth0]>",
            b"Max-Forwards: many",
            b"Contact: *, <>",
            b'Contact: "a <sip:a@h>',
        ),
    )
)


@pytest.mark.parametrize("method", [b"ACK", b"BYE", b"CANCEL"])
def test_what_ends_a_call_or_says_that_an_answer_came_is_read_whatever_its_other_headers_say(method):
    data = with_header(ODD).replace(b"OPTIONS", method).replace(b"Max-Forwards: 70\r\n", b"")

    assert isinstance(parse_datagram(data), Request)


@pytest.mark.parametrize("status_line", [b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK", b"SIP/2.0 486 Busy Here"])
def test_a_response_is_read_whatever_its_other_headers_say(status_line):
    data = with_header(ODD).replace(b"OPTIONS sip:b@h SIP/2.0", status_line)

    assert isinstance(parse_datagram(data), Response)


@pytest.mark.parametrize(
    "lower",
    [
        "x",
        "SIP/2.0/UDP [unset]:0;branch=1",
        "SIP / 2.0 / UDP  h ;branch= z9hG4bK2",
        'a "," b',
        "SIP/2.0/UDP h;a;a",
    ],
)
def test_a_via_below_the_topmost_is_none_of_ours_and_goes_back_as_it_came(lower):
    request = parse_datagram(with_header(f"v: {lower}, SIP/2.0/TCP last".encode()))
    assert isinstance(request, Request)

    stamp(request, Flow("UDP", Address("192.0.2.9", 5060), Address("h", 5060)))

    assert response_to(request, 200, to_tag="t").headers.rows("Via") == [
        "SIP/2.0/UDP h:5060;branch=z9hG4bK1",
        lower,
        "SIP/2.0/TCP last",
    ]


# -- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (PLAIN.replace(b"OPTIONS sip", b"OPT@IONS sip"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS  sip:b@h SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h SIP/2.0 "), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b" OPTIONS sip:b@h SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS\tsip:b@h SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h HTTP/1.1"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h SIP/2.1"), 505),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h SIP/3.0"), 505),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", "OPTIONS sip:b@h \u017fIP/2.0".encode()), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h?a=b SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS sip:b@h\0 SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS b@h SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"OPTIONS * SIP/2.0"), 400),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"options sip:b@h SIP/2.0"), 501),
        (PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"INVITE sip:b@h SIP/2.0"), 400),
        (PLAIN.removesuffix(b"\r\n"), 400),
        (with_header(b"Content-Length: 0").removesuffix(b"\r\n\r\n"), 400),
        (with_header(b"no colon"), 400),
        (with_header(b": no name"), 400),
        (with_header(b"two words: x"), 400),
        (with_header("Ünder: x".encode()), 400),
        (with_header(b"X: a\rb"), 400),
        (with_header(b"X: a\0b"), 400),
        (with_header(b"X: a\x1bb"), 400),
        (with_header(b"Content-Length: 1"), 400),
        (with_header(b"Content-Length: -1"), 400),
        (with_header(b"Content-Length: +0"), 400),
        (with_header(b"Content-Length: 0x0"), 400),
        (with_header(b"Content-Length: "), 400),
        (with_header(b"Content-Length: 0, 0"), 400),
        (with_header(b"Content-Length: 0\r\nl: 0"), 400),
        (with_header(b"Content-Length: " + b"9" * 5000), 400),
        (PLAIN.replace(b"\r\nVia:", b"\r\nVia: x\r\nVia:", 1), 400),
        (with_header(b"Via:"), 400),
        (with_header(b"Via: SIP/2.0/UDP h,"), 400),
        (with_header(b"From: <sip:a@h>"), 400),
        (with_header(b"t: <sip:a@h>"), 400),
        (with_header(b"i: c@h"), 400),
        (with_header(b"CSeq: 1 OPTIONS"), 400),
        (with_header(b"Max-Forwards: 70"), 400),
        (with_header(b"Contact: sip:a@h?x=y"), 400),
        (with_header(b'Contact: "a <sip:a@h>'), 400),
        (with_header(b"Contact: <sip:a@h>,"), 400),
        (with_header(b"Contact: *, <sip:a@h>"), 400),
        (with_header(b"Route: nowhere"), 400),
        (with_header(b"Record-Route: <sip:%@h>"), 400),
        (with_header(b"Date: today"), 400),
        (PLAIN.replace(b"tag=1", b"tag=1;tag=2"), 400),
        (PLAIN.replace(b"CSeq: 1 OPTIONS", b"CSeq: 1"), 400),
        (PLAIN.replace(b"Call-ID: c@h", b"Call-ID: c @h"), 400),
        (PLAIN.replace(b"Call-ID: c@h\r\n", b""), 400),
        (PLAIN.replace(b"From: <sip:a@h>;tag=1\r\n", b""), 400),
        (PLAIN.replace(b"CSeq: 1 OPTIONS\r\n", b""), 400),
        (PLAIN.replace(b"Max-Forwards: 70", b"Max-Forwards: many"), 400),
    ],
)
def test_a_request_that_is_none_is_refused_with_a_status_and_can_be_answered(data, status):
    error = refused(data)

    assert error.status == status
    answer = response_to(error, status, to_tag="t", reason=str(error))
    assert answer.encode().count(b"Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\0" * 100,
        b"jaK\0",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"OPTIONS sip:b@h SIP/2.0\r\n\r\n",
        PLAIN.replace(b"\r\nVia", b"\r\n Via", 1),  # it goes on with the start line
        PLAIN.replace(b"Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n", b""),
        PLAIN.replace(b"Via: SIP", b"Via: \0SIP"),
        PLAIN.replace(b"OPTIONS", b"ACK").replace(b"CSeq: 1 ACK", b"CSeq: 1 INVITE"),
        PLAIN.replace(b"OPTIONS", b"ACK").replace(b"tag=1", b"tag="),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"ACK  sip:b@h SIP/2.0"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 200 OK").replace(b"CSeq: 1", b"CSeq: x"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 99 Low"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 700 High"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 2000 OK"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 200OK"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 -20 OK"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0  200 OK"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/3.0 200 OK"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 200 O\0K"),
        PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 200 OK").replace(
            b"\r\n\r\n", b"\r\nl: 9\r\n\r\n"
        ),
    ],
)
def test_what_is_not_to_be_answered_is_dropped(data):
    assert refused(data).status is None


def test_an_error_says_what_is_wrong_in_words_for_a_reason_phrase():
    error = refused(PLAIN.replace(b"From: <sip:a@h>;tag=1\r\n", b""))

    answer = response_to(error, 400, to_tag="t", reason=f"Bad Request: {error}")

    assert answer.encode().startswith(b"SIP/2.0 400 Bad Request: Missing From\r\n")


def test_an_error_keeps_what_an_answer_repeats_word_for_word_and_nothing_else():
    error = refused(with_header(b"X: a\0b").replace(b"To: <sip:b@h>", b't: "unbalanced <sip:b@h>'))

    assert error.headers is not None
    assert list(error.headers) == [
        ("Via", "SIP/2.0/UDP h:5060;branch=z9hG4bK1"),
        ("From", "<sip:a@h>;tag=1"),
        ("t", '"unbalanced <sip:b@h>'),
        ("Call-ID", "c@h"),
        ("CSeq", "1 OPTIONS"),
    ]


# -- limits ----------------------------------------------------------------------------------------------


def test_a_request_uri_that_is_too_long_is_refused_with_414():
    longest = b"OPTIONS sip:" + b"u" * (MAX_START_LINE_BYTES - 22) + b"@h SIP/2.0"

    assert parse_datagram(PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", longest))
    assert refused(PLAIN.replace(b"OPTIONS sip:b@h SIP/2.0", longest.replace(b"@", b"u@"))).status == 414


def test_too_many_header_fields_are_refused_with_513():
    most = b"\r\n".join([b"X: y"] * (MAX_FIELDS - 6))

    assert parse_datagram(with_header(most))
    assert refused(with_header(most + b"\r\nX: y")).status == 513


def test_a_header_field_that_is_too_long_is_refused_with_513_folded_or_not():
    longest = b"X: " + b"y" * (MAX_FIELD_BYTES - 3)

    assert parse_datagram(with_header(longest))
    assert refused(with_header(longest + b"y")).status == 513
    assert refused(with_header(b"X: y" + b"\r\n y" * MAX_FIELD_BYTES)).status == 513


def test_too_many_values_in_one_header_are_refused():
    most = b", ".join([b"<sip:a>"] * MAX_VALUES)

    assert len(parse_datagram(with_header(b"Route: " + most)).headers[ROUTE]) == MAX_VALUES
    assert refused(with_header(b"Route: " + most + b"\r\nRoute: <sip:a>")).status == 400


@pytest.mark.parametrize(
    "line", [b"Contact: <sip:a>%b", b"Contact: <sip:a%b>", b"Contact: <tel:1%b>", b"Route: <sip:a>%b"]
)
def test_too_many_parameters_are_refused(line):
    most = b"".join(b";p%d" % number for number in range(MAX_VALUES))

    assert parse_datagram(with_header(line % most))
    assert refused(with_header(line % (most + b";p"))).status == 400


def test_a_message_that_is_too_long_is_refused_with_513():
    body = b"b" * (MAX_MESSAGE_BYTES - len(PLAIN))

    assert parse_datagram(PLAIN + body).body == body
    assert refused(PLAIN + body + b"b").status == 513


# -- fragments and keepalives ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"SIP/2.0 200 OK", b"SIP/2.0 200 OK\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 200 OK\n"]
)
def test_a_fragment_may_be_a_status_line_alone(data):
    fragment = parse_fragment(data)

    assert isinstance(fragment, Response)
    assert fragment.status == 200


def test_a_fragment_may_have_some_headers():
    fragment = parse_fragment(b"SIP/2.0 503 Service Unavailable\r\nRetry-After: 10\r\n")

    assert fragment.headers["Retry-After"] == "10"


def test_a_fragment_is_still_of_sip():
    with pytest.raises(SipSyntaxError):
        parse_fragment(b"200 OK")


@pytest.mark.parametrize("datagram", [b"", b"\0", b"\0\0\0\0", b"jaK\0", b"\r\n\r\n", b"\r\n" * 50])
def test_a_keepalive_is_no_message(datagram):
    assert is_keepalive(datagram)


def test_a_message_is_no_keepalive():
    assert not is_keepalive(PLAIN)
    assert not is_keepalive(b"\r\n\r\n" + PLAIN)


def test_max_forwards_that_are_missing_are_none():
    assert parse_datagram(PLAIN.replace(b"Max-Forwards: 70\r\n", b"")).headers.get(MAX_FORWARDS) is None

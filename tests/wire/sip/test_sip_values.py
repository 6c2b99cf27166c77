"""What header fields mean: Via, addresses, numbers, words; and what they refuse."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import (
    ACCEPT,
    AUTHORIZATION,
    CALL_ID,
    CONTENT_DISPOSITION,
    CONTENT_TYPE,
    CSEQ,
    DATE,
    DIVERSION,
    EVENT,
    EXPIRES,
    FROM,
    MAX_FORWARDS,
    MIN_SE,
    P_ASSERTED_IDENTITY,
    REASON,
    REFER_TO,
    REPLACES,
    RETRY_AFTER,
    SESSION_EXPIRES,
    VIAS,
    WWW_AUTHENTICATE,
)
from gateway.wire.sip.headers import Field, HeaderMap
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parameters import Parameters
from gateway.wire.sip.uri import SipUri, TelUri, parse_uri
from gateway.wire.sip.values import CSeq, MediaType, Reason, Replaces, RetryAfter, SessionExpires
from gateway.wire.sip.via import Via

T = TypeVar("T")


def read(field: Field[T], text: str) -> T:
    return HeaderMap([(field.name, text)])[field]


# -- Via -------------------------------------------------------------------------------------------------


def test_a_via_has_its_parts():
    via = Via.parse(
        "sip / 2.0 / udp first.example.com:4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1"
    )

    assert (via.transport, via.host, via.port) == ("UDP", "first.example.com", 4000)
    assert via.transaction == "z9hG4bKa7c6a8dlze.1"
    assert via.parameters.get("maddr") == "224.2.0.1"


@pytest.mark.parametrize(
    ("branch", "transaction"),
    [
        (";branch=z9hG4bK1", "z9hG4bK1"),
        (";branch=Z9HG4BK1", "Z9HG4BK1"),
        (";branch=z9hG4bK", None),
        (";branch=1", None),
        ("", None),
    ],
)
def test_a_branch_names_a_transaction_if_it_has_the_cookie_and_more(branch, transaction):
    assert Via.parse(f"SIP/2.0/UDP h{branch}").transaction == transaction


@pytest.mark.parametrize(("text", "rport"), [("", None), (";rport", 0), (";rport=5062", 5062)])
def test_rport_is_absent_asked_for_or_given(text, rport):
    assert Via.parse(f"SIP/2.0/UDP h{text}").rport == rport


def test_a_via_is_stamped_with_the_address_if_sent_by_is_another():
    via = Via.parse("SIP/2.0/UDP h:5060;branch=z9hG4bK1")

    assert str(via.stamped("192.0.2.1", 1024)) == "SIP/2.0/UDP h:5060;branch=z9hG4bK1;received=192.0.2.1"
    assert via.stamped("H", 1024) == via


def test_a_via_that_asks_for_the_port_is_stamped_with_both():
    via = Via.parse("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff")

    stamped = via.stamped("10.1.1.1", 9988)

    assert str(stamped) == "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=10.1.1.1"


def test_a_via_that_claims_where_it_came_from_is_overruled():
    via = Via.parse("SIP/2.0/UDP h;received=203.0.113.1;rport=1;branch=z9hG4bK1")

    stamped = via.stamped("2001:db8::1", 9988)

    assert (stamped.received, stamped.rport) == ("2001:db8::1", 9988)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/2.0/UDPh",
            "h",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:x",
        ),
        *(
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP [h]",
            "SIP/2.0/UDP [::1",
        ),
        *(
            "SIP/2.0/UDP h;",
            "SIP/2.0/UDP h;;branch=1",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP h;=1",
            "SIP/2.0/UDP h x",
        ),
        *(
            "SIP/2.0/UDP h;branch=1;branch=2",
            "SIP/2.0/UDP h;rport=x",
            "SIP/2.0/UDP h;rport=0",
            "SIP/2.0/UDP h/x",
        ),
        *(
            "SIP/2.0/UDP h,",
            "SIP/2.0/UDP h;branch=a b",
            'SIP/2.0/UDP h;branch="a',
            "SIP/2.0/UDP h;br\u00e4nch=1",
        ),
    ],
)
def test_what_is_no_via_is_refused(text):
    with pytest.raises(SipSyntaxError, match="Via"):
        read(VIAS, text)


# -- addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ("<sip:a@h>;tag=1", None, "sip:a@h", "1"),
        ("sip:a@h;tag=1", None, "sip:a@h", "1"),
        ("sip:a@h ; tag = 1", None, "sip:a@h", "1"),
        ("Anna Bo<sip:a@h;x=1>;tag=1", "Anna Bo", "sip:a@h;x=1", "1"),
        ("A. Bell\t <sip:a@h>", "A. Bell", "sip:a@h", None),
        ('"" <sip:a@h>', "", "sip:a@h", None),
        (r'"a \"b\" \\c" <sip:a@h>', 'a "b" \\c', "sip:a@h", None),
        ('"<sip:x@y>;tag=9" <sip:a@h>;tag=1', "<sip:x@y>;tag=9", "sip:a@h", "1"),
        ("Jürgen Ørsted <sip:a@h>", "Jürgen Ørsted", "sip:a@h", None),
        ('"大停電" <sip:a@h>', "大停電", "sip:a@h", None),
        ("<tel:+15550001>;TAG=a/b==", None, "tel:+15550001", "a/b=="),
        ("<sip:a@h?x=y>", None, "sip:a@h?x=y", None),
        ('<sip:a@h>;tag="quoted"', None, "sip:a@h", "quoted"),
        ("*<sip:a@h>", "*", "sip:a@h", None),
    ],
)
def test_an_address_has_a_name_a_uri_and_a_tag(text, name, uri, tag):
    address = read(FROM, text)

    assert (address.display_name, str(address.uri), address.tag) == (name, uri, tag)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "<>",
            "Anna",
            '"Anna"',
            "<sip:a@h",
            "sip:a@h>",
            '"Anna <sip:a@h>',
            'Anna" <sip:a@h>',
            "< sip:a@h>",
        ),
        *(
            "Bell, Anna <sip:a@h>",
            "Bell; Anna <sip:a@h>",
            "Bell (Anna) <sip:a@h>",
            "a@b <sip:a@h>",
            "<<sip:a@h>>",
        ),
        *("<sip:a@h>;", "<sip:a@h>;;tag=1", "<sip:a@h>;tag=", "<sip:a@h>;tag=1;tag=2", "<sip:a@h>,<sip:b@h>"),
        *(
            "sip:a@h?Route=x",
            "sip:a@h,sip:b@h",
            "<sip:a@h> x",
            "<sip:a@h>;tag=1 x",
            "<sip:a@h>;tag=a\u00fc",
            "a@h",
        ),
        *('"a" "b" <sip:a@h>', '"a"b <sip:a@h>', "<sip:a@h>;tag=<x>", "\u00fc@h", "<sip:\u00fc@h>"),
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(SipSyntaxError, match="From"):
        read(FROM, text)


def test_a_tag_is_given_once():
    untagged = NameAddr.parse("Anna <sip:a@h>")

    assert str(untagged.tagged("1")) == '"Anna" <sip:a@h>;tag=1'
    assert untagged.tagged("1").tagged("2").tag == "2"


def test_carriers_headers_have_addresses():
    headers = HeaderMap(
        [
            ("P-Asserted-Identity", '"Anna" <sip:+15550001@h;user=phone>, <tel:+15550001>'),
            ("Diversion", "<sip:+15550002@h>;reason=no-answer;counter=1;privacy=off"),
            ("Refer-To", "<sip:c@h?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
        ]
    )

    assert headers[P_ASSERTED_IDENTITY][1].uri == TelUri(subscriber="+15550001")
    assert headers[DIVERSION][0].parameters.get("reason") == "no-answer"
    refer_to = headers[REFER_TO].uri
    assert isinstance(refer_to, SipUri)
    assert Replaces.parse(refer_to.header("Replaces") or "") == Replaces("a@b", "1", "2")


# -- parameters ------------------------------------------------------------------------------------------


def test_parameters_are_found_by_any_spelling_and_say_what_is_in_their_quotes():
    parameters = Parameters.parse(r' ; A = "x \"y\"" ;flag;b=[::1]')

    assert parameters.get("a") == 'x "y"'
    assert parameters.get("Flag") == ""
    assert parameters.get("b") == "[::1]"
    assert parameters.get("c") is None
    assert str(parameters) == r';A="x \"y\"";flag;b=[::1]'


def test_a_parameter_is_put_where_it_stood_and_quoted_if_it_must_be():
    parameters = Parameters.parse(";a=1;b=2").having("A", "x y").having("c", "3").without("b")

    assert str(parameters) == ';A="x y";c=3'


@pytest.mark.parametrize(
    "pair", [("a b", "c"), ("a", "b c"), ("a", ""), ("a", 'b"'), ("a", '"b'), ("a", '"\r\n"')]
)
def test_a_parameter_that_could_not_be_written_is_our_error(pair):
    with pytest.raises(ValueError):
        Parameters([pair])


# -- numbers and words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1 INVITE", "0009  INVITE", "2147483647 a"])
def test_a_cseq_is_a_number_below_2_31_and_a_method(text):
    assert read(CSEQ, text).number == int(text.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "INVITE",
        "INVITE 1",
        "-1 INVITE",
        "1INVITE",
        "2147483648 INVITE",
        "1 IN VITE",
        "\u0661 INVITE",
        "1 ",
    ],
)
def test_what_is_no_cseq_is_refused(text):
    with pytest.raises(SipSyntaxError, match="CSeq"):
        read(CSEQ, text)


@pytest.mark.parametrize("text", ["", "-1", "a", "1 1", "+1", "1.0", "²", "0x10"])
def test_max_forwards_is_a_number(text):
    with pytest.raises(SipSyntaxError, match="Max-Forwards"):
        read(MAX_FORWARDS, text)


@pytest.mark.parametrize("text", ["a@b", "Zm9v==@h", "{1}", "a:b", "1"])
def test_a_call_id_is_any_word(text):
    assert read(CALL_ID, text) == text


@pytest.mark.parametrize("text", ["", "a b", "a,b", "a;b", "ä"])
def test_a_call_id_is_one_word(text):
    with pytest.raises(SipSyntaxError, match="Call-ID"):
        read(CALL_ID, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1800", SessionExpires(1800)),
        ("1800;refresher=UAC", SessionExpires(1800, "uac")),
        ("90 ; refresher = uas;x=y", SessionExpires(90, "uas")),
        ("90;refresher=nobody", SessionExpires(90)),
        ("99999999999999999999", SessionExpires(2**32 - 1)),
    ],
)
def test_a_session_expires_in_seconds(text, value):
    assert read(SESSION_EXPIRES, text) == value
    assert read(SESSION_EXPIRES, str(value)) == value


def test_min_se_is_in_seconds_whatever_stands_behind():
    assert read(MIN_SE, "90;some=thing") == 90


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("120", RetryAfter(120)),
        ("18000;duration=3600", RetryAfter(18000, 3600)),
        ("120 (I'm (really) in a meeting \\) ) ;duration=1", RetryAfter(120, 1)),
        ("soon", None),
        ("120 (no end", None),
    ],
)
def test_retry_after_is_in_seconds_with_a_comment_or_else_as_if_it_were_not_there(text, value):
    assert read(RETRY_AFTER, text) == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("3600", 3600), ("0", 0), ("4294967296", None), ("soon", None), ("", None)]
)
def test_expires_is_in_seconds_or_else_as_if_it_were_not_there(text, seconds):
    assert read(EXPIRES, text) == seconds


def test_reasons_have_a_cause_and_a_text():
    reasons = read(REASON, 'Q.850;cause=16;text="Normal call clearing", SIP ;cause=200 ;text="a, b", X')

    assert reasons == (Reason("Q.850", 16, "Normal call clearing"), Reason("SIP", 200, "a, b"), Reason("X"))
    assert Reason.parse(str(reasons[0])) == reasons[0]


def test_a_reasons_text_cannot_bring_another_line():
    with pytest.raises(ValueError):
        Reason("SIP", 200, "a\r\nVia: b")


def test_replaces_names_a_dialog():
    replaces = read(REPLACES, "98732@sip.example.com ;from-tag=r33th4x0r ;to-tag=ff87ff;early-only")

    assert replaces == Replaces("98732@sip.example.com", "ff87ff", "r33th4x0r", early_only=True)
    assert Replaces.parse(str(replaces)) == replaces


@pytest.mark.parametrize("text", ["", "a@b", "a@b;to-tag=1", ";to-tag=1;from-tag=2"])
def test_replaces_without_a_dialog_is_refused(text):
    with pytest.raises(SipSyntaxError, match="Replaces"):
        read(REPLACES, text)


def test_a_media_type_is_case_blind_and_has_parameters():
    media = read(CONTENT_TYPE, 'Multipart / Mixed ; boundary="a b"')

    assert (media.name, media.parameters.get("boundary")) == ("multipart/mixed", "a b")


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ("*/*", True),
        ("application/*", True),
        ("text/plain, Application/SDP;q=1", True),
        ("text/*", False),
        ("", False),
    ],
)
def test_a_range_takes_its_types(accept, takes):
    assert any(media.takes("application/sdp") for media in read(ACCEPT, accept)) == takes


def test_an_event_has_parameters():
    event = read(EVENT, "refer;id=93809824")

    assert (event.word, event.parameters.get("id")) == ("refer", "93809824")


def test_a_day_may_have_one_digit():
    assert read(DATE, "Mon, 1 Nov 2010 23:29:60 GMT") == datetime(2010, 11, 1, 23, 29, 59, tzinfo=UTC)


def test_a_date_is_in_gmt():
    date = datetime(2010, 11, 13, 23, 29, 0, tzinfo=UTC)
    headers = HeaderMap()

    headers[DATE] = date

    assert headers["Date"] == "Sat, 13 Nov 2010 23:29:00 GMT"
    assert headers[DATE] == date


@pytest.mark.parametrize(
    "text",
    [
        *("", "Sat, 13 Nov 2010 23:29:00 EST", "Sat, 13 Nov 2010 23:29:00", "13 Nov 2010 23:29:00 GMT"),
        *("Sat, 31 Feb 2010 23:29:00 GMT", "Sat, 13 Xyz 2010 23:29:00 GMT", "Sat, 13 Nov 2010 25:29:00 GMT"),
        *("Sat, 13 Nov 0000 23:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 +0000"),
    ],
)
def test_what_is_no_date_in_gmt_is_refused(text):
    with pytest.raises(SipSyntaxError, match="Date"):
        read(DATE, text)


# -- who is asking ---------------------------------------------------------------------------------------


def test_a_challenge_has_parameters_with_quotes_and_without():
    (challenge,) = read(
        WWW_AUTHENTICATE, 'DIGEST Realm="a, \\"b\\"",, nonce="x=" ,stale=FALSE, algorithm = MD5 , '
    )

    assert challenge.scheme == "digest"
    assert [challenge.get(name) for name in ("realm", "nonce", "stale", "algorithm", "opaque")] == [
        *('a, "b"', "x=", "FALSE", "MD5", None)
    ]


def test_credentials_that_are_shown_keep_their_values_to_themselves():
    (credentials,) = read(AUTHORIZATION, 'Digest username="alice", response="beef"')

    assert "beef" not in repr(credentials)


@pytest.mark.parametrize(
    "text", ["Digest realm", "Digest a=1, a=2", 'Digest realm="x', "Digest a=1 b=2", "", "=x"]
)
def test_malformed_credentials_are_refused(text):
    with pytest.raises(SipSyntaxError, match="Authorization: "):
        read(AUTHORIZATION, text)


def test_a_scheme_that_we_do_not_know_writes_what_it_likes():
    assert read(AUTHORIZATION, "Bearer eyJhbGciOi==")[0].scheme == "bearer"


# -- any text --------------------------------------------------------------------------------------------

FIELDS: list[Field[Any]] = [
    *(
        ACCEPT,
        AUTHORIZATION,
        CALL_ID,
        CONTENT_DISPOSITION,
        CONTENT_TYPE,
        CSEQ,
        DIVERSION,
        EVENT,
        FROM,
        MAX_FORWARDS,
    ),
    *(MIN_SE, REASON, REPLACES, SESSION_EXPIRES, VIAS, WWW_AUTHENTICATE, DATE, RETRY_AFTER, EXPIRES),
]
header_like = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text(alphabet='SIP/2.0UDP <>";,=:@[]()\\tagbrnch*1é\t\x7f', max_size=60),
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(
                [
                    *(
                        "SIP/2.0/UDP ",
                        "h",
                        ":5060",
                        ";branch=z9hG4bK1",
                        ";rport",
                        "<sip:a@h>",
                        '"A"',
                        ";tag=1",
                        ", ",
                    ),
                    *(
                        "sip:a@h",
                        " ",
                        "1",
                        " INVITE",
                        "Digest ",
                        'realm="r"',
                        ",",
                        "=",
                        "(",
                        ")",
                        "text/plain",
                        ";q=1",
                    ),
                    *(
                        "a@b",
                        ";to-tag=1",
                        ";from-tag=2",
                        "Q.850",
                        ";cause=16",
                        ';text="x"',
                        "\\",
                        '"',
                        "<",
                        ">",
                    ),
                ]
            ),
            max_size=8,
        ),
    ),
)


@given(st.sampled_from(FIELDS), header_like)
def test_any_text_in_any_header_means_something_that_is_written_and_read_as_itself_or_is_a_syntax_error(
    field, text
):
    try:
        headers = HeaderMap([(field.name, text)])
    except ValueError:  # no line of a header
        return
    try:
        meaning = headers[field]
    except SipSyntaxError as error:
        assert str(error).isprintable()  # noqa: PT017 - whether it is raised depends on the example
        return
    if meaning in {None, ()}:
        return

    headers[field] = meaning

    assert headers[field] == meaning


def test_parsers_take_any_text_without_a_map_as_well():
    for parse in (Via.parse, NameAddr.parse, CSeq.parse, MediaType.parse, Parameters.parse, Replaces.parse):
        with pytest.raises(SipSyntaxError):
            parse('a"\x00\r\n')


def test_a_uri_in_an_address_may_be_of_any_scheme():
    assert read(FROM, "<urn:service:sos>").uri == parse_uri("urn:service:sos")

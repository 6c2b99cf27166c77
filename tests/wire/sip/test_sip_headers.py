"""The header map: order, case, compact forms, lists, and that no value breaks out of its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CONTACT, CSEQ, FROM, MAX_FORWARDS, ROUTE, SUPPORTED
from gateway.wire.sip.grammar import quote, unquote
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import parse_uri
from gateway.wire.sip.values import CSeq


def test_a_header_is_found_by_any_spelling_of_its_name():
    headers = HeaderMap([("v", "SIP/2.0/UDP h"), ("SUBJECT", "hi")])

    assert headers["Via"] == headers["V"] == headers["vIA"] == "SIP/2.0/UDP h"
    assert headers["s"] == headers["Subject"] == "hi"


@pytest.mark.parametrize(
    ("compact", "name"),
    [
        *(("a", "Accept-Contact"), ("b", "Referred-By"), ("c", "Content-Type"), ("d", "Request-Disposition")),
        *(
            ("e", "Content-Encoding"),
            ("f", "From"),
            ("i", "Call-ID"),
            ("j", "Reject-Contact"),
            ("k", "Supported"),
        ),
        *(
            ("l", "Content-Length"),
            ("m", "Contact"),
            ("n", "Identity-Info"),
            ("o", "Event"),
            ("r", "Refer-To"),
        ),
        *(("s", "Subject"), ("t", "To"), ("u", "Allow-Events"), ("v", "Via"), ("x", "Session-Expires")),
        ("y", "Identity"),
    ],
)
def test_a_compact_name_is_the_long_one(compact, name):
    assert HeaderMap([(compact, "x")])[name] == "x"


def test_what_is_missing_is_a_key_error_as_text_and_a_syntax_error_as_a_field():
    headers = HeaderMap()

    with pytest.raises(KeyError):
        headers["Subject"]
    with pytest.raises(SipSyntaxError, match="Missing CSeq"):
        headers[CSEQ]
    assert headers.get("Subject") is None
    assert headers.get(CSEQ) is None


def test_a_list_that_is_missing_is_empty():
    assert HeaderMap()[ROUTE] == ()
    assert HeaderMap()[SUPPORTED] == ()


def test_a_list_is_the_same_in_one_row_and_in_many():
    one = HeaderMap([("Route", '"a, b" <sip:a;x=1,2>;q=1 , <sip:b>')])
    many = HeaderMap([("Route", '"a, b" <sip:a;x=1,2>;q=1'), ("Subject", "between"), ("route", "<sip:b>")])

    assert one[ROUTE] == many[ROUTE]
    assert [str(route) for route in one[ROUTE]] == ['"a, b" <sip:a;x=1,2>;q=1', "<sip:b>"]


def test_commas_in_quotes_and_in_angle_brackets_part_nothing():
    headers = HeaderMap([("X", r'"a,\",b" , <a,b>, c')])

    assert headers.values("X") == [r'"a,\",b"', "<a,b>", "c"]


@pytest.mark.parametrize("text", ['"a, b', "<a, b", 'a, "'])
def test_a_list_whose_quote_or_bracket_does_not_end_is_refused(text):
    with pytest.raises(SipSyntaxError):
        HeaderMap([("X", text)]).values("X")


def test_words_may_have_nothing_between_their_commas():
    assert HeaderMap([("Supported", "100rel,, timer ,"), ("k", "")])[SUPPORTED] == ("100rel", "timer")


def test_a_route_may_not():
    with pytest.raises(SipSyntaxError, match="Route"):
        HeaderMap([("Route", "<sip:a>,")])[ROUTE]


def test_a_field_that_stands_once_may_not_stand_twice():
    with pytest.raises(SipSyntaxError, match="More than one CSeq"):
        HeaderMap([("CSeq", "1 INVITE"), ("cseq", "1 INVITE")])[CSEQ]


def test_what_is_set_stands_where_the_first_stood():
    headers = HeaderMap([("To", "<sip:a>"), ("Via", "x"), ("Subject", "s"), ("v", "y")])

    headers["Via"] = "z"

    assert list(headers) == [("To", "<sip:a>"), ("Via", "z"), ("Subject", "s")]


def test_what_is_set_and_was_not_there_stands_last():
    headers = HeaderMap([("To", "<sip:a>")])

    headers[CSEQ] = CSeq(1, "INVITE")

    assert list(headers) == [("To", "<sip:a>"), ("CSeq", "1 INVITE")]


def test_a_list_is_set_one_a_row_and_words_in_one():
    headers = HeaderMap()

    headers[ROUTE] = tuple(NameAddr(uri=parse_uri(uri)) for uri in ("sip:a", "sip:b"))
    headers[SUPPORTED] = ("100rel", "timer")

    assert list(headers) == [
        ("Route", "<sip:a>"),
        ("Route", "<sip:b>"),
        ("Supported", "100rel, timer"),
    ]


def test_a_list_that_is_set_to_nothing_is_gone():
    headers = HeaderMap([("Route", "<sip:a>")])

    headers[ROUTE] = ()

    assert "Route" not in headers


def test_what_is_deleted_is_gone_from_every_row():
    headers = HeaderMap([("Via", "x"), ("To", "<sip:a>"), ("v", "y")])

    del headers["Via"]
    del headers["Subject"]

    assert list(headers) == [("To", "<sip:a>")]


def test_what_was_read_once_is_read_anew_when_it_was_set():
    headers = HeaderMap([("CSeq", "1 INVITE")])
    assert headers[CSEQ].number == 1

    headers["CSeq"] = "2 INVITE"

    assert headers[CSEQ].number == 2


def test_a_copy_goes_its_own_way():
    headers = HeaderMap([("CSeq", "1 INVITE")])
    copied = headers.copy()

    copied["CSeq"] = "2 INVITE"

    assert headers["CSeq"] == "1 INVITE"
    assert copied != headers


def test_contact_star_has_no_contacts():
    headers = HeaderMap([("Contact", "*")])

    assert headers[CONTACT] == ()
    assert headers["Contact"] == "*"


def test_contact_star_beside_another_is_refused():
    with pytest.raises(SipSyntaxError):
        HeaderMap([("Contact", "*, <sip:a>")])[CONTACT]


def test_headers_are_equal_however_their_names_are_spelled():
    assert HeaderMap([("v", "x"), ("TO", "y")]) == HeaderMap([("Via", "x"), ("to", "y")])
    assert HeaderMap([("v", "x"), ("TO", "y")]) != HeaderMap([("TO", "y"), ("v", "x")])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_is_read_in_utf_8_and_in_latin_1_and_copied_byte_by_byte(encoding):
    headers, copied = HeaderMap(), HeaderMap()
    value = 'Jürgen "Jo" <sip:j@h>'.replace('"Jo" ', "").encode(encoding)
    headers.add_raw("From", value)

    copied.copy_from(headers, "From")

    assert headers[FROM].display_name == "Jürgen"
    assert copied.encode() == b"From: " + value + b"\r\n"


def test_a_map_that_is_shown_keeps_credentials_to_itself():
    headers = HeaderMap(
        [("Authorization", 'Digest response="beef"'), ("proxy-authorization", "beef"), ("To", "x")]
    )

    assert "beef" not in repr(headers)
    assert "'To', 'x'" in repr(headers)


# -- nothing breaks out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a\r\nVia: b", "a\nb", "a\rb", "a\0b", "a\x1fb", "a\x7fb", "a\\\r\n", "\ud800"]
)
def test_text_that_would_not_stay_in_its_line_is_our_error(text):
    headers = HeaderMap()

    with pytest.raises(ValueError):
        headers.add("Subject", text)
    with pytest.raises(ValueError):
        headers["Subject"] = text

    assert len(headers) == 0


@pytest.mark.parametrize("name", ["", "Sub ject", "Subject:", "Via\r\n", "Via:", "Ünder", "a\0"])
def test_a_name_that_is_no_token_is_our_error(name):
    with pytest.raises(ValueError, match="token"):
        HeaderMap().add(name, "x")


def test_a_display_name_may_hold_what_it_likes_but_an_end_of_line():
    address = NameAddr(parse_uri("sip:a@h"), 'a"\\,;<\x00>ü')

    assert NameAddr.parse(str(address)) == address
    with pytest.raises(ValueError):
        NameAddr(parse_uri("sip:a@h"), "a\r\nVia: b")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20))
def test_what_is_quoted_says_itself(text):
    assert unquote(quote(text)) == text


printable = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(st.sampled_from(["Subject", "s", "X-A", "To"]), printable), max_size=5))
def test_whatever_is_taken_is_one_line_each_and_reads_as_itself(rows):
    headers, taken = HeaderMap(), []
    for name, text in rows:
        try:
            headers.add(name, text)
        except ValueError:
            continue
        taken.append((name, text.strip(" \t")))

    assert list(headers) == taken
    lines = headers.encode().split(b"\r\n")
    assert [line.partition(b": ")[2].decode() for line in lines[:-1]] == [text for _, text in taken]


def test_max_forwards_may_be_set_as_a_number():
    headers = HeaderMap()

    headers[MAX_FORWARDS] = 69

    assert headers["Max-Forwards"] == "69"

"""What one trunk makes of calls: who, whom, where to, how many, which headers."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip.numbers import called_of, caller_of, e164, name_of, shown_call_id
from gateway.carriers.sip.setting_texts import read_address
from gateway.carriers.sip.settings import TrunkSettings
from gateway.carriers.sip.trunk import Trunk
from gateway.config import Secret
from gateway.telemetry.masking import clean
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import SipUri, parse_uri

NUMBER = "+15551230001"


def trunk(password: str | None = None, **settings: Any) -> Trunk:
    secret = None if password is None else Secret(password)
    return Trunk("acme", TrunkSettings(**settings), secret, random.Random(1))


def carrier(uri: str = "sip:carrier.example", **settings: Any) -> Trunk:
    return trunk(address=read_address(uri), **settings)


def invite(
    uri: str = f"sip:{NUMBER}@gw.example",
    *rows: tuple[str, str],
    caller: str = "<sip:+15559990000@carrier.example>;tag=1",
    to: str = f"<sip:{NUMBER}@gw.example>",
) -> Request:
    return Request("INVITE", parse_uri(uri), HeaderMap([("From", caller), ("To", to), *rows]))


# -- numbers


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sip:+15551230001@h", NUMBER),
        ("sip:15551230001@h", NUMBER),
        ("sip:0015551230001@h", NUMBER),
        ("sip:+1-555-123-0001@h;user=phone", NUMBER),
        ("sip:%2B15551230001@h", NUMBER),
        ("sip:+15551230001;npdi=yes;rn=+15550000000@h", NUMBER),
        ("sip:+15551230001:secret@h", NUMBER),
        ("sips:+15551230001@h", NUMBER),
        ("tel:+15551230001", NUMBER),
        ("tel:+1-555-123-0001;npdi", NUMBER),
        ("tel:1230001;phone-context=+1555", NUMBER),
        ("sip:1230001;phone-context=+1555@h;user=phone", NUMBER),
        ("tel:7042;phone-context=example.com", "7042"),
        ("sip:5551230001@h", "5551230001"),
        ("sip:100@h", "100"),
        ("sip:+100000000000000000@h", "+100000000000000000"),
        ("sip:+0155512300@h", "+0155512300"),
        ("sip:192.168.100.100@h", "192.168.100.100"),
        ("sip:*98#@h", "*98#"),
        ("sip:anna@example.com", "anna"),
        ("sip:an%0Ana@example.com", "an%0Ana"),
        ("sip:;x@h", ";x"),
        ("sip:pbx.example:5080;transport=tcp", "sip:pbx.example:5080"),
        ("sip:[2001:db8::1]", "sip:[2001:db8::1]"),
        ("mailto:anna@example.com", "mailto:anna@example.com"),
    ],
)
def test_a_uri_is_named_by_its_number_or_else_by_what_it_has(uri: str, name: str):
    assert name_of(parse_uri(uri)) == name


@given(st.text(), st.sampled_from(["sip:{}@h", "sip:{}", "tel:{}", "{}"]))
def test_the_name_of_any_uri_fits_in_a_line(text: str, form: str):
    try:
        uri = parse_uri(form.format(text))
    except SipSyntaxError:
        return

    name = name_of(uri)

    assert 0 < len(name) <= 128
    assert name.isprintable()
    assert " " not in name


@given(st.text("0123456789+-.() a", max_size=20))
def test_whatever_is_taken_for_a_number_is_one(text: str):
    number = e164(text)

    assert number is None or (number[0] == "+" and number[1:].isdigit() and 3 <= len(number) <= 16)


# -- who calls, and whom


def test_the_caller_is_who_from_names():
    assert caller_of(invite(), trusted=True) == "+15559990000"


@pytest.mark.parametrize(
    "caller",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
        "<sip:Anonymous@carrier.example>;tag=1",
        "sip:x@anonymous.invalid;tag=1",
    ],
)
def test_a_caller_who_withholds_his_number_is_anonymous(caller: str):
    asserted = ("P-Asserted-Identity", "<tel:+15551112222>")

    assert caller_of(invite("sip:a@h", asserted, caller=caller), trusted=True) == "anonymous"


@pytest.mark.parametrize("privacy", ["id", "user;id", "header", "critical; ID", "id,critical"])
def test_who_asks_for_privacy_is_anonymous_though_his_carrier_knows_him(privacy: str):
    rows = (("P-Asserted-Identity", "<tel:+15551112222>"), ("Privacy", privacy))

    assert caller_of(invite("sip:a@h", *rows), trusted=True) == "anonymous"


@pytest.mark.parametrize("privacy", ["none", "session", ""])
def test_privacy_that_is_not_about_names_hides_none(privacy: str):
    assert caller_of(invite("sip:a@h", ("Privacy", privacy)), trusted=True) == "+15559990000"


@pytest.mark.parametrize(
    "asserted",
    [
        "<tel:+15551112222>",
        '"A" <sip:anna@h>, <tel:+15551112222>',
        "<sip:+15551112222;npdi=yes@h;user=phone>",
    ],
)
def test_what_a_carrier_asserts_goes_before_from(asserted: str):
    call = invite("sip:a@h", ("P-Asserted-Identity", asserted))

    assert caller_of(call, trusted=True) == "+15551112222"
    assert caller_of(call, trusted=False) == "+15559990000"


def test_from_has_the_number_where_what_is_asserted_has_none():
    assert (
        caller_of(invite("sip:a@h", ("P-Asserted-Identity", "<sip:pbx@h>")), trusted=True) == "+15559990000"
    )


def test_an_assertion_that_cannot_be_read_is_none():
    assert caller_of(invite("sip:a@h", ("P-Asserted-Identity", "<<")), trusted=True) == "+15559990000"


def test_only_who_calls_by_network_is_trusted_to_assert():
    call = invite("sip:a@h", ("P-Asserted-Identity", "<tel:+15551112222>"))

    assert trunk(auth="network").caller_of(call) == "+15551112222"
    assert trunk(auth="digest").caller_of(call) == "+15559990000"


def test_who_is_called_stands_in_the_request_uri():
    assert called_of(invite(to="<sip:+15550000000@gw.example>")) == NUMBER


def test_a_request_uri_without_a_user_leaves_it_to_the_header():
    assert called_of(invite("sip:gw.example")) == NUMBER
    assert called_of(invite("sip:gw.example", to="<sip:gw.example>")) == "sip:gw.example"


def test_a_call_to_where_we_are_registered_has_its_number_in_the_header():
    pbx = carrier(user="anna", register=True)
    registration = pbx.register(NameAddr(SipUri(user="anna", host="192.0.2.1")))

    call = invite(str(registration.contact.uri))

    assert pbx.is_registered_for(call)
    assert pbx.called_of(call) == NUMBER
    assert pbx.called_of(invite("sip:anna@192.0.2.1")) == "anna"


# -- headers


def test_only_headers_of_the_settings_pass_by_the_names_they_have_there():
    call = invite("sip:a@h", ("x-ACCOUNT", "7"), ("X-Other", "8"), ("Diversion", "<sip:1@h>"))

    found = trunk(headers=("X-Account", "Diversion")).headers_of(call)

    assert found == {"X-Account": "7", "Diversion": "<sip:1@h>"}


def test_rows_of_one_header_are_one_text():
    call = invite("sip:a@h", ("X-Tag", "a"), ("X-Tag", "b"))

    assert trunk(headers=("X-Tag",)).headers_of(call) == {"X-Tag": "a, b"}


def test_a_compact_name_is_the_same_header():
    call = invite("sip:a@h", ("s", "hello"))

    assert trunk(headers=("Subject",)).headers_of(call) == {"Subject": "hello"}


def test_a_header_that_comes_is_one_printable_line():
    call = invite("sip:a@h")
    call.headers.add_raw("X-Note", b"a\\\x07b\xc2\x85c")

    assert trunk(headers=("X-Note",)).headers_of(call) == {"X-Note": "a\\ b c"}


def test_a_header_that_is_far_too_long_does_not_pass():
    call = invite("sip:a@h", ("X-Long", "a" * 8193), ("X-Well", "a" * 8192))

    assert trunk(headers=("X-Long", "X-Well")).headers_of(call) == {"X-Well": "a" * 8192}


def test_headers_go_out_as_they_came_in():
    headers = {"X-Account": "7", "Diversion": "<sip:1@h>"}

    assert trunk(headers=("x-account", "Diversion")).rows_for(headers) == tuple(headers.items())


@pytest.mark.parametrize("text", ["a\r\nVia: evil", "a\nb", "a\rb", "a\x00b", "\ud800"])
def test_a_header_that_would_end_its_line_does_not_go_out(text: str):
    with pytest.raises(ValueError):
        trunk(headers=("X-Note",)).rows_for({"X-Note": text})


@pytest.mark.parametrize("name", ["X-Other", "X-Note\r\nVia", "Via"])
def test_a_header_that_is_not_in_the_settings_does_not_go_out(name: str):
    with pytest.raises(ValueError, match=r"is not in trunks\.acme\.headers"):
        trunk(headers=("X-Note",)).rows_for({name: "1"})


# -- where calls go


@pytest.mark.parametrize(
    ("destination", "uri"),
    [
        (NUMBER, "sip:+15551230001@carrier.example:5080;transport=tcp"),
        ("+1 (555) 123-0001", "sip:+15551230001@carrier.example:5080;transport=tcp"),
        ("15551230001", "sip:15551230001@carrier.example:5080;transport=tcp"),
        ("100", "sip:100@carrier.example:5080;transport=tcp"),
        ("*98#", "sip:*98#@carrier.example:5080;transport=tcp"),
        ("anna b;x?y@z", "sip:anna%20b%3Bx%3Fy%40z@carrier.example:5080;transport=tcp"),
        ("tel:+1-555-123-0001", "sip:+15551230001@carrier.example:5080;transport=tcp"),
        ("sip:+15551230001@acme", "sip:+15551230001@carrier.example:5080;transport=tcp"),
        ("SIP:+15551230001@Carrier.Example", "sip:+15551230001@carrier.example:5080;transport=tcp"),
        ("sip:a:secret@acme;transport=udp", "sip:a@carrier.example:5080;transport=tcp"),
    ],
)
def test_a_call_goes_to_the_trunks_address(destination: str, uri: str):
    assert str(carrier("sip:carrier.example:5080;transport=tcp").uri_for(destination)) == uri


@pytest.mark.parametrize(
    "destination",
    ["", " ", "sip:acme", "sip:anna@evil.example", "mailto:a@b", "sip:a b@acme", "tel:", "tel:anna", ":"],
)
def test_what_is_nobody_there_is_not_called_and_not_repeated(destination: str):
    with pytest.raises(ValueError) as caught:
        carrier().uri_for(destination)

    assert not destination.strip(" :") or destination not in str(caught.value)


@given(st.text())
def test_any_destination_goes_to_the_trunks_address_or_nowhere(destination: str):
    try:
        uri = carrier().uri_for(destination)
    except ValueError:
        return

    assert uri.host == "carrier.example"
    assert parse_uri(str(uri)) == uri


def test_without_an_address_no_call_goes_out():
    with pytest.raises(ValueError, match=r"trunks\.acme\.address is missing"):
        trunk().uri_for(NUMBER)


def test_a_sips_address_is_called_by_sips():
    assert str(carrier("sips:carrier.example").uri_for(NUMBER)) == "sips:+15551230001@carrier.example"


def test_a_transferred_caller_is_sent_to_a_number_at_the_trunk_or_where_he_came_from():
    assert str(carrier().refer_target(NUMBER, "192.0.2.9")) == "sip:+15551230001@carrier.example"
    assert str(trunk().refer_target(NUMBER, "192.0.2.9")) == "sip:+15551230001@192.0.2.9"


def test_a_transferred_caller_is_sent_to_any_sip_uri_as_it_is():
    assert str(carrier().refer_target("sip:desk@example.com", "h")) == "sip:desk@example.com"


@pytest.mark.parametrize("destination", ["", "sip:", "sip:a b@c", "mailto:a@b"])
def test_a_transferred_caller_is_sent_nowhere_that_is_none(destination: str):
    with pytest.raises(ValueError):
        carrier().refer_target(destination, "192.0.2.9")


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        ({"caller_id": "+15550001000", "user": "anna"}, "sip:+15550001000@carrier.example"),
        ({"user": "anna"}, "sip:anna@carrier.example"),
        ({"user": "anna@home"}, "sip:anna@carrier.example"),
        ({"user": "an na;x"}, "sip:an%20na%3Bx@carrier.example"),
        ({"user": "@"}, "sip:anonymous@carrier.example"),
        ({"user": "anna", "registrar": read_address("sip:reg.example")}, "sip:anna@reg.example"),
        ({}, "sip:anonymous@carrier.example"),
    ],
)
def test_our_calls_come_from_the_caller_id_or_the_account(settings: dict[str, Any], uri: str):
    assert str(carrier(**settings).identity.uri) == uri


def test_who_has_no_address_has_no_name_there():
    with pytest.raises(ValueError):
        _ = trunk(user="anna").identity


# -- passwords of ours


def challenge(realm: str) -> Response:
    return Response(
        401, "", HeaderMap([("WWW-Authenticate", f'Digest realm="{realm}", nonce="1", qop="auth"')])
    )


def test_a_password_is_told_only_to_the_realm_of_the_settings():
    credentials = carrier(password="word", user="anna", realm="carrier.example").credentials

    assert credentials is not None
    assert not credentials.challenged(invite(), challenge("evil.example"))
    assert credentials.challenged(invite(), challenge("carrier.example"))


def test_without_a_password_there_are_no_credentials():
    assert carrier(user="anna").credentials is None
    assert carrier().credentials is None


def test_a_password_shows_nowhere():
    them = carrier(password="canary", user="anna")

    assert "canary" not in f"{them!r} {vars(them)!r}"


def test_an_account_is_registered_with_its_credentials():
    pbx = carrier(
        "sip:proxy.example", password="word", user="anna", registrar=read_address("sip:reg.example")
    )
    registration = pbx.register(NameAddr(SipUri(user="anna", host="192.0.2.1")))
    registration.begin()
    (first,) = registration.outgoing()

    registration.answered(first, challenge("reg.example"), 0.0)

    (second,) = registration.outgoing()
    assert (str(second.uri), second.headers["To"]) == ("sip:reg.example", "<sip:anna@reg.example>")
    assert 'username="anna"' in second.headers["Authorization"]


# -- how many calls


def test_a_trunk_takes_as_many_calls_as_it_may_and_another_when_one_ends():
    them = trunk(calls=2)
    them.began(0.0)
    them.began(10.0)

    full = them.full(20.0)
    them.ended()

    assert full == "2 calls at a time"
    assert them.full(20.0) is None
    assert them.active == 1


def test_within_any_second_no_more_calls_begin_than_may():
    them = trunk(calls_per_s=2)
    for now in (10.0, 10.6):
        assert them.full(now) is None
        them.began(now)
        them.ended()

    assert them.full(10.9) == "2 calls a second"
    assert them.full(11.0) is None


def test_a_new_trunk_is_not_full():
    assert trunk(calls_per_s=1).full(0.0) is None


# -- what may be written down of a Call-ID


@pytest.mark.parametrize(
    ("call_id", "shown"),
    [
        ("a84b4c76e66710@192.0.2.77", "a84b4c76e66710"),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6@pbx.example", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("9ed7e89945cf0efb9692accd081bf1f9", "9ed7e89945cf0efb9692accd081bf1f9"),
        ("+15557654321@192.168.1.5", "+1555765**21"),
        ("15557654321-8f3a@192.168.1.5", "1555765**21-8f3a"),
        ("call_15557654321_2@h", "call_1555765**21_2"),
        ("1055832417151220101237@h", "1055832417151220101237"),
        ("@h", "…"),
    ],
)
def test_of_a_call_id_all_is_shown_but_its_host_and_most_of_a_number(call_id: str, shown: str):
    assert shown_call_id(call_id) == shown
    assert clean({"carrier_call": shown}) == {"carrier_call": shown}  # as it is in the log

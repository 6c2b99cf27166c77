"""URIs: their parts, what is refused, and when two are equivalent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.comparison import equivalent
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.uri import OpaqueUri, SipUri, TelUri, parse_uri


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def test_a_sip_uri_has_all_its_parts():
    uri = sip("sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr?subject=hi&priority=urgent")

    assert uri == SipUri(
        secure=True,
        user="alice",
        password="secret",
        host="2001:db8::1",
        port=5061,
        parameters=(("transport", "tls"), ("lr", None)),
        headers=(("subject", "hi"), ("priority", "urgent")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sips:1212@gateway.com",
        "sip:alice@192.0.2.4",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[::1]",
        "sip:a@[::ffff:192.0.2.1]:5060;lr=on",
        "sip:anonymous@anonymous.invalid",
        "sip:*21#5551234@pbx_1.local.",
        "sip:h;maddr=[::1]",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "tel:863-1234;phone-context=+1-914-555",
        "urn:service:sos",
        "mailto:a@b.example",
    ],
)
def test_what_is_read_is_written_again_as_it_was(text):
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@host",
        "sip::secret@host",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@host",
        "sip:a@host name",
        "sip:host:",
        "sip:host:0",
        "sip:host:65536",
        "sip:host:5060x",
        "sip:host:+5060",
        "sip:host;",
        "sip:host;;lr",
        "sip:host;transport=",
        "sip:host;a b",
        "sip:host?",
        "sip:host?novalue",
        "sip:host?a=b&&c=d",
        "sip:%@host",
        "sip:%4@host",
        "sip:%zz@host",
        "sip:[::1",
        "sip:::1]",
        "sip:[host]",
        "sip:[::1]5060",
        "sip:[1::2::3]",
        "sip:[fe80::1%eth0]",
        "sip:2001:db8::10",
        "sip:1.2.3",
        "sip:1.2.3.4.5",
        "sip:256.1.1.1",
        "sip:-host",
        "sip:host..example",
        "sip:.host",
        "sip:h" + "o" * 255,
        "sip:ho\u017ft",
        "sip:a@host\r\nVia: x",
        "<sip:a@host>",
        "tel:",
        "tel:+",
        "tel:-.()",
        "tel:five",
        "tel:+1 201",
        "alice@atlanta.com",
        "5551234",
        ":x",
        "1x:y",
        "x:",
        "http://a b",
        'http://"',
    ],
)
def test_what_is_no_uri_is_refused_with_400(text):
    with pytest.raises(SipSyntaxError) as caught:
        parse_uri(text)

    assert caught.value.status == 400
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("sip:+15551230001;npdi=yes;rn=+15550000000@trunk.example;user=phone", "+15551230001"),
        ("sip:%2B15551230001@trunk.example", "+15551230001"),
        ("sip:j%C3%BCrgen@h", "jürgen"),
        ("sip:j%FCrgen@h", "jürgen"),
        ("sip:h", None),
        ("tel:+1-555-123.0001;isub=1", "+15551230001"),
        ("tel:(555)1230001", "5551230001"),
    ],
)
def test_the_number_is_who_is_called_without_parameters_escapes_and_separators(text, number):
    uri = parse_uri(text)

    assert not isinstance(uri, OpaqueUri)
    assert uri.number == number


def test_number_portability_is_in_the_user_and_kept_there():
    uri = sip("sip:+1555;npdi=yes;rn=+1666@h;user=phone")

    assert uri.user_parameters == (("npdi", "yes"), ("rn", "+1666"))
    assert uri.parameters == (("user", "phone"),)


@pytest.mark.parametrize("text", ["sip:h;lr", "sip:h;lr=on", "sip:h;LR", "sip:h;lr=true", "sip:h;%6cr"])
def test_a_loose_router_is_known_however_it_says_so(text):
    assert sip(text).lr


def test_a_router_that_does_not_say_so_is_strict():
    assert not sip("sip:h;lrx").lr


def test_the_dialog_to_replace_is_read_out_of_a_uri():
    escaped = sip("sip:bob@h?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994")
    sloppy = sip("sip:bob@h?Replaces=12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994")

    assert escaped.header("replaces") == sloppy.header("replaces")
    assert escaped.header("Replaces") == "12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994"
    assert escaped.header("Subject") is None


def test_a_header_within_a_uri_cannot_bring_another_line():
    with pytest.raises(SipSyntaxError, match="control character"):
        sip("sip:h?Subject=a%0D%0AVia:%20b").header("Subject")


@pytest.mark.parametrize(
    "parts",
    [
        {"host": "a b"},
        {"host": "h\r\n"},
        {"host": "[::1]"},
        {"host": ""},
        {"host": "h", "port": 0},
        {"host": "h", "port": 65536},
        {"host": "h", "user": ""},
        {"host": "h", "user": "a@b"},
        {"host": "h", "user": "a\r\nb"},
        {"host": "h", "user": "50%"},
        {"host": "h", "password": "x"},
        {"host": "h", "user": "u", "password": "x@y"},
        {"host": "h", "parameters": (("a", "b;c"),)},
        {"host": "h", "parameters": (("a=b", None),)},
        {"host": "h", "parameters": (("", None),)},
        {"host": "h", "parameters": (("a", ""),)},
        {"host": "h", "headers": (("a", "b&c"),)},
        {"host": "h", "headers": (("a=b", "c"),)},
    ],
)
def test_parts_that_could_not_be_written_are_our_error(parts):
    with pytest.raises(ValueError):
        SipUri(**parts)


# -- RFC 3261 §19.1.4 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]"),
        ("sip:a@h.example.", "sip:a@h.example"),
        ("sip:a%2fb@h", "sip:a%2Fb@h"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:7042;phone-context=Example.com", "tel:7042;phone-context=example.com"),
        ("urn:service:sos", "urn:service:sos"),
    ],
)
def test_uris_are_equivalent(one, other):
    assert equivalent(parse_uri(one), parse_uri(other))
    assert equivalent(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "sip:h"),
        ("sip:a@h", "sip:a:p@h"),
        ("sip:a@h;user=phone", "sip:a@h"),
        ("sip:a;b@h", "sip:a%3Bb@h"),
        ("tel:+12015550123", "tel:+12015550124"),
        ("tel:+12015550123", "sip:+12015550123@h"),
        ("tel:7042;phone-context=a.example", "tel:7042;phone-context=b.example"),
    ],
)
def test_uris_are_not_equivalent(one, other):
    assert not equivalent(parse_uri(one), parse_uri(other))
    assert not equivalent(parse_uri(other), parse_uri(one))


# -- any text --------------------------------------------------------------------------------------------

uri_like = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='sip:tel@;?&=%[]0123456789abcdef.+-<>"\r\n é', max_size=80).map(
        lambda text: "sip:" + text
    ),
    st.text(alphabet="+-.()0123456789abc;=", max_size=40).map(lambda text: "tel:" + text),
)
escaped = st.text(alphabet="abcXYZ0189-_.!~*'()&=+$,/#", min_size=1, max_size=12)
hosts = st.sampled_from(["h", "example.com", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "pbx_1"])
names = st.text(alphabet="abcXYZ-_.!~*'[]/:&+$", min_size=1, max_size=8)
values = st.text(alphabet="abcXYZ019-_.!~*'[]/:&+$=,", min_size=1, max_size=8)
sip_uris = st.builds(
    SipUri,
    secure=st.booleans(),
    user=st.none() | escaped,
    host=hosts,
    port=st.none() | st.integers(1, 65535),
    parameters=st.lists(st.tuples(names, st.none() | values), max_size=4).map(tuple),
    headers=st.lists(
        st.tuples(st.sampled_from(["a", "Subject"]), st.text("ab1:?/", max_size=5)), max_size=3
    ).map(tuple),
)


@given(uri_like)
def test_any_text_is_a_uri_or_a_syntax_error_and_what_is_a_uri_is_written_as_itself(text):
    try:
        uri = parse_uri(text)
    except SipSyntaxError:
        return

    assert parse_uri(str(uri)) == uri
    assert equivalent(uri, parse_uri(str(uri)))
    str(uri).encode("ascii")


@given(sip_uris)
def test_any_sip_uri_is_written_and_read_as_itself(uri):
    assert parse_uri(str(uri)) == uri


@given(st.from_regex(r"\+?[0-9][0-9.\-()]{0,20}", fullmatch=True))
def test_any_tel_uri_is_written_and_read_as_itself(subscriber):
    uri = TelUri(subscriber=subscriber)

    assert parse_uri(str(uri)) == uri

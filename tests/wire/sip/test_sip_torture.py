"""Every message of RFC 4475 and RFC 5118, by the name it has there, and what the RFC says of it."""

import pytest

from gateway.wire.sip.acceptance import Abilities, Refusal, refusal_of
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import (
    ACCEPT,
    AUTHORIZATION,
    CALL_ID,
    CONTACT,
    CSEQ,
    EXPIRES,
    FROM,
    MAX_FORWARDS,
    REQUIRE,
    RETRY_AFTER,
    ROUTE,
    TO,
    VIAS,
)
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.stream import StreamParser
from gateway.wire.sip.uri import OpaqueUri, SipUri
from tests.wire.sip.corpus import IPV6, IPV6_ARCHIVED, TORTURE, same, vias

DROPPED = None  # what is not to be answered
VOICE = Abilities(methods=("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER"))

# §3.1.1, §3.2.1, §3.3 and §3.4.1: what any parser takes.
ACCEPTED = (
    *(
        "wsinv",
        "intmeth",
        "esc01",
        "escnull",
        "esc02",
        "lwsdisp",
        "longreq",
        "dblreq",
        "semiuri",
        "transports",
    ),
    *(
        "mpart01",
        "unreason",
        "noreason",
        "badbranch",
        "unkscm",
        "novelsc",
        "unksm2",
        "bext01",
        "invut",
        "regaut01",
    ),
    *("bcast", "zeromf", "cparam01", "cparam02", "regescrt", "sdp01", "inv2543"),
)
# §3.1.2, and of §3.3 what RFC 3261 calls malformed.
REFUSED = {
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": DROPPED,
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 400,
    "escruri": 400,
    "baddate": 400,
    "regbadct": 400,
    "badaspec": 400,
    "baddn": 400,
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 501,
    "bigcode": DROPPED,
    "insuf": 400,
    "multi01": 400,
    "mcl01": 400,
    "test": DROPPED,  # in the archive, in no section: without a Via nobody can be answered
}
# What a user agent for voice then says to those that the parser took.
ANSWERED = {
    "intmeth": 501,
    "esc02": 501,
    "mpart01": 405,
    "unkscm": 416,
    "novelsc": 416,
    "bext01": 420,
    "invut": 415,
    "sdp01": 406,
}


def request(name: str) -> Request:
    message = parse_datagram(TORTURE[name])
    assert isinstance(message, Request)
    return message


def refused(data: bytes) -> SipSyntaxError:
    with pytest.raises(SipSyntaxError) as caught:
        parse_datagram(data)
    return caught.value


def test_no_message_of_rfc_4475_is_left_out():
    assert set(ACCEPTED) | set(REFUSED) == set(TORTURE)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_valid_torture_message_is_accepted_and_reads_the_same_when_it_was_written_again(name):
    message = parse_datagram(TORTURE[name])

    assert same(parse_datagram(message.encode()), message)


@pytest.mark.parametrize(("name", "status"), REFUSED.items())
def test_an_invalid_torture_message_is_refused_with_the_status_that_the_rfc_names_or_dropped(name, status):
    assert refused(TORTURE[name]).status == status


@pytest.mark.parametrize("name", [name for name, status in REFUSED.items() if status])
def test_a_refused_torture_message_is_answered_with_what_was_found_of_its_via_and_cseq(name):
    error = refused(TORTURE[name])

    answer = response_to(error, error.status or 0, to_tag="t", reason=str(error)).encode()

    assert answer.startswith(b"SIP/2.0 %d " % (error.status or 0))
    for header in (b"\r\nVia: SIP/", b"\r\nCSeq: "):
        assert header in answer


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_user_agent_for_voice_says_what_the_rfc_says_to_a_valid_torture_message(name):
    message = parse_datagram(TORTURE[name])

    refusal = refusal_of(message, VOICE) if isinstance(message, Request) else None

    assert (refusal and refusal.status) == ANSWERED.get(name)


def test_over_a_stream_torture_messages_meet_the_same_end_as_in_a_datagram():
    ends: dict[str, int | str | None] = dict.fromkeys(ACCEPTED, "taken") | REFUSED
    del ends["inv2543"]  # says no Content-Length, as a datagram may
    del ends["clerr"]  # waits for the rest
    del ends["baddn"], ends["test"]  # have no end
    found: dict[str, int | str | None] = {}

    for name in ends:
        parser = StreamParser()
        parser.receive_data(TORTURE[name])
        try:
            found[name] = "taken" if parser.next_message() else "nothing"
        except SipSyntaxError as error:
            found[name] = error.status

    assert found == ends


# -- RFC 4475 §3.1.1: what the valid ones say ------------------------------------------------------------


def test_wsinv_folded_and_spaced_as_it_is_says_who_calls_whom_by_which_way():
    message = request("wsinv")
    headers = message.headers

    assert headers[TO].tag == "1918181833n"
    assert (headers[FROM].display_name, headers[FROM].tag) == ('J Rosenberg \\"', "98asjd8")
    assert headers[MAX_FORWARDS] == 68
    assert str(headers[CSEQ]) == "9 INVITE"
    assert [(via.transport, via.host, via.branch) for via in vias(message)] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert headers["Subject"] == ""
    assert headers["NewFangledHeader"] == "newfangled value continued newfangled value"
    assert headers["UnknownHeaderWithUnusualValue"] == ";;,,;;,;"
    contact = headers[CONTACT][0]
    assert (contact.display_name, contact.parameters.get("q")) == ('Quoted string ""', "0.33")
    assert contact.parameters.get("secondparam") == ""
    route = headers[ROUTE][0].uri
    assert isinstance(route, SipUri)
    assert route.lr


def test_wsinv_has_a_body_of_the_length_it_says():
    assert len(request("wsinv").body) == 150


def test_intmeth_keeps_every_character_that_the_grammar_allows():
    message = request("intmeth")

    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert str(message.uri) == (
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
    )
    assert message.headers[TO].display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.headers[FROM].display_name == "token1~` token2'+_ token3*%!.-"
    assert message.headers[FROM].parameters.get("fromParam''~+*_!.-%") == "работающий"
    assert message.headers[CALL_ID] == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.headers["extensionHeader-!.%*+_`'~"] == "\ufeff大停電"


def test_esc01_has_escapes_undone_in_what_is_said_and_kept_in_what_is_written():
    message = request("esc01")
    contact = message.headers[CONTACT][0].uri

    assert isinstance(message.uri, SipUri)
    assert message.uri.number == "sips:user@example.com"
    assert str(message.uri) == "sip:sips%3Auser%40example.com@example.net"
    assert isinstance(contact, SipUri)
    assert contact.lr  # written %6C%72
    assert contact.parameter("name") == "value%41"


def test_escnull_keeps_its_escaped_nulls():
    contacts = request("escnull").headers[CONTACT]

    assert [contact.uri.number for contact in contacts if isinstance(contact.uri, SipUri)] == ["\0", "\0\0"]


def test_esc02_takes_no_percent_sign_for_an_escape_outside_a_uri():
    message = request("esc02")

    assert message.method == "RE%47IST%45R"
    assert message.headers[TO].display_name == "%Z%45"
    assert len(message.headers[CONTACT]) == 2
    assert message.headers["C%6Fntact"] == "<sip:alias2@host2.example.com>"


def test_lwsdisp_needs_no_space_before_its_angle_bracket():
    assert request("lwsdisp").headers[FROM].display_name == "caller"


def test_longreq_loses_none_of_its_vias():
    assert len(vias(request("longreq"))) == 34


def test_dblreq_ends_where_its_content_length_says():
    message = request("dblreq")

    assert (message.method, message.body) == ("REGISTER", b"")


def test_semiuri_has_its_semicolon_in_the_user_and_no_parameter():
    uri = request("semiuri").uri

    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, uri.parameters) == ("user;par=u%40example.net", "example.com", ())


def test_semiuri_accepts_six_types_over_folded_lines():
    assert len(request("semiuri").headers[ACCEPT]) == 6


def test_transports_may_be_unknown():
    assert [via.transport for via in vias(request("transports"))] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_keeps_its_binary_body():
    assert len(request("mpart01").body) == 553


def test_unreason_has_a_reason_in_cyrillic():
    message = parse_datagram(TORTURE["unreason"])

    assert isinstance(message, Response)
    assert message.reason.startswith("= 2**3 * 5**2 но сто девяносто девять")


def test_noreason_has_an_empty_reason():
    message = parse_datagram(TORTURE["noreason"])

    assert isinstance(message, Response)
    assert (message.status, message.reason) == (100, "")


# -- RFC 4475 §3.1.2: what is wrong with the others ------------------------------------------------------


@pytest.mark.parametrize("value", ["300", "256", "36893488147419103232"])
def test_in_scalar02_max_forwards_alone_would_be_read_as_if_it_were_not_there(value):
    assert HeaderMap([("Max-Forwards", value)])[MAX_FORWARDS] is None


def test_in_scalar02_expires_alone_would_be_read_as_the_default():
    assert HeaderMap([("Expires", "1" + "0" * 99)])[EXPIRES] is None


def test_in_scalarlg_retry_after_alone_would_be_no_reason_to_drop_it():
    retry_after = HeaderMap([("Retry-After", "949302838503028349304023988")])[RETRY_AFTER]

    assert retry_after is not None
    assert retry_after.seconds == 2**32 - 1


def test_in_insuf_the_answer_repeats_what_there_is():
    error = refused(TORTURE["insuf"])

    answer = response_to(error, 400)

    assert [name for name, _ in answer.headers] == ["Via", "CSeq"]


# -- RFC 4475 §3.2 to §3.4: what an upper layer decides --------------------------------------------------


def test_badbranch_names_no_transaction():
    via = vias(request("badbranch"))[0]

    assert (via.branch, via.transaction) == ("z9hG4bK", None)


def test_inv2543_names_no_transaction_and_has_no_tag():
    headers = request("inv2543").headers

    assert headers[VIAS].top.transaction is None
    assert headers[FROM].tag is None
    assert headers[TO].parameters.get("user") == "phone"


def test_unksm2_has_uris_of_schemes_that_only_a_registrar_minds():
    headers = request("unksm2").headers

    assert [headers[TO].uri, headers[FROM].uri] == [
        OpaqueUri("isbn:2983792873"),
        OpaqueUri("http://www.example.com"),
    ]


def test_bext01_is_told_which_extensions_are_not_supported():
    refusal = refusal_of(request("bext01"), VOICE)

    assert refusal == Refusal(420, (("Unsupported", "nothingSupportsThis, nothingSupportsThisEither"),))


def test_bext01_requires_nothing_that_its_proxy_require_names():
    assert "noProxiesSupportThis" not in request("bext01").headers[REQUIRE]


def test_regaut01_has_credentials_of_a_scheme_that_nobody_knows():
    assert request("regaut01").headers[AUTHORIZATION][0].scheme == "nooneknowsthisscheme"


def test_bcast_has_a_via_more_than_a_user_agent_put_there():
    assert len(vias(parse_datagram(TORTURE["bcast"]))) == 2


def test_zeromf_says_zero():
    assert request("zeromf").headers[MAX_FORWARDS] == 0


def test_cparam01_has_its_parameter_outside_the_uri_and_cparam02_inside():
    outside, inside = (request(name).headers[CONTACT][0] for name in ("cparam01", "cparam02"))

    assert "unknownparam" in outside.parameters
    assert isinstance(inside.uri, SipUri)
    assert inside.uri.parameter("unknownparam") == ""


def test_regescrt_has_a_route_within_its_contact():
    contact = request("regescrt").headers[CONTACT][0].uri

    assert isinstance(contact, SipUri)
    assert contact.header("Route") == "<sip:sip.example.com>"


# -- RFC 5118 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in IPV6 if name != "ipv6-bad"])
def test_a_message_with_ipv6_is_accepted_and_reads_the_same_when_it_was_written_again(name):
    message = parse_datagram(IPV6[name])

    assert same(parse_datagram(message.encode()), message)


def test_ipv6_bad_without_brackets_is_refused_with_400():
    assert refused(IPV6["ipv6-bad"]).status == 400


@pytest.mark.parametrize("name", sorted(IPV6_ARCHIVED.keys() - {"ipv6-bad", "ipv6-in-sdp", "mult-ip-in-sdp"}))
def test_a_message_with_ipv6_is_accepted_as_it_is_archived_with_lf_at_its_lines_ends(name):
    message = parse_datagram(IPV6_ARCHIVED[name])

    assert vias(message) == vias(parse_datagram(IPV6[name]))


def request_uri(name: str) -> SipUri:
    message = parse_datagram(IPV6[name])
    assert isinstance(message, Request)
    assert isinstance(message.uri, SipUri)
    return message.uri


def test_a_port_within_the_brackets_is_a_part_of_the_address():
    assert (request_uri("port-ambiguous").host, request_uri("port-ambiguous").port) == (
        "2001:db8::10:5070",
        None,
    )


def test_a_port_behind_the_brackets_is_a_port():
    assert (request_uri("port-unambiguous").host, request_uri("port-unambiguous").port) == (
        "2001:db8::10",
        5070,
    )


@pytest.mark.parametrize("name", ["via-received-param-no-delim", "via-received-param-with-delim"])
def test_received_is_the_same_address_with_brackets_and_without(name):
    assert vias(parse_datagram(IPV6[name]))[0].received == "2001:db8::9:255"


def test_three_colons_are_two():
    assert request_uri("ipv6-bug-abnf-3-colons") == request_uri("ipv6-correct-abnf-2-colons")


def test_mapped_and_mixed_addresses_are_hosts():
    mapped = vias(parse_datagram(IPV6["ipv4-mapped-ipv6"]))
    mixed = vias(parse_datagram(IPV6["mult-ip-in-header"]))

    assert [(via.host, via.port) for via in mapped] == [
        ("::ffff:192.0.2.10", 19823),
        ("::ffff:192.0.2.2", None),
    ]
    assert [via.received for via in mixed] == [None, None, "192.0.2.200"]

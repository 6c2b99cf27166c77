"""How a message is marked and where it goes, by plain calls. RFC 3261 §18, RFC 3581, RFC 5922, RFC 5626 §3.5.1."""

from ipaddress import ip_network
from random import Random

import pytest

from gateway.wire.sip.fields import VIAS
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.identity import identities_of, speaks_for
from gateway.wire.sip.keepalive import StreamKeepalive
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.routing import (
    Addresses,
    answer_flow,
    new_branch,
    next_hop,
    sized,
    stamp,
    with_via,
)
from tests.wire.sip.corpus import vias

OURS = Address("192.0.2.1", 5060)
UDP = Flow("UDP", OURS, Address("198.51.100.7", 4000))
TCP = Flow("TCP", OURS, Address("198.51.100.7", 4000), 3)


def request(
    via: str = "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1",
    uri: str = "sip:bob@example.com",
    routes: tuple[str, ...] = (),
) -> Request:
    rows = [
        f"OPTIONS {uri} SIP/2.0",
        f"Via: {via}",
        *(f"Route: {route}" for route in routes),
        "From: <sip:anna@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: c1",
        "CSeq: 1 OPTIONS",
    ]
    parsed = parse_datagram("\r\n".join([*rows, "", ""]).encode())
    assert isinstance(parsed, Request)
    return parsed


def stamped(via: str, flow: Flow = UDP) -> Request:
    came = request(via)
    stamp(came, flow)
    return came


# -- requests that come


@pytest.mark.parametrize(
    ("via", "received", "rport"),
    [
        ("SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1", None, None),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", "198.51.100.7", None),
        ("SIP/2.0/UDP phone.example;branch=z9hG4bK1", "198.51.100.7", None),
        ("SIP/2.0/UDP 198.51.100.7;rport;branch=z9hG4bK1", "198.51.100.7", 4000),
        ("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1", "198.51.100.7", 4000),
    ],
)
def test_a_request_is_marked_with_where_it_came_from(via, received, rport):
    top = stamped(via).headers[VIAS].top

    assert (top.received, top.rport) == (received, rport)


def test_what_the_sender_claims_of_where_it_came_from_is_not_believed():
    top = stamped("SIP/2.0/UDP 198.51.100.7;received=203.0.113.9;rport=9;branch=z9hG4bK1").headers[VIAS].top

    assert (top.received, top.rport) == ("198.51.100.7", 4000)


def test_a_claim_goes_even_where_there_is_nothing_to_be_said():
    assert (
        stamped("SIP/2.0/UDP 198.51.100.7;received=203.0.113.9;branch=z9hG4bK1").headers[VIAS].top.received
        is None
    )


def test_only_the_topmost_via_is_marked():
    came = stamped("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK0")

    assert [via.received for via in vias(came)] == ["198.51.100.7", None]


@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", 5060),
        ("SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bK1", 5080),
        ("SIP/2.0/UDP 10.0.0.1:5080;rport;branch=z9hG4bK1", 4000),
    ],
)
def test_an_answer_over_udp_goes_to_the_address_it_came_from(via, port):
    assert answer_flow(stamped(via), UDP) == Flow("UDP", OURS, Address("198.51.100.7", port))


def test_an_answer_over_udp_goes_nowhere_else_because_of_maddr():
    came = stamped("SIP/2.0/UDP 198.51.100.7:5080;maddr=203.0.113.9;branch=z9hG4bK1")

    assert answer_flow(came, UDP).remote == Address("198.51.100.7", 5080)


def test_an_answer_takes_the_connection_of_its_request():
    assert answer_flow(stamped("SIP/2.0/TCP 10.0.0.1:5080;branch=z9hG4bK1", TCP), TCP) == TCP


# -- requests of ours


@pytest.mark.parametrize(
    ("uri", "routes", "hop"),
    [
        ("sip:bob@h;transport=tcp", (), "sip:bob@h;transport=tcp"),
        ("sip:bob@h", ("<sip:p1;lr>", "<sip:p2;lr>"), "sip:p1;lr"),
        ("sip:bob@h", ("<sip:p1;lr=on>",), "sip:p1;lr=on"),
        ("sip:strict.example", ("<sip:p2>", "<sip:bob@h>"), "sip:strict.example"),
        ("tel:+15550001", ("<sip:p1;lr>",), "sip:p1;lr"),
        ("sips:bob@h", ("<sip:p1;lr>",), "sips:p1;lr"),
    ],
)
def test_the_next_hop_is_the_first_loose_router_or_the_request_uri(uri, routes, hop):
    assert str(next_hop(request(uri=uri, routes=routes))) == hop


def test_a_number_alone_is_nowhere():
    assert next_hop(request(uri="tel:+15550001")) is None


def test_a_large_request_goes_by_tcp_and_by_udp_to_whom_tcp_cannot_reach():
    one, other = (Target("UDP", Address(host, 5060), "h") for host in ("192.0.2.7", "192.0.2.8"))

    ways = sized([one, other], 1301)

    assert [(way.transport, way.address.host) for way in ways] == [
        ("TCP", "192.0.2.7"),
        ("UDP", "192.0.2.7"),
        ("TCP", "192.0.2.8"),
        ("UDP", "192.0.2.8"),
    ]


def test_a_request_of_1300_bytes_still_fits_into_a_datagram():
    targets = (Target("UDP", Address("192.0.2.7", 5060), "h"),)

    assert sized(targets, 1300) == targets


def test_a_large_request_that_goes_by_tls_anyway_stays_there():
    targets = (Target("TLS", Address("192.0.2.7", 5061), "h"),)

    assert sized(targets, 9000) == targets


def test_a_request_is_sent_with_one_via_which_comes_first():
    ready = with_via(request(), Addresses({"UDP": 5060}).via(UDP, "z9hG4bK9"))

    assert ready.encode().split(b"\r\n")[1] == b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK9;rport"
    assert len(vias(ready)) == 1
    assert ready.headers["Call-ID"] == "c1"


def test_branches_differ_and_name_transactions_as_rfc_3261_does():
    rng = Random(1)

    branches = {new_branch(rng) for _ in range(100)}

    assert len(branches) == 100
    assert all(branch.startswith("z9hG4bK") for branch in branches)


# -- what we call ourselves


def test_without_a_nat_we_are_where_our_sockets_are():
    addresses = Addresses({"UDP": 5060, "TCP": 5070})

    assert addresses.advertised(UDP) == OURS
    assert addresses.advertised(Flow("TCP", Address("192.0.2.1", 39_000), UDP.remote, 1)) == (
        "192.0.2.1",
        5070,
    )


def test_behind_a_nat_we_are_where_the_world_reaches_us():
    addresses = Addresses({"UDP": 5060}, external_host="203.0.113.1", external_ports={"UDP": 15060})

    assert addresses.advertised(UDP) == ("203.0.113.1", 15060)


def test_who_is_on_our_side_of_the_nat_is_told_our_own_address():
    addresses = Addresses(
        {"UDP": 5060}, external_host="203.0.113.1", local_networks=[ip_network("198.51.100.0/24")]
    )

    assert addresses.advertised(UDP) == OURS


@pytest.mark.parametrize(
    ("outside", "ours", "theirs"),
    [
        ("203.0.113.1", "2001:db8::1", "2001:db8:1::2"),
        ("2001:db8::7", "192.0.2.1", "198.51.100.2"),
    ],
)
def test_who_speaks_another_version_of_ip_is_told_our_own_address(outside, ours, theirs):
    addresses = Addresses({"UDP": 5060}, external_host=outside)
    flow = Flow("UDP", Address(ours, 5060), Address(theirs, 5060))

    assert addresses.advertised(flow) == (ours, 5060)
    assert addresses.via(flow, "z9hG4bK1").host == ours
    assert ours in str(addresses.contact(flow, None))


@pytest.mark.parametrize(
    ("transport", "secure", "contact"),
    [
        ("UDP", False, "<sip:gw@192.0.2.1:5060>"),
        ("TCP", False, "<sip:gw@192.0.2.1:5060;transport=tcp>"),
        ("TLS", False, "<sip:gw@192.0.2.1:5061;transport=tls>"),
        ("TLS", True, "<sips:gw@192.0.2.1:5061>"),
    ],
)
def test_our_contact_says_by_which_transport_we_are_reached(transport, secure, contact):
    flow = Flow(transport, OURS, UDP.remote, 1)
    addresses = Addresses({"UDP": 5060, "TCP": 5060, "TLS": 5061})

    assert str(addresses.contact(flow, "gw", secure=secure)) == contact


def test_an_ipv6_address_is_written_in_brackets():
    flow = Flow("UDP", Address("2001:db8::1", 5060), Address("2001:db8::2", 5060))
    addresses = Addresses({"UDP": 5060})

    assert str(addresses.via(flow, "z9hG4bK1")).startswith("SIP/2.0/UDP [2001:db8::1]:5060;")
    assert str(addresses.contact(flow, None)) == "<sip:[2001:db8::1]:5060>"


# -- what is dropped without a word


def answer_with(via: str) -> Response:
    return response_to(request(via), 200, to_tag="b")


@pytest.mark.parametrize(
    ("via", "ours"),
    [
        ("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK1", True),
        ("SIP/2.0/UDP 203.0.113.1;branch=z9hG4bK1", True),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", True),
        ("SIP/2.0/UDP 203.0.113.2:5060;branch=z9hG4bK1", False),
        ("SIP/2.0/UDP 203.0.113.1:5061;branch=z9hG4bK1", False),
        ("SIP/2.0/TCP 203.0.113.1:5060;branch=z9hG4bK1", False),
        ("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK2", False),
    ],
)
def test_a_response_is_ours_if_its_only_via_is(via, ours):
    addresses = Addresses({"UDP": 5060}, external_host="203.0.113.1")

    assert addresses.is_ours(answer_with(via), UDP) is ours


# -- whose a certificate is


def certificate(*names: tuple[str, str], common_name: str = "cn.example") -> dict[str, object]:
    return {"subject": ((("commonName", common_name),),), "subjectAltName": names}


def test_a_certificate_that_names_sip_domains_is_for_those_and_no_dns_name():
    both = certificate(("URI", "sip:Example.com"), ("DNS", "other.example"))

    assert identities_of(both) == ("example.com",)


@pytest.mark.parametrize("uri", ["sip:anna@example.com", "sips:example.com", "https://example.com", "sip:"])
def test_a_uri_that_is_no_domain_of_sip_says_nothing(uri):
    assert identities_of(certificate(("URI", uri), ("DNS", "example.com"))) == ("example.com",)


def test_the_common_name_counts_only_without_other_names():
    assert identities_of(certificate()) == ("cn.example",)
    assert not speaks_for(certificate(("DNS", "a.example")), "cn.example")


def test_a_certificate_is_for_an_address_that_it_names():
    assert speaks_for(certificate(("IP Address", "2001:DB8:0:0:0:0:0:1")), "2001:db8::1")
    assert not speaks_for(certificate(("DNS", "a.example")), "192.0.2.1")


def test_wildcards_are_for_who_allows_them_and_for_one_label():
    wild = certificate(("DNS", "*.pstn.example.com"))

    assert not speaks_for(wild, "acme.pstn.example.com")
    assert speaks_for(wild, "ACME.pstn.example.com", wildcards=True)
    assert not speaks_for(wild, "a.acme.pstn.example.com", wildcards=True)
    assert not speaks_for(certificate(("DNS", "*.com")), "example.com", wildcards=True)


# -- keeping a connection open


def test_after_silence_we_ask_whether_somebody_is_there():
    keepalive = StreamKeepalive(0.0)

    assert keepalive.deadline == 95.0
    assert keepalive.advance(94.0) is None
    assert keepalive.advance(95.0) == "ask"
    assert keepalive.deadline == 190.0


def test_whatever_comes_is_no_silence():
    keepalive = StreamKeepalive(0.0)

    keepalive.heard(50.0, answer=False)

    assert keepalive.deadline == 145.0


def test_who_never_answered_may_not_know_how_to():
    keepalive = StreamKeepalive(0.0)

    assert [keepalive.advance(at) for at in (95.0, 105.0, 190.0, 200.0)] == ["ask", None, "ask", None]


def test_who_answered_and_does_not_any_more_is_gone_after_10_s():
    keepalive = StreamKeepalive(0.0)
    keepalive.advance(95.0)
    keepalive.heard(95.1, answer=True)

    asked = keepalive.advance(190.1)

    assert asked == "ask"
    assert keepalive.advance(200.0) is None
    assert keepalive.advance(200.1) == "gone"


def test_who_answers_in_time_stays():
    keepalive = StreamKeepalive(0.0)
    keepalive.advance(95.0)
    keepalive.heard(95.1, answer=True)
    keepalive.advance(190.1)

    keepalive.heard(190.2, answer=True)

    assert keepalive.deadline == pytest.approx(285.2)

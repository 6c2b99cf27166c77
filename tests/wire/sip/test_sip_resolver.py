"""Where a SIP URI is, with a DNS that is a dictionary. RFC 3263, RFC 2782."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.failover import Failover
from gateway.wire.sip.flow import Address
from gateway.wire.sip.resolver import (
    Answers,
    Naptr,
    Srv,
    Target,
    in_order,
    plan_targets,
)
from gateway.wire.sip.uri import SipUri

Zone = Mapping[tuple[str, str], Sequence[Any]]


class Found:
    """The targets of a URI in a zone, and all that was asked for them."""

    def __init__(self, uri: str, zone: Zone, **having: Any) -> None:
        self.rounds: list[list[str]] = []
        plan = plan_targets(SipUri.parse(uri), Random(1), **having)
        try:
            questions = next(plan)
            while True:
                self.rounds.append([f"{question.type} {question.name}" for question in questions])
                questions = plan.send({each: zone[each] for each in questions if each in zone})
        except StopIteration as found:
            self.targets: tuple[Target, ...] = found.value

    @property
    def places(self) -> list[str]:
        return [f"{target.transport} {target.address.host} {target.address.port}" for target in self.targets]


A: Zone = {("h.example", "A"): ["192.0.2.7"]}


# -- which transport, and which port. RFC 3263 §4.1, §4.2


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:192.0.2.7", "UDP 192.0.2.7 5060"),
        ("sip:192.0.2.7:5080", "UDP 192.0.2.7 5080"),
        ("sip:192.0.2.7;transport=tcp", "TCP 192.0.2.7 5060"),
        ("sip:192.0.2.7;transport=TLS", "TLS 192.0.2.7 5061"),
        ("sips:192.0.2.7", "TLS 192.0.2.7 5061"),
        ("sips:192.0.2.7;transport=tcp", "TLS 192.0.2.7 5061"),
        ("sip:[2001:db8::1]", "UDP 2001:db8::1 5060"),
        ("sip:example.com;maddr=192.0.2.9", "UDP 192.0.2.9 5060"),
    ],
)
def test_a_numeric_host_needs_no_question(uri, place):
    found = Found(uri, {})

    assert found.places == [place]
    assert found.rounds == []


def test_a_port_leaves_only_the_address_to_be_asked_for():
    found = Found("sip:h.example:5080", A)

    assert found.rounds == [["A h.example"]]
    assert found.places == ["UDP 192.0.2.7 5080"]


def test_a_transport_leaves_its_services_to_be_asked_for():
    zone: Zone = {("_sip._tcp.example.com", "SRV"): [Srv(1, 1, 5070, "h.example.")], **A}

    found = Found("sip:example.com;transport=tcp", zone)

    assert found.rounds == [["SRV _sip._tcp.example.com"], ["A h.example"]]
    assert found.places == ["TCP 192.0.2.7 5070"]


@pytest.mark.parametrize("uri", ["sip:192.0.2.7;transport=sctp", "sips:192.0.2.7;transport=udp"])
def test_a_transport_that_we_do_not_have_leads_nowhere(uri):
    assert Found(uri, {}).targets == ()


def test_what_we_do_not_have_is_not_asked_for():
    found = Found("sip:example.com", {}, transports=("TCP",))

    assert found.rounds[1] == ["SRV _sip._tcp.example.com"]


def test_naptr_says_which_services_there_are():
    zone: Zone = {
        ("example.com", "NAPTR"): [
            Naptr(50, 50, "s", "SIP+D2T", "_sip._tcp.example.com."),
            Naptr(50, 20, "s", "SIPS+D2T", "_sips._tcp.example.com."),
            Naptr(90, 10, "s", "SIP+D2U", "_sip._udp.example.com."),
        ],
        ("_sips._tcp.example.com", "SRV"): [Srv(1, 1, 5061, "h.example.")],
        ("_sip._tcp.example.com", "SRV"): [Srv(1, 1, 5060, "h.example.")],
        **A,
    }

    found = Found("sip:example.com", zone)

    assert found.rounds[:2] == [
        ["NAPTR example.com"],
        ["SRV _sips._tcp.example.com", "SRV _sip._tcp.example.com"],
    ]
    assert found.places == ["TLS 192.0.2.7 5061", "TCP 192.0.2.7 5060"]


def test_naptr_of_services_that_we_do_not_have_is_as_if_there_were_none():
    zone: Zone = {
        ("example.com", "NAPTR"): [
            Naptr(1, 1, "s", "SIP+D2S", "_sip._sctp.example.com."),
            Naptr(1, 1, "u", "E2U+sip", "."),
        ]
    }

    assert Found("sip:example.com", zone).rounds[1] == [
        "SRV _sip._udp.example.com",
        "SRV _sip._tcp.example.com",
    ]


def test_a_sips_uri_is_found_by_tls_alone():
    zone: Zone = {
        ("example.com", "NAPTR"): [
            Naptr(1, 1, "s", "SIP+D2U", "_sip._udp.example.com."),
            Naptr(9, 9, "S", "sips+d2t", "_sips._tcp.example.com."),
        ],
        ("_sips._tcp.example.com", "SRV"): [Srv(1, 1, 5061, "h.example.")],
        **A,
    }

    assert Found("sips:example.com", zone).places == ["TLS 192.0.2.7 5061"]


def test_a_name_without_services_is_a_host():
    assert Found("sip:h.example", A).places == ["UDP 192.0.2.7 5060"]
    assert Found("sips:h.example", A).places == ["TLS 192.0.2.7 5061"]
    assert Found("sip:h.example;transport=tls", A).places == ["TLS 192.0.2.7 5061"]


def test_who_says_that_there_is_no_service_is_not_called():
    zone: Zone = {("_sip._udp.h.example", "SRV"): [Srv(0, 0, 0, ".")], **A}

    assert Found("sip:h.example", zone).targets == ()


def test_the_certificate_has_to_be_for_the_host_of_the_uri_whatever_the_dns_says():
    zone: Zone = {("_sips._tcp.example.com", "SRV"): [Srv(1, 1, 5061, "h.example.")], **A}

    assert [target.name for target in Found("sips:example.com", zone).targets] == ["example.com"]


def test_a_name_that_leads_nowhere_has_no_targets():
    assert Found("sip:nobody.example", {}).targets == ()


# -- in which order


def test_every_address_of_every_host_is_tried_those_of_the_first_family_first():
    zone: Zone = {
        ("_sip._udp.example.com", "SRV"): [Srv(2, 1, 5060, "two.example."), Srv(1, 1, 5060, "one.example.")],
        ("one.example", "A"): ["192.0.2.1", "192.0.2.2"],
        ("one.example", "AAAA"): ["2001:db8::1"],
        ("two.example", "A"): ["192.0.2.3"],
    }

    found = Found("sip:example.com", zone, families=("AAAA", "A"))

    assert [target.address.host for target in found.targets] == [
        "2001:db8::1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]


def test_priorities_are_kept_whatever_the_chance():
    records = [Srv(priority, 10, 5060, f"{priority}.") for priority in (3, 1, 2)]

    assert all([each.priority for each in in_order(records, Random(seed))] == [1, 2, 3] for seed in range(20))


def test_the_weights_share_the_load():
    records = [Srv(1, 75, 5060, "big."), Srv(1, 25, 5060, "small."), Srv(1, 0, 5060, "idle.")]
    rng = Random(1)

    first = Counter(in_order(records, rng)[0].target for _ in range(2000))

    assert 0.70 < first["big."] / 2000 < 0.80
    assert 0.20 < first["small."] / 2000 < 0.30
    assert 0 < first["idle."] < 60


@given(st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 5), st.just(5060), st.text(max_size=2))))
def test_no_record_is_lost_or_doubled_by_the_order(records):
    assert sorted(in_order(records, Random(1))) == sorted(records)


# -- hostile zones


def test_a_zone_that_is_full_of_hosts_costs_few_questions():
    zone: Zone = {
        ("_sip._udp.example.com", "SRV"): [Srv(1, 1, 5060, f"h{number}.example.") for number in range(3000)]
    }

    found = Found("sip:example.com", zone)

    assert len(found.rounds[-1]) == 16


def test_there_are_never_more_than_24_targets():
    hosts = [f"h{number}.example" for number in range(16)]
    zone: dict[tuple[str, str], Sequence[Any]] = {
        (host, "A"): [f"192.0.2.{number}" for number in range(100)] for host in hosts
    }
    zone["_sip._udp.example.com", "SRV"] = [
        Srv(1, 1, port, f"{host}.") for port, host in enumerate(hosts, 5060)
    ]

    assert len(Found("sip:example.com", zone).targets) == 24


def test_records_that_answer_another_question_are_left_out():
    zone: dict[tuple[str, str], Sequence[Any]] = {
        ("h.example", "NAPTR"): ["192.0.2.1", Srv(1, 1, 1, "x.")],
        ("_sip._udp.h.example", "SRV"): ["192.0.2.2"],
        ("h.example", "A"): [Srv(1, 1, 1, "x."), "no address", "192.0.2.3"],
    }

    assert Found("sip:h.example", zone).places == ["UDP 192.0.2.3 5060"]


@given(st.data())
def test_whatever_the_dns_answers_the_plan_ends_within_three_rounds(data):
    names = st.sampled_from(["", ".", "h.", "H.example", "192.0.2.1", "-", "x" * 300])
    records = st.one_of(
        st.builds(Srv, st.integers(0, 9), st.integers(0, 9), st.integers(0, 65_535), names),
        st.builds(
            Naptr,
            st.integers(0, 9),
            st.integers(0, 9),
            st.sampled_from(["s", "S", "a", ""]),
            st.sampled_from(["SIP+D2U", "sips+d2t", "x"]),
            names,
        ),
        st.ip_addresses().map(str),
        st.text(max_size=3),
    )
    plan = plan_targets(
        SipUri.parse(data.draw(st.sampled_from(["sip:h", "sips:h", "sip:h;transport=tcp"]))), Random(1)
    )
    rounds = 0

    try:
        questions = next(plan)
        while True:
            rounds += 1
            answers: Answers = {each: data.draw(st.lists(records, max_size=3)) for each in questions}
            questions = plan.send(answers)
    except StopIteration as found:
        targets = found.value

    assert rounds <= 3
    assert len(targets) <= 24


# -- failing over. RFC 3263 §4.3


def targets(*hosts: str) -> list[Target]:
    return [Target("UDP", Address(host, 5060), "example.com") for host in hosts]


def test_a_503_has_the_next_place_tried():
    first, second = targets("192.0.2.1", "192.0.2.2")
    failover = Failover([first, second])

    assert failover.answered(503)
    assert failover.target == second


def test_no_other_response_does():
    failover = Failover(targets("192.0.2.1", "192.0.2.2"))

    assert [failover.answered(status) for status in (100, 200, 404, 500, 603)] == [False] * 5


def test_silence_has_the_next_place_tried():
    first, second = targets("192.0.2.1", "192.0.2.2")
    failover = Failover([first, second])

    assert failover.unanswered()
    assert failover.target == second


def test_silence_after_ringing_has_not():
    failover = Failover(targets("192.0.2.1", "192.0.2.2"))
    failover.answered(180)

    assert not failover.unanswered()


def test_when_nowhere_is_left_it_says_so():
    failover = Failover(targets("192.0.2.1"))

    assert not failover.answered(503)
    assert failover.target is None


def test_places_that_are_known_to_be_down_are_tried_last():
    first, second, third = targets("192.0.2.1", "192.0.2.2", "192.0.2.3")

    assert Failover([first, second, third], avoid=[first]).target == second


def test_a_question_is_asked_once_however_many_records_name_a_host():
    zone: Zone = {
        ("_sip._udp.example.com", "SRV"): [Srv(1, 1, port, "h.example.") for port in (5060, 5070)],
        **A,
    }

    found = Found("sip:example.com", zone)

    assert found.rounds[-1] == ["A h.example"]
    assert sorted(found.places) == ["UDP 192.0.2.7 5060", "UDP 192.0.2.7 5070"]

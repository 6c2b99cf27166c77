"""Which trunk a call is of, and who may call."""

import random
from typing import Any

import pytest

from gateway.carriers.sip.admission import REALM, Admitted, Challenge, Drop, Refusal
from gateway.carriers.sip.setting_texts import read_address, read_network
from gateway.carriers.sip.settings import TrunkSettings
from gateway.carriers.sip.trunks import Trunks
from gateway.config import Secret
from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.fields import CONTACT
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import SipUri

CARRIER, PHONE, ELSEWHERE = "192.0.2.10", "203.0.113.5", "198.51.100.9"
EVERYWHERE = "0.0.0.0/0"


def trunk(*networks: str, **settings: Any) -> TrunkSettings:
    return TrunkSettings(networks=tuple(map(read_network, networks)), **settings)


def digest(user: str, *networks: str) -> TrunkSettings:
    return trunk(*networks, auth="digest", user=user)


def trunks(**settings: TrunkSettings) -> Trunks:
    """The password of each account is its name and `-word`."""
    passwords = {name: Secret(f"{each.user}-word") for name, each in settings.items() if each.user}
    return Trunks(settings, passwords, random.Random(1), nonce_key=bytes(range(16)))


def invite(uri: str = "sip:+15551230001@gateway.example", *, domain: str = "phone.example") -> Request:
    text = (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        f"From: <sip:+15559990000@{domain}>;tag=1\r\nTo: <sip:+15551230001@gateway.example>\r\n"
        "Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    request = parse_datagram(text.encode())
    assert isinstance(request, Request)
    return request


def flow(host: str) -> Flow:
    return Flow("UDP", Address("192.0.2.1", 5060), Address(host, 5060))


def authorized(request: Request, challenge: Challenge, user: str, password: str) -> Request:
    """The request again, with what somebody of that name would say to the challenge."""
    client = DigestClient(user, password, random.Random(2))
    assert client.challenged(request, Response(challenge.status, "", HeaderMap(challenge.rows)))
    again = Request(request.method, request.uri, request.headers.copy())
    client.authorize(again)
    return again


def challenged(them: Trunks, request: Request, host: str, now: float = 0.0) -> Challenge:
    answer = them.admit(request, flow(host), now)
    assert isinstance(answer, Challenge)
    return answer


def admitted(them: Trunks, request: Request, host: str, now: float = 0.0) -> str:
    answer = them.admit(request, flow(host), now)
    assert isinstance(answer, Admitted)
    return answer.trunk.name


# -- by network


def test_who_calls_from_a_trunks_network_is_of_that_trunk():
    them = trunks(acme=trunk("192.0.2.0/24"), other=trunk("198.51.100.0/24"))

    assert admitted(them, invite(), CARRIER) == "acme"
    assert admitted(them, invite(), ELSEWHERE) == "other"


def test_who_calls_from_nowhere_is_not_worth_a_word_and_is_told_to_the_log():
    them = trunks(acme=trunk("192.0.2.0/24"))

    answer = them.admit(invite(), flow(ELSEWHERE), 0.0)

    assert isinstance(answer, Drop)
    assert answer.why == "stranger"
    assert answer.sighting is not None
    assert (answer.sighting.source, answer.sighting.port) == (ELSEWHERE, 5060)
    assert answer.sighting.line == "INVITE sip:+15551230001@gateway.example SIP/2.0"


def test_where_we_called_answers_are_heard_but_nobody_may_call_from_there():
    them = trunks(acme=trunk(address=read_address("sip:carrier.example")))
    them.strangers.expect(CARRIER, 0.0)

    answer = them.admit(invite(), flow(CARRIER), 1.0)

    assert them.strangers.admits(CARRIER, 1.0)
    assert isinstance(answer, Drop)


def test_an_ipv4_caller_on_an_ipv6_socket_is_of_his_ipv4_network():
    them = trunks(acme=trunk("192.0.2.0/24"))

    assert admitted(them, invite(), f"::ffff:{CARRIER}") == "acme"


# -- several trunks behind one network


def test_the_narrowest_network_says_whose_call_it_is():
    them = trunks(wide=trunk("192.0.0.0/16"), narrow=trunk("192.0.2.10"), middle=trunk("192.0.2.0/24"))

    assert admitted(them, invite(), CARRIER) == "narrow"
    assert admitted(them, invite(), "192.0.2.11") == "middle"


def test_of_trunks_of_one_network_the_first_in_the_settings_takes_the_call():
    them = trunks(zebra=trunk("192.0.2.0/24"), ant=trunk("192.0.2.0/24"))

    assert admitted(them, invite(), CARRIER) == "zebra"


@pytest.mark.parametrize(
    "request_",
    [invite("sip:+15551230001@two.example"), invite(domain="TWO.example.")],
    ids=["called", "calling"],
)
def test_of_trunks_of_one_network_the_one_whose_domain_is_named_takes_the_call(request_: Request):
    them = trunks(
        one=trunk("192.0.2.0/24", address=read_address("sip:one.example")),
        two=trunk("192.0.2.0/24", address=read_address("sip:two.example")),
    )

    assert admitted(them, request_, CARRIER) == "two"


def test_a_domain_that_is_named_opens_no_network():
    them = trunks(
        one=trunk("192.0.2.0/24", address=read_address("sip:one.example")),
        two=trunk("198.51.100.0/24", address=read_address("sip:two.example")),
    )

    assert admitted(them, invite(domain="two.example"), CARRIER) == "one"


# -- by registration


def registered() -> tuple[Trunks, Request]:
    """A trunk that is registered, and a call to its contact."""
    them = trunks(
        carrier=trunk("192.0.2.0/24"),
        pbx=trunk(register=True, user="anna", registrar=read_address("sip:pbx.example")),
    )
    them["pbx"].register(NameAddr(SipUri(user="anna", host="192.0.2.1")))
    (register,) = _begun(them)
    return them, invite(str(register.headers[CONTACT][0].uri))


def _begun(them: Trunks) -> list[Request]:
    registration = them["pbx"].registration
    assert registration is not None
    registration.begin()
    return registration.outgoing()


def test_a_call_to_where_we_are_registered_is_of_that_trunk_wherever_it_comes_from():
    them, call = registered()

    assert admitted(them, call, ELSEWHERE) == "pbx"
    assert admitted(them, call, CARRIER) == "pbx"


def test_a_call_to_the_same_user_without_our_contacts_mark_is_not_of_the_registration():
    them, _ = registered()

    answer = them.admit(invite("sip:anna@192.0.2.1"), flow(ELSEWHERE), 0.0)

    assert isinstance(answer, Drop)


# -- by password


def test_who_has_to_prove_himself_is_challenged_by_both_algorithms_for_our_realm():
    them = trunks(phones=digest("anna", EVERYWHERE))

    answer = challenged(them, invite(), PHONE)

    assert answer.status == 401
    assert [name for name, _ in answer.rows] == ["WWW-Authenticate"] * 2
    assert all(f'realm="{REALM}"' in text for _, text in answer.rows)
    assert ["SHA-256" in answer.rows[0][1], "MD5" in answer.rows[1][1]] == [True, True]


def test_who_knows_the_password_is_let_in():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), "anna", "anna-word")

    assert admitted(them, again, PHONE) == "phones"


@pytest.mark.parametrize(("user", "password"), [("anna", "guess"), ("bob", "anna-word"), ("", "")])
def test_who_does_not_is_challenged_again(user: str, password: str):
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), user, password)

    assert isinstance(them.admit(again, flow(PHONE), 0.0), Challenge)


def test_the_name_says_which_trunk_it_is_of_those_that_share_a_network():
    them = trunks(phones=digest("anna", EVERYWHERE), desks=digest("bob", EVERYWHERE))
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), "bob", "bob-word")

    assert admitted(them, again, PHONE) == "desks"


def test_a_password_counts_only_from_its_trunks_networks():
    them = trunks(phones=digest("anna", EVERYWHERE), desks=digest("bob", "192.0.2.0/24"))
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), "bob", "bob-word")

    assert isinstance(them.admit(again, flow(PHONE), 0.0), Challenge)


def test_a_carrier_among_everybody_who_may_try_a_password_needs_none():
    them = trunks(phones=digest("anna", EVERYWHERE), carrier=trunk("192.0.2.0/24"))

    assert admitted(them, invite(), CARRIER) == "carrier"
    assert challenged(them, invite(), PHONE).status == 401


def test_who_says_his_name_in_a_carriers_network_is_taken_by_it():
    them = trunks(phones=digest("anna", EVERYWHERE), carrier=trunk("192.0.2.0/24"))
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), "anna", "anna-word")

    assert admitted(them, again, CARRIER) == "phones"


def test_credentials_for_another_realm_are_none_of_ours():
    them = trunks(phones=digest("anna", EVERYWHERE), carrier=trunk("192.0.2.0/24"))
    call = invite()
    call.headers.add(
        "Authorization", 'Digest username="x", realm="elsewhere", nonce="1", uri="sip:a", response="0"'
    )

    assert admitted(them, call, CARRIER) == "carrier"


def test_a_captured_request_is_not_worth_a_call():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()
    again = authorized(first, challenged(them, first, PHONE), "anna", "anna-word")
    admitted(them, again, PHONE)

    answer = challenged(them, again, PHONE)

    assert all("stale=TRUE" in text for _, text in answer.rows)


# -- how often


def test_after_five_guesses_in_a_row_a_source_hears_nothing_and_the_log_is_told():
    them = trunks(phones=digest("anna", EVERYWHERE))

    answers = [them.admit(invite(), flow(PHONE), 0.0) for _ in range(6)]

    assert [type(each) for each in answers] == [Challenge] * 5 + [Drop]
    assert isinstance(answers[5], Drop)
    assert answers[5].why == "guesses"
    assert answers[5].sighting is not None


def test_of_a_thousand_guesses_in_a_minute_none_after_the_first_few_is_looked_at():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()
    challenge = challenged(them, first, PHONE)
    for number in range(1000):
        them.admit(authorized(first, challenge, "anna", f"guess {number}"), flow(PHONE), number * 0.001)

    right = them.admit(authorized(first, challenge, "anna", "anna-word"), flow(PHONE), 1.0)

    assert isinstance(right, Drop)


def test_one_who_guesses_does_not_keep_others_out():
    them = trunks(phones=digest("anna", EVERYWHERE))
    for _ in range(100):
        them.admit(invite(), flow(ELSEWHERE), 0.0)
    first = invite()

    again = authorized(first, challenged(them, first, PHONE), "anna", "anna-word")

    assert admitted(them, again, PHONE) == "phones"


def test_who_forgot_his_password_may_try_again_after_a_while():
    them = trunks(phones=digest("anna", EVERYWHERE))
    for _ in range(10):
        them.admit(invite(), flow(PHONE), 0.0)

    assert isinstance(them.admit(invite(), flow(PHONE), 4.0), Drop)
    assert isinstance(them.admit(invite(), flow(PHONE), 6.0), Challenge)


def test_calls_that_prove_themselves_are_never_too_many():
    them = trunks(phones=digest("anna", EVERYWHERE))

    for number in range(100):
        first = invite()
        again = authorized(first, challenged(them, first, PHONE, number * 0.001), "anna", "anna-word")
        assert admitted(them, again, PHONE, number * 0.001) == "phones"


def test_a_pbx_that_has_proven_itself_may_place_many_calls_at_once():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()
    admitted(them, authorized(first, challenged(them, first, PHONE), "anna", "anna-word"), PHONE)

    challenges = [challenged(them, first, PHONE, 1.0) for _ in range(100)]

    calls = [authorized(first, each, "anna", "anna-word") for each in challenges]
    assert {admitted(them, each, PHONE, 1.1) for each in calls} == {"phones"}


def test_and_an_hour_later_it_is_as_everybody():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()
    admitted(them, authorized(first, challenged(them, first, PHONE), "anna", "anna-word"), PHONE)

    answers = [them.admit(first, flow(PHONE), 3601.0) for _ in range(6)]

    assert isinstance(answers[5], Drop)


# -- who is answered at all


def ping() -> Request:
    call = invite()
    call.headers["CSeq"] = "1 OPTIONS"
    return Request("OPTIONS", call.uri, call.headers)


def test_who_is_in_the_network_of_a_trunk_without_a_password_is_trusted_whatever_others_ask():
    them = trunks(phones=digest("anna", EVERYWHERE), acme=trunk("192.0.2.0/24"))

    assert them.standing(CARRIER, 0.0) == "trusted"
    assert them.standing(PHONE, 0.0) == "unknown"


def test_where_we_sent_something_is_somebody_we_have_met():
    them = trunks(phones=digest("anna", EVERYWHERE))
    them.strangers.expect(PHONE, 0.0)

    assert them.standing(PHONE, 1.0) == "met"


def test_who_has_called_with_the_right_password_is_met_for_an_hour():
    them = trunks(phones=digest("anna", EVERYWHERE))
    first = invite()
    admitted(them, authorized(first, challenged(them, first, PHONE), "anna", "anna-word"), PHONE)

    assert them.standing(PHONE, 3599.0) == "met"
    assert them.standing(PHONE, 3601.0) == "unknown"


def test_what_is_no_call_is_challenged_as_a_call_is_and_proves_as_much():
    them = trunks(phones=digest("anna", EVERYWHERE))
    rows = them.challenge(ping(), PHONE, 0.0)
    assert rows

    right = authorized(ping(), Challenge(401, rows), "anna", "anna-word")

    assert them.challenge(right, PHONE, 0.1) == ()
    assert them.standing(PHONE, 0.2) == "met"


def test_calls_and_all_else_have_five_challenges_between_them():
    them = trunks(phones=digest("anna", EVERYWHERE))
    for _ in range(3):
        challenged(them, invite(), PHONE)

    answers = [them.challenge(ping(), PHONE, 0.0) for _ in range(4)]

    assert [bool(each) for each in answers] == [True, True, False, False]


def test_who_is_in_nobodys_network_is_not_challenged():
    them = trunks(acme=trunk("192.0.2.0/24"))

    assert them.challenge(ping(), PHONE, 0.0) is None


# -- how many calls


def test_a_trunk_that_is_full_sends_the_next_call_elsewhere():
    them = trunks(acme=trunk("192.0.2.0/24", calls=1))
    them["acme"].began(0.0)

    answer = them.admit(invite(), flow(CARRIER), 10.0)

    assert answer == Refusal(them["acme"], 503, (("Retry-After", "1"),), "At Most 1 calls at a time")


def test_a_full_trunk_still_asks_for_the_password_first():
    them = trunks(phones=trunk(EVERYWHERE, auth="digest", user="anna", calls=1))
    them["phones"].began(0.0)

    assert challenged(them, invite(), PHONE, 10.0).status == 401


def test_a_trunk_that_is_full_leaves_the_others_alone():
    them = trunks(acme=trunk("192.0.2.0/24", calls=1), other=trunk("198.51.100.0/24"))
    them["acme"].began(0.0)

    assert admitted(them, invite(), ELSEWHERE, 10.0) == "other"

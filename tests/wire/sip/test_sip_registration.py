"""Being known to a registrar, on an explicit clock. RFC 3261 §10."""

from random import Random

import pytest

from gateway.wire.sip.auth import AuthParameters
from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.fields import CONTACT, CSEQ, FROM, WWW_AUTHENTICATE
from gateway.wire.sip.message import Request, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.registration import (
    Account,
    Registered,
    Registration,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    Unregistered,
)
from gateway.wire.sip.uri import SipUri, parse_uri

REGISTRAR = SipUri.parse("sip:pbx.example")
ADDRESS = NameAddr.parse("<sip:100@pbx.example>")
CONTACT_OF_OURS = NameAddr.parse("<sip:100@192.0.2.1:5060;transport=tcp>")
CHALLENGE = 'Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"'


class Registrar:
    """A registration, and what its registrar says to it."""

    def __init__(self, *, expires_s: int = 3600, password: str | None = None) -> None:
        rng = Random(1)
        account = Account(registrar=REGISTRAR, address=ADDRESS, contact=CONTACT_OF_OURS, expires_s=expires_s)
        digest = None if password is None else DigestClient("100", password, rng)
        self.registration = Registration(account, rng, digest)
        self.asked: list[Request] = []

    def begun(self) -> "Registrar":
        self.registration.begin()
        self.asked += self.registration.outgoing()
        return self

    def says(self, status: int, now: float, *rows: tuple[str, str]) -> list[RegistrationEvent]:
        """To the last request."""
        response = response_to(self.asked[-1], status, to_tag="r")
        for name, text in rows:
            response.headers.add(name, text)
        self.registration.answered(self.asked[-1], response, now)
        return self.heard()

    def grants(self, now: float, expires_s: int) -> list[RegistrationEvent]:
        return self.says(200, now, ("Contact", f"{self.registration.contact};expires={expires_s}"))

    def is_silent(self, now: float) -> list[RegistrationEvent]:
        self.registration.unanswered(self.asked[-1], now)
        return self.heard()

    def at(self, now: float) -> list[RegistrationEvent]:
        self.registration.advance(now)
        return self.heard()

    def at_deadline(self) -> float:
        deadline = self.registration.deadline
        assert deadline is not None
        self.at(deadline)
        return deadline

    def heard(self) -> list[RegistrationEvent]:
        self.asked += self.registration.outgoing()
        return self.registration.events()


def expires_of(request: Request) -> str:
    return request.headers["Expires"]


# -- what is asked


def test_it_asks_the_registrar_for_its_address_to_lead_here():
    (asked,) = Registrar().begun().asked

    assert str(asked.uri) == "sip:pbx.example"
    assert asked.headers["To"] == "<sip:100@pbx.example>"
    assert asked.headers[FROM].uri == ADDRESS.uri
    assert asked.headers[FROM].tag
    assert expires_of(asked) == "3600"


def test_its_contact_keeps_its_parameters_and_has_one_that_tells_it_from_others():
    registrar = Registrar().begun()

    uri = registrar.asked[0].headers[CONTACT][0].uri

    assert isinstance(uri, SipUri)
    assert uri.parameter("transport") == "tcp"
    assert uri.parameter("rinstance")
    assert registrar.registration.contact.uri == uri


def test_a_call_that_comes_through_it_is_known_by_that_parameter():
    registrar = Registrar()
    ours = registrar.registration.contact.uri

    assert registrar.registration.is_for(parse_uri(f"{ours};ob"))
    assert not registrar.registration.is_for(parse_uri("sip:100@192.0.2.1:5060;rinstance=other"))
    assert not registrar.registration.is_for(parse_uri("sip:100@192.0.2.1:5060"))
    assert not registrar.registration.is_for(parse_uri("tel:100"))


def test_a_contact_that_names_its_instance_already_stays_as_it_is():
    named = NameAddr.parse("<sip:100@192.0.2.1;rinstance=abc>")

    registration = Registration(Account(registrar=REGISTRAR, address=ADDRESS, contact=named), Random(1))

    assert registration.contact == named


def test_all_requests_have_one_call_id_and_rising_numbers():
    registrar = Registrar().begun()
    registrar.grants(0.0, 3600)
    registrar.at_deadline()

    assert len({asked.headers["Call-ID"] for asked in registrar.asked}) == 1
    assert [asked.headers[CSEQ].number for asked in registrar.asked] == [1, 2]


# -- registered, and again


def test_it_is_registered_when_the_registrar_says_so():
    registrar = Registrar().begun()

    assert registrar.grants(0.1, 3600) == [Registered(3600)]
    assert registrar.registration.is_registered


def test_it_asks_again_at_about_80_percent_of_what_was_granted():
    registrar = Registrar().begun()
    registrar.grants(0.0, 100)

    assert 75.0 <= registrar.at_deadline() <= 85.0
    assert len(registrar.asked) == 2


def test_a_refresh_is_no_news():
    registrar = Registrar().begun()
    registrar.grants(0.0, 100)
    registrar.at_deadline()

    assert registrar.grants(80.0, 100) == []


@pytest.mark.parametrize(
    ("rows", "granted_s"),
    [
        ([("Contact", "<sip:100@192.0.2.9>;expires=50"), ("Contact", "OURS;expires=60")], 60),
        ([("Contact", "OURS"), ("Expires", "70")], 70),
        ([("Expires", "70")], 70),
        ([("Contact", "<sip:100@203.0.113.1:9999>;expires=80")], 80),
        ([("Contact", "<sip:a@h>;expires=50, <sip:b@h>;expires=50")], 3600),
        ([], 3600),
        ([("Contact", "OURS;expires=never")], 3600),
        ([("Contact", "OURS;expires=99999999999999")], 3600),
        ([("Expires", "70"), ("Expires", "80")], 3600),
        ([("Contact", "<<>")], 3600),
        ([("Expires", "4000000000")], 86_400),
    ],
)
def test_the_registrar_says_how_long_in_our_contact_or_for_all_or_grants_what_was_asked(rows, granted_s):
    registrar = Registrar().begun()
    ours = str(registrar.registration.contact)

    events = registrar.says(200, 0.0, *((name, text.replace("OURS", ours)) for name, text in rows))

    assert events == [Registered(granted_s)]


def test_who_grants_no_time_has_refused():
    registrar = Registrar().begun()

    (failed,) = registrar.grants(0.0, 0)

    assert isinstance(failed, RegistrationFailed)
    assert not registrar.registration.is_registered


def test_a_very_short_time_is_not_refreshed_more_than_every_5_s():
    registrar = Registrar().begun()
    registrar.grants(0.0, 1)

    assert registrar.at(1.0) == [RegistrationLost()]
    assert registrar.at_deadline() == 5.0


def test_a_provisional_response_says_nothing():
    registrar = Registrar().begun()

    assert registrar.says(100, 0.1) == []
    assert registrar.grants(0.2, 3600) == [Registered(3600)]


def test_a_response_to_an_earlier_request_counts_for_nothing():
    registrar = Registrar().begun()
    late = response_to(registrar.asked[0], 403, to_tag="r")
    registrar.grants(0.0, 100)
    registrar.at_deadline()

    registrar.registration.answered(registrar.asked[0], late, 81.0)

    assert registrar.heard() == []


# -- credentials


def test_a_challenge_is_answered_with_the_next_request():
    registrar = Registrar(password="secret").begun()

    registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, CHALLENGE))

    assert 'username="100"' in registrar.asked[1].headers["Authorization"]
    assert registrar.asked[1].headers[CSEQ].number == 2


def test_refreshes_come_with_credentials_at_once():
    registrar = Registrar(password="secret").begun()
    registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, CHALLENGE))
    registrar.grants(0.2, 100)

    registrar.at_deadline()

    assert "nc=00000002" in registrar.asked[2].headers["Authorization"]


def test_a_password_that_is_wrong_is_not_tried_again_soon():
    registrar = Registrar(password="wrong").begun()
    registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, CHALLENGE))

    (failed,) = registrar.says(401, 0.2, (WWW_AUTHENTICATE.name, CHALLENGE.replace("n1", "n2")))

    assert isinstance(failed, RegistrationFailed)
    assert failed.why == "401"
    assert failed.retry_s is not None
    assert failed.retry_s >= 150.0


def test_a_challenge_without_credentials_to_answer_it_is_a_refusal():
    registrar = Registrar().begun()

    (failed,) = registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, CHALLENGE))

    assert isinstance(failed, RegistrationFailed)


def test_nobody_makes_it_ask_for_ever():
    registrar = Registrar(password="secret").begun()

    for number in range(20):
        stale = str(AuthParameters.parse(f'Digest realm="r{number}", nonce="n{number}", stale=true'))
        registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, stale))

    assert len(registrar.asked) == 5


# -- too brief


def test_an_interval_that_is_too_brief_is_made_as_long_as_the_registrar_wants_it():
    registrar = Registrar(expires_s=60).begun()

    registrar.says(423, 0.1, ("Min-Expires", "120"))

    assert expires_of(registrar.asked[1]) == "120"


def test_the_longer_interval_is_asked_for_from_then_on():
    registrar = Registrar(expires_s=60).begun()
    registrar.says(423, 0.1, ("Min-Expires", "120"))
    registrar.grants(0.2, 120)

    registrar.at_deadline()

    assert expires_of(registrar.asked[2]) == "120"


@pytest.mark.parametrize(
    "rows", [[], [("Min-Expires", "60")], [("Min-Expires", "9999999")], [("Min-Expires", "x")]]
)
def test_too_brief_without_a_longer_interval_that_makes_sense_is_a_failure(rows):
    registrar = Registrar(expires_s=60).begun()

    (failed,) = registrar.says(423, 0.1, *rows)

    assert isinstance(failed, RegistrationFailed)


# -- failures


def test_after_a_failure_it_waits_longer_and_longer_up_to_five_minutes():
    registrar = Registrar().begun()
    now, pauses_s = 0.0, []
    for _ in range(10):
        (failed,) = registrar.is_silent(now)
        assert isinstance(failed, RegistrationFailed)
        pauses_s.append(failed.retry_s or 0.0)
        now = registrar.at_deadline()

    assert all(
        5.0 * 2**number / 2 <= pause_s <= 5.0 * 2**number for number, pause_s in enumerate(pauses_s[:6])
    )
    assert all(150.0 <= pause_s <= 300.0 for pause_s in pauses_s[7:])


def test_two_gateways_do_not_try_at_the_same_time():
    pauses_s = set()
    for seed in range(10):
        account = Account(registrar=REGISTRAR, address=ADDRESS, contact=CONTACT_OF_OURS)
        registration = Registration(account, Random(seed))
        registration.begin()
        registration.unanswered(registration.outgoing()[0], 0.0)
        pauses_s.add(registration.deadline)

    assert len(pauses_s) == 10


@pytest.mark.parametrize(
    "other",
    ["<sip:100@192.0.2.9:0>", "<sip:100@[fe80::1%eth0]>", "<sip:100@h;rinstance={a}>", '"a <sip:a@h>', "*"],
)
def test_a_contact_of_another_phone_that_nobody_can_read_does_not_matter(other: str):
    registrar = Registrar().begun()
    ours = f"{registrar.registration.contact};expires=60"

    events = registrar.says(200, 0.0, ("Contact", f"{other};expires=30"), ("Contact", ours))

    assert events == [Registered(60)]


def test_a_registrar_that_asks_for_a_pause_gets_it():
    registrar = Registrar().begun()

    registrar.says(503, 0.0, ("Retry-After", "120"))

    assert registrar.registration.deadline == 120.0


def test_nobody_gets_a_pause_of_more_than_an_hour():
    registrar = Registrar().begun()

    registrar.says(503, 0.0, ("Retry-After", "4000000000"))

    assert registrar.registration.deadline == 3600.0


def test_a_retry_after_that_nobody_can_read_is_as_if_there_were_none():
    registrar = Registrar().begun()

    registrar.says(503, 0.0, ("Retry-After", "7"), ("Retry-After", "8"))

    assert registrar.registration.deadline is not None
    assert registrar.registration.deadline <= 5.0


def test_success_makes_the_next_failure_the_first_again():
    registrar = Registrar().begun()
    for now in (0.0, 100.0, 200.0, 300.0):
        registrar.is_silent(now)
        registrar.at_deadline()
    registrar.grants(400.0, 100)
    now = registrar.at_deadline()

    (failed,) = registrar.is_silent(now)

    assert isinstance(failed, RegistrationFailed)
    assert failed.retry_s is not None
    assert failed.retry_s <= 5.0


def test_a_refresh_that_nobody_answers_leaves_us_registered_as_long_as_the_registrar_had_said():
    registrar = Registrar().begun()
    registrar.grants(0.0, 100)
    now = registrar.at_deadline()

    registrar.is_silent(now)

    assert registrar.registration.is_registered
    assert RegistrationLost() not in registrar.at(99.0)
    assert RegistrationLost() in registrar.at(100.0)


def test_a_refusal_is_the_end_of_being_registered():
    registrar = Registrar().begun()
    registrar.grants(0.0, 100)
    now = registrar.at_deadline()

    lost, failed = registrar.says(403, now)

    assert lost == RegistrationLost()
    assert isinstance(failed, RegistrationFailed)


def test_after_it_was_lost_it_is_registered_anew():
    registrar = Registrar().begun()
    registrar.grants(0.0, 100)
    registrar.says(403, registrar.at_deadline())
    registrar.at_deadline()

    assert registrar.grants(500.0, 100) == [Registered(100)]


# -- the end


def test_at_the_end_the_registrar_is_told():
    registrar = Registrar().begun()
    registrar.grants(0.0, 3600)

    registrar.registration.end()
    registrar.heard()

    assert expires_of(registrar.asked[-1]) == "0"
    assert registrar.grants(1.0, 0) == [Unregistered()]
    assert registrar.registration.is_over
    assert registrar.registration.deadline is None


def test_unregistering_is_challenged_as_well():
    registrar = Registrar(password="secret").begun()
    registrar.grants(0.0, 3600)
    registrar.registration.end()
    registrar.heard()

    registrar.says(401, 1.0, (WWW_AUTHENTICATE.name, CHALLENGE))

    assert "Authorization" in registrar.asked[-1].headers
    assert expires_of(registrar.asked[-1]) == "0"


def test_it_waits_for_the_answer_under_way_before_it_unregisters():
    registrar = Registrar().begun()

    registrar.registration.end()
    assert registrar.heard() == []
    registrar.grants(1.0, 3600)

    assert [expires_of(asked) for asked in registrar.asked] == ["3600", "0"]


def test_who_is_not_registered_needs_not_unregister():
    registrar = Registrar().begun()
    registrar.is_silent(32.0)

    registrar.registration.end()

    assert registrar.registration.is_over


def test_it_is_over_even_if_nobody_answers():
    registrar = Registrar().begun()
    registrar.grants(0.0, 3600)
    registrar.registration.end()
    registrar.heard()

    assert registrar.is_silent(33.0) == [RegistrationFailed("unanswered", None)]
    assert registrar.registration.is_over


def test_what_never_began_is_over_at_once_and_stays_so():
    registrar = Registrar()

    registrar.registration.end()
    registrar.registration.end()

    assert registrar.registration.is_over
    assert registrar.heard() == []


def test_a_password_is_in_no_representation():
    registrar = Registrar(password="hunter2").begun()
    registrar.says(401, 0.1, (WWW_AUTHENTICATE.name, CHALLENGE))

    assert "hunter2" not in repr(registrar.asked) + repr(vars(registrar.registration))

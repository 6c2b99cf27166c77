"""Digest authentication: vectors, both sides against each other, and what does not get in."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.digest import DigestClient, digest_response
from gateway.wire.sip.digest_verifier import DigestVerifier, Verdict, Verified
from gateway.wire.sip.fields import AUTHORIZATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.uri import parse_uri
from tests.wire.sip.corpus import DATA

VECTORS = json.loads((DATA / "digest_vectors.json").read_text())
SECRET = bytes(range(16))
PASSWORDS = {"alice": "Circle of Life", 'al"ice\\ü': "пароль"}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_a_vector_is_answered_as_it_says(vector):
    response = digest_response(
        algorithm=vector["algorithm"],
        secret=f"{vector['username']}:{vector['realm']}:{vector['password']}",
        method=vector["method"],
        uri=vector["uri"],
        nonce=vector["nonce"],
        count_and_cnonce=(vector["nc"], vector["cnonce"]),
    )

    assert response == vector["response"]


def request(method: str = "INVITE") -> Request:
    return Request(method, parse_uri("sip:b@h"), HeaderMap())


def client(**options) -> DigestClient:
    return DigestClient("alice", "Circle of Life", Random(1), **options)


def verifier(**options) -> DigestVerifier:
    return DigestVerifier("trunk.example", SECRET, Random(2), **options)


def challenged(*challenges: str, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, "", HeaderMap([(name, challenge) for challenge in challenges]))


def refusal(verifier: DigestVerifier, now: float, *, stale: bool = False) -> Response:
    response = challenged()
    response.headers[WWW_AUTHENTICATE] = verifier.challenges(now, stale=stale)
    return response


# -- the client ------------------------------------------------------------------------------------------


def test_a_challenge_is_answered_with_all_that_it_asked_for():
    alice = client()
    again = request()

    worth_it = alice.challenged(
        request(),
        challenged('Digest realm="r", nonce="n", qop="auth,auth-int", opaque="o", algorithm=SHA-256'),
    )
    alice.authorize(again)

    assert worth_it
    (credentials,) = again.headers[AUTHORIZATION]
    said = {name: credentials.get(name) for name, _ in credentials.parameters}
    assert said | {"response": "", "cnonce": ""} == {
        "username": "alice",
        "realm": "r",
        "nonce": "n",
        "uri": "sip:b@h",
        "response": "",
        "algorithm": "SHA-256",
        "opaque": "o",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "",
    }


def test_what_is_quoted_and_what_is_not_is_as_rfc_7616_has_it():
    alice, again = client(), request()

    alice.challenged(request(), challenged('Digest realm="r", nonce="n", qop="auth", algorithm=MD5'))
    alice.authorize(again)

    quoted = {
        part.split("=")[0]: '"' in part
        for part in again.headers["Authorization"].removeprefix("Digest ").split(", ")
    }
    assert [name for name, has_quotes in quoted.items() if not has_quotes] == ["algorithm", "qop", "nc"]


def test_the_strongest_of_several_challenges_is_answered_whatever_their_order():
    alice, again = client(), request()

    alice.challenged(
        request(),
        challenged(
            'Digest realm="r", nonce="1", algorithm=MD5, qop="auth"',
            'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"',
            'Digest realm="r", nonce="3", algorithm=SHA-512-256, qop="auth"',
            'Basic realm="r"',
            "Digest broken",
        ),
    )
    alice.authorize(again)

    assert [each.get("nonce") for each in again.headers[AUTHORIZATION]] == ["2"]


def test_a_407_is_answered_to_the_proxy():
    alice, again = client(), request()

    alice.challenged(request(), challenged('Digest realm="r", nonce="n"', status=407))
    alice.authorize(again)

    assert again.headers[PROXY_AUTHORIZATION][0].get("nonce") == "n"
    assert AUTHORIZATION not in again.headers


def test_proxy_and_server_are_both_answered():
    alice, again = client(), request()

    alice.challenged(request(), challenged('Digest realm="proxy", nonce="p"', status=407))
    alice.challenged(request(), challenged('Digest realm="server", nonce="s"'))
    alice.authorize(again)

    assert again.headers[PROXY_AUTHORIZATION][0].get("realm") == "proxy"
    assert again.headers[AUTHORIZATION][0].get("realm") == "server"


def test_several_proxies_are_each_answered_in_a_row():
    alice, again = client(), request()

    alice.challenged(
        request(), challenged('Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2"', status=407)
    )
    alice.authorize(again)

    assert [each.get("realm") for each in again.headers[PROXY_AUTHORIZATION]] == ["a", "b"]


def test_a_challenge_without_qop_is_answered_as_rfc_2069_did():
    alice, again = client(), request()

    alice.challenged(request(), challenged('Digest realm="r", nonce="n"'))
    alice.authorize(again)

    (credentials,) = again.headers[AUTHORIZATION]
    assert [credentials.get(name) for name in ("qop", "nc", "cnonce", "algorithm")] == [
        None,
        None,
        None,
        None,
    ]
    assert credentials.get("response") == digest_response(
        algorithm="MD5",
        secret="alice:r:Circle of Life",
        method="INVITE",
        uri="sip:b@h",
        nonce="n",
        count_and_cnonce=None,
    )


def test_the_nonce_count_counts_requests_and_begins_anew_with_a_nonce():
    alice = client()
    counts: list[tuple[str, str | None]] = []

    for nonce in ("1", "1", "2"):
        if nonce not in {each for each, _ in counts}:
            alice.challenged(request(), challenged(f'Digest realm="r", nonce="{nonce}", qop="auth"'))
        again = request()
        alice.authorize(again)
        counts.append((nonce, again.headers[AUTHORIZATION][0].get("nc")))

    assert counts == [("1", "00000001"), ("1", "00000002"), ("2", "00000001")]


def test_every_answer_has_its_own_cnonce():
    alice, one, other = client(), request(), request()
    alice.challenged(request(), challenged('Digest realm="r", nonce="n", qop="auth"'))

    alice.authorize(one)
    alice.authorize(other)

    assert one.headers[AUTHORIZATION][0].get("cnonce") != other.headers[AUTHORIZATION][0].get("cnonce")


def test_a_password_that_was_refused_is_not_tried_again():
    alice, again = client(), request()
    alice.challenged(request(), challenged('Digest realm="r", nonce="1", qop="auth"'))
    alice.authorize(again)

    assert not alice.challenged(again, challenged('Digest realm="r", nonce="2", qop="auth"'))


def test_a_nonce_that_was_stale_is_replaced_but_not_for_ever():
    alice, sent = client(), request()
    tries = 0

    while alice.challenged(sent, challenged(f'Digest realm="r", nonce="{tries}", qop="auth", stale=TRUE')):
        sent = request()
        alice.authorize(sent)
        tries += 1

    assert 2 <= tries <= 5


def test_a_nonce_that_had_been_good_may_be_refused_without_a_word_and_is_replaced():
    alice, invite, bye = client(), request(), request("BYE")
    alice.challenged(request(), challenged('Digest realm="r", nonce="1", qop="auth"'))
    alice.authorize(invite)
    alice.authorize(bye)

    assert alice.challenged(bye, challenged('Digest realm="r", nonce="2", qop="auth"'))


def test_a_next_nonce_is_used():
    alice, again = client(), request()
    alice.challenged(request(), challenged('Digest realm="r", nonce="1", qop="auth"'))

    alice.accepted(Response(200, "OK", HeaderMap([("Authentication-Info", 'nextnonce="2", rspauth="x"')])))
    alice.authorize(again)

    assert again.headers[AUTHORIZATION][0].get("nonce") == "2"
    assert again.headers[AUTHORIZATION][0].get("nc") == "00000001"


@pytest.mark.parametrize("info", ["", "nextnonce", 'nextnonce=""', "x"])
def test_a_next_nonce_that_is_none_is_not_used(info):
    alice, again = client(), request()
    alice.challenged(request(), challenged('Digest realm="r", nonce="1", qop="auth"'))

    alice.accepted(Response(200, "OK", HeaderMap([("Authentication-Info", info)])))
    alice.authorize(again)

    assert again.headers[AUTHORIZATION][0].get("nonce") == "1"


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="r"',
        'Digest nonce="n"',
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=MD5-sess',
        'Digest realm="r", nonce="n", algorithm=AKAv1-MD5',
        'Digest realm="r", nonce="n", qop="auth-int"',
        "Digest realm=",
        "",
    ],
)
def test_a_challenge_that_cannot_be_answered_is_not(challenge):
    alice, again = client(), request()

    assert not alice.challenged(request(), challenged(challenge))
    alice.authorize(again)
    assert AUTHORIZATION not in again.headers


def test_another_realm_gets_no_answer():
    alice, again = client(realm="trunk.example"), request()

    assert not alice.challenged(request(), challenged('Digest realm="evil.example", nonce="n"'))
    alice.authorize(again)
    assert AUTHORIZATION not in again.headers


def test_realms_without_number_are_not_all_remembered():
    alice, again = client(), request()

    for start in range(0, 100, 10):
        challenges = [f'Digest realm="{realm}", nonce="n"' for realm in range(start, start + 10)]
        alice.challenged(request(), challenged(*challenges))
    alice.authorize(again)

    assert len(again.headers[AUTHORIZATION]) <= 8


def test_a_name_that_no_header_can_hold_is_our_error():
    with pytest.raises(ValueError):
        DigestClient("a\r\nb", "p", Random(1))


def test_no_password_and_no_secret_is_shown():
    alice, trunk = client(), verifier()
    alice.challenged(request(), refusal(trunk, 0.0))

    assert "Circle" not in repr(alice)
    assert repr(SECRET) not in repr(trunk)


# -- both sides ------------------------------------------------------------------------------------------


def authorized(trunk: DigestVerifier, alice: DigestClient, now: float, method: str = "INVITE") -> Request:
    first, again = request(method), request(method)
    alice.challenged(first, refusal(trunk, now))
    alice.authorize(again)
    return again


def test_who_knows_the_password_gets_in():
    trunk = verifier()

    verified = trunk.verify(authorized(trunk, client(), 1000.0), PASSWORDS.get, 1000.1)

    assert verified == Verified(Verdict.GOOD, "alice")


@pytest.mark.parametrize("algorithms", [("SHA-256", "MD5"), ("SHA-256",), ("MD5",)])
def test_the_strongest_algorithm_that_is_offered_is_used(algorithms):
    trunk = verifier(algorithms=algorithms)
    again = authorized(trunk, client(), 0.0)

    assert again.headers[AUTHORIZATION][0].get("algorithm") == algorithms[0]
    assert trunk.verify(again, PASSWORDS.get, 0.0).verdict is Verdict.GOOD


def test_an_algorithm_that_was_not_offered_does_not_get_in():
    weak, strong = verifier(algorithms=("MD5",)), verifier(algorithms=("SHA-256",))

    assert strong.verify(authorized(weak, client(), 0.0), PASSWORDS.get, 0.0).verdict is Verdict.WRONG


def test_later_requests_get_in_with_the_same_nonce():
    trunk, alice = verifier(), client()
    trunk.verify(authorized(trunk, alice, 0.0), PASSWORDS.get, 0.0)
    bye = request("BYE")

    alice.authorize(bye)

    assert trunk.verify(bye, PASSWORDS.get, 10.0).verdict is Verdict.GOOD


def test_names_with_quotes_and_passwords_in_any_script_get_in():
    trunk = verifier()
    odd = DigestClient('al"ice\\ü', "пароль", Random(3))

    assert trunk.verify(authorized(trunk, odd, 0.0), PASSWORDS.get, 0.0) == Verified(
        Verdict.GOOD, 'al"ice\\ü'
    )


def test_nobody_gets_in_without_credentials():
    assert verifier().verify(request(), PASSWORDS.get, 0.0) == Verified(Verdict.MISSING)


@pytest.mark.parametrize(
    "credentials",
    ["Basic YTpi", 'Digest username="alice", realm="elsewhere"', "Digest", "Digest a=", "NoOneKnows x=y"],
)
def test_credentials_for_others_are_none(credentials):
    asked = request()
    asked.headers["Authorization"] = credentials

    assert verifier().verify(asked, PASSWORDS.get, 0.0).verdict is Verdict.MISSING


def test_ours_are_found_beside_those_of_others():
    trunk = verifier()
    again = authorized(trunk, client(), 0.0)
    ours = again.headers["Authorization"]
    del again.headers["Authorization"]
    again.headers.add("Authorization", "Basic YTpi")
    again.headers.add("Authorization", ours)

    assert trunk.verify(again, PASSWORDS.get, 0.0).verdict is Verdict.GOOD


def test_a_wrong_password_does_not_get_in_and_neither_does_nobody():
    trunk = verifier()
    wrong = DigestClient("alice", "wrong", Random(3))
    nobody = DigestClient("nobody", "", Random(3))

    assert trunk.verify(authorized(trunk, wrong, 0.0), PASSWORDS.get, 0.0) == Verified(Verdict.WRONG, "alice")
    assert trunk.verify(authorized(trunk, nobody, 0.0), PASSWORDS.get, 0.0) == Verified(
        Verdict.WRONG, "nobody"
    )


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("username", '"bob"'),
        ("uri", '"sip:x"'),
        ("nonce", '"n"'),
        ("cnonce", '"c"'),
        ("nc", "00000002"),
        ("qop", "auth-int"),
    ],
)
def test_credentials_of_which_a_part_was_changed_do_not_get_in(what, other):
    trunk = verifier()
    again = authorized(trunk, client(), 0.0)
    text = again.headers["Authorization"].removeprefix("Digest ")
    parts = dict(part.split("=", 1) for part in text.split(", ")) | {what: other}
    again.headers["Authorization"] = "Digest " + ", ".join(f"{name}={value}" for name, value in parts.items())

    assert trunk.verify(again, (PASSWORDS | {"bob": "b"}).get, 0.0).verdict is Verdict.WRONG


def test_credentials_of_another_method_do_not_get_in():
    trunk = verifier()
    stolen = authorized(trunk, client(), 0.0, "OPTIONS")

    assert (
        trunk.verify(Request("INVITE", stolen.uri, stolen.headers), PASSWORDS.get, 0.0).verdict
        is Verdict.WRONG
    )


def test_what_was_heard_once_does_not_get_in_again():
    trunk = verifier()
    again = authorized(trunk, client(), 0.0)
    trunk.verify(again, PASSWORDS.get, 0.0)

    assert trunk.verify(again, PASSWORDS.get, 0.1) == Verified(Verdict.STALE, "alice")


def test_a_nonce_that_is_too_old_is_stale_and_its_owner_gets_in_with_the_next():
    trunk, alice = verifier(nonce_lifetime_s=300.0), client()
    old = authorized(trunk, alice, 0.0)
    again = request()

    verified = trunk.verify(old, PASSWORDS.get, 300.1)
    alice.challenged(old, refusal(trunk, 300.1, stale=True))
    alice.authorize(again)

    assert verified.verdict is Verdict.STALE
    assert trunk.verify(again, PASSWORDS.get, 300.2).verdict is Verdict.GOOD


def test_a_nonce_of_before_a_restart_is_stale():
    before, after = verifier(), DigestVerifier("trunk.example", bytes(16), Random(2))

    assert after.verify(authorized(before, client(), 0.0), PASSWORDS.get, 0.0).verdict is Verdict.STALE


def test_a_nonce_from_the_future_is_stale():
    trunk = verifier()

    assert trunk.verify(authorized(trunk, client(), 9.0), PASSWORDS.get, 1.0).verdict is Verdict.STALE


def test_two_challenges_of_one_instant_have_two_nonces():
    trunk = verifier()

    assert trunk.challenges(0.0)[0].get("nonce") != trunk.challenges(0.0)[0].get("nonce")


def test_all_algorithms_of_one_challenge_share_a_nonce():
    one, other = verifier().challenges(0.0)

    assert one.get("nonce") == other.get("nonce")
    assert (one.get("algorithm"), other.get("algorithm")) == ("SHA-256", "MD5")


def test_memory_of_nonces_is_bounded_and_what_is_forgotten_does_not_get_in(monkeypatch):
    monkeypatch.setattr("gateway.wire.sip.digest_verifier._MOST_NONCES", 10)
    trunk = verifier()
    sent = [authorized(trunk, client(), float(at)) for at in range(25)]

    first = [trunk.verify(each, PASSWORDS.get, float(at)).verdict for at, each in enumerate(sent)]
    replayed = [trunk.verify(each, PASSWORDS.get, 25.0).verdict for each in sent]

    assert first == [Verdict.GOOD] * 25
    assert replayed == [Verdict.STALE] * 25


def test_a_secret_that_can_be_guessed_is_our_error():
    with pytest.raises(ValueError, match="16 bytes"):
        DigestVerifier("r", b"short", Random(1))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_credentials_are_judged_without_an_exception(text):
    asked = request()
    try:
        asked.headers["Authorization"] = f'Digest realm="trunk.example", {text}'
    except ValueError:
        return

    assert verifier().verify(asked, PASSWORDS.get, 0.0).verdict in {Verdict.MISSING, Verdict.WRONG}


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=3),
    st.sampled_from([401, 407]),
)
def test_any_challenge_is_answered_or_not_without_an_exception(texts, status):
    response = challenged(status=status)
    name = (WWW_AUTHENTICATE if status == 401 else PROXY_AUTHENTICATE).name
    for text in texts:
        response.headers.add_raw(name, f'Digest realm="r", nonce="n", {text}'.encode())
    alice, again = client(), request()

    alice.challenged(request(), response)
    alice.authorize(again)

    again.encode()

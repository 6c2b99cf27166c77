import msgspec
import pytest

from gateway.wire.sdp.agreement import NotAcceptable, Srtp, SrtpPolicy
from gateway.wire.sdp.crypto import Crypto
from gateway.wire.sdp.description import encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from tests.wire.sdp_peers import ASTERISK, OURS, PJSIP, TWILIO_SECURE, description, our_side

SHA1_80, SHA1_32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
GCM = "a=crypto:7 AEAD_AES_256_GCM inline:" + "A" * 59 + "="
SECURE = tuple(line.replace("RTP/AVP", "RTP/SAVP") for line in ASTERISK)


def session(policy: SrtpPolicy) -> OfferAnswer:
    return our_side(msgspec.structs.replace(OURS, srtp=policy))


def keys(of: OfferAnswer) -> Srtp:
    assert of.agreed is not None
    assert of.agreed.srtp is not None
    return of.agreed.srtp


# -- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [SrtpPolicy.OPTIONAL, SrtpPolicy.REQUIRED])
def test_a_secure_offer_is_answered_with_a_key_of_ours_by_its_tag(policy: SrtpPolicy):
    ours = session(policy)

    answer = ours.answer(description(*TWILIO_SECURE))

    assert answer.media[0].protocol == "RTP/SAVP"
    assert answer.media[0].cryptos == (Crypto(tag=1, suite=SHA1_80, key=b"\x01" * 30),)
    assert keys(ours).ours == answer.media[0].cryptos[0]
    assert keys(ours).theirs.key.hex().startswith("6d2914")


def test_suites_that_we_have_not_are_skipped():
    ours = session(SrtpPolicy.REQUIRED)

    ours.answer(description(*PJSIP))

    assert (keys(ours).theirs.tag, keys(ours).ours.suite) == (3, SHA1_80)


def test_gcm_is_taken_where_it_is_offered_first():
    ours = session(SrtpPolicy.REQUIRED)

    ours.answer(description(*SECURE, GCM, *TWILIO_SECURE[-1:]))

    assert keys(ours).ours == Crypto(tag=7, suite="AEAD_AES_256_GCM", key=b"\x01" * 44)


def test_keys_beside_plain_rtp_are_taken_where_srtp_is_optional():
    ours = session(SrtpPolicy.OPTIONAL)

    answer = ours.answer(description(*PJSIP))

    assert answer.media[0].protocol == "RTP/AVP"
    assert keys(ours).theirs.tag == 3


def test_keys_are_left_alone_where_srtp_is_off():
    ours = session(SrtpPolicy.OFF)

    answer = ours.answer(description(*PJSIP))

    assert answer.media[0].cryptos == ()
    assert ours.agreed is not None
    assert ours.agreed.srtp is None


@pytest.mark.parametrize(
    ("policy", "lines", "lacking"),
    [
        (SrtpPolicy.OFF, TWILIO_SECURE, "SRTP is off"),
        (SrtpPolicy.OPTIONAL, SECURE, "no SRTP suite"),
        (SrtpPolicy.REQUIRED, ASTERISK, "SRTP is required"),
        (SrtpPolicy.REQUIRED, (*SECURE, TWILIO_SECURE[-1] + "|2^20|1:4"), "no SRTP suite"),
    ],
)
def test_what_a_policy_does_not_allow_is_not_acceptable(
    policy: SrtpPolicy, lines: tuple[str, ...], lacking: str
):
    with pytest.raises(NotAcceptable, match=lacking):
        session(policy).answer(description(*lines))


def test_of_a_secure_and_a_plain_line_the_one_is_taken_that_the_policy_allows():
    offer = description(*TWILIO_SECURE, *ASTERISK)

    secure = session(SrtpPolicy.REQUIRED).answer(offer)
    plain = session(SrtpPolicy.OFF).answer(offer)

    assert [media.port for media in secure.media] == [10_000, 0]
    assert [media.port for media in plain.media] == [0, 10_000]


# -- offers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "protocol", "suites"),
    [
        (SrtpPolicy.OFF, "RTP/AVP", []),
        (SrtpPolicy.OPTIONAL, "RTP/AVP", [SHA1_80, SHA1_32]),
        (SrtpPolicy.REQUIRED, "RTP/SAVP", [SHA1_80, SHA1_32]),
    ],
)
def test_our_offer_has_the_keys_that_the_policy_wants(policy: SrtpPolicy, protocol: str, suites: list[str]):
    (media,) = session(policy).offer().media

    assert media.protocol == protocol
    assert [crypto.suite for crypto in media.cryptos] == suites
    assert len({crypto.key for crypto in media.cryptos}) == len(suites)


def test_an_answer_settles_on_one_of_our_keys():
    ours = session(SrtpPolicy.REQUIRED)
    offered = ours.offer().media[0].cryptos

    ours.take_answer(description(*TWILIO_SECURE[:-1], f"a=crypto:2 {SHA1_32} inline:{'A' * 40}"))

    assert keys(ours) == Srtp(ours=offered[1], theirs=Crypto(tag=2, suite=SHA1_32, key=bytes(30)))


def test_an_answer_without_keys_to_an_optional_offer_is_plain():
    ours = session(SrtpPolicy.OPTIONAL)
    ours.offer()

    assert ours.take_answer(description(*ASTERISK)).srtp is None


@pytest.mark.parametrize(
    "lines",
    [
        SECURE,  # no key
        (*SECURE, f"a=crypto:9 {SHA1_80} inline:{'A' * 40}"),  # a tag of nobody
        (*SECURE, f"a=crypto:1 {SHA1_32} inline:{'A' * 40}"),  # another suite under our tag
        (*SECURE, f"a=crypto:1 {SHA1_80} inline:{'A' * 36}"),  # too short
    ],
)
def test_an_answer_with_another_key_than_one_of_ours_is_not_acceptable(lines: tuple[str, ...]):
    ours = session(SrtpPolicy.REQUIRED)
    ours.offer()

    with pytest.raises(NotAcceptable, match="key"):
        ours.take_answer(description(*lines))


# -- sessions that go on ------------------------------------------------------------------------------


def test_our_key_stays_while_the_session_does():
    ours = session(SrtpPolicy.REQUIRED)
    first = ours.answer(description(*TWILIO_SECURE))

    second = ours.answer(description(*TWILIO_SECURE, version=2))

    assert encode(second) == encode(first)


def test_a_peer_that_changes_its_key_is_heard_under_the_new_one():
    ours = session(SrtpPolicy.REQUIRED)
    ours.answer(description(*TWILIO_SECURE))
    before = keys(ours)

    ours.answer(description(*TWILIO_SECURE[:-1], f"a=crypto:1 {SHA1_80} inline:{'A' * 40}", version=2))

    assert keys(ours).theirs.key == bytes(30)
    assert keys(ours).ours == before.ours


def test_we_change_our_keys():
    ours = session(SrtpPolicy.REQUIRED)
    ours.answer(description(*TWILIO_SECURE))
    before = keys(ours).ours

    offered = ours.offer(new_keys=True)
    ours.take_answer(description(*TWILIO_SECURE))

    assert keys(ours).ours.key != before.key
    assert offered.origin.version == 1001


def test_a_session_that_is_secure_stays_so_when_we_offer():
    ours = session(SrtpPolicy.OPTIONAL)
    ours.answer(description(*TWILIO_SECURE))

    offered = ours.offer().media[0]

    assert offered.protocol == "RTP/SAVP"
    assert offered.cryptos[0] == keys(ours).ours


def test_the_suite_of_a_session_is_the_first_that_we_offer_again():
    ours = session(SrtpPolicy.REQUIRED)
    ours.answer(description(*SECURE, GCM))

    offered = ours.offer().media[0].cryptos

    assert [crypto.suite for crypto in offered] == ["AEAD_AES_256_GCM", SHA1_80, SHA1_32]
    assert offered[0].key == keys(ours).ours.key


def test_a_session_that_is_plain_stays_so_when_we_offer():
    ours = session(SrtpPolicy.OPTIONAL)
    ours.answer(description(*ASTERISK))

    assert ours.offer().media[0].cryptos == ()


def test_no_key_is_in_the_repr_of_what_is_agreed():
    ours = session(SrtpPolicy.REQUIRED)
    ours.answer(description(*TWILIO_SECURE))

    assert repr(keys(ours).theirs.key)[2:10] not in repr(ours.agreed)
    assert "hidden" in repr(ours.agreed)

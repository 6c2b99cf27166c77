"""A call that stands: what changes it, refreshes it, or comes within it, and what its leg is told of that."""

import msgspec
import pytest

from gateway.carriers.sip.leg_messages import CallOver, DigitInformed, MediaAgreed
from gateway.media.latch import Address
from gateway.wire.sdp import description
from gateway.wire.sdp.media import Direction
from gateway.wire.sip.endpoint import SESSION_ABILITIES, described_in
from gateway.wire.sip.session_words import OfferRefused
from tests.carriers.sip_line import BROKEN, G729_ONLY, Line, offer_of
from tests.carriers.sip_sides import Side

# -- the session changes


def test_a_hold_and_its_end_are_told_as_agreements():
    line = Line().called().answered()

    line.them.changes(direction=Direction.SENDONLY)
    line.rest()
    line.them.changes()
    line.rest()

    assert [each.direction for each in line.us.heard(MediaAgreed)] == ["sendrecv", "recvonly", "sendrecv"]
    assert line.them.heard(CallOver) == line.us.heard(CallOver) == []


def test_media_that_moves_is_told():
    line = Line().called().answered()

    line.them.changes(address="198.51.100.7", port=4000, codecs=("pcma",))
    line.rest()

    assert line.us.agreed.rtp == Address("198.51.100.7", 4000)
    assert line.us.agreed.codec == "pcma"
    assert [each.version for each in origins(line.us)] == [100, 101]


def origins(side: Side) -> list[description.Origin]:
    return [each.origin for each in side.descriptions()]


def test_an_update_with_an_offer_is_answered_at_once():
    line = Line()
    session = line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()

    line.raw_sends(session, "UPDATE", offer_of(3, port=4000, direction=Direction.SENDONLY))

    assert line.us.agreed.rtp == Address("192.0.2.3", 4000)
    assert line.us.agreed.direction == Direction.RECVONLY
    assert line.messages("200 UPDATE")[0].body


@pytest.mark.parametrize(("body", "status"), [(G729_ONLY, 488), (BROKEN, 400)])
def test_a_change_that_cannot_be_is_refused_and_the_call_goes_on(body: bytes, status: int):
    line = Line()
    session = line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()
    told = len(line.us.told)

    line.raw_does("renegotiate")
    line.raw_does("offer", body, line.network.now)

    assert f"us: {status} INVITE" in line.ladder
    assert isinstance(line.raw.told[session][-1], OfferRefused)
    assert len(line.us.told) == told
    assert line.us.call.ended is None


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_488_to_a_change_says_what_lacked(method: str):
    line = Line()
    session = line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()

    line.raw_sends(session, method, G729_ONLY)

    assert line.messages(f"488 {method}")[0].headers["Warning"] == '399 gateway "no G.711"'


def test_a_change_without_an_offer_gets_ours_and_its_answer_is_told():
    line = Line()
    session = line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()

    invite = line.raw_sends(session, "INVITE")
    line.raw_sends(session, "ACK", offer_of(3, port=6000), of=invite)

    assert described_in(line.messages("200 INVITE")[-1]) is not None
    assert line.us.agreed.rtp == Address("192.0.2.3", 6000)
    assert line.us.call.ended is None


def test_two_changes_that_cross_end_in_one_agreement():
    line = Line().called().answered()

    line.us.changes(port=4000)
    line.them.changes(port=6000)
    line.rest(10.0)

    assert "us: 491 INVITE" in line.ladder
    assert line.us.agreed.rtp == Address("192.0.2.2", 6000)
    assert line.them.agreed.rtp == Address("192.0.2.1", 4000)


def test_a_refresh_of_ours_offers_the_same_again():
    no_update = tuple(method for method in SESSION_ABILITIES.methods if method != "UPDATE")
    abilities = msgspec.structs.replace(SESSION_ABILITIES, methods=no_update)
    line = Line(expires_s=90, abilities=abilities).calling().answered()

    line.rest(200.0)

    assert line.messages("INVITE")[2:]
    assert {origin.version for origin in origins(line.us)} == {100}
    assert line.us.heard(CallOver) == line.them.heard(CallOver) == []
    assert line.us.heard(MediaAgreed) == [line.us.agreed] * len(line.messages("INVITE"))


def test_a_refresh_that_is_refused_changes_nothing():
    line = Line()
    line.we_call_raw()
    line.raw_does("accept", offer_of(3), line.network.now)

    line.us.changes()
    line.rest(0.2)
    line.raw_does("refuse", 488, line.network.now)
    line.us.changes()
    line.rest(0.2)
    line.raw_does("accept", offer_of(3, port=4000), line.network.now)

    assert line.us.agreed.rtp == Address("192.0.2.3", 4000)
    assert line.us.call.ended is None


def test_a_session_that_they_do_not_refresh_is_over():
    line = Line(expires_s=90).called().answered()
    line.network.loses = lambda passed: passed.sender == "them"

    line.rest(100.0)

    assert [each.why for each in line.us.heard(CallOver)] == ["expired"]


# -- digits


@pytest.mark.parametrize(
    ("body_type", "body", "digit", "duration_ms"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160", "5", 160),
        ("application/dtmf-relay", b"Signal= *\nDuration= 250\n", "*", 250),
        ("application/dtmf-relay", b"signal=11\r\n", "#", None),
        ("application/dtmf", b"5", "5", None),
        ("application/dtmf", b" d \r\n", "d", None),
        ("application/dtmf-relay", b"Signal=flash-hook\r\n", "flash-ho", None),
    ],
)
def test_a_digit_by_info_is_told(body_type: str, body: bytes, digit: str, duration_ms: int | None):
    line = Line()
    line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()

    line.raw_does("inform", body, body_type)

    assert "us: 200 INFO" in line.ladder
    assert line.us.last == DigitInformed(digit=digit, duration_ms=duration_ms)


@pytest.mark.parametrize("body", [b"", b"Duration=100\r\n"])
def test_an_info_without_a_digit_is_nothing(body: bytes):
    line = Line()
    line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()

    line.raw_does("inform", body, "application/dtmf-relay")

    assert line.us.heard(DigitInformed) == []

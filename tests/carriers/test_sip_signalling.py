"""A call's signalling between two user agents: what its leg is told, and what goes over the network."""

from typing import Any

import msgspec
import pytest

from gateway.carriers.sip.leg_messages import CallOver, DigitInformed, MediaAgreed, Ringing, decode, encode
from gateway.contracts import EndReason
from gateway.media.latch import Address
from gateway.wire.sdp import description
from gateway.wire.sdp.agreement import SrtpPolicy
from gateway.wire.sdp.media import Direction
from gateway.wire.sip.endpoint import SESSION_ABILITIES, described_in
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.routing import with_via
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import OfferRefused
from gateway.wire.sip.values import Reason
from gateway.wire.sip.via import Via
from tests.carriers.sip_sides import Side, media, uri_of
from tests.wire.sip.sip_agents import Agent, Network

G729_ONLY = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
)
BROKEN = b"v=0\r\nwhatever\r\n"
CLEARED = Reason("Q.850", 16, "Normal call clearing")


def offer_of(host: int, **ours: Any) -> bytes:
    return description.encode(media(host, **ours).offer())


class Line:
    """We, with signalling, and they: another such side, or (`raw`) an agent that says what a test has it say."""

    def __init__(
        self, *, ours: dict[str, Any] | None = None, theirs: dict[str, Any] | None = None, **endpoint: Any
    ) -> None:
        self.network = Network()
        self.us = Side("us", self.network, 1, ours=ours, **endpoint)
        self.them = Side("them", self.network, 2, ours=theirs, **endpoint)
        self.raw = Agent("raw", self.network, seed=3)

    def at(self, now: float) -> "Line":
        self.network.run(now)
        return self

    def rest(self, pause_s: float = 0.5) -> "Line":
        return self.at(self.network.now + pause_s)

    @property
    def ladder(self) -> list[str]:
        return self.network.ladder()

    def messages(self, what: str) -> list[Any]:
        return [each.message for each in self.network.passed if each.what == what]

    def called(self) -> "Line":
        """They call us; it is up to us to answer."""
        self.them.calls_up("us")
        return self.rest()

    def calling(self) -> "Line":
        """We call them; it is up to them to answer."""
        self.us.calls_up("them")
        return self.rest()

    def answered(self) -> "Line":
        (self.us if self.them.call.session.dialog is None else self.them).does("answer")
        return self.rest()

    def asked_by(self, body: bytes | None) -> Session:
        """Somebody calls us with a description of a test."""
        session = self.raw.call(uri_of("us"), body)
        self.rest()
        return session

    def we_call_raw(self) -> Session:
        """We call somebody who answers with a description of a test."""
        self.us.calls_up("raw")
        self.rest()
        return self.raw.calls[0]

    def raw_does(self, verb: str, *args: Any, **more: Any) -> Any:
        session = self.raw.calls[0]
        done = self.raw.does(session, getattr(session, verb), *args, **more)
        self.rest()
        return done

    def raw_sends(
        self, session: Session, method: str, body: bytes = b"", *, of: Request | None = None
    ) -> Request:
        """A request that no session of ours would send. `of`: the INVITE that an ACK is for."""
        assert session.dialog is not None
        rows = self.raw.endpoint.rows_for(method, secure=False, body_type="application/sdp" if body else None)
        if of is None:
            request = session.dialog.request(method, rows, body)
        else:
            request = session.dialog.ack(of, rows, body)
        via = Via.parse(f"SIP/2.0/UDP raw.example;branch=z9hG4bK{method}")
        self.network.send("raw", "us", with_via(request, via))
        self.rest(0.2)
        return request


# -- they call


def test_a_call_with_an_offer_has_its_media_told_at_once():
    line = Line().called()

    assert line.us.agreed.rtp == Address("192.0.2.2", 10_000)
    assert not line.us.agreed.early
    assert line.messages("200 INVITE") == []


def test_what_is_told_can_be_written_and_read():
    line = Line().called().answered()

    told = line.us.told + line.them.told

    assert told
    assert [decode(encode(message)) for message, _ in told] == [message for message, _ in told]


def test_the_answer_goes_out_when_the_call_is_answered():
    line = Line().called()

    line.us.does("answer")
    line.rest()

    assert line.us.call.confirmed
    assert line.them.agreed.rtp == Address("192.0.2.1", 10_000)


def test_a_call_is_answered_once():
    line = Line().called().answered()

    line.us.does("answer")
    line.rest(40.0)

    assert len(line.messages("200 INVITE")) == 1


def test_a_call_that_rings_says_so_every_minute_without_sdp():
    line = Line().called()

    line.us.does("ring")
    line.rest(130.0)

    assert len(line.messages("180 INVITE")) == 3
    assert all(response.body == b"" for response in line.messages("180 INVITE"))


def test_a_call_that_is_answered_does_not_ring():
    line = Line().called().answered()

    line.us.does("ring")
    line.rest(70.0)

    assert line.messages("180 INVITE") == []


def test_a_call_without_an_offer_is_answered_with_ours_and_its_media_told_with_the_ack():
    line = Line()
    session = line.asked_by(None)
    before = line.us.told.copy()

    line.raw.does(session, session.accept, offer_of(3), line.network.now)
    line.rest()

    assert [each.message for each in before] == [Ringing(status=200)]
    assert line.us.agreed.rtp == Address("192.0.2.3", 10_000)
    assert line.us.call.confirmed


def test_a_call_without_an_offer_may_be_answered_again_and_nothing_follows():
    line = Line()
    line.asked_by(None)

    line.us.does("ring")
    line.us.does("answer")
    line.rest()

    assert set(line.ladder) >= {"us: 200 INVITE"}
    assert "us: 180 INVITE" not in line.ladder


def test_an_ack_that_brings_no_media_ends_the_call():
    line = Line()
    session = line.asked_by(None)

    line.raw.does(session, session.accept, BROKEN, line.network.now)
    line.rest()

    (over,) = line.us.heard(CallOver)
    assert over.why == "no answer"
    assert line.messages("BYE")[0].headers[REASON] == (Reason("SIP", 488, "Not Acceptable Here"),)


@pytest.mark.parametrize(
    ("body", "ours", "status", "text"),
    [
        (G729_ONLY, {}, 488, "no G.711"),
        (BROKEN, {}, 400, "a line of SDP that is none"),
        (offer_of(3), {"srtp": SrtpPolicy.REQUIRED}, 488, "SRTP is required"),
        (offer_of(3, srtp=SrtpPolicy.REQUIRED), {}, 488, "SRTP is off"),
    ],
    ids=["no codec in common", "broken", "SRTP required", "SRTP off"],
)
def test_an_offer_that_cannot_be_is_refused_and_the_call_is_over(
    body: bytes, ours: dict[str, Any], status: int, text: str
):
    line = Line(ours=ours)

    line.asked_by(body)

    assert [each.message for each in line.us.told] == [CallOver(why="refused", status=status, text=text)]
    assert f"us: {status} INVITE" in line.ladder
    assert line.us.call.ended is not None


def test_keys_are_for_the_sockets_and_not_in_what_is_told():
    line = Line(ours={"srtp": SrtpPolicy.OPTIONAL}, theirs={"srtp": SrtpPolicy.REQUIRED}).called()

    message, agreed = line.us.told[-1]

    assert agreed is not None
    assert agreed.srtp is not None
    assert agreed.srtp.theirs.key == bytes([2]) * 30
    assert line.us.agreed.secure
    assert "AgICAgIC" not in encode(message)


def test_a_port_of_rtcp_that_there_is_not_is_told_as_none():
    line = Line(theirs={"port": 65_535}).called()

    assert line.us.agreed.rtcp is None
    assert decode(encode(line.us.agreed)) == line.us.agreed


def test_a_call_that_is_refused_tells_nothing_of_that():
    line = Line().called()

    line.us.does("refuse", 486)
    line.rest()

    assert line.us.heard(CallOver) == []
    assert line.us.call.ended is not None
    assert line.them.heard(CallOver) == [CallOver(why="refused", status=486, text="Busy Here")]


def test_a_call_that_was_taken_cannot_be_refused():
    line = Line().called().answered()

    line.us.does("refuse", 486)
    line.rest()

    assert line.us.call.ended is None


def test_a_call_that_they_cancel_is_over_with_their_words():
    line = Line()
    line.asked_by(offer_of(3))

    line.raw_does("hang_up", line.network.now, (Reason("Q.850", 16, "Gone to +15551230001"),))

    assert line.us.heard(CallOver) == [CallOver(why="cancelled", cause=16, text="Gone to +…**01")]


def test_an_answer_that_nobody_acknowledges_ends_the_call():
    line = Line().called()
    line.network.loses = lambda passed: passed.what == "ACK"

    line.us.does("answer")
    line.rest(40.0)

    assert line.us.heard(CallOver)[0].why == "unacknowledged"


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


# -- we call


def test_a_call_of_ours_rings_and_is_answered():
    line = Line().calling()

    line.them.does("ring")
    line.rest()
    line.them.does("answer")
    line.rest()

    assert [each.message for each in line.us.told] == [Ringing(status=180), line.us.agreed]
    assert not line.us.agreed.early
    assert line.us.call.confirmed


def test_media_before_the_answer_is_early():
    line = Line()
    line.we_call_raw()

    line.raw_does("ring", line.network.now, 183, offer_of(3))
    early = line.us.agreed
    line.raw_does("accept", offer_of(3), line.network.now)

    assert line.us.heard(Ringing) == [Ringing(status=183)]
    assert early.early
    assert not line.us.agreed.early
    assert line.us.agreed.rtp == early.rtp


def test_a_preview_that_nobody_can_read_is_passed_over():
    line = Line()
    line.we_call_raw()

    line.raw_does("ring", line.network.now, 183, BROKEN)

    assert [each.message for each in line.us.told] == [Ringing(status=183)]
    assert line.us.call.ended is None


@pytest.mark.parametrize("body", [BROKEN, G729_ONLY])
def test_an_answer_that_cannot_be_ends_the_call(body: bytes):
    line = Line()
    line.we_call_raw()

    line.raw_does("accept", body, line.network.now)

    (over,) = line.us.heard(CallOver)
    assert over.why == "no answer"
    assert line.messages("BYE")[0].headers[REASON] == (Reason("SIP", 488, "Not Acceptable Here"),)
    assert line.us.call.ended is not None


@pytest.mark.parametrize(
    ("status", "text"),
    [(486, "Busy Here"), (480, "Temporarily Unavailable"), (603, "Decline"), (302, "Moved Temporarily")],
)
def test_who_does_not_take_the_call_is_told_with_status_and_words(status: int, text: str):
    line = Line()
    line.we_call_raw()

    line.raw_does("refuse", status, line.network.now)

    assert line.us.heard(CallOver) == [CallOver(why="refused", status=status, text=text)]


def test_a_refusal_with_a_cause_of_isdn_has_it_told():
    line = Line()
    line.we_call_raw()

    line.raw_does("refuse", 480, line.network.now, (("Reason", 'Q.850;cause=19;text="No answer"'),))

    assert line.us.last == CallOver(why="refused", status=480, cause=19, text="No answer")


def test_a_call_of_ours_that_nobody_takes_is_cancelled_without_a_word_of_success():
    line = Line().calling()
    line.them.does("ring")
    line.rest()

    line.us.does("hang_up", EndReason.OPERATOR)
    line.rest()

    (cancel,) = line.messages("CANCEL")
    assert "Reason" not in cancel.headers
    assert line.us.heard(CallOver) == []
    assert line.us.call.ended is not None
    assert line.them.heard(CallOver)[0].why == "cancelled"


def test_a_call_of_ours_that_is_given_up_says_why():
    line = Line().calling()
    line.them.does("ring")
    line.rest()

    line.us.does("hang_up", EndReason.NEVER_STARTED)
    line.rest()

    assert line.messages("CANCEL")[0].headers[REASON] == (Reason("SIP", 408, "Request Timeout"),)


def test_nobody_who_answers_at_all_is_told():
    line = Line()
    line.network.loses = lambda _passed: True

    line.calling().rest(40.0)

    assert line.us.heard(CallOver) == [CallOver(why="refused", status=408, text="Request Timeout")]


def test_another_fork_that_answers_changes_the_media():
    line = Line()
    line.we_call_raw()
    line.raw_does("ring", line.network.now, 183, offer_of(3))
    (invite,) = line.messages("INVITE")  # which a proxy would have sent to several

    for host, status in ((4, 183), (5, 200)):
        answer = line.raw.endpoint.response(invite, status, f"fork{host}", description=offer_of(host))
        line.network.send("raw", "us", answer)
        line.rest(0.1)

    media_told = [(each.rtp.host, each.early) for each in line.us.heard(MediaAgreed) if each.rtp is not None]
    assert media_told == [("192.0.2.3", True), ("192.0.2.4", True), ("192.0.2.5", False)]


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


# -- the end


def test_who_hangs_up_is_told_to_the_other():
    line = Line().called().answered()

    line.them.does("hang_up", EndReason.PLAN_ENDED)
    line.rest()

    assert line.us.heard(CallOver) == [CallOver(why="hung up", cause=16, text="Normal call clearing")]
    assert line.us.call.ended is not None
    assert line.them.heard(CallOver) == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (EndReason.PLAN_ENDED, 480),
        (EndReason.OPERATOR, 480),
        (EndReason.REJECTED, 603),
        (EndReason.DRAINED, 503),
        (EndReason.BUG, 500),
    ],
)
def test_a_call_that_was_never_answered_is_refused_for_its_reason(reason: EndReason, status: int):
    line = Line().called()

    line.us.does("hang_up", reason)
    line.rest()

    assert f"us: {status} INVITE" in line.ladder
    assert line.us.heard(CallOver) == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (EndReason.AGENT_HUNG_UP, CLEARED),
        (EndReason.TRANSFERRED, CLEARED),
        (EndReason.DRAINED, Reason("SIP", 503, "Service Unavailable")),
        (EndReason.CARRIER_SILENT, Reason("SIP", 408, "Request Timeout")),
    ],
)
def test_a_call_that_was_answered_is_hung_up_for_its_reason(reason: EndReason, said: Reason):
    line = Line().called().answered()

    line.us.does("hang_up", reason)
    line.rest()

    assert line.messages("BYE")[0].headers[REASON] == (said,)
    assert line.us.heard(CallOver) == []


def test_a_call_that_is_hung_up_before_its_ack_has_its_bye_after_it():
    line = Line().called()
    line.us.does("answer")

    line.us.does("hang_up", EndReason.OPERATOR)
    line.rest()

    assert line.ladder[-4:] == ["us: 200 INVITE", "them: ACK", "us: BYE", "them: 200 BYE"]
    assert line.us.call.ended is not None


def test_an_ack_with_media_for_a_call_that_is_hung_up_tells_nothing():
    line = Line()
    session = line.asked_by(None)
    line.us.does("hang_up", EndReason.OPERATOR)

    line.raw.does(session, session.accept, offer_of(3), line.network.now)
    line.rest()

    assert line.us.heard(MediaAgreed) == []
    assert "us: BYE" in line.ladder


def test_hanging_up_again_does_nothing():
    line = Line().called().answered()
    line.them.does("hang_up", EndReason.OPERATOR)
    line.rest()

    line.us.does("hang_up", EndReason.BUG)
    line.us.does("answer")
    line.us.does("ring")
    line.us.does("refuse", 486)
    line.rest()

    assert line.messages("BYE") == line.messages("BYE")[:1]
    assert line.us.call.finished


def test_a_call_whose_peer_knows_nothing_of_it_is_lost():
    line = Line()
    line.asked_by(offer_of(3))
    line.us.does("answer")
    line.rest()
    line.network.agents["raw"] = Agent("raw", line.network, seed=9)  # it was started again

    line.us.changes()
    line.rest()

    assert line.us.heard(CallOver)[0].why == "lost"
    assert line.us.heard(CallOver)[0].status == 481


def test_a_refused_call_counts_as_finished_when_they_know():
    line = Line().called()
    line.us.does("hang_up", EndReason.REJECTED)
    line.rest()

    assert line.us.call.finished
    assert isinstance(line.messages("603 INVITE")[0], Response)

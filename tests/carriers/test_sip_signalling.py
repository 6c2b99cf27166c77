"""A call's signalling between two user agents as it begins: what its leg is told, and what goes over the network."""

from typing import Any

import pytest

from gateway.carriers.sip.leg_messages import CallOver, MediaAgreed, Ringing, decode, encode
from gateway.contracts import EndReason
from gateway.media.latch import Address
from gateway.wire.sdp.agreement import SrtpPolicy
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.values import Reason
from tests.carriers.sip_line import BROKEN, G729_ONLY, Line, offer_of

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

    line.us.rings()
    line.rest(130.0)

    assert len(line.messages("180 INVITE")) == 3
    assert all(response.body == b"" for response in line.messages("180 INVITE"))


def test_a_call_that_is_answered_does_not_ring():
    line = Line().called().answered()

    line.us.rings()
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

    line.us.rings()
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


@pytest.mark.parametrize(
    ("protocol", "warning"),
    [
        (b"RTP/SAVPF", '399 gateway "RTP/SAVPF"'),
        (b'a"b\\\0', '399 gateway "A\\"B\\\\ "'),
        (b"x" * 9000, '399 gateway "' + "X" * 120 + '"'),
    ],
    ids=["what lacked", "quoted", "cut off"],
)
def test_a_488_says_what_lacked_in_one_line(protocol: bytes, warning: str):
    line = Line()

    line.asked_by(G729_ONLY.replace(b"RTP/AVP", protocol))

    assert line.messages("488 INVITE")[0].headers["Warning"] == warning


def test_an_offer_that_is_none_gets_no_warning():
    line = Line()

    line.asked_by(BROKEN)

    assert "Warning" not in line.messages("400 INVITE")[0].headers


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


@pytest.mark.parametrize("number", ["+15551230001", "1-555-123-0001", "(555) 123 0001", "555.123.0001"])
def test_a_call_that_they_cancel_is_over_with_their_words_and_without_their_numbers(number: str):
    line = Line()
    line.asked_by(offer_of(3))

    line.raw_does("hang_up", line.network.now, (Reason("Q.850", 16, f"Gone to {number}"),))

    assert line.us.heard(CallOver) == [CallOver(why="cancelled", cause=16, text="Gone to …")]


def test_an_answer_that_nobody_acknowledges_ends_the_call():
    line = Line().called()
    line.network.loses = lambda passed: passed.what == "ACK"

    line.us.does("answer")
    line.rest(40.0)

    assert line.us.heard(CallOver)[0].why == "unacknowledged"


# -- we call


def test_a_call_of_ours_rings_and_is_answered():
    line = Line().calling()

    line.them.rings()
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
    line.them.rings()
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
    line.them.rings()
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

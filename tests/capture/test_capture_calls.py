"""What one of the two sides of a captured call is told. The call goes from 192.0.2.1 to 198.51.100.7."""

from typing import Any

import msgspec
import pytest

from gateway.capture.calls import CallTracker, CapturedCall, Side, Told
from gateway.capture.frames import Frame
from gateway.capture.links import PacketReader
from gateway.capture.messages import SipReader
from gateway.carriers.sip import leg_messages as wire
from gateway.media.latch import Address
from gateway.wire.sdp.crypto import Crypto
from gateway.wire.sdp.media import Direction
from tests.capture.made_captures import CALLED, CALLED_RTP, CALLER, CALLER_RTP, MadeCall, MadeCapture, sdp

PROXY = Address("203.0.113.9", 5060)
ANSWER = sdp(CALLED_RTP, ((0, "pcmu"), (101, "telephone-event")))


def tracked(capture: MadeCapture, ours: Side = Side.CALLED) -> CallTracker:
    tracker, sip, packets = CallTracker(ours), SipReader(), PacketReader()
    for number, (at_s, data) in enumerate(capture.frames, 1):
        packet = packets.take(Frame(number, round(at_s * 1e9), 1, data, whole=True))
        for found in sip.take(packet) if packet is not None else ():
            assert packet is not None
            tracker.take(packet, found)
    return tracker


def only(capture: MadeCapture, ours: Side = Side.CALLED) -> CapturedCall:
    (call,) = tracked(capture, ours).calls
    return call


def events(call: CapturedCall) -> list[wire.FromSip | dict[str, Any]]:
    """All but the rungs of the ladder."""
    found = [
        wire.decode(told.text) if told.port == "carrier" else msgspec.json.decode(told.text)
        for told in call.told
    ]
    return [event for event in found if not isinstance(event, wire.MessagePassed)]


def agreed(call: CapturedCall) -> list[wire.MediaAgreed]:
    return [event for event in events(call) if isinstance(event, wire.MediaAgreed)]


def rungs(call: CapturedCall) -> list[str]:
    found = [wire.decode(told.text) for told in call.told if told.port == "carrier"]
    return [
        f"{'>' if rung.sent else '<'} {rung.line}" for rung in found if isinstance(rung, wire.MessagePassed)
    ]


TERMS = wire.MediaAgreed(
    codec="pcmu",
    payload_type=0,
    event_payload_type=101,
    receives={0: "pcmu", 101: "telephone-event"},
    rtp=CALLER_RTP,
    rtcp=Address(CALLER_RTP.host, 17_001),
)


def test_the_called_side_is_told_that_it_rings_what_was_agreed_and_that_the_caller_hung_up():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.end(5.0)

    found = only(capture)

    assert events(found) == [wire.Ringing(status=180), TERMS, wire.CallOver(why="hung up")]
    assert rungs(found) == [
        "< INVITE",
        "> 180 Whatever",
        "> 200 Whatever",
        "< ACK",
        "< BYE",
        "> 200 Whatever",
    ]
    assert (found.caller, found.called) == ("+15550100001", "+15550100002")
    assert found.problem is None


def test_what_is_told_has_the_packet_and_the_time_with_which_it_shows():
    capture = MadeCapture()
    MadeCall(capture).begin(1.0, answered_s=2.0)

    found = only(capture)

    assert [(told.number, told.at_ns) for told in found.told] == [
        (1, 1_000_000_000),
        (2, 1_050_000_000),
        (2, 1_050_000_000),
        (3, 3_000_000_000),
        (3, 3_000_000_000),
        (4, 3_010_000_000),
    ]


def test_the_callers_side_is_told_the_other_half():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.end(5.0, by_caller=False)

    found = only(capture, Side.CALLER)

    assert events(found) == [
        wire.Ringing(status=180),
        msgspec.structs.replace(TERMS, rtp=CALLED_RTP, rtcp=Address(CALLED_RTP.host, 16_001)),
        wire.CallOver(why="hung up"),
    ]
    assert rungs(found)[:2] == ["> INVITE", "< 180 Whatever"]


def test_a_bye_of_ours_is_a_command_to_hang_up():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.end(5.0, by_caller=False)

    found = only(capture)

    assert events(found)[-1] == {"type": "hang_up", "reason": "agent_hung_up"}
    assert found.ends is not None
    assert found.ends.port == "command"


def test_why_they_hung_up_is_told():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.ask(5.0, "BYE", rows=[("Reason", 'Q.850;cause=38;text="Network out of order"')])

    found = only(capture)

    assert events(found)[-1] == wire.CallOver(why="hung up", cause=38, text="Network out of order")


def test_an_offer_that_waits_for_the_ack_is_answered_there():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", tagged=False)
    call.answer(0.1, invite, 200, sdp(CALLED_RTP))
    call.ask(0.2, "ACK", sdp(CALLER_RTP, ((8, "pcma"), (96, "telephone-event"))), cseq=1)

    found = only(capture)

    assert events(found) == [
        wire.Ringing(status=200),
        msgspec.structs.replace(
            TERMS,
            codec="pcma",
            payload_type=8,
            event_payload_type=96,
            receives={8: "pcma", 101: "telephone-event"},
        ),
    ]


def test_media_before_the_answer_is_told_as_such():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.answer(0.1, invite, 183, ANSWER)
    call.answer(3.0, invite, 200, ANSWER)

    found = only(capture)

    assert [terms.early for terms in agreed(found)] == [True, False]


def test_a_200_without_sdp_takes_the_answer_that_came_before_it():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", tagged=False)
    call.answer(0.1, invite, 183, sdp(CALLED_RTP), rows=[("Require", "100rel"), ("RSeq", "1")])
    prack = call.ask(0.2, "PRACK", sdp(CALLER_RTP), rows=[("RAck", "1 1 INVITE")])
    call.answer(0.3, prack, 200)
    call.answer(0.4, invite, 200)

    found = only(capture)

    assert [(terms.early, terms.rtp) for terms in agreed(found)] == [(True, CALLER_RTP), (False, CALLER_RTP)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("asked", "answered", "ours"),
    [
        (Direction.SENDONLY, Direction.RECVONLY, Direction.RECVONLY),
        (Direction.INACTIVE, Direction.INACTIVE, Direction.INACTIVE),
    ],
)
def test_a_hold_is_told_and_that_it_is_over(method, asked: Direction, answered: Direction, ours: Direction):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    hold = call.ask(1.0, method, sdp(CALLER_RTP, direction=asked))
    call.answer(1.1, hold, 200, sdp(CALLED_RTP, direction=answered))
    resume = call.ask(2.0, method, sdp(CALLER_RTP))
    call.answer(2.1, resume, 200, sdp(CALLED_RTP))

    found = only(capture)

    assert [terms.direction for terms in agreed(found)] == [Direction.SENDRECV, ours, Direction.SENDRECV]


def test_a_hold_of_old_has_no_address():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    hold = call.ask(1.0, "INVITE", sdp(CALLER_RTP, host="0.0.0.0"))
    call.answer(1.1, hold, 200, ANSWER)

    found = only(capture)

    assert (agreed(found)[1].rtp, agreed(found)[1].direction) == (None, Direction.RECVONLY)


def test_an_offer_of_ours_counts_as_well():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    moved = call.ask(1.0, "INVITE", sdp(CALLED_RTP), by_caller=False)
    call.answer(1.1, moved, 200, sdp(Address("192.0.2.99", 20_000), ((8, "pcma"),)))

    found = only(capture)

    assert (agreed(found)[1].codec, agreed(found)[1].rtp) == ("pcma", Address("192.0.2.99", 20_000))


def test_an_offer_that_is_refused_changes_nothing():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    moved = call.ask(1.0, "INVITE", sdp(Address("192.0.2.99", 20_000)))
    call.answer(1.1, moved, 491)

    assert len(agreed(only(capture))) == 1


def test_a_key_by_info_is_told():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.ask(1.0, "INFO", b"Signal=5\r\nDuration=160\r\n", body_type="application/dtmf-relay")

    assert wire.DigitInformed(digit="5", duration_ms=160) in events(only(capture))


def test_a_transfer_that_they_ask_for_is_told_with_our_answer():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    refer = call.ask(1.0, "REFER", rows=[("Refer-To", "<sip:desk@example.com>")])
    call.answer(1.1, refer, 202)

    assert events(only(capture))[-1] == wire.TransferAsked(taken=True)


def test_how_a_transfer_of_ours_goes_is_told():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    refer = call.ask(1.0, "REFER", by_caller=False, rows=[("Refer-To", "<sip:desk@example.com>")])
    call.answer(1.1, refer, 202)
    rows = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
    call.ask(2.0, "NOTIFY", b"SIP/2.0 200 OK\r\n", body_type="message/sipfrag", rows=rows)

    assert events(only(capture))[-1] == wire.TransferTold(status=200, last=True)


def test_a_message_that_is_sent_again_is_a_rung_and_nothing_more():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.send(0.5, invite.encode(), by_caller=True)
    answer = call.answer(0.6, invite, 200, ANSWER)
    call.send(1.1, answer, by_caller=False)

    found = only(capture)

    assert rungs(found) == ["< INVITE", "< INVITE", "> 200 Whatever", "> 200 Whatever"]
    assert len(agreed(found)) == 1


def test_a_call_that_goes_over_a_proxy_is_one_call_with_each_message_once():
    capture = MadeCapture()
    caller = MadeCall(capture, called=PROXY)
    proxy = MadeCall(capture, caller=PROXY)
    invite = caller.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    proxy.send(0.01, invite.encode(), by_caller=True)
    proxy.answer(0.1, invite, 200, ANSWER)
    caller.answer(0.11, invite, 200, ANSWER)

    found = only(capture)

    assert rungs(found) == ["< INVITE", "> 200 Whatever"]


def test_an_invite_with_credentials_is_of_the_same_call():
    capture = MadeCapture()
    call = MadeCall(capture)
    first = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.answer(0.1, first, 407)
    call.begin(0.2)

    assert only(capture).problem is None


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (486, "packet 2: the call was refused: 486 Whatever"),
        (603, "packet 2: the call was refused: 603 Whatever"),
    ],
)
def test_a_call_that_was_refused_is_said_with_the_packet(status: int, text: str):
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.answer(0.1, invite, status)

    assert str(only(capture).problem) == text


def test_a_call_that_was_given_up_is_said_with_the_packet():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    call.ask(9.0, "CANCEL", cseq=1, tagged=False)
    call.answer(9.1, invite, 487)

    assert str(only(capture).problem) == "packet 2: the caller gave up before anybody answered"


def test_a_call_that_was_never_answered_is_said_with_its_invite():
    capture = MadeCapture()
    MadeCall(capture).ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)

    assert str(only(capture).problem) == "packet 1: a call that nobody answered in this capture"


KEY = Crypto(tag=1, suite="AES_CM_128_HMAC_SHA1_80", key=bytes(30))


@pytest.mark.parametrize(
    ("offer", "answer", "text"),
    [
        (
            sdp(CALLER_RTP, protocol="RTP/SAVP", cryptos=(KEY,)),
            sdp(CALLED_RTP, protocol="RTP/SAVP", cryptos=(KEY,)),
            "its media is encrypted (SRTP)",
        ),
        (sdp(CALLER_RTP, cryptos=(KEY,)), sdp(CALLED_RTP, cryptos=(KEY,)), "its media is encrypted (SRTP)"),
        (
            sdp(CALLER_RTP, protocol="UDP/TLS/RTP/SAVPF"),
            sdp(CALLED_RTP, protocol="UDP/TLS/RTP/SAVPF"),
            "its media is encrypted (UDP/TLS/RTP/SAVPF)",
        ),
        (
            sdp(CALLER_RTP, ((9, "g722"), (0, "pcmu"))),
            sdp(CALLED_RTP, ((9, "g722"), (101, "telephone-event"))),
            "its media is g722/8000; PCMU and PCMA can be imported",
        ),
        (sdp(CALLER_RTP), sdp(Address(CALLED_RTP.host, 0)), "its audio is refused"),
        (
            sdp(CALLER_RTP).replace(b"m=audio", b"m=video"),
            sdp(CALLED_RTP).replace(b"m=audio", b"m=video"),
            "it has no audio",
        ),
        (sdp(CALLER_RTP, host="phone.example"), sdp(CALLED_RTP), "its SDP names no IP address"),
        (sdp(CALLER_RTP), b"v=1\r\n", "SDP that cannot be read (SDP does not begin with v=0)"),
        (sdp(CALLER_RTP), b"", "it was answered without SDP"),
    ],
)
def test_media_that_cannot_be_imported_is_said_with_the_packet(offer: bytes, answer: bytes, text: str):
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", offer, tagged=False)
    call.answer(0.1, invite, 200, answer)

    assert str(only(capture).problem) == f"packet 2: {text}"


def test_an_offer_of_keys_that_is_not_taken_leaves_the_media_plain():
    capture = MadeCapture()
    call = MadeCall(capture)
    invite = call.ask(0.0, "INVITE", sdp(CALLER_RTP, cryptos=(KEY,)), tagged=False)
    call.answer(0.1, invite, 200, ANSWER)

    assert only(capture).problem is None


def test_a_call_whose_media_becomes_another_is_imported_up_to_there():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    moved = call.ask(1.0, "INVITE", sdp(CALLER_RTP, ((18, "g729"),)))
    call.answer(1.1, moved, 200, sdp(CALLED_RTP, ((18, "g729"),)))
    call.end(5.0)

    found = only(capture)

    assert found.problem is None
    assert str(found.cut_short) == (
        "packet 6: its media is g729/8000; PCMU and PCMA can be imported; the call was imported up to here"
    )
    assert events(found)[-1] == {
        "type": "carrier.closed",
        "detail": "the capture cannot be followed any more: its media is g729/8000; PCMU and PCMA can be imported",
    }


@pytest.mark.parametrize("method", ["BYE", "INVITE"])
def test_a_call_that_began_before_the_capture_is_said_once(method):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.ask(1.0, method)
    call.ask(2.0, method)

    found = tracked(capture)

    assert found.calls == []
    assert [str(problem) for problem in found.problems] == [
        f"packet 1: a {method} of a call that began before the capture"
    ]


def test_two_calls_at_once_are_kept_apart():
    capture = MadeCapture()
    first, second = MadeCall(capture), MadeCall(capture, call_id="two@192.0.2.1")
    first.begin(0.0)
    second.begin(0.1)
    first.end(3.0)

    found = tracked(capture).calls

    assert [call.ends is not None for call in found] == [True, False]


def test_numbers_names_and_keys_are_in_nothing_that_is_told():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.ask(1.0, "INFO", rows=[("Authorization", 'Digest username="anna", response="5ec3e7"')])

    texts = " ".join(told.text for told in only(capture).told)

    assert not [word for word in ("5550100001", "5550100002", "anna", "5ec3e7") if word in texts]


def test_a_flood_of_calls_is_bounded_and_said():
    tracker = CallTracker(Side.CALLED)
    invite = MadeCall(MadeCapture()).ask(0.0, "INVITE", sdp(CALLER_RTP), tagged=False)
    packet = PacketReader()
    capture = MadeCapture()
    capture.udp(0, CALLER, CALLED, b"")
    found = packet.take(Frame(1, 0, 1, capture.frames[0][1], whole=True))
    assert found is not None

    for number in range(3000):
        headers = invite.headers.copy()
        headers["Call-ID"] = str(number)
        tracker.take(found, msgspec.structs.replace(invite, headers=headers))

    assert len(tracker.calls) == 2000
    assert [str(problem) for problem in tracker.problems] == [
        "packet 1: more than 2000 calls; the rest is left out"
    ]


def test_what_is_told_is_one_of_the_leg_or_a_command():
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.end(2.0)

    assert {told.port for told in only(capture).told if isinstance(told, Told)} == {"carrier"}

"""What hostile peers send who may speak: nothing of it is kept, or kept from others, and our password is not theirs."""

from ipaddress import ip_network
from random import Random

import pytest

from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.uri import SipUri, parse_uri
from gateway.wire.sip.user_agent import Called, Reach, Send, UserAgent

US, THEM = Address("192.0.2.1", 5060), Address("198.51.100.7", 5060)
FLOW = Flow("UDP", US, THEM)
CARRIER, THIRD = "198.51.100.7", "203.0.113.66"
SDP = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def agent(*, most_transactions: int = 1000) -> UserAgent:
    strangers = Strangers({"them": [ip_network("198.51.100.0/24")]})
    return UserAgent(Addresses({"UDP": 5060}), strangers, Random(1), most_transactions=most_transactions)


def request(method: str, number: int, *, branch: str = "", to_tag: str = "", call: str = "c") -> bytes:
    body = SDP if method == "INVITE" else ""
    return (
        f"{method} sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{branch or number}\r\n"
        f"From: <sip:a@h>;tag=a\r\nTo: <sip:x@h>{to_tag}\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\n"
        f"Contact: <sip:a@198.51.100.7>\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def answers(us: UserAgent, data: bytes, now: float = 0.0) -> list[int]:
    us.receive(parse_datagram(data), FLOW, now)
    sent = [parse_datagram(each.data) for each in us.outgoing() if isinstance(each, Send)]
    return [each.status for each in sent if isinstance(each, Response)]


def taken(us: UserAgent, now: float = 0.0) -> Session:
    """The call that came, answered."""
    called = next(each for each in us.events() if isinstance(each, Called))
    contact = NameAddr(SipUri(host="192.0.2.1"))
    session = us.take(called, Endpoint(contact=contact, rng=Random(2)), now)
    assert session is not None
    session.accept(SDP.encode(), now)
    us.touch(session, now)
    us.outgoing()
    return session


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("MESSAGE", 405), ("NONSENSE", 501)])
def test_a_flood_of_what_is_no_call_is_answered_and_leaves_nothing(method: str, status: int):
    us = agent()

    statuses = {
        each for number in range(500) for each in answers(us, request(method, number, call=str(number)))
    }

    assert statuses == {status}
    assert us.is_idle


def test_what_comes_again_of_it_is_answered_again():
    us = agent()

    assert answers(us, request("OPTIONS", 1)) == answers(us, request("OPTIONS", 1)) == [200]


def test_when_there_are_too_many_calls_at_once_those_that_are_on_can_still_end():
    us = agent(most_transactions=10)
    answers(us, request("INVITE", 1, call="on"))
    session = taken(us)
    answers(us, request("ACK", 1, branch="ack", to_tag=f";tag={session.tag}", call="on"))
    for number in range(20):
        answers(us, request("INVITE", number, branch=f"i{number}", call=str(number)))

    statuses = answers(us, request("BYE", 2, to_tag=f";tag={session.tag}", call="on"))

    assert statuses == [200]


def test_offers_that_nobody_acknowledges_are_put_off_before_there_are_many():
    us = agent()
    answers(us, request("INVITE", 1))
    session = taken(us)
    tag = f";tag={session.tag}"
    answers(us, request("ACK", 1, branch="ack", to_tag=tag))
    statuses = []

    for number in range(2, 12):
        first = answers(us, request("INVITE", number, to_tag=tag))
        session.accept(SDP.encode(), 0.0)
        us.touch(session, 0.0)
        sent = [parse_datagram(each.data) for each in us.outgoing() if isinstance(each, Send)]
        statuses += first or [each.status for each in sent if isinstance(each, Response)]

    assert statuses == [200] * 4 + [500] * 6


def test_a_branch_that_is_used_again_takes_nothing_from_the_call_that_had_it():
    us = agent()
    answers(us, request("INVITE", 1, branch="same", call="one"))
    one = taken(us)
    answers(us, request("ACK", 1, branch="a1", to_tag=f";tag={one.tag}", call="one"))
    us.advance(40.0)  # nobody knows the transaction any more, and the call is still on
    answers(us, request("INVITE", 1, branch="same", call="other"), 40.0)
    other = taken(us, 40.0)

    for session, call in ((one, "one"), (other, "other")):
        bye = request("BYE", 2, branch=call, to_tag=f";tag={session.tag}", call=call)
        assert answers(us, bye, 41.0) == [200]
    us.advance(1000.0)

    assert us.is_idle


# -- our password


def called_by_us(*, contact: str) -> tuple[UserAgent, Session]:
    """A call of ours, which the carrier wanted a password for, was taken at `contact`."""
    us = agent()
    endpoint = Endpoint(
        contact=NameAddr(SipUri(host="192.0.2.1")),
        rng=Random(3),
        credentials=DigestClient("us", "secret", Random(4)),
        trusts=lambda host: host == CARRIER,
    )
    local = NameAddr(SipUri(user="us", host=CARRIER))
    target = parse_uri(f"sip:x@{CARRIER}")
    session = Session.inviting(target, endpoint, 0.0, local=local, description=SDP.encode())
    us.begin(session, 0.0)
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"\r\n'
    replied(us, sent_by(us)[-1], "401 No", challenge)
    replied(us, sent_by(us)[-1], "200 OK", f"Contact: {contact}\r\nContent-Type: application/sdp\r\n", SDP)
    return us, session


def sent_by(us: UserAgent) -> list[Request]:
    """The requests that it sends; each is reached where it is."""
    sent: list[Request] = []
    while outgoing := us.outgoing():
        for each in outgoing:
            if isinstance(each, Send):
                message = parse_datagram(each.data)
                sent += [message] if isinstance(message, Request) else []
            elif isinstance(each, Reach):
                us.reached(each.errand, Flow("UDP", US, each.target.address), 0.0)
    return sent


def replied(us: UserAgent, to: Request, line: str, rows: str = "", body: str = "") -> None:
    kept = "".join(f"{name}: {to.headers[name]}\r\n" for name in ("Via", "From", "Call-ID", "CSeq"))
    text = f"SIP/2.0 {line}\r\n{kept}To: {to.headers['To'].partition(';tag')[0]};tag=t\r\n{rows}"
    us.receive(parse_datagram(f"{text}Content-Length: {len(body)}\r\n\r\n{body}".encode()), FLOW, 0.0)


@pytest.mark.parametrize(
    ("contact", "is_shown"),
    [
        (f"<sip:x@{CARRIER}>", True),
        (f"<sip:x@{THIRD}>", False),
        (f"<sip:x@{CARRIER};maddr={THIRD}>", False),
    ],
)
def test_whom_the_carrier_connects_us_with_does_not_see_our_credentials(contact: str, is_shown: bool):
    us, session = called_by_us(contact=contact)

    session.hang_up(0.0)
    us.touch(session, 0.0)

    shown = {each.method: "Authorization" in each.headers for each in sent_by(us)}
    assert shown == {"ACK": is_shown, "BYE": is_shown}


def test_whom_the_carrier_connects_us_with_cannot_ask_for_our_credentials():
    us, session = called_by_us(contact=f"<sip:x@{THIRD}>")
    session.hang_up(0.0)
    us.touch(session, 0.0)
    bye = sent_by(us)[-1]

    replied(us, bye, "401 No", 'WWW-Authenticate: Digest realm="theirs", nonce="theirs"\r\n')

    assert sent_by(us) == []

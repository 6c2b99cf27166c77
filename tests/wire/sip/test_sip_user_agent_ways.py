"""The way of a request: found, reached, and left for another where nobody takes it."""

from random import Random
from typing import Any, TypeVar

import pytest

from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.options import options_request
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import AnswerCame, Confirmed, Ended
from gateway.wire.sip.uri import SipUri, TelUri, Uri
from gateway.wire.sip.user_agent import Called, Find, Outgoing, Reach, Replied, Send, SessionSaid
from tests.wire.sip.sip_agents import Agent, Network

T = TypeVar("T")

US, US_TOO = Address("192.0.2.1", 5060), Address("192.0.2.9", 5060)
ONE, TWO, THREE = (Address(f"198.51.100.{number}", 5060) for number in (1, 2, 3))
TRUNK = SipUri(user="+15550100", host="trunk.example")


class Trunk:
    """We, and a trunk that has three places, of which a test says what they do. `local`: where we are."""

    def __init__(self) -> None:
        self.us = Agent("us", Network())
        self.agent = self.us.agent
        self.now = 0.0
        self.local = US
        self._outgoing: list[Outgoing] = []

    def calls(self, uri: Uri = TRUNK, **more: Any) -> Session:
        session = Session.inviting(
            uri, self.us.endpoint, self.now, local=self.us.address, description=b"offer", **more
        )
        self.agent.begin(session, self.now)
        return session

    def wants(self, kind: type[T]) -> T:
        """The next thing that it wants done."""
        self._outgoing += self.agent.outgoing()
        wanted = self._outgoing.pop(0)
        assert isinstance(wanted, kind)
        return wanted

    @property
    def wants_nothing(self) -> bool:
        self._outgoing += self.agent.outgoing()
        return not self._outgoing

    def finds(self, *addresses: Address, transport: Transport = "UDP") -> None:
        """What is looked for is there."""
        find = self.wants(Find)
        targets = [Target(transport, address, "trunk.example") for address in addresses]
        self.agent.found(find.errand, targets, self.now)

    def reaches(self, address: Address, transport: Transport = "UDP", *, connection: int = 0) -> Request:
        """It gets where it wants to. What is sent there."""
        reach = self.wants(Reach)
        assert reach.target[:2] == (transport, address)
        self.agent.reached(reach.errand, Flow(transport, self.local, address, connection), self.now)
        return self.sends(address)

    def misses(self, address: Address, transport: Transport = "UDP") -> None:
        """Nobody can be reached there."""
        reach = self.wants(Reach)
        assert reach.target[:2] == (transport, address)
        self.agent.reached(reach.errand, None, self.now)

    def sends(self, address: Address) -> Request:
        send = self.wants(Send)
        assert send.flow.remote == address
        message = parse_datagram(send.data)
        assert isinstance(message, Request)
        return message

    def answers(self, request: Request, status: int, body: bytes = b"", **headers: str) -> None:
        """By the flow that the request went by."""
        response = response_to(request, status, to_tag="t")
        for name, text in headers.items():
            response.headers[name.replace("_", "-")] = text
        response = Response(status, response.reason, response.headers, body)
        transport: Any = request.headers["Via"].removeprefix("SIP/2.0/")[:3]
        self.agent.receive(response, Flow(transport, self.local, ONE, 1), self.now)

    def breaks(self, address: Address) -> None:
        self.agent.broken(Flow("UDP", US, address), self.now)

    def at(self, now: float) -> "Trunk":
        """Time passes; what is sent again meanwhile is no test's business."""
        self.now = now
        self.agent.advance(now)
        self._outgoing += [each for each in self.agent.outgoing() if not isinstance(each, Send)]
        return self

    @property
    def said(self) -> list[object]:
        """What the call said."""
        return [each.word for each in self.agent.events() if isinstance(each, SessionSaid)]

    @property
    def ended_with(self) -> int | None:
        """The status that the call ended with; None: it has not."""
        ended = [each for each in self.said if isinstance(each, Ended)]
        message = ended[0].message if ended else None
        return message.status if isinstance(message, Response) else None


# -- finding


def test_a_name_is_looked_for_and_reached_and_asked_there():
    trunk = Trunk()

    trunk.calls()
    trunk.finds(ONE, TWO, THREE)
    invite = trunk.reaches(ONE)

    assert invite.method == "INVITE"
    assert invite.headers["Via"].startswith("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert invite.headers["Via"].endswith(";rport")


def test_an_address_is_not_looked_for():
    trunk = Trunk()

    trunk.calls(SipUri(user="bob", host="198.51.100.1", port=5070))

    assert trunk.wants(Reach).target == Target("UDP", Address("198.51.100.1", 5070), "198.51.100.1")


def test_a_route_is_looked_for_instead_of_who_is_called_and_by_tls_if_that_is_secure():
    trunk = Trunk()
    secure = SipUri(user="bob", host="bob.example", secure=True)
    request = options_request(secure, trunk.us.address, Random(1))
    request.headers["Route"] = "<sip:proxy.example;lr>"

    trunk.agent.ask(request, 0.0)

    uri = trunk.wants(Find).uri
    assert (uri.host, uri.secure) == ("proxy.example", True)


def test_what_is_nowhere_is_refused_as_unavailable():
    trunk = Trunk()
    trunk.calls()

    trunk.finds()

    assert trunk.ended_with == 503
    assert trunk.agent.is_idle


def test_a_number_without_a_host_cannot_be_called():
    trunk = Trunk()

    trunk.calls(TelUri(subscriber="+15550100"))

    assert trunk.ended_with == 503
    assert trunk.agent.is_idle


def test_a_ping_to_what_is_nowhere_is_replied_to_with_a_503_of_ours():
    trunk = Trunk()
    request = options_request(SipUri(host="trunk.example"), trunk.us.address, Random(1))
    trunk.agent.ask(request, 0.0)

    trunk.finds()

    (replied,) = trunk.agent.events()
    assert isinstance(replied, Replied)
    assert (replied.request is request, replied.response.status) == (True, 503)


# -- the next place


def test_who_says_503_is_left_for_the_next_and_the_word_of_the_last_one_counts():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO, THREE)

    for where in (ONE, TWO, THREE):
        assert trunk.ended_with is None
        trunk.answers(trunk.reaches(where), 503)
        assert trunk.sends(where).method == "ACK"

    assert trunk.ended_with == 503
    assert trunk.wants_nothing


def test_who_cannot_be_reached_is_left_for_the_next_until_none_is_left():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO, THREE)

    for where in (ONE, TWO, THREE):
        assert trunk.ended_with is None
        trunk.misses(where)

    assert trunk.ended_with == 503
    assert trunk.agent.is_idle


def test_where_the_transport_breaks_another_is_asked_by_the_same_request_as_a_new_transaction():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)
    first = trunk.reaches(ONE)

    trunk.breaks(ONE)
    second = trunk.reaches(TWO)

    assert first.headers["Via"] != second.headers["Via"]
    assert list(first.headers)[1:] == list(second.headers)[1:]


def test_who_says_nothing_for_4_s_is_left_for_the_next_and_what_he_says_then_is_nobodys():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)
    late = trunk.reaches(ONE)

    assert trunk.at(3.9).wants_nothing
    trunk.at(4.0).reaches(TWO)
    trunk.answers(late, 180)

    assert trunk.said == []


def test_the_last_one_has_32_s():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)
    trunk.reaches(ONE)
    trunk.at(4.0).reaches(TWO)

    assert trunk.at(35.9).ended_with is None
    assert trunk.at(36.1).ended_with == 408
    assert trunk.agent.is_idle


def test_who_has_said_that_it_rings_is_not_left():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)
    trunk.answers(trunk.reaches(ONE), 180)

    trunk.at(60.0)

    assert trunk.wants_nothing


def test_who_refuses_is_believed():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)

    trunk.answers(trunk.reaches(ONE), 486)

    assert trunk.sends(ONE).method == "ACK"
    assert trunk.wants_nothing
    assert trunk.ended_with == 486


def test_a_place_that_was_down_comes_last_for_a_minute():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE, TWO)
    trunk.misses(ONE)
    trunk.answers(trunk.reaches(TWO), 486)
    trunk.sends(TWO)

    trunk.at(59.0).calls()
    trunk.finds(ONE, TWO)
    trunk.answers(trunk.reaches(TWO), 486)
    trunk.sends(TWO)
    trunk.at(61.0).calls()
    trunk.finds(ONE, TWO)

    assert trunk.wants(Reach).target.address == ONE


def test_a_place_that_says_when_to_come_again_comes_last_until_then():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE)
    trunk.answers(trunk.reaches(ONE), 503, Retry_After="300")
    trunk.sends(ONE)

    trunk.at(299.0).calls()
    trunk.finds(ONE, TWO)

    assert trunk.wants(Reach).target.address == TWO


def test_a_call_that_was_given_up_before_it_was_sent_is_not_sent():
    trunk = Trunk()
    session = trunk.calls()
    trunk.finds(ONE)
    session.hang_up(0.0)
    trunk.agent.touch(session, 0.0)

    reach = trunk.wants(Reach)
    trunk.agent.reached(reach.errand, Flow("UDP", US, ONE), 0.0)

    assert trunk.wants_nothing
    assert trunk.agent.is_idle


def test_a_call_that_was_given_up_is_not_tried_elsewhere():
    trunk = Trunk()
    session = trunk.calls()
    trunk.finds(ONE, TWO)
    invite = trunk.reaches(ONE)
    session.hang_up(0.0)
    trunk.agent.touch(session, 0.0)

    trunk.answers(invite, 503)

    assert trunk.sends(ONE).method == "ACK"
    assert trunk.wants_nothing


def test_a_call_that_was_given_up_waits_for_who_may_still_ring():
    trunk = Trunk()
    session = trunk.calls()
    trunk.finds(ONE, TWO)
    invite = trunk.reaches(ONE)
    session.hang_up(0.0)
    trunk.agent.touch(session, 0.0)

    trunk.at(10.0).answers(invite, 180)

    assert trunk.sends(ONE).method == "CANCEL"


# -- large ones, and the ACK


def test_a_large_request_goes_by_tcp_first_and_by_udp_to_who_has_none():
    trunk = Trunk()
    trunk.calls(rows=(("Identity", "x" * 1300),))
    trunk.finds(ONE)

    trunk.misses(ONE, "TCP")

    assert trunk.reaches(ONE).method == "INVITE"


def test_a_call_over_tcp_is_not_repeated_and_a_cancel_goes_by_its_connection():
    trunk = Trunk()
    session = trunk.calls()
    trunk.finds(ONE, transport="TCP")
    invite = trunk.reaches(ONE, "TCP", connection=1)
    trunk.at(10.0).answers(invite, 180)

    session.hang_up(10.0)
    trunk.agent.touch(session, 10.0)

    send = trunk.wants(Send)
    assert send.data.startswith(b"CANCEL")
    assert send.flow == Flow("TCP", US, ONE, 1)


def test_the_ack_of_a_200_finds_its_own_way_and_goes_it_again():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE)
    invite = trunk.reaches(ONE)
    taken = {"Contact": "<sip:bob@bob.example>", "Content_Type": "application/sdp"}

    trunk.answers(invite, 200, b"answer", **taken)
    trunk.answers(invite, 200, b"answer", **taken)  # again, while the way is not known
    trunk.finds(TWO)
    ack = trunk.reaches(TWO)
    trunk.answers(invite, 200, b"answer", **taken)

    assert trunk.sends(TWO).encode() == ack.encode()
    assert trunk.wants_nothing
    assert [type(each) for each in trunk.said] == [AnswerCame, Confirmed]


def test_an_ack_whose_way_is_gone_finds_another_when_it_is_wanted_again():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE)
    invite = trunk.reaches(ONE)
    taken = {"Contact": "<sip:bob@bob.example>", "Content_Type": "application/sdp"}
    trunk.answers(invite, 200, b"answer", **taken)
    trunk.finds(TWO)
    trunk.reaches(TWO)

    trunk.breaks(TWO)
    trunk.answers(invite, 200, b"answer", **taken)
    trunk.finds(THREE)

    assert trunk.reaches(THREE).method == "ACK"


def test_an_ack_that_reaches_nobody_is_tried_elsewhere():
    trunk = Trunk()
    trunk.calls()
    trunk.finds(ONE)
    invite = trunk.reaches(ONE)
    trunk.answers(invite, 200, b"answer", Contact="<sip:b@bob.example>", Content_Type="application/sdp")
    trunk.finds(TWO, THREE)

    trunk.misses(TWO)

    assert trunk.reaches(THREE).method == "ACK"


# -- where from


def test_the_requests_of_a_call_leave_from_where_its_invite_left():
    trunk = Trunk()
    trunk.local = US_TOO
    session = trunk.calls()
    trunk.finds(ONE)
    invite = trunk.reaches(ONE)
    taken = {"Contact": "<sip:bob@198.51.100.2>", "Content_Type": "application/sdp"}
    trunk.answers(invite, 200, b"answer", **taken)
    ack = trunk.wants(Reach)

    session.hang_up(0.0)
    trunk.agent.touch(session, 0.0)

    bye = trunk.wants(Reach)
    assert [ack.local, bye.local] == [US_TOO, US_TOO]


def test_the_requests_of_a_call_leave_from_where_its_invite_came():
    us = Agent("us", Network())
    flow = Flow("UDP", US_TOO, ONE)
    rows = {
        "Via": f"SIP/2.0/UDP {ONE.host};branch=z9hG4bK1",
        "From": "<sip:anna@anna.example>;tag=a",
        "To": "<sip:us@us.example>",
        "Call-ID": "c1",
        "CSeq": "1 INVITE",
        "Contact": f"<sip:anna@{ONE.host}>",
        "Content-Type": "application/sdp",
    }
    us.agent.receive(Request("INVITE", us.address.uri, HeaderMap(rows.items()), b"offer"), flow, 0.0)
    (called,) = us.agent.events()
    assert isinstance(called, Called)
    session = us.agent.take(called, us.endpoint, 0.0)
    assert session is not None
    session.accept(b"answer", 0.0)
    us.agent.touch(session, 0.0)
    rows |= {"Via": rows["Via"] + "2", "CSeq": "1 ACK", "To": f"{rows['To']};tag={session.tag}"}
    us.agent.receive(Request("ACK", us.address.uri, HeaderMap(rows.items())), flow, 0.0)
    us.agent.outgoing()

    session.hang_up(0.0)
    us.agent.touch(session, 0.0)

    (bye,) = us.agent.outgoing()
    assert isinstance(bye, Reach)
    assert (bye.target.address, bye.local) == (ONE, US_TOO)


def test_what_is_asked_outside_of_calls_leaves_from_where_there_is_a_way():
    trunk = Trunk()
    trunk.agent.ask(options_request(TRUNK, trunk.us.address, Random(1)), 0.0)

    trunk.finds(ONE)

    assert trunk.wants(Reach).local is None


# -- answers that come to nothing


@pytest.mark.parametrize("what", ["found", "reached"])
def test_what_nobody_waits_for_any_more_is_harmless(what: str):
    trunk = Trunk()

    if what == "found":
        trunk.agent.found(7, (), 0.0)
    else:
        trunk.agent.reached(7, None, 0.0)

    assert trunk.wants_nothing
    assert trunk.agent.events() == []

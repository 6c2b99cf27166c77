"""Who is unknown hears one challenge at most, and what goes on already goes on."""

from random import Random
from typing import Any

import pytest

from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.outside import Standing
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Send, UserAgent

FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("192.0.2.9", 5060))
CHALLENGE: Rows = (("WWW-Authenticate", 'Digest realm="gateway", nonce="1"'),)


class Known:
    """`rows`: what `challenge` says."""

    def __init__(self, standing: Standing) -> None:
        self.is_now = standing
        self.rows: Rows | None = CHALLENGE
        self.challenged: list[str] = []

    def standing(self, _host: str, _now: float) -> Standing:
        return self.is_now

    def challenge(self, request: Request, _host: str, _now: float) -> Rows | None:
        self.challenged.append(request.method)
        return self.rows


class Door:
    """A user agent and what came of each message."""

    def __init__(self, standing: Standing) -> None:
        self.known = Known(standing)
        self.rng = Random(1)
        self.agent = UserAgent(Addresses({"UDP": 5060}), Strangers({}), self.rng, gate=self.known)
        self.called: list[Called] = []

    def gets(self, message: Request | SipSyntaxError, now: float = 0.0) -> list[int] | None:
        """The statuses that it says to a message; None: it was a stranger's."""
        heard = self.agent.receive(message, FLOW, now)
        self.called += [each for each in self.agent.events() if isinstance(each, Called)]
        statuses = self.says()
        assert heard or not statuses
        return statuses if heard else None

    def says(self) -> list[int]:
        messages = [parse_datagram(each.data) for each in self.agent.outgoing() if isinstance(each, Send)]
        return [each.status for each in messages if isinstance(each, Response)]


def request(method: str, *, number: int = 1, to_tag: str = "", **rows: str) -> Request:
    headers: dict[str, Any] = {
        "Via": f"SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{number}",
        "From": "<sip:them@192.0.2.9>;tag=a",
        "To": f"<sip:us@192.0.2.1>{to_tag and ';tag='}{to_tag}",
        "Call-ID": "c1",
        "CSeq": f"{number} {method}",
        "Contact": "<sip:them@192.0.2.9>",
        **({"Content-Type": "application/sdp"} if method == "INVITE" else {}),
        **rows,
    }
    body = b"offer" if method == "INVITE" else b""
    return Request(method, SipUri(host="192.0.2.1"), HeaderMap(headers.items()), body)


def malformed() -> SipSyntaxError:
    return SipSyntaxError("Malformed", headers=request("INVITE").headers)


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "MESSAGE", "NONSENSE", "SUBSCRIBE"])
def test_who_is_unknown_is_challenged_whatever_he_asks(method: str):
    door = Door("unknown")

    assert door.gets(request(method)) == [401]
    assert door.agent.is_idle


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER"])
def test_what_is_not_worth_a_challenge_is_a_strangers(method: str):
    door = Door("unknown")
    door.known.rows = None

    assert door.gets(request(method)) is None


def test_what_proves_who_sent_it_is_answered():
    door = Door("unknown")
    door.known.rows = ()

    assert door.gets(request("OPTIONS")) == [200]


def test_the_same_again_is_challenged_again_only_as_far_as_challenges_go():
    door = Door("unknown")
    door.gets(request("OPTIONS"))
    door.known.rows = None

    assert door.gets(request("OPTIONS"), 0.5) is None


@pytest.mark.parametrize(
    ("method", "to_tag"), [("BYE", ""), ("BYE", "gone"), ("CANCEL", ""), ("INVITE", "gone")]
)
def test_what_would_be_of_a_call_that_there_is_not_is_a_strangers_and_not_challenged(
    method: str, to_tag: str
):
    door = Door("unknown")

    assert door.gets(request(method, to_tag=to_tag)) is None
    assert door.known.challenged == []


def test_an_ack_is_nothing_to_anybody():
    assert Door("unknown").gets(request("ACK", to_tag="gone")) == []


def test_what_is_malformed_is_a_strangers():
    assert Door("unknown").gets(malformed()) is None


@pytest.mark.parametrize("rows", [{}, {"Require": "nonsense"}, {"Accept": "text/plain"}])
def test_a_call_of_who_is_unknown_is_somebody_elses_to_decide_before_it_is_looked_at(rows: dict[str, Any]):
    door = Door("unknown")
    door.agent.draining_s = 30

    said = door.gets(request("INVITE", **rows))

    assert said == []
    assert len(door.called) == 1
    assert door.known.challenged == []


def test_a_call_that_is_asked_who_it_is_is_forgotten():
    door = Door("unknown")
    door.gets(request("INVITE"))

    door.agent.refuse(door.called[0], 401, 0.0, CHALLENGE)

    assert door.says() == [401]
    assert door.agent.is_idle
    assert door.gets(request("ACK", to_tag="any")) == []


def test_within_a_call_everything_goes_on():
    door = Door("unknown")
    door.gets(request("INVITE"))
    endpoint = Endpoint(contact=NameAddr(SipUri(host="192.0.2.1")), rng=door.rng)
    session = door.agent.take(door.called[0], endpoint, 0.0)
    assert session is not None
    session.accept(b"answer", 0.0)
    door.agent.touch(session, 0.0)
    door.says()

    assert door.gets(request("INVITE"), 0.1) == []  # again: it is accepted
    assert door.gets(request("ACK", to_tag=session.tag), 0.2) == []
    assert door.gets(request("OPTIONS", number=2, to_tag=session.tag), 0.3) == [200]
    assert door.gets(request("BYE", number=3, to_tag=session.tag), 0.4) == [200]


def test_a_call_that_nobody_has_decided_about_can_be_cancelled():
    door = Door("unknown")
    door.gets(request("INVITE"))

    assert door.gets(request("CANCEL"), 0.1) == [200, 487]


@pytest.mark.parametrize("standing", ["met", "trusted"])
def test_who_is_known_is_answered_as_ever(standing: Standing):
    door = Door(standing)

    assert door.gets(request("OPTIONS")) == [200]
    assert door.gets(request("REGISTER", number=2)) == [405]
    assert door.gets(request("BYE", number=3, to_tag="gone")) == [481]
    assert door.gets(malformed()) == [400]
    assert door.known.challenged == []


@pytest.mark.parametrize(("standing", "at_once", "a_second"), [("met", 5, 1), ("trusted", 50, 20)])
def test_what_is_malformed_is_answered_more_often_where_we_trust(
    standing: Standing, at_once: int, a_second: int
):
    door = Door(standing)

    first = sum(len(door.gets(malformed()) or []) for _ in range(100))
    then = sum(len(door.gets(malformed(), 1.0) or []) for _ in range(100))

    assert (first, then) == (at_once, a_second)

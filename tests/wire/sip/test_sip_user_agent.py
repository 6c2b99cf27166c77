"""Two user agents call each other: what each sends, what its driver hears, and that nothing stays behind."""

from random import Random
from typing import Any

import msgspec

from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.options import options_request
from gateway.wire.sip.session_words import AnswerCame, Confirmed, Ended, Offered, Progressed
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Passed, Refused, Send, SessionSaid
from tests.wire.sip.sip_agents import Agent, Network
from tests.wire.sip.sip_peer import Line

CHALLENGE = 'Digest realm="bob.example", nonce="n1", algorithm=MD5, qop="auth"'


class Two:
    """anna and bob. bob decides by what a test gives him."""

    def __init__(self, *, seed: int = 0, **anna: Any) -> None:
        self.network = Network(seed)
        self.anna = Agent("anna", self.network, 1, **anna)
        self.bob = Agent("bob", self.network, 2)
        self.called: list[Called] = []
        self._read = 0

    def holds(self) -> None:
        """bob decides later."""
        self.bob.decides = self.called.append

    def run(self, seconds: float = 0.1) -> list[str]:
        """Who sent what since it was last asked."""
        self.network.run(self.network.now + seconds)
        start, self._read = self._read, len(self.network.passed)
        return self.network.ladder(start)

    def talk(self) -> None:
        self.anna.call(self.bob.address.uri)
        self.run()
        self.bob.does(self.bob.calls[0], self.bob.calls[0].accept, b"answer", self.network.now)
        self.run()

    @property
    def is_idle(self) -> bool:
        """In the end."""
        self.network.settle()
        return self.anna.agent.is_idle and self.bob.agent.is_idle


def kinds(agent: Agent) -> list[type]:
    """What its sessions said."""
    return [type(each.word) for each in agent.events if isinstance(each, SessionSaid)]


def ladder(agent: Agent) -> list[str]:
    """Its messages as its sessions know them."""
    return [f"{'>' if each.sent else '<'} {what(each)}" for each in agent.passed]


def what(passed: Passed) -> str:
    message = passed.message
    return (
        message.method
        if isinstance(message, Request)
        else f"{message.status} {message.headers['CSeq'].split()[1]}"
    )


# -- calls


def test_a_call_is_made_taken_and_ended():
    two = Two()
    two.talk()

    two.anna.does(two.anna.calls[0], two.anna.calls[0].hang_up, two.network.now)
    two.run()

    assert two.network.ladder() == [
        "anna: INVITE",
        "bob: 200 INVITE",
        "anna: ACK",
        "anna: BYE",
        "bob: 200 BYE",
    ]
    assert kinds(two.anna) == [AnswerCame, Confirmed, Ended]
    assert kinds(two.bob) == [Offered, Confirmed, Ended]
    assert two.is_idle


def test_a_call_that_is_refused_without_asking_anybody_is_told_once_whatever_comes_again():
    two = Two()
    two.network.loses = lambda sent: sent.what == "ACK"

    two.anna.call(two.bob.address.uri, rows=(("Require", "100rel"),))
    two.run(3.0)

    (refused,) = [each for each in two.bob.events if isinstance(each, Refused)]
    assert refused.response.status == 420
    assert len([each for each in two.network.passed if each.what == "420 INVITE"]) > 1
    assert Called not in [type(each) for each in two.bob.events]
    assert two.is_idle


def test_a_call_that_no_session_can_take_is_told_behind_its_call():
    two = Two()
    two.anna.endpoint = msgspec.structs.replace(two.anna.endpoint, expires_s=None)

    two.anna.call(two.bob.address.uri, rows=(("Session-Expires", "5"),))
    two.run()

    refused = [each.response.status for each in two.bob.events if isinstance(each, Refused)]
    assert [type(each) for each in two.bob.events] == [Called, Refused]
    assert refused == [422]
    assert two.is_idle


def test_every_message_of_a_call_is_passed_on_both_sides_with_what_it_means_behind_it():
    two = Two()
    two.talk()

    two.bob.does(two.bob.calls[0], two.bob.calls[0].hang_up, two.network.now)
    two.run()

    assert ladder(two.anna) == ["> INVITE", "< 200 INVITE", "> ACK", "< BYE", "> 200 BYE"]
    assert ladder(two.bob) == ["< INVITE", "> 200 INVITE", "< ACK", "> BYE", "< 200 BYE"]
    assert [type(each) for each in two.bob.events] == [
        *(Called, Passed, SessionSaid),  # the INVITE, and its offer
        Passed,
        *(Passed, SessionSaid),  # the ACK: confirmed
        *(SessionSaid, Passed, Passed),  # ended, as it goes
    ]


def test_a_call_that_nobody_takes_yet_gets_a_100_after_200_ms_and_rings_when_told():
    two = Two()
    two.anna.call(two.bob.address.uri)
    two.run(0.5)

    two.bob.does(two.bob.calls[0], two.bob.calls[0].ring, two.network.now)
    two.run()

    assert two.network.ladder() == ["anna: INVITE", "bob: 100 INVITE", "bob: 180 INVITE"]
    assert kinds(two.anna) == [Progressed]


def test_a_call_that_is_refused_at_the_door_is_acknowledged_and_forgotten():
    two = Two()
    two.holds()
    two.anna.call(two.bob.address.uri)
    two.run()

    two.bob.agent.refuse(two.called[0], 403, two.network.now, (("X-Why", "none"),), "No such trunk")
    two.bob.carry()
    two.run()

    assert two.network.ladder() == ["anna: INVITE", "bob: 403 INVITE", "anna: ACK"]
    (ended,) = two.anna.ended
    assert isinstance(ended.message, Response)
    assert (ended.message.reason, ended.message.headers["X-Why"]) == ("No such trunk", "none")
    assert two.bob.passed == []
    assert two.is_idle


def test_a_call_that_is_dropped_gets_no_word_and_comes_again():
    two = Two()
    two.holds()
    two.anna.call(two.bob.address.uri)
    two.run()

    two.bob.agent.drop(two.called[0])
    said = two.run(0.6)

    assert said == ["anna: INVITE"]
    assert len(two.called) == 2


def test_a_call_that_is_cancelled_before_anybody_decided_cannot_be_taken_any_more():
    line = Line()
    called: list[Called] = []
    line.us.decides = called.append
    invite = line.asks("INVITE", body=b"offer", to_tag=None)
    branch = invite.headers["Via"].partition("branch=")[2]

    line.asks("CANCEL", number=101, branch=branch, to_tag=None)

    assert line.said == ["200 CANCEL", "487 INVITE"]
    tags = {each.headers["To"] for each in line.peer.responses(200) + line.peer.responses(487)}
    assert len(tags) == 1
    assert line.us.agent.take(called[0], line.us.endpoint, 0.0) is None
    line.us.agent.refuse(called[0], 486, 0.0)
    line.us.agent.drop(called[0])
    assert line.said == []


def test_a_call_that_is_cancelled_while_it_rings_ends():
    two = Two()
    two.anna.call(two.bob.address.uri)
    two.run()
    two.bob.does(two.bob.calls[0], two.bob.calls[0].ring, two.network.now)
    two.run()

    two.anna.does(two.anna.calls[0], two.anna.calls[0].hang_up, two.network.now)
    said = two.run()

    assert said == ["anna: CANCEL", "bob: 200 CANCEL", "bob: 487 INVITE", "anna: ACK"]
    assert ladder(two.anna)[-4:] == ["> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"]
    assert ladder(two.bob)[-4:] == ["< CANCEL", "> 200 CANCEL", "> 487 INVITE", "< ACK"]
    assert [(each.why, each.by_us) for each in two.bob.ended] == [("cancelled", False)]
    assert two.is_idle


def test_an_invite_that_the_rules_refuse_makes_no_session():
    line = Line()

    line.asks("INVITE", to_tag=None, Session_Expires="30", Supported="timer")

    assert line.said == ["422 INVITE"]
    assert line.us.calls == []


def test_a_call_that_needs_what_we_lack_is_refused_unseen():
    line = Line()
    called: list[Called] = []
    line.us.decides = called.append

    line.asks("INVITE", to_tag=None, Require="100rel")

    assert line.said == ["420 INVITE"]
    assert called == []


# -- what is lost


def test_the_ack_of_a_200_that_comes_again_goes_as_it_was_sent_by_the_same_flow():
    two = Two()
    two.network.loses = lambda sent: sent.what == "ACK" and sent.at < 1.0

    two.talk()
    two.run(3.0)

    acks = [each for each in two.anna.passed if what(each) == "ACK"]
    assert len(acks) == 3
    assert len({(each.message.encode(), each.flow) for each in acks}) == 1
    assert isinstance(two.bob.told[two.bob.calls[0]][-1], Confirmed)


def test_messages_that_are_sent_again_pass_again():
    two = Two()
    two.network.loses = lambda sent: sent.what == "200 INVITE" and sent.at < 0.2

    two.talk()
    two.run(1.0)

    assert ladder(two.bob) == ["< INVITE", "> 200 INVITE", "< INVITE", "> 200 INVITE", "< ACK"]


def test_a_200_that_comes_after_everybody_has_given_up_is_not_ours():
    two = Two()
    two.network.loses = lambda sent: sent.sender == "bob" and sent.at < 33.0

    two.anna.call(two.bob.address.uri)
    two.run(32.5)
    two.bob.does(two.bob.calls[0], two.bob.calls[0].accept, b"answer", two.network.now)
    said = two.run(3.0)

    assert "bob: 200 INVITE" in said
    assert not any(each.startswith("anna") for each in said)
    assert two.anna.ended[0].message is not None


# -- who challenges


def test_a_call_that_is_challenged_comes_again_and_is_taken():
    digest = DigestClient("anna", "secret", Random(3))
    two = Two(credentials=digest)
    two.holds()
    two.anna.call(two.bob.address.uri)
    two.run()

    two.bob.agent.refuse(two.called[0], 401, two.network.now, (("WWW-Authenticate", CHALLENGE),))
    two.bob.carry()
    two.run()
    two.bob.take(two.called[1])
    two.bob.carry()
    two.bob.does(two.bob.calls[0], two.bob.calls[0].accept, b"answer", two.network.now)
    two.run()

    assert "Authorization" in two.called[1].asked.request.headers
    assert ladder(two.anna) == [
        *("> INVITE", "< 401 INVITE", "> ACK"),
        *("> INVITE", "< 200 INVITE", "> ACK"),
    ]
    assert kinds(two.anna) == [AnswerCame, Confirmed]


# -- what is no call


def test_options_are_answered_with_what_we_can():
    two = Two()
    request = options_request(SipUri(host="bob.example"), two.anna.address, Random(1))

    two.anna.agent.ask(request, 0.0)
    two.anna.carry()
    two.run()

    (replied,) = two.anna.replied
    assert replied.request is request
    assert replied.response.status == 200
    assert "INVITE" in replied.response.headers["Allow"]
    assert two.is_idle


def test_who_is_draining_says_503_to_options_and_calls_but_goes_on_with_what_there_is():
    two = Two()
    two.talk()
    two.bob.agent.draining_s = 30

    two.anna.agent.ask(options_request(SipUri(host="bob.example"), two.anna.address, Random(1)), 0.0)
    two.anna.call(two.bob.address.uri)
    two.run(6.0)
    two.anna.does(two.anna.calls[0], two.anna.calls[0].inform, b"Signal=1", "application/dtmf-relay")
    said = two.run()

    (replied,) = two.anna.replied
    assert (replied.response.status, replied.response.headers["Retry-After"]) == (503, "30")
    assert two.anna.ended[0].message is not None
    assert two.anna.ended[0].message.headers["Retry-After"] == "30"
    assert said == ["anna: INFO", "bob: 200 INFO"]


def test_what_we_do_not_do_is_said_with_what_we_do():
    line = Line()

    line.asks("REGISTER", to_tag=None)
    line.asks("NONSENSE", to_tag=None)

    assert line.said == ["405 REGISTER", "501 NONSENSE"]
    assert "INVITE" in line.peer.responses(405)[0].headers["Allow"]


def test_what_needs_a_call_that_is_not_there_gets_a_481_and_an_ack_of_it_nothing():
    line = Line()

    line.asks("BYE", to_tag="gone")
    line.asks("CANCEL", to_tag=None)
    line.asks("OPTIONS", to_tag="gone")
    line.asks("ACK", to_tag="gone")

    assert line.said == ["481 BYE", "481 CANCEL", "481 OPTIONS"]


def test_a_ping_that_nobody_answers_is_replied_to_with_a_408_of_ours():
    two = Two()
    two.network.loses = lambda sent: sent.sender == "bob"

    two.anna.agent.ask(options_request(SipUri(host="bob.example"), two.anna.address, Random(1)), 0.0)
    two.anna.carry()
    two.run(33.0)

    assert [each.response.status for each in two.anna.replied] == [408]


# -- where things come from and go


def test_answers_go_through_a_nat_to_where_the_request_came_from():
    network = Network()
    us = Agent("us", network)
    nat = Address(network.host_of("nat"), 61_000)
    request = options_request(SipUri(host="us.example"), us.address, Random(1))
    request.headers["Via"] = "SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1;rport"

    us.agent.receive(request, us.flow_to(*nat), 0.0)

    (send,) = us.agent.outgoing()
    assert isinstance(send, Send)
    assert send.flow.remote == nat
    assert b"received=192.0.2.2" in send.data
    assert b"rport=61000" in send.data


def test_a_response_with_the_via_of_somebody_else_is_dropped():
    line = Line()
    line.us.call(SipUri(user="peer", host="peer.example"))
    line.at(0.0)
    (invite,) = line.peer.requests("INVITE")
    ours = invite.headers["Via"]

    invite.headers["Via"] = ours.replace(line.us.host, "198.51.100.1")
    line.answers(invite, 486)
    invite.headers["Via"] = ours
    invite.headers.add("Via", "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK2")
    line.answers(invite, 486)

    assert line.said == ["INVITE"]
    assert line.told == []
    assert [each.sent for each in line.us.passed] == [True]


def test_who_is_sent_a_request_may_answer_from_there():
    two = Two()

    two.anna.call(two.bob.address.uri)

    assert two.anna.strangers.admits(two.bob.host, 0.0)
    assert not two.bob.strangers.admits(two.anna.host, 0.0)


def test_a_contact_over_tcp_is_called_back_by_tcp():
    two = Two()
    flow = Flow("TCP", Address(two.bob.host, 5060), Address(two.anna.host, 50_000), 7)
    endpoint = Endpoint(contact=two.bob.address, rng=Random(1))
    two.holds()
    request = Line().asks("INVITE", to_tag=None, body=b"offer", Contact="<sip:anna@192.0.2.1;transport=tcp>")
    request.headers["Via"] = "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1"

    two.bob.agent.receive(request, flow, 0.0)
    two.bob.carry()
    session = two.bob.agent.take(two.called[0], endpoint, 0.0)
    assert session is not None
    session.accept(b"answer", 0.0)
    two.bob.agent.touch(session, 0.0)
    (answer,) = two.bob.agent.outgoing()

    assert isinstance(answer, Send)
    assert answer.flow == flow

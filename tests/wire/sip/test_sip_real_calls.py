"""Calls as PJSIP, Asterisk, baresip and sipp make them, from what they sent; see data/README.md."""

import re

import pytest

from gateway.wire.sip.message import Request
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.session_words import Confirmed, Ended, Offered, TransferAsked
from gateway.wire.sip.uri import SipUri
from tests.wire.sip.corpus import CAPTURED
from tests.wire.sip.sip_agents import Agent, Network
from tests.wire.sip.sip_peer import Peer

TO_TAG = re.compile(rb"(?m)^(To:[^\r]*;tag=)[^\r;]+")


class Stack:
    """Says what a real stack said, to us. Only the tag that we gave it is put in, where it had another's."""

    def __init__(self) -> None:
        self.network = Network(delay_s=(0.0, 0.0))
        self.us = Agent("us", self.network)
        self.peer = Peer(self.network)

    def says(self, name: str) -> Request:
        data = CAPTURED[name]
        if self.us.calls:
            data = TO_TAG.sub(rb"\g<1>" + self.us.calls[0].tag.encode(), data)
        request = parse_datagram(data)
        assert isinstance(request, Request)
        self.network.send("peer", "us", request)
        self.network.run(self.network.now)
        return request

    def does(self, verb: str, *args: object) -> None:
        self.us.does(self.us.calls[0], getattr(self.us.calls[0], verb), *args)
        self.network.run(self.network.now)

    @property
    def said(self) -> list[str]:
        return [each.what for each in self.network.passed if each.sender == "us"]


@pytest.mark.parametrize(
    ("invite", "ack", "bye"),
    [
        ("asterisk1628-00-INVITE", "asterisk1628-01-ACK", "asterisk1628-02-BYE"),
        ("baresip100-00-15160-INVITE", "baresip100-03-15160-ACK", "baresip100-04-15160-BYE"),
        ("sipp361-00-15061-INVITE", "sipp361-03-15061-ACK", "sipp361-08-15061-BYE"),
        ("pjsip2151-00-15652-INVITE", "pjsip2151-06-15652-ACK", "pjsip2151-30-15652-BYE"),
    ],
)
def test_their_call_is_taken_acknowledged_and_ended(invite: str, ack: str, bye: str):
    stack = Stack()

    request = stack.says(invite)
    stack.does("accept", b"answer", 0.0)
    stack.says(ack)
    end = stack.says(bye)

    assert stack.said == ["200 INVITE", "200 BYE"]
    offered, confirmed, ended = stack.us.told[stack.us.calls[0]]
    assert isinstance(offered, Offered)
    assert offered.description == request.body
    assert confirmed == Confirmed()
    assert isinstance(ended, Ended)
    assert ended.message is not None
    assert ended.message.headers["CSeq"] == end.headers["CSeq"]


def test_pjsip_holds_resumes_updates_and_transfers():
    stack = Stack()
    stack.says("pjsip2151-00-15652-INVITE")
    stack.does("accept", b"answer", 0.0)
    stack.says("pjsip2151-06-15652-ACK")

    stack.says("pjsip2151-07-15652-INVITE")
    stack.does("accept", b"held", 0.0)
    stack.says("pjsip2151-09-15652-ACK")
    stack.says("pjsip2151-10-15652-INVITE")
    stack.does("accept", b"resumed", 0.0)
    stack.says("pjsip2151-12-15652-ACK")
    stack.says("pjsip2151-13-15652-UPDATE")
    stack.does("accept", b"updated", 0.0)
    stack.says("pjsip2151-15-15652-REFER")
    stack.us.does(stack.us.calls[0], stack.us.calls[0].referral.accept, 0.0)

    assert stack.said == [*["200 INVITE"] * 3, "200 UPDATE", "202 REFER", "NOTIFY"]
    last = stack.us.told[stack.us.calls[0]][-1]
    assert isinstance(last, TransferAsked)
    assert last.target == SipUri(user="y", host="127.0.0.1", port=15651)


def test_pjsip_is_asked_to_refresh_as_often_as_it_wanted():
    stack = Stack()
    stack.says("pjsip2151-00-15652-INVITE")

    stack.does("accept", b"answer", 0.0)

    (taken,) = [each.message for each in stack.network.passed if each.what == "200 INVITE"]
    assert taken.headers["Session-Expires"] == "90;refresher=uac"
    assert taken.headers["Require"] == "timer"


def test_our_requests_go_to_the_contact_that_pjsip_gave_with_its_parameters():
    stack = Stack()
    stack.says("pjsip2151-00-15652-INVITE")
    stack.does("accept", b"answer", 0.0)
    stack.says("pjsip2151-06-15652-ACK")
    stack.network.agents["127"] = stack.peer  # its Contact is an address

    stack.does("hang_up", 0.0)

    assert str(stack.peer.requests("BYE")[0].uri) == "sip:pj@127.0.0.1:15652;ob"

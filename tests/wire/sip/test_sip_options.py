"""OPTIONS, asked and answered, on an explicit clock. RFC 3261 §11."""

from random import Random

import pytest

from gateway.wire.sip.acceptance import Abilities
from gateway.wire.sip.fields import ALLOW, FROM, RETRY_AFTER, SUPPORTED
from gateway.wire.sip.message import Request, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.options import OptionsPing, PeerDown, PeerUp, PingSettings, answer_options
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import SipUri

PEER = SipUri.parse("sip:trunk.example")
OURS = NameAddr.parse("<sip:gateway@192.0.2.1>")
ABILITIES = Abilities(methods=("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"), extensions=("timer", "replaces"))


class Peer:
    """A ping, and what its peer says to it."""

    def __init__(self, settings: PingSettings | None = None) -> None:
        self.ping = OptionsPing(PEER, OURS, Random(1), 0.0, settings)

    def is_asked(self, now: float) -> Request:
        self.ping.advance(now)
        (asked,) = self.ping.outgoing()
        return asked

    def says(
        self, status: int, *, after_s: float = 0.1, rows: tuple[tuple[str, str], ...] = ()
    ) -> list[object]:
        """To the next ping, when it is due."""
        now = self.ping.deadline
        asked = self.is_asked(now)
        response = response_to(asked, status, to_tag="p")
        for name, text in rows:
            response.headers.add(name, text)
        self.ping.answered(asked, response, now + after_s)
        return list(self.ping.events())

    def is_silent(self) -> list[object]:
        self.is_asked(self.ping.deadline)
        self.ping.advance(self.ping.deadline)
        return list(self.ping.events())


# -- asked


def test_a_ping_is_an_options_request_outside_of_any_dialog():
    asked = Peer().is_asked(0.0)

    assert (asked.method, str(asked.uri)) == ("OPTIONS", "sip:trunk.example")
    assert asked.headers[FROM].uri == OURS.uri
    assert asked.headers[FROM].tag
    assert asked.headers["To"] == "<sip:trunk.example>"
    assert asked.headers["Accept"] == "application/sdp"


def test_each_ping_is_a_request_of_its_own():
    peer = Peer()
    first = peer.is_asked(0.0)
    peer.ping.answered(first, response_to(first, 200, to_tag="p"), 0.1)

    second = peer.is_asked(peer.ping.deadline)

    assert first.headers["Call-ID"] != second.headers["Call-ID"]


def test_pings_are_close_enough_to_keep_a_nat_open_and_not_all_at_once():
    peer = Peer()
    peer.says(200)

    assert 22.5 <= peer.ping.deadline <= 25.1


def test_no_ping_is_sent_while_one_is_waited_for():
    peer = Peer()
    peer.is_asked(0.0)

    peer.ping.advance(3.9)

    assert peer.ping.outgoing() == []


def test_two_pings_without_an_answer_and_the_peer_is_down():
    peer = Peer()

    assert peer.is_silent() == []
    assert peer.is_silent() == [PeerDown("unanswered")]
    assert not peer.ping.is_up


def test_after_one_ping_without_an_answer_the_next_comes_soon():
    peer = Peer()
    peer.is_silent()

    assert peer.ping.deadline == 4.0 + 5.0


def test_one_answer_between_two_lost_pings_keeps_the_peer_up():
    peer = Peer()

    assert [*peer.is_silent(), *peer.says(200), *peer.is_silent()] == []
    assert peer.ping.is_up


def test_two_answers_and_the_peer_is_up_again():
    peer = Peer()
    peer.is_silent()
    peer.is_silent()

    assert peer.says(200) == []
    assert peer.says(200) == [PeerUp()]
    assert peer.ping.is_up


@pytest.mark.parametrize("status", [200, 401, 404, 405, 481, 486, 500, 501])
def test_whatever_shows_that_somebody_is_there_counts_as_an_answer(status):
    peer = Peer(PingSettings(down_after=1))

    assert peer.says(status) == []
    assert peer.ping.is_up


@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_what_a_proxy_says_of_a_server_that_is_gone_does_not(status):
    peer = Peer(PingSettings(down_after=1))

    assert peer.says(status) == [PeerDown(str(status))]


def test_a_peer_that_says_it_is_draining_is_down_at_once():
    assert Peer(PingSettings(down_after=5)).says(503) == [PeerDown("503")]


def test_a_peer_that_says_when_to_come_back_is_left_alone_until_then():
    peer = Peer()

    peer.says(503, rows=(("Retry-After", "60"),))

    assert peer.ping.deadline == 60.1


def test_a_ping_that_could_not_be_sent_is_one_without_an_answer():
    peer = Peer(PingSettings(down_after=1))
    asked = peer.is_asked(0.0)

    peer.ping.unanswered(asked, 0.1)

    assert peer.ping.events() == [PeerDown("unanswered")]


def test_an_answer_that_comes_too_late_counts_for_nothing():
    peer = Peer(PingSettings(down_after=1))
    asked = peer.is_asked(0.0)
    peer.ping.advance(4.0)

    peer.ping.answered(asked, response_to(asked, 200, to_tag="p"), 4.1)
    peer.ping.unanswered(asked, 32.0)

    assert peer.ping.events() == [PeerDown("unanswered")]
    assert not peer.ping.is_up


def test_a_provisional_response_is_no_answer():
    peer = Peer(PingSettings(down_after=1))
    asked = peer.is_asked(0.0)

    peer.ping.answered(asked, response_to(asked, 100), 0.1)
    peer.ping.advance(4.0)

    assert peer.ping.events() == [PeerDown("unanswered")]


# -- answered


def asking() -> Request:
    text = (
        "OPTIONS sip:gateway@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "From: <sip:trunk.example>;tag=a\r\nTo: <sip:gateway@192.0.2.1>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    parsed = parse_datagram(text.encode())
    assert isinstance(parsed, Request)
    return parsed


def test_who_asks_is_told_what_we_can_do():
    answer = answer_options(asking(), ABILITIES, to_tag="b")

    assert answer.status == 200
    assert answer.headers[ALLOW] == ABILITIES.methods
    assert answer.headers[SUPPORTED] == ABILITIES.extensions
    assert answer.headers["Accept"] == "application/sdp"
    assert answer.headers["Accept-Encoding"] == "identity"
    assert answer.headers["Accept-Language"] == "en"


def test_who_asks_while_we_drain_is_sent_elsewhere():
    answer = answer_options(asking(), ABILITIES, to_tag="b", draining_s=30)

    assert answer.status == 503
    retry_after = answer.headers[RETRY_AFTER]
    assert retry_after is not None
    assert retry_after.seconds == 30
    assert "Allow" not in answer.headers


def test_what_we_answer_can_be_read():
    answer = answer_options(asking(), Abilities(methods=("OPTIONS",)), to_tag="b")

    assert parse_datagram(answer.encode()).encode() == answer.encode()

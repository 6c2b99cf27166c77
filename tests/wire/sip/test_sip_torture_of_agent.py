"""Every message of RFC 4475 as a user agent meets it that has sessions: what it says to each, or that a call begins."""

from random import Random

import pytest

from gateway.wire.sip.endpoint import SESSION_ABILITIES, Endpoint
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Send, UserAgent
from tests.wire.sip.corpus import TORTURE

FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("192.0.2.9", 5060))
CALL, NOTHING = "call", None

# 405: of a registrar's and of MESSAGE. 481: within a dialog that there is not. §3.4.1: inv2543 is a call.
SAID = {
    **dict.fromkeys(
        ("badaspec", "baddate", "badinv01", "clerr", "escruri", "insuf", "ltgtruri", "lwsruri"), 400
    ),
    **dict.fromkeys(("lwsstart", "mcl01", "mismatch01", "multi01", "ncl", "quotbal", "regbadct"), 400),
    **dict.fromkeys(("scalar02", "trws", "baddn"), 400),
    **dict.fromkeys(("cparam01", "cparam02", "dblreq", "escnull", "mpart01", "regaut01", "regescrt"), 405),
    **dict.fromkeys(("novelsc", "unkscm"), 416),
    **dict.fromkeys(("esc02", "intmeth", "mismatch02"), 501),
    **dict.fromkeys(("badbranch", "lwsdisp", "semiuri", "transports", "zeromf"), 200),
    **dict.fromkeys(("bcast", "bigcode", "noreason", "scalarlg", "unreason", "test"), NOTHING),
    **dict.fromkeys(("esc01", "longreq", "inv2543"), CALL),
    "unksm2": 405,
    "wsinv": 481,
    "badvers": 505,
    "bext01": 420,
    "invut": 415,
    "sdp01": 406,
}


def said_to(data: bytes) -> int | str | None:
    """The first status that a message gets; or that it is a call, which we take."""
    rng = Random(1)
    agent = UserAgent(Addresses({"UDP": 5060}), Strangers({}), rng, abilities=SESSION_ABILITIES)
    endpoint = Endpoint(contact=NameAddr(SipUri(host="192.0.2.1")), rng=rng)
    try:
        agent.receive(parse_datagram(data), FLOW, 0.0)
    except SipSyntaxError as error:
        agent.receive(error, FLOW, 0.0)
    for event in agent.events():
        if isinstance(event, Called) and agent.take(event, endpoint, 0.0) is not None:
            return CALL
    answers = [each.data for each in agent.outgoing() if isinstance(each, Send)]
    return int(answers[0].split()[1]) if answers else NOTHING


@pytest.mark.parametrize("name", TORTURE)
def test_a_user_agent_that_has_sessions_says_to_a_torture_message_what_the_rfc_says(name: str):
    assert said_to(TORTURE[name]) == SAID[name]

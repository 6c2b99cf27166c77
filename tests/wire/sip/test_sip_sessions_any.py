"""Whatever a peer says within a call, and in whatever order, it gets answers, and nothing is raised."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.sip.message import Request
from gateway.wire.sip.session_words import Ended
from gateway.wire.sip.uri import SipUri
from tests.wire.sip.sip_peer import Called, Calling, Line

METHODS = (
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "UPDATE",
    "REFER",
    "NOTIFY",
    "PRACK",
    "MESSAGE",
    "X",
)
STATUSES = (100, 180, 183, 200, 202, 302, 401, 407, 408, 422, 481, 486, 487, 488, 491, 500, 503, 603)
BODY_TYPES = ("application/sdp", "message/sipfrag", "application/dtmf-relay", "text/plain", "/")
# What each of these headers may mean, and what it may not.
HEADERS = {
    "Session_Expires": ("90", "1;refresher=uac", "90;refresher=uas", "soon", ";", "99999999999999"),
    "Min_SE": ("90", "0", "x"),
    "Supported": ("timer", "", "timer, , 100rel", "<"),
    "Require": ("timer", "100rel", "<"),
    "Allow": ("INVITE, UPDATE", "<"),
    "Expires": ("0", "1", "x"),
    "Reason": ("Q.850;cause=16", "Q.850;cause=x", '"'),
    "Refer_To": ("<sip:carol@carol.example>", "tel:+15550001", "<>", '"'),
    "Refer_Sub": ("false", "", "x"),
    "Event": ("refer", "presence", ";"),
    "Subscription_State": ("active;expires=5", "active;expires=x", "terminated", ";"),
    "Retry_After": ("1", "0", "x"),
    "Content_Disposition": ("session", ";handling=optional", "x;handling=optional"),
    "Content_Encoding": ("gzip",),
    "Info_Package": ("x",),
    "WWW_Authenticate": ('Digest realm="r", nonce="n"', "Digest", '"'),
    "Contact": ("<sip:moved@peer.example>", "", "<tel:+15550001>", "*"),
    "Record_Route": ("<sip:peer.example;lr>", "<sip:peer.example>", "<tel:+15550001>"),
}
BODIES = (b"", b"description", b"SIP/2.0 100 Trying", b"SIP/2.0 200 OK\r\n\r\n", b"\xff\0")

headers = st.dictionaries(st.sampled_from(sorted(HEADERS)), st.integers(0, 5), max_size=3).map(
    lambda chosen: {name: HEADERS[name][number % len(HEADERS[name])] for name, number in chosen.items()}
)
said = st.fixed_dictionaries({"body": st.sampled_from(BODIES), "headers": headers})
asked = st.tuples(st.sampled_from(METHODS), st.sampled_from(BODY_TYPES), said)
answered = st.tuples(st.sampled_from(STATUSES), st.integers(0, 3), said)
done = st.sampled_from(
    ("ring", "accept", "refuse", "hang_up", "renegotiate", "offer", "refer", "take", "decline", "tell")
)
passed = st.sampled_from((0.1, 1.0, 33.0, 100.0))
steps = st.lists(st.one_of(asked, answered, done, passed), max_size=12)


def take(line: Line, step: Any) -> None:
    """One of: the peer asks, or answers what it was asked last; we do something; time passes."""
    match step:
        case (str(method), body_type, what):
            line.asks(method, body=what["body"], body_type=body_type, **what["headers"])
        case (int(status), back, what):
            requests = [each for each in line.peer.got if isinstance(each, Request) and each.method != "ACK"]
            if requests:
                line.answers(
                    requests[-1 - back % len(requests)], status, body=what["body"], **what["headers"]
                )
        case str():
            do(line, step)
        case float():
            line.at(line.now + step)


def do(line: Line, what: str) -> None:
    us, session, now = line.us, line.session, line.now
    match what:
        case "ring" | "hang_up":
            us.does(session, getattr(session, what), now)
        case "accept" | "offer":
            us.does(session, getattr(session, what), b"ours", now)
        case "refuse":
            us.does(session, session.refuse, 488, now)
        case "renegotiate":
            us.does(session, session.renegotiate)
        case "refer":
            us.does(session, session.refer, SipUri(host="carol.example"), now)
        case "take":
            us.does(session, session.referral.accept, now)
        case "decline":
            us.does(session, session.referral.refuse, now)
        case "tell":
            us.does(session, session.referral.tell, 200, now)
    line.at(now)


@settings(max_examples=150, deadline=None)
@given(ours=st.booleans(), offered=st.booleans(), taken=st.booleans(), steps=steps)
def test_whatever_is_said_in_a_call_it_ends_once_and_leaves_nothing(
    *, ours: bool, offered: bool, taken: bool, steps: list[Any]
):
    line = Calling(b"offer" if offered else None) if ours else Called(b"offer" if offered else b"")
    line.network.agents["carol"] = line.network.agents["moved"] = line.peer
    if taken and isinstance(line, Called):
        line.does("accept", b"answer", 0.0)
        line.acks(body=b"" if offered else b"answer")
    elif taken and isinstance(line, Calling):
        line.answers(line.invite, 200, body=b"answer")
        line.does("accept", b"answer", 0.0)

    for step in steps:
        take(line, step)
    line.does("hang_up", line.now)
    line.at(line.now + 1000.0)

    assert sum(isinstance(word, Ended) for word in line.told) == 1
    assert len(line.us) == 0

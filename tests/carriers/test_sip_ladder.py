"""What of a message of SIP may stand in a trace: enough for a ladder, and nothing of people, places or secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip.ladder import HIDDEN, passed_message
from gateway.carriers.sip.leg_messages import MessagePassed, decode, encode
from gateway.contracts import EndReason
from gateway.wire.sdp.agreement import SrtpPolicy
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import SipUri
from tests.carriers.sip_sides import Side
from tests.wire.sip.sip_agents import Network

INVITE = b"""INVITE sip:+15550009876@gw.example.com;user=phone SIP/2.0\r
Via: SIP/2.0/TLS edge.carrier.example:5061;branch=z9hG4bK776;rport\r
Max-Forwards: 69\r
f: "Erika Mustermann" <sip:+15550001234@carrier.example>;tag=1928\r
To: <sip:+15550009876@gw.example.com>\r
i: a84b4c76e66710@192.0.2.77\r
CSeq: 314159265 INVITE\r
Contact: <sip:+15550001234@192.0.2.77:5061;transport=tls>\r
P-Asserted-Identity: <sip:+15550001234@carrier.example>\r
Proxy-Authorization: Digest username="erika", realm="gw", nonce="abc", uri="sip:gw", response="00112233"\r
X-Account: 4711-secret\r
User-Agent: Carrier/7.1 (+15550001234)\r
Session-Expires: 1800;refresher=uac\r
k: timer, 100rel\r
c: application/sdp\r
Content-Length: %d\r
\r
"""
SDP = b"""v=0\r
o=+15550001234 2890844526 2890844526 IN IP4 192.0.2.77\r
s=Erika's call\r
i=about money\r
e=erika@carrier.example\r
p=+1 555 000 1234\r
c=IN IP4 192.0.2.77\r
k=clear:topsecret\r
t=0 0\r
m=audio 49172 RTP/SAVP 0 101\r
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r
a=ice-pwd:asd88fgpdd777uzjYhagZg\r
a=rtpmap:101 telephone-event/8000\r
"""


def flow(transport: Transport = "UDP") -> Flow:
    return Flow(transport, Address("192.0.2.1", 5060), Address("192.0.2.77", 5060))


def parsed(data: bytes) -> Request | Response:
    return parse_datagram(data)


def an_invite() -> Request | Response:
    return parsed(INVITE % len(SDP) + SDP)


def response(status: int, reason: str, **headers: str) -> Response:
    rows = [("CSeq", "1 INVITE"), *((name.replace("_", "-"), text) for name, text in headers.items())]
    return Response(status, reason, HeaderMap(rows))


def test_a_request_is_its_method_without_whom_it_is_for():
    passed = passed_message(an_invite(), sent=False, flow=flow("TLS"))

    assert (passed.sent, passed.line, passed.cseq, passed.transport) == (
        False,
        "INVITE",
        "314159265 INVITE",
        "TLS",
    )


def test_a_response_is_its_status_and_words():
    passed = passed_message(response(486, "Busy Here"), sent=True, flow=flow())

    assert (passed.sent, passed.line, passed.cseq) == (True, "486 Busy Here", "1 INVITE")


def test_headers_that_name_nobody_are_shown_as_they_were():
    passed = passed_message(an_invite(), sent=False, flow=flow())

    shown = dict(passed.headers)

    assert shown["Session-Expires"] == "1800;refresher=uac"
    assert shown["k"] == "timer, 100rel"
    assert shown["Max-Forwards"] == "69"


def test_credentials_are_hidden():
    passed = passed_message(an_invite(), sent=False, flow=flow())

    assert dict(passed.headers)["Proxy-Authorization"] == HIDDEN


@pytest.mark.parametrize("name", ["WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "y"])
def test_what_credentials_are_made_of_is_hidden(name: str):
    message = response(401, "Unauthorized")
    message.headers.add(name, 'Digest realm="r", nonce="n"')

    assert passed_message(message, sent=True, flow=flow()).headers == ((name, HIDDEN),)


@pytest.mark.parametrize(
    "secret",
    [
        "Erika",
        "erika",
        "15550001234",
        "555 000",
        "15550009876",
        "carrier.example",
        "gw.example.com",
        "a84b4c76e66710",
        "00112233",
        "4711-secret",
        "about money",
        "topsecret",
        "WVNfX19z",
        "asd88fgpdd",
    ],
)
def test_nothing_of_people_places_and_secrets_is_in_it(secret: str):
    text = encode(passed_message(an_invite(), sent=False, flow=flow()))

    assert secret not in text


def test_the_description_keeps_what_was_offered():
    passed = passed_message(an_invite(), sent=False, flow=flow())

    assert passed.sdp.splitlines() == [
        "v=0",
        "o=- 2890844526 2890844526 IN IP4 192.0.2.77",
        "s=-",
        "c=IN IP4 192.0.2.77",
        "t=0 0",
        "m=audio 49172 RTP/SAVP 0 101",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:hidden",
        "a=ice-pwd:hidden",
        "a=rtpmap:101 telephone-event/8000",
    ]


def test_a_body_that_is_no_description_is_left_out():
    body = b"Signal=5\r\nDuration=160\r\n"
    rows = [("CSeq", "2 INFO"), ("Content-Type", "application/dtmf-relay")]
    info = Request("INFO", SipUri(host="gw.example.com"), HeaderMap(rows), body)

    assert passed_message(info, sent=False, flow=flow()).sdp == ""


def test_numbers_in_words_for_people_are_not_kept():
    message = response(404, "No +15550009876 here", Reason='Q.850;cause=1;text="No route to 15550009876"')

    text = encode(passed_message(message, sent=False, flow=flow()))

    assert "5550009" not in text
    assert "Q.850;cause=1" in text


@pytest.mark.parametrize("who", ["anna@pbx", "1005@pbx.example", "sip:1005@192.0.2.9:5060", "+15550009876@h"])
@pytest.mark.parametrize("name", ["Reason", "Server", "User-Agent", "Event", "Subscription-State", "k"])
def test_nobody_is_named_in_a_header(name: str, who: str):
    message = response(486, f"Busy {who}")
    message.headers.add(name, f'word;text="<{who}> is out", {who};a={who}')

    text = encode(passed_message(message, sent=False, flow=flow()))

    assert "@" not in text
    assert not any(each in text for each in ("anna", "1005", "5550009876"))
    assert "word" in text


def test_what_is_long_is_cut():
    message = response(200, "OK" * 1000, Supported="x" * 9000)

    assert len(encode(passed_message(message, sent=False, flow=flow()))) < 500


def test_a_call_with_keys_leaves_a_ladder_without_them():
    network = Network()
    policy = {"srtp": SrtpPolicy.REQUIRED}
    us, them = Side("us", network, 1, ours=policy), Side("them", network, 2, ours=policy)
    them.calls_up("us")
    network.run(0.1)
    us.does("answer")
    network.run(1.0)
    us.does("hang_up", EndReason.PLAN_ENDED)
    network.run(2.0)

    for passed in us.agent.passed:
        us.call.passed(passed.message, passed.flow, sent=passed.sent)
    ladder = [message for message, _ in us.call.told() if isinstance(message, MessagePassed)]

    assert [(each.sent, each.line) for each in ladder] == [
        (False, "INVITE"),
        (True, "200 OK"),
        (False, "ACK"),
        (True, "BYE"),
        (False, "200 OK"),
    ]
    text = "".join(map(encode, ladder))
    assert text.count("inline:hidden") == 3
    assert ".example" not in text


@given(
    st.lists(
        st.tuples(st.sampled_from(["Reason", "Server", "CSeq", "k", "Via", "X-A"]), st.binary(max_size=200))
    ),
    st.binary(max_size=300),
)
def test_whatever_is_in_a_message_what_is_kept_can_be_written_and_read(
    rows: list[tuple[str, bytes]], body: bytes
):
    headers = HeaderMap([("Content-Type", "application/sdp")])
    for name, value in rows:
        headers.add_raw(name, value)

    passed = passed_message(Response(200, "OK", headers, body), sent=False, flow=flow())

    assert decode(encode(passed)) == passed

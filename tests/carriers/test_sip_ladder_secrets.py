"""However a description of a session is written, its keys and its people stay out of the ladder."""

import pytest

from gateway.carriers.sip.ladder import passed_message
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request
from gateway.wire.sip.uri import SipUri

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
PEOPLE = "Erika+15550001234"


def shown(*lines: str, end: str = "\r\n") -> str:
    body = end.join(("v=0", *lines, "m=audio 49172 RTP/SAVP 0", "")).encode()
    invite = Request("INVITE", SipUri(host="h"), HeaderMap([("Content-Type", "application/sdp")]), body)
    local = Address("192.0.2.1", 5060)
    return passed_message(invite, sent=False, flow=Flow("UDP", local, local)).sdp


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize(
    "line",
    [
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:{KEY}|2^20|1:4",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline: {KEY}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA;inline:{KEY}",
        f"A=CRYPTO:1 AES_CM_128_HMAC_SHA1_80 Inline:{KEY}",
        f"  a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"\ta = ice-pwd:{KEY}",
        f" k=base64:{KEY}",
        f"K=clear:{KEY}",
        f"a=key-mgmt:mikey {KEY}",
        KEY,
    ],
)
def test_no_key_is_shown_however_its_line_is_written(line: str, end: str):
    text = shown("o=- 1 1 IN IP4 192.0.2.77", line, end=end)

    assert KEY not in text
    assert "m=audio 49172 RTP/SAVP 0" in text


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize(
    "line",
    [
        f"o={PEOPLE} 1 1 IN IP4 192.0.2.77",
        f"o={PEOPLE} {PEOPLE} 1 1 IN IP4 192.0.2.77",
        f"o={PEOPLE}",
        f" o={PEOPLE} 1 1 IN IP4 192.0.2.77",
        f"s={PEOPLE}",
        f"S = {PEOPLE}",
        f"\ti={PEOPLE}",
        f" e={PEOPLE}",
        f"p={PEOPLE}",
        "a=caller:+15550001234",
        "a=ssrc:314159 cname:sip:Erika@127.0.0.1",
        "a=ssrc:314159 CNAME : Erika",
        "a=fmtp:101 sip:Erika@192.0.2.77",
        "a=X-nick:Erika 15550001234",
        "a=Erika@pbx",
        "m=audio 49172 RTP/SAVP Erika@pbx",
        "c=IN IP4 Erika@pbx",
        PEOPLE,
    ],
)
def test_nobody_is_named_however_the_line_is_written(line: str, end: str):
    text = shown(line, end=end)

    assert "Erika" not in text
    assert "5550001234" not in text


def test_where_media_goes_and_how_is_shown():
    lines = [
        "o=- 1 1 IN IP4 192.0.2.77",
        "c=IN IP6 2001:db8::7",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=sendrecv",
        "a=rtcp:49173 IN IP4 192.0.2.77",
        "a=candidate:1 1 UDP 2130706431 192.0.2.77 49172 typ host",
    ]

    text = shown(*lines)

    assert text.splitlines() == ["v=0", *lines, "m=audio 49172 RTP/SAVP 0"]


def test_of_an_attribute_that_nobody_knows_the_name_is_shown():
    text = shown("a=X-nick:Erika", "a=ssrc:314159 cname:sip:erika@127.0.0.1")

    assert text.splitlines()[1:3] == ["a=X-nick:hidden", "a=ssrc:314159 cname:hidden"]


def test_a_key_that_is_cut_off_by_the_longest_description_is_hidden_too():
    padding = ["a=x:" + "x" * 95] * 39

    for more in range(200):
        text = shown(*padding, "a=y:" + "y" * more, f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")

        assert KEY[:2] not in text

"""Session descriptions of stacks that are called, and our side of a session with them."""

from itertools import count

from gateway.wire.sdp.agreement import OurMedia
from gateway.wire.sdp.description import SessionDescription, decode
from gateway.wire.sdp.offer_answer import OfferAnswer

OURS = OurMedia(address="198.51.100.1", port=10_000)


def description(*lines: str, address: str = "192.0.2.1", version: int = 1) -> SessionDescription:
    """What a peer at `address` sends; `lines`: from the first m= on."""
    head = ("v=0", f"o=- 77 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0")
    return decode("\r\n".join((*head, *lines, "")).encode())


def our_side(ours: OurMedia = OURS) -> OfferAnswer:
    """A session whose first key is all 1, the next all 2, and so on."""
    numbers = count(1)
    return OfferAnswer(ours, session_id=1000, new_key=lambda size: bytes([next(numbers)]) * size)


ASTERISK = (
    "m=audio 19012 RTP/AVP 0 8 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=ptime:20",
    "a=maxptime:150",
    "a=sendrecv",
)
SIPP = (
    "m=audio 17000 RTP/AVP 8 0 101",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=ptime:20",
    "a=sendrecv",
)
PJSIP = (
    "m=audio 4000 RTP/AVP 0 8 120",
    "b=TIAS:64000",
    "a=rtcp:4001 IN IP4 192.0.2.1",
    "a=sendrecv",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:120 telephone-event/8000",
    "a=fmtp:120 0-16",
    "a=ssrc:1826602936 cname:072804be55ca1f60",
    "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:MdVikOD9yeDXMeugJkyiGuq6EWitPCvbPy6xeuYJoGvZaBrUmon3obFu7sbdFA==",
    "a=crypto:2 AES_256_CM_HMAC_SHA1_32 inline:GkdPMrdZ9iWg5cQrXyc/T9MDXj97+kr7gb3wq0S1X4Yf2y+zJ5EU9ZsRtKzEGw==",
    "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:bSkUVwo5CXluZH4KqQE6JgdwmlxLqYDGV+ey8pCY",
    "a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:+pFItQp7UoYdpZR8TI04idn7522PkSRdnH3CIVmH",
)
TWILIO_SECURE = (
    "m=audio 17000 RTP/SAVP 0 8 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:bSkUVwo5CXluZH4KqQE6JgdwmlxLqYDGV+ey8pCY",
)

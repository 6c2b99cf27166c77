"""The gate of one call: who gets through it, and as what."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carriers.sip.leg_messages import Datagram, decode_datagram, encode_datagram
from gateway.carriers.sip.media_gate import MediaCounts, MediaGate
from gateway.carriers.sip.srtp import SrtpReceiver, SrtpSender
from gateway.media.latch import Address
from gateway.media.rtp_receiver import RtpReceiver
from gateway.testing.rtp_network import RtpNetwork, talk
from gateway.wire import rtcp, rtp
from gateway.wire.sdp.agreement import Agreed, Srtp
from gateway.wire.sdp.crypto import SUITES, Crypto
from gateway.wire.sdp.media import Direction

PHONE = Address("192.0.2.1", 17_000)
PHONE_RTCP = Address("192.0.2.1", 17_001)
NAT = Address("198.51.100.7", 40_000)
STRANGER = Address("203.0.113.66", 6666)
REPORT = rtcp.encode((rtcp.ReceiverReport(ssrc=1),))
SUITE = "AES_CM_128_HMAC_SHA1_80"
OURS, THEIRS, OTHERS = (
    Crypto(tag=1, suite=SUITE, key=random.Random(seed).randbytes(SUITES[SUITE])) for seed in range(3)
)
AGREED = Agreed(
    codec="pcmu",
    address=PHONE.host,
    port=PHONE.port,
    payload_type=0,
    event_payload_type=101,
    receives={0: "pcmu", 101: "telephone-event"},
    direction=Direction.SENDRECV,
    rtcp_address=PHONE.host,
    rtcp_port=PHONE_RTCP.port,
)
SECURE = msgspec.structs.replace(AGREED, srtp=Srtp(ours=OURS, theirs=THEIRS))


def gate(agreed: Agreed | None = AGREED, **changes: Any) -> MediaGate:
    made = MediaGate()
    if agreed is not None:
        made.agree(msgspec.structs.replace(agreed, **changes))
    return made


def packet(sequence: int, *, ssrc: int = 1, kind: int = 0) -> bytes:
    return rtp.encode(
        rtp.RtpPacket(
            payload_type=kind, sequence=sequence, timestamp=sequence * 160, ssrc=ssrc, payload=b"\x55" * 160
        )
    )


def heard(gate: MediaGate, source: Address, *packets: bytes, start_s: float = 0.0) -> int:
    """How many of these packets, one every 20 ms, get through."""
    return sum(
        gate.admit(data, source, start_s + n * 0.02, rtcp=False) is not None for n, data in enumerate(packets)
    )


def test_what_gets_through_is_framed_and_vouched_for():
    framed = gate().admit(packet(1), PHONE, 0.0, rtcp=False)

    assert decode_datagram(framed or b"") == Datagram(PHONE, packet(1), rtcp=False, authentic=True)


def test_before_anything_is_agreed_on_everybody_is_a_stranger():
    shut = gate(None)

    assert heard(shut, PHONE, packet(1), packet(2)) == 0
    assert shut.admit(REPORT, PHONE_RTCP, 0.1, rtcp=True) is None
    assert shut.counts == MediaCounts(strangers=3)


def test_a_phone_behind_a_nat_is_heard_from_its_fourth_packet_on():
    ours = gate()

    assert heard(ours, NAT, *map(packet, range(10))) == 7
    assert ours.counts == MediaCounts(strangers=3)


def test_a_stranger_is_not_heard_while_the_caller_speaks():
    ours = gate()

    through = [
        (heard(ours, PHONE, packet(n), start_s=at_s), heard(ours, STRANGER, packet(n, ssrc=9), start_s=at_s))
        for n, at_s in ((n, n * 0.02) for n in range(500))
    ]

    assert set(through) == {(1, 0)}
    assert ours.counts == MediaCounts(strangers=500)


def test_a_refreshed_session_keeps_whom_it_listens_to():
    ours = gate()
    heard(ours, NAT, *map(packet, range(10)))

    ours.agree(msgspec.structs.replace(AGREED, direction=Direction.SENDONLY))

    assert heard(ours, NAT, packet(10), start_s=0.3) == 1


@pytest.mark.parametrize("direction", list(Direction))
def test_who_is_muted_or_has_the_call_on_hold_is_replaced_by_nobody(direction: Direction):
    ours = gate()
    heard(ours, NAT, *map(packet, range(10)))
    ours.agree(msgspec.structs.replace(AGREED, direction=direction))

    stolen = heard(ours, STRANGER, *(packet(n, ssrc=9) for n in range(500)), start_s=60.0)
    ours.agree(AGREED)

    assert stolen == 0
    assert heard(ours, NAT, packet(10), start_s=80.0) == 1


@pytest.mark.parametrize(
    ("direction", "through"),
    [(Direction.SENDRECV, 7), (Direction.RECVONLY, 0), (Direction.SENDONLY, 0), (Direction.INACTIVE, 0)],
)
def test_another_port_of_the_same_host_is_learned_after_silence_but_not_on_hold(
    direction: Direction, through: int
):
    ours = gate()
    heard(ours, NAT, *map(packet, range(10)))
    ours.agree(msgspec.structs.replace(AGREED, direction=direction))

    new = heard(ours, Address(NAT.host, 9), *(packet(n, ssrc=9) for n in range(10)), start_s=60.0)

    assert new == through


def test_another_address_is_listened_to_instead():
    ours = gate()
    heard(ours, PHONE, *map(packet, range(10)))
    moved = Address("192.0.2.77", 4000)

    ours.agree(msgspec.structs.replace(AGREED, address=moved.host, port=moved.port))

    assert heard(ours, PHONE, packet(10), start_s=0.3) == 0
    assert heard(ours, moved, packet(11), start_s=0.3) == 1


def test_a_type_is_proof_only_while_it_is_agreed_on():
    ours = gate(receives={8: "pcma"})

    before = heard(ours, NAT, *map(packet, range(10)))
    ours.agree(AGREED)
    after = heard(ours, NAT, *map(packet, range(10, 20)), start_s=0.3)

    assert (before, after) == (0, 7)


# -- RTCP


@pytest.mark.parametrize("source", [PHONE_RTCP, Address(PHONE.host, 999), Address("192.0.2.9", 1)])
def test_reports_come_from_a_host_of_theirs(source: Address):
    ours = gate(rtcp_address="192.0.2.9")

    framed = ours.admit(REPORT, source, 0.0, rtcp=True)

    assert decode_datagram(framed or b"") == Datagram(source, REPORT, rtcp=True, authentic=True)


def test_reports_come_from_the_host_that_was_learned():
    ours = gate()

    before = ours.admit(REPORT, Address(NAT.host, 40_001), 0.0, rtcp=True)
    heard(ours, NAT, *map(packet, range(10)))
    after = ours.admit(REPORT, Address(NAT.host, 40_001), 0.3, rtcp=True)

    assert (before is None, after is None) == (True, False)


def test_reports_of_strangers_are_counted():
    ours = gate()

    assert (ours.admit(REPORT, STRANGER, 0.0, rtcp=True), ours.counts) == (None, MediaCounts(strangers=1))


@pytest.mark.parametrize("muxed", [True, False])
def test_reports_on_the_port_of_rtp_are_some_only_where_that_was_agreed_on(muxed: bool):
    ours = gate(rtcp_mux=muxed)

    framed = ours.admit(REPORT + bytes(8), PHONE, 0.0, rtcp=False)

    assert (decode_datagram(framed or b"").rtcp, ours.muxed) == (muxed, muxed)


# -- SRTP


def test_with_srtp_what_authenticates_is_heard_wherever_it_comes_from():
    ours, theirs = gate(SECURE), SrtpSender(THEIRS)

    framed = [
        ours.admit(theirs.protect(packet(n)) or b"", source, 0.0, rtcp=False)
        for n, source in enumerate((PHONE, STRANGER, NAT))
    ]

    assert [decode_datagram(each or b"").data for each in framed] == [packet(0), packet(1), packet(2)]
    assert ours.counts == MediaCounts()


def test_with_srtp_reports_have_to_be_authentic_too():
    ours, theirs = gate(SECURE), SrtpSender(THEIRS)

    framed = ours.admit(theirs.protect(REPORT, rtcp=True) or b"", STRANGER, 0.0, rtcp=True)
    plain = ours.admit(REPORT, PHONE_RTCP, 0.0, rtcp=True)

    assert (decode_datagram(framed or b"").data, plain) == (REPORT, None)
    assert ours.counts == MediaCounts(srtp_failures=1)


def test_with_srtp_nothing_plain_is_heard():
    ours = gate(SECURE)

    assert heard(ours, PHONE, *map(packet, range(100))) == 0
    assert ours.counts == MediaCounts(srtp_failures=100)


def test_what_we_send_is_protected():
    ours, theirs = gate(SECURE), SrtpReceiver(OURS)

    sent = [
        ours.release(encode_datagram(Datagram(NAT, packet(1)))),
        ours.release(encode_datagram(Datagram(PHONE_RTCP, REPORT, rtcp=True))),
    ]

    assert [(each.address, each.rtcp) for each in sent if each] == [(NAT, False), (PHONE_RTCP, True)]
    opened = [theirs.unprotect(each.data, rtcp=each.rtcp) for each in sent if each]
    assert opened == [packet(1), REPORT]


def test_without_srtp_what_we_send_goes_as_it_is():
    datagram = Datagram(Address("2001:db8::1", 9), packet(1))

    assert gate().release(encode_datagram(datagram)) == datagram


def test_what_cannot_be_protected_is_counted():
    ours = gate(SECURE)

    assert ours.release(encode_datagram(Datagram(PHONE, bytes(3)))) is None
    assert ours.counts == MediaCounts(srtp_failures=1)


def test_new_keys_are_used_from_when_they_are_agreed_on():
    ours, theirs = gate(SECURE), SrtpSender(THEIRS)
    heard(ours, PHONE, theirs.protect(packet(1)) or b"")

    ours.agree(msgspec.structs.replace(AGREED, srtp=Srtp(ours=OTHERS, theirs=OTHERS)))
    sent = ours.release(encode_datagram(Datagram(PHONE, packet(1))))

    assert heard(ours, PHONE, SrtpSender(OTHERS).protect(packet(2)) or b"") == 1
    assert SrtpReceiver(OTHERS).unprotect(sent.data if sent else b"") == packet(1)


def test_the_same_keys_again_go_on_as_they_were():
    ours, theirs = gate(SECURE), SrtpSender(THEIRS)
    data = theirs.protect(packet(1)) or b""
    heard(ours, PHONE, data)

    ours.agree(msgspec.structs.replace(SECURE, direction=Direction.INACTIVE))

    assert heard(ours, PHONE, data) == 0


def test_srtp_may_be_given_up_and_what_failed_before_stays_counted():
    ours = gate(SECURE)
    heard(ours, PHONE, packet(1))

    ours.agree(AGREED)

    assert (heard(ours, PHONE, packet(2)), ours.counts) == (1, MediaCounts(srtp_failures=1))


# -- what is none


@pytest.mark.parametrize("agreed", [AGREED, SECURE])
@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", packet(1)[:11], b"\x00" + packet(1)[1:], packet(1) + bytes(1400), bytes(1501)],
    ids=["empty", "one byte", "11 bytes", "version 0", "too long", "zeros"],
)
def test_what_is_no_rtp_is_counted(agreed: Agreed, data: bytes):
    ours = gate(agreed)

    assert (ours.admit(data, PHONE, 0.0, rtcp=False), ours.counts) == (None, MediaCounts(malformed=1))


@given(
    st.lists(st.tuples(st.binary(max_size=1600), st.sampled_from([PHONE, NAT, STRANGER]), st.booleans())),
    st.sampled_from([AGREED, SECURE, msgspec.structs.replace(AGREED, rtcp_mux=True)]),
)
def test_any_bytes_get_through_or_are_counted(arrivals: list[tuple[bytes, Address, bool]], agreed: Agreed):
    ours = gate(agreed)

    through = [
        ours.admit(data, source, n * 0.02, rtcp=rtcp) for n, (data, source, rtcp) in enumerate(arrivals)
    ]

    counts = ours.counts
    assert counts.strangers + counts.malformed + counts.srtp_failures == through.count(None)
    assert all(
        source is not STRANGER for framed, (_, source, _) in zip(through, arrivals, strict=True) if framed
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    told=st.sampled_from([PHONE, None]),
    ssrc=st.sampled_from([0x5EED, 0xBAD]),
    start_s=st.floats(0.2, 2),
    rate=st.integers(1, 20),
)
def test_no_sample_of_a_stranger_is_ever_heard(
    seed: int, told: Address | None, ssrc: int, start_s: float, rate: int
):
    rng = random.Random(seed)
    said, forgery = rng.randbytes(8000), rng.randbytes(8000)
    ours, receiver = gate(address=told.host if told else None), RtpReceiver("pcmu")
    receiver.expect(AGREED.receives)
    moved = Address(PHONE.host, PHONE.port + 1)
    network = RtpNetwork(rng, loss=0.02, jitter_s=0.01)
    true = [(at_s, one, PHONE if at_s < 1.5 else moved) for at_s, one in network.carry(talk(said, seconds=3))]
    forged = [
        (start_s + at_s / rate, one, STRANGER)
        for at_s, one in talk(forgery, seconds=3, ssrc=ssrc, sequence=rng.getrandbits(16))
    ]
    waiting = sorted([each for each in true + forged if each[0] < 2.98], key=lambda each: each[0])
    audio = b""

    for tick in range(150):
        while waiting and waiting[0][0] <= tick * 0.02:
            at_s, one, source = waiting.pop(0)
            framed = ours.admit(rtp.encode(one), source, at_s, rtcp=False)
            if framed:
                receiver.receive(rtp.decode(decode_datagram(framed).data), at_s)
        audio += b"".join(receiver.take(tick * 0.02))

    assert ours.counts.strangers >= sum(at_s < 2.98 for at_s, _, _ in forged)
    assert not any(forgery[at : at + 8] in audio for at in range(0, len(forgery), 8))
    assert any(said[at : at + 80] in audio for at in range(2000, 6000, 80))

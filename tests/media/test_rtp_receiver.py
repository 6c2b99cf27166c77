import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS
from gateway.media.latch import Address
from gateway.media.rtp_receiver import RtpReceiver
from gateway.testing.rtp_network import Passing, RtpNetwork, talk
from gateway.wire.rtp import RtpPacket
from tests.media.heard_tone import heard_tone, tone
from tests.wire.captured import captured

PHONE = Address("192.0.2.1", 17_000)
STRANGER = Address("203.0.113.66", 6666)
TYPES = {0: "pcmu", 8: "pcma", 13: "cn", 101: "telephone-event"}
SAID = random.Random(1).randbytes(8000)
FORGED = random.Random(2).randbytes(8000)


def calling(codec: str = "pcmu", told: Address | None = PHONE) -> RtpReceiver:
    receiver = RtpReceiver(codec)
    receiver.expect(told, TYPES)
    return receiver


def listened(
    receiver: RtpReceiver, arrivals: list[tuple[float, RtpPacket, Address]], seconds: float
) -> tuple[bytes, str]:
    """What was heard, and the digits, at ticks of 20 ms."""
    audio, digits, waiting = b"", "", sorted(arrivals, key=lambda arrival: arrival[0])
    for tick in range(round(seconds * 50)):
        while waiting and waiting[0][0] <= tick * 0.02:
            at_s, packet, source = waiting.pop(0)
            digits += receiver.receive(packet, source, at_s) or ""
        audio += b"".join(receiver.take(tick * 0.02))
    return audio, digits


def arriving(passings: list[Passing], source: Address = PHONE) -> list[tuple[float, RtpPacket, Address]]:
    return [(at_s, packet, source) for at_s, packet in passings]


def test_a_caller_is_heard_and_counted():
    receiver = calling()

    audio, _ = listened(receiver, arriving(list(talk(SAID, seconds=1))), seconds=1.2)

    assert SAID[160:1600] in audio  # the first packet only proves that there is a source
    assert (receiver.source.received, receiver.source.lost, receiver.unknown) == (49, 0, 0)
    assert receiver.heard_at == pytest.approx(0.98)


def test_the_other_law_is_translated():
    receiver = calling("pcma")

    audio, _ = listened(receiver, arriving(list(talk(tone(440), seconds=3))), seconds=3)

    translated = CODECS["pcmu"].encode(CODECS["pcma"].decode(audio))
    assert heard_tone(translated[8000:20_000], 440).snr_db > 30


def test_comfort_noise_is_no_loss():
    receiver = calling()
    sent = [passing for passing in talk(SAID, seconds=2, sequence=0) if not 0.5 <= passing.at_s < 1.5]
    noise = msgspec.structs.replace(
        sent[25].packet,
        payload_type=13,
        payload=b"\x40",
        sequence=25,
        timestamp=sent[24].packet.timestamp + 160,
    )
    renumbered = [
        Passing(at_s, msgspec.structs.replace(packet, sequence=number + (number > 24)))
        for number, (at_s, packet) in enumerate(sent)
    ]

    listened(receiver, arriving([*renumbered, Passing(0.5, noise)]), seconds=2)

    assert (receiver.source.lost, receiver.jitter.counts.lost, receiver.jitter.counts.gaps) == (0, 0, 0)


def test_digits_of_sipp_leave_its_audio_alone():
    receiver = calling("pcma")

    _, digits = listened(
        receiver, arriving([Passing(*one) for one in captured("sipp-digits.pcap")]), seconds=4
    )

    assert digits == "1#"
    assert (receiver.source.restarts, receiver.source.lost) == (0, 0)
    assert receiver.jitter.counts.concealed_ms == 0


def test_a_digit_of_baresip_leaves_no_hole_in_the_audio():
    receiver = calling("pcma")

    _, digits = listened(
        receiver, arriving([Passing(*one) for one in captured("baresip-digit.pcap")]), seconds=1
    )

    assert digits == "5"
    assert (receiver.source.lost, receiver.jitter.counts.gaps) == (0, 0)


def test_an_event_that_is_none_is_counted():
    receiver = calling()

    digit = receiver.receive(
        RtpPacket(payload_type=101, sequence=1, timestamp=0, ssrc=1, payload=b"x"), PHONE, 0.0
    )

    assert (digit, receiver.broken) == (None, 1)


def test_a_type_that_nobody_agreed_on_is_counted_and_not_heard():
    receiver = calling()
    sent = [
        Passing(at_s, msgspec.structs.replace(one, payload_type=18)) for at_s, one in talk(SAID, seconds=1)
    ]

    audio, _ = listened(receiver, arriving(sent), seconds=1)

    assert (audio, receiver.unknown) == (b"", 50)


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
    receiver = calling(told=told)
    network = RtpNetwork(rng, loss=0.02, jitter_s=0.01)
    moved = Address(PHONE.host, PHONE.port + 1)
    said = [(at_s, one, PHONE if at_s < 1.5 else moved) for at_s, one in network.carry(talk(SAID, seconds=3))]
    forged = [
        (start_s + at_s / rate, one, STRANGER)
        for at_s, one in talk(FORGED, seconds=3, ssrc=ssrc, sequence=rng.getrandbits(16))
    ]

    audio, _ = listened(receiver, said + forged, seconds=3)

    assert receiver.latch.strangers >= sum(at_s < 2.98 for at_s, _, _ in forged)
    assert not any(FORGED[at : at + 8] in audio for at in range(0, len(FORGED), 8))
    assert any(SAID[at : at + 80] in audio for at in range(2000, 6000, 80))

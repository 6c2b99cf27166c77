import random

import msgspec

from gateway.audio.g711 import CODECS
from gateway.media.rtp_receiver import RtpReceiver
from gateway.testing.rtp_network import Passing, talk
from gateway.wire.rtp import RtpPacket
from tests.media.heard_tone import heard_tone, tone
from tests.wire.captured import captured

TYPES = {0: "pcmu", 8: "pcma", 13: "cn", 101: "telephone-event"}
SAID = random.Random(1).randbytes(8000)


def calling(codec: str = "pcmu") -> RtpReceiver:
    receiver = RtpReceiver(codec)
    receiver.expect(TYPES)
    return receiver


def listened(receiver: RtpReceiver, arrivals: list[Passing], seconds: float) -> tuple[bytes, str]:
    """What was heard, and the digits, at ticks of 20 ms."""
    audio, digits, waiting = b"", "", sorted(arrivals, key=lambda arrival: arrival.at_s)
    for tick in range(round(seconds * 50)):
        while waiting and waiting[0].at_s <= tick * 0.02:
            at_s, packet = waiting.pop(0)
            digits += receiver.receive(packet, at_s) or ""
        audio += b"".join(receiver.take(tick * 0.02))
    return audio, digits


def test_a_caller_is_heard_and_counted():
    receiver = calling()

    audio, _ = listened(receiver, list(talk(SAID, seconds=1)), seconds=1.2)

    assert SAID[160:1600] in audio  # the first packet only proves that there is a source
    assert (receiver.source.received, receiver.source.lost, receiver.unknown) == (49, 0, 0)


def test_the_other_law_is_translated():
    receiver = calling("pcma")

    audio, _ = listened(receiver, list(talk(tone(440), seconds=3)), seconds=3)

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

    listened(receiver, [*renumbered, Passing(0.5, noise)], seconds=2)

    assert (receiver.source.lost, receiver.jitter.counts.lost, receiver.jitter.counts.gaps) == (0, 0, 0)


def test_digits_of_sipp_leave_its_audio_alone():
    receiver = calling("pcma")

    _, digits = listened(receiver, [Passing(*one) for one in captured("sipp-digits.pcap")], seconds=4)

    assert digits == "1#"
    assert (receiver.source.restarts, receiver.source.lost) == (0, 0)
    assert receiver.jitter.counts.concealed_ms == 0


def test_a_digit_of_baresip_leaves_no_hole_in_the_audio():
    receiver = calling("pcma")

    _, digits = listened(receiver, [Passing(*one) for one in captured("baresip-digit.pcap")], seconds=1)

    assert digits == "5"
    assert (receiver.source.lost, receiver.jitter.counts.gaps) == (0, 0)


def test_an_event_that_is_none_is_counted():
    receiver = calling()

    digit = receiver.receive(RtpPacket(payload_type=101, sequence=1, timestamp=0, ssrc=1, payload=b"x"), 0.0)

    assert (digit, receiver.broken) == (None, 1)


def test_a_type_that_nobody_agreed_on_is_counted_and_not_heard():
    receiver = calling()
    sent = [
        Passing(at_s, msgspec.structs.replace(one, payload_type=18)) for at_s, one in talk(SAID, seconds=1)
    ]

    audio, _ = listened(receiver, sent, seconds=1)

    assert (audio, receiver.unknown) == (b"", 50)

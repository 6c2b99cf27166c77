import random
from itertools import pairwise

from gateway.media.rtp_sender import RtpSender
from gateway.wire.rtp import RtpPacket, sequence_step, timestamp_step

FRAME = b"\x55" * 160
EVENTS = 101


def frames(sender: RtpSender, count: int, *, events: int | None = EVENTS) -> list[RtpPacket]:
    return [sender.frame(FRAME, payload_type=8, event_payload_type=events) for _ in range(count)]


def test_packets_count_up_by_one_and_by_160_samples():
    packets = frames(RtpSender(random.Random(1)), 3)

    for earlier, later in pairwise(packets):
        assert sequence_step(later.sequence, earlier.sequence) == 1
        assert timestamp_step(later.timestamp, earlier.timestamp) == 160


def test_packets_carry_the_audio_under_the_number_of_the_far_end():
    (packet,) = frames(RtpSender(random.Random(1)), 1)

    assert (packet.payload, packet.payload_type) == (FRAME, 8)


def test_nobody_can_guess_where_two_senders_begin():
    begins = {
        (packet.ssrc, packet.sequence, packet.timestamp)
        for seed in range(20)
        for packet in frames(RtpSender(random.Random(seed)), 1)
    }

    assert len(begins) == 20


def test_only_the_first_packet_of_a_talk_has_the_marker():
    sender = RtpSender(random.Random(1))
    first = frames(sender, 3)
    sender.skip()
    second = frames(sender, 2)

    assert [packet.marker for packet in first + second] == [True, False, False, True, False]


def test_the_timestamp_runs_on_while_nothing_is_sent():
    sender = RtpSender(random.Random(1))
    (before,) = frames(sender, 1)
    for _ in range(10):
        sender.skip()
    (after,) = frames(sender, 1)

    assert timestamp_step(after.timestamp, before.timestamp) == 11 * 160
    assert sequence_step(after.sequence, before.sequence) == 1


def test_a_digit_takes_the_place_of_audio():
    sender = RtpSender(random.Random(1))
    sender.digits.press("5")

    packets = frames(sender, 8)

    assert [packet.payload_type for packet in packets] == [EVENTS] * 7 + [8]
    assert {packet.timestamp for packet in packets[:7]} == {packets[0].timestamp}
    assert timestamp_step(packets[7].timestamp, packets[0].timestamp) == 7 * 160
    assert packets[7].marker


def test_without_events_digits_wait_and_audio_goes_on():
    sender = RtpSender(random.Random(1))
    sender.digits.press("5")

    packets = frames(sender, 3, events=None)

    assert {packet.payload_type for packet in packets} == {8}
    assert sender.digits.busy

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.media.rtp_source import RtpSource
from gateway.wire.rtp import RtpPacket


def packet(sequence: int, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(payload_type=0, sequence=sequence & 0xFFFF, timestamp=0, ssrc=ssrc)


def accepted(source: RtpSource, *packets: RtpPacket, from_s: float = 0.0) -> list[int]:
    """Those of packets 20 ms apart that were."""
    return [one.sequence for n, one in enumerate(packets) if source.accept(one, from_s + n * 0.02)]


def proven(first: int = 100) -> RtpSource:
    """A source of SSRC 1 that has sent `first` and the one before."""
    source = RtpSource()
    accepted(source, packet(first - 1), packet(first))
    return source


def test_a_source_is_accepted_with_its_second_packet_in_a_row():
    assert accepted(RtpSource(), packet(7), packet(8), packet(9)) == [8, 9]


def test_packets_that_do_not_follow_each_other_prove_nothing():
    assert accepted(RtpSource(), packet(7), packet(9), packet(11), packet(7)) == []


def test_what_comes_out_of_order_is_accepted():
    assert accepted(proven(100), packet(103), packet(101), packet(102)) == [103, 101, 102]


def test_numbers_that_wrap_go_on_counting():
    source = proven(0xFFFE)

    accepted(source, packet(0xFFFF), packet(0x10000), packet(0x10001))

    assert source.highest == 0x10001
    assert source.lost == 0


def test_what_is_missing_is_lost_until_it_comes():
    source = proven(100)
    accepted(source, packet(103))
    missing = source.lost

    accepted(source, packet(101))

    assert (missing, source.lost, source.expected) == (2, 1, 4)


def test_a_duplicate_hides_a_loss():
    source = proven(100)

    accepted(source, packet(102), packet(102))

    assert source.lost == 0


def test_one_packet_from_elsewhere_is_not_accepted():
    assert accepted(proven(100), packet(40_000), packet(101)) == [101]


def test_two_from_elsewhere_are_a_sender_that_began_anew():
    source = proven(100)

    numbers = accepted(source, packet(40_000), packet(40_001), packet(40_002))

    assert numbers == [40_001, 40_002]
    assert (source.restarts, source.lost) == (1, 0)


def test_another_source_takes_over_when_the_first_has_been_silent_for_a_tenth_of_a_second():
    source = proven(100)
    others = [packet(7 + n, ssrc=2) for n in range(8)]

    numbers = accepted(source, *others, from_s=0.05)

    assert numbers == [11, 12, 13, 14]
    assert (source.ssrc, source.restarts) == (2, 1)


def test_a_second_source_beside_the_first_is_not_listened_to():
    source = proven(100)
    both = [one for n in range(50) for one in (packet(101 + n), packet(7 + n, ssrc=2))]

    assert accepted(source, *both) == [101 + n for n in range(50)]


def test_two_sources_on_a_line_with_jitter_do_not_take_turns():
    source, rng = proven(0), random.Random(1)
    first = [(n * 0.02 + rng.uniform(0, 0.06), packet(1 + n)) for n in range(500)]
    second = [(1.01 + n * 0.02 + rng.uniform(0, 0.06), packet(7 + n, ssrc=2)) for n in range(400)]

    taken = {
        one.ssrc for at_s, one in sorted(first + second, key=lambda sent: sent[0]) if source.accept(one, at_s)
    }

    assert taken == {1}
    assert source.restarts == 0


def test_of_two_that_begin_at_once_one_is_listened_to():
    source = RtpSource()
    both = [one for n in range(50) for one in (packet(1 + n), packet(701 + n, ssrc=2))]

    assert accepted(source, *both) == [2 + n for n in range(49)]


def test_late_packets_of_a_source_that_has_gone_do_not_bring_it_back():
    source = proven(100)
    accepted(source, *(packet(7 + n, ssrc=2) for n in range(10)), from_s=0.14)

    late = accepted(source, packet(101), packet(102), from_s=0.33)

    assert (late, source.ssrc) == ([], 2)


def test_what_was_lost_before_another_source_came_stays_lost():
    source = proven(100)
    accepted(source, packet(105))

    accepted(source, packet(7, ssrc=2), packet(8, ssrc=2), from_s=0.2)

    assert source.lost == 4
    assert source.expected == 7


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(1, 3)), max_size=60))
def test_no_sequence_of_packets_makes_more_expected_than_there_can_be(numbers: list[tuple[int, int]]):
    source = RtpSource()

    for n, (sequence, ssrc) in enumerate(numbers):
        if source.accept(packet(sequence, ssrc), n * 0.05):
            assert source.ssrc == ssrc

    assert 0 <= source.received <= len(numbers)
    assert source.expected <= 3000 * len(numbers)

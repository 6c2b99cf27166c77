"""The jitter buffer by ladders: packets and ticks, one after the other."""

import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import pytest

from gateway.audio.g711 import CODECS
from gateway.audio.tones import decode_frames, encode_frame
from gateway.media.jitter import JitterBuffer
from gateway.testing.rtp_network import Passing, RtpNetwork, listen, talk
from gateway.wire.rtp import RtpPacket
from tests.wire.captured import captured

PCMU = CODECS["pcmu"]
SILENCE = PCMU.silence * 160
CALLER = 3
SECONDS = 12
# Twelve seconds of frames that say which they are.
CODED = b"".join(PCMU.encode(encode_frame(CALLER, frame)) for frame in range(SECONDS * 50))


def packet(number: int, payload: bytes = CODED[:160], *, timestamp: int | None = None) -> RtpPacket:
    stamp = number * 160 if timestamp is None else timestamp
    return RtpPacket(payload_type=0, sequence=number, timestamp=stamp, ssrc=1, payload=payload)


def coded_talk(packet_ms: int = 20) -> list[Passing]:
    return list(talk(CODED, seconds=SECONDS, packet_ms=packet_ms))


def hear(arrivals: Iterable[Passing], *, seconds: float = SECONDS + 1) -> tuple[JitterBuffer, list[int]]:
    """The buffer in the end, and the frames that were heard, by their numbers."""
    buffer = JitterBuffer(PCMU)
    audio = b"".join(listen(buffer, arrivals, seconds=seconds))
    heard = decode_frames(PCMU.decode(audio))
    assert {frame.call for frame in heard} <= {CALLER}
    return buffer, [frame.frame for frame in heard]


def changed(sent: list[Passing], from_s: float, change: Callable[[RtpPacket], RtpPacket]) -> list[Passing]:
    return [Passing(at_s, change(one) if at_s >= from_s else one) for at_s, one in sent]


def moved(sent: list[Passing], from_s: float, by_s: float) -> list[Passing]:
    return sorted(
        (Passing(at_s + by_s * (at_s >= from_s), one) for at_s, one in sent), key=lambda passing: passing.at_s
    )


def assert_in_order(frames: list[int]) -> None:
    assert all(earlier <= later for earlier, later in pairwise(frames))


# -- frames -------------------------------------------------------------------------------------------


def test_before_the_first_packet_there_is_nothing():
    buffer = JitterBuffer(PCMU)

    assert [buffer.take(tick * 0.02) for tick in range(5)] == [[]] * 5
    assert (buffer.depth_ms, buffer.queued_ms) == (0, 0)


def test_the_first_packet_is_played_60_ms_after_it_came():
    buffer = JitterBuffer(PCMU)
    buffer.take(0.0)
    buffer.receive(packet(0), 0.02)

    frames = [frame for tick in range(1, 6) for frame in buffer.take(tick * 0.02)]

    assert frames[:4] == [SILENCE, SILENCE, SILENCE, CODED[:160]]


def test_a_tick_that_was_missed_is_made_up_for():
    buffer = JitterBuffer(PCMU)
    buffer.receive(packet(0), 0.0)
    buffer.take(0.0)

    assert len(buffer.take(0.1)) == 5
    assert len(buffer.take(0.12)) == 1


def test_ticks_that_are_a_little_late_still_get_a_frame_each():
    buffer, rng = JitterBuffer(PCMU), random.Random(1)
    buffer.receive(packet(0), 0.0)

    counts = [len(buffer.take(tick * 0.02 + rng.random() * 0.008)) for tick in range(500)]

    assert set(counts[1:]) == {1}


def test_what_comes_in_time_is_played_byte_for_byte():
    sent = coded_talk()
    buffer = JitterBuffer(PCMU)

    audio = b"".join(listen(buffer, sent[:40], seconds=0.8))

    assert audio.strip(PCMU.silence) in CODED


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_packets_of_any_length_give_frames_of_20_ms(packet_ms: int):
    buffer, frames = hear(coded_talk(packet_ms=packet_ms))

    assert_in_order(frames)
    assert len(set(frames)) > 590
    assert (buffer.counts.lost, buffer.counts.late, buffer.counts.gaps) == (0, 0, 0)


def test_sipp_sends_30_ms_where_it_said_20():
    pcma = CODECS["pcma"]
    buffer = JitterBuffer(pcma)
    audio = [Passing(at_s, one) for at_s, one in captured("sipp-digits.pcap") if one.payload_type == 8]

    heard = b"".join(listen(buffer, audio, seconds=1.5))

    sent = b"".join(one.payload for _, one in audio)
    assert heard[480:11_000] == sent[: 11_000 - 480]
    assert buffer.counts.gaps == 0


# -- trouble on the way -------------------------------------------------------------------------------


def test_packets_that_overtake_each_other_are_played_in_order():
    buffer, frames = hear(RtpNetwork(random.Random(1), jitter_s=0.05).carry(coded_talk()))

    assert_in_order(frames)
    assert len(set(frames)) > 590
    assert buffer.counts.lost == 0


def test_a_packet_that_comes_twice_is_played_once():
    buffer, frames = hear(RtpNetwork(random.Random(1), duplicates=0.5).carry(coded_talk()))

    assert buffer.counts.duplicated > 200
    assert buffer.counts.received == 600
    assert_in_order(frames)
    assert len(frames) - len(set(frames)) <= 3  # the last one goes on when no more comes


def test_a_lost_packet_is_counted_and_made_up():
    sent = coded_talk()
    del sent[100]

    buffer, frames = hear(sent)

    assert (buffer.counts.lost, buffer.counts.gaps, buffer.counts.concealed_ms) == (1, 1, 20)
    assert {99, 101} <= set(frames)


def test_the_depth_grows_as_soon_as_packets_are_late_and_none_is_lost_by_it():
    buffer, frames = hear(moved(coded_talk(), 5.0, 0.12))

    assert buffer.counts.late <= 1
    assert set(range(230, 270)) - set(frames) <= {250, 251}
    assert_in_order(frames)


def test_a_packet_that_is_late_once_in_a_while_is_dropped_and_counted():
    buffer = JitterBuffer(PCMU)
    sent = coded_talk()
    sent[400] = Passing(sent[400].at_s + 0.4, sent[400].packet)
    sent.sort(key=lambda passing: passing.at_s)

    for _ in listen(buffer, sent, seconds=SECONDS):
        pass

    assert buffer.counts.late == 1
    assert buffer.depth_ms <= 40


def test_a_burst_after_a_stall_is_played_as_far_as_the_depth_allows():
    stalled = [Passing(5.3 if 5.0 <= at_s < 5.3 else at_s, one) for at_s, one in coded_talk()]

    buffer, frames = hear(stalled)

    assert_in_order(frames)
    assert buffer.counts.late == 5  # 300 ms, and at most 200 may be waited for
    assert buffer.counts.restarts == 0


def test_a_delay_that_becomes_too_long_is_shortened_and_nothing_is_left_out():
    sent = moved(coded_talk(), 0.0, 0.4)

    buffer, frames = hear(moved(sent, 3.4, -0.25))

    assert_in_order(frames)
    assert buffer.depth_ms <= 200
    assert len(set(frames)) > 560


def test_the_depth_comes_down_again_when_the_network_is_calm():
    rough = list(RtpNetwork(random.Random(1), jitter_s=0.12).carry(talk(CODED, seconds=SECONDS)))
    calm = list(talk(CODED, seconds=40, start_s=SECONDS, sequence=65_600, timestamp=0xFFFF_F000 + 96_000))
    calm = [Passing(at_s + 0.02, one) for at_s, one in calm]
    buffer = JitterBuffer(PCMU)
    depths = [buffer.depth_ms for _ in listen(buffer, rough + calm, seconds=52)]

    assert max(depths[300:600]) > 120
    assert buffer.depth_ms <= 60


# -- silence ------------------------------------------------------------------------------------------


def with_pause(*, announced: bool) -> list[Passing]:
    """Three seconds of talk, two of silence that are not sent, and talk again. RFC 3389 announces them."""
    sent = [passing for passing in coded_talk() if not 3.0 <= passing.at_s < 5.0]
    first = 150
    return [
        Passing(
            at_s,
            msgspec.structs.replace(one, sequence=65_000 + index + (announced and index >= first) & 0xFFFF),
        )
        for index, (at_s, one) in enumerate(sent)
    ]


def comfort_noise() -> RtpPacket:
    return RtpPacket(
        payload_type=13,
        sequence=65_150,
        timestamp=0xFFFF_F000 + 150 * 160 & 0xFFFF_FFFF,
        ssrc=0x5EED,
        payload=b"\x40",
    )


@pytest.mark.parametrize("announced", [False, True])
def test_silence_that_is_not_sent_is_no_loss(announced: bool):
    buffer, audio = JitterBuffer(PCMU), b""
    sent = with_pause(announced=announced)
    for tick in range(SECONDS * 50):
        now = tick * 0.02
        for at_s, one in sent:
            if now - 0.02 < at_s <= now:
                buffer.receive(one, at_s)
        if announced and tick == 151:
            buffer.rest(comfort_noise(), now)
        audio += b"".join(buffer.take(now))

    frames = [frame.frame for frame in decode_frames(PCMU.decode(audio))]

    assert (
        len((set(range(10, 149)) | set(range(251, 590))) - set(frames)) <= 4
    )  # where the delay was set right
    assert (buffer.counts.lost, buffer.counts.gaps, buffer.counts.concealed_ms) == (0, 0, 0)
    assert audio[160 * 200 : 160 * 230] == SILENCE * 30


def test_the_delay_is_set_right_while_nobody_speaks():
    buffer = JitterBuffer(PCMU)
    for number in range(100):
        buffer.receive(packet(number, SILENCE), number * 0.02)
        buffer.take(number * 0.02)
    before = buffer.depth_ms
    buffer.rest(packet(100, b"\x40"), 2.0)

    for tick in range(100, 120):
        buffer.take(tick * 0.02)

    assert before > buffer.depth_ms == 20


def test_events_between_packets_of_audio_are_no_loss():
    buffer = JitterBuffer(PCMU)
    for at_s, one in captured("baresip-digit.pcap"):
        if one.payload_type == 101:
            buffer.rest(one, at_s)
        else:
            buffer.receive(one, at_s)
        buffer.take(at_s)

    assert (buffer.counts.lost, buffer.counts.gaps) == (0, 0)


def test_a_packet_of_padding_alone_is_no_audio_and_no_loss():
    buffer = JitterBuffer(PCMU)
    buffer.receive(packet(0), 0.0)
    buffer.receive(packet(1, b""), 0.02)
    buffer.receive(packet(2, timestamp=160), 0.02)

    assert (buffer.counts.received, buffer.counts.lost) == (3, 0)


def test_the_end_of_a_call_is_no_gap():
    buffer = JitterBuffer(PCMU)
    audio = b"".join(listen(buffer, coded_talk()[:100], seconds=5))

    assert audio.endswith(SILENCE * 100)
    assert buffer.counts.concealed_ms == 0


# -- beginnings ---------------------------------------------------------------------------------------


def another_source(one: RtpPacket) -> RtpPacket:
    return msgspec.structs.replace(
        one,
        ssrc=9,
        sequence=one.sequence + 777 & 0xFFFF,
        timestamp=one.timestamp + 99_999_999 & 0xFFFF_FFFF,
    )


def numbers_anew(one: RtpPacket) -> RtpPacket:
    return msgspec.structs.replace(one, sequence=one.sequence + 20_000 & 0xFFFF)


def clock_ahead(one: RtpPacket) -> RtpPacket:
    return msgspec.structs.replace(one, timestamp=one.timestamp + 3600 * 8000 & 0xFFFF_FFFF)


def clock_back(one: RtpPacket) -> RtpPacket:
    return msgspec.structs.replace(one, timestamp=one.timestamp - 3600 * 8000 & 0xFFFF_FFFF)


@pytest.mark.parametrize("change", [another_source, numbers_anew, clock_ahead, clock_back])
def test_a_stream_that_begins_anew_goes_on_at_once(change: Callable[[RtpPacket], RtpPacket]):
    buffer, frames = hear(changed(coded_talk(), 5.0, change))

    assert_in_order(frames)
    assert len(set(frames)) > 585
    assert buffer.counts.restarts == 1
    assert (buffer.counts.lost, buffer.counts.late) == (0, 0)
    assert buffer.counts.concealed_ms <= 60
    assert buffer.depth_ms <= 60


def test_a_sender_whose_clock_stood_still_while_he_paused_goes_on():
    buffer, frames = hear(moved(coded_talk(), 5.0, 3.0), seconds=SECONDS + 4)

    assert_in_order(frames)
    assert len(set(frames)) > 585
    assert buffer.counts.restarts == 1


def test_one_packet_from_elsewhere_in_time_changes_nothing():
    sent = coded_talk()
    sent[300] = Passing(sent[300].at_s, clock_ahead(sent[300].packet))

    buffer, frames = hear(sent)

    assert (buffer.counts.restarts, buffer.counts.late) == (0, 1)
    assert len(set(frames)) > 590


def test_numbers_and_timestamps_wrap_unnoticed():
    _, frames = hear(list(talk(CODED, seconds=SECONDS, sequence=65_530, timestamp=0xFFFF_FF00)))

    assert len(set(frames)) > 590

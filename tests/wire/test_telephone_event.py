import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import telephone_event
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtp import RtpPacket
from gateway.wire.telephone_event import DIGITS, DigitReceiver, DigitSender, EventPacket, TelephoneEvent
from tests.wire.captured import captured

EVENTS = 101


def event_packet(
    digit: str,
    timestamp: int,
    duration: int = 160,
    *,
    ended: bool = False,
    marker: bool = False,
    ssrc: int = 1,
) -> RtpPacket:
    event = TelephoneEvent(event=DIGITS.index(digit), ended=ended, duration=duration)
    return RtpPacket(
        payload_type=EVENTS,
        sequence=0,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=telephone_event.encode(event),
        marker=marker,
    )


def digits_of(packets: list[RtpPacket], step_s: float = 0.02) -> str:
    receiver = DigitReceiver()
    return "".join(receiver.receive(packet, index * step_s) or "" for index, packet in enumerate(packets))


def test_an_event_is_read_field_by_field():
    event = telephone_event.decode(bytes.fromhex("0b8a03c0"))

    assert event == TelephoneEvent(event=11, ended=True, volume=10, duration=960)


@given(st.binary(max_size=8))
def test_any_payload_is_an_event_or_a_remote_protocol_error(payload: bytes):
    try:
        event = telephone_event.decode(payload)
    except RemoteProtocolError:
        assert len(payload) < 4
        return

    assert telephone_event.decode(telephone_event.encode(event)) == event


# -- in -----------------------------------------------------------------------------------------------


def test_a_key_is_one_digit_however_many_packets_tell_of_it():
    packets = [event_packet("5", 1000, duration) for duration in range(160, 1600, 160)]
    packets += [event_packet("5", 1000, 1600, ended=True)] * 3

    assert digits_of(packets) == "5"


def test_a_digit_is_known_with_its_first_packet():
    assert DigitReceiver().receive(event_packet("7", 1000, 0, marker=True), 0.0) == "7"


def test_a_key_whose_end_was_lost_is_one_digit_and_so_is_the_next():
    packets = [event_packet("5", 1000), event_packet("5", 1000, 320), event_packet("5", 9000)]

    assert digits_of(packets) == "55"


def test_a_key_of_which_only_the_end_came_is_a_digit():
    assert digits_of([event_packet("#", 1000, 800, ended=True)] * 3) == "#"


def test_a_key_that_is_held_for_a_minute_is_one_digit():
    packets = [
        event_packet("1", start + 1000, duration)
        for start in range(0, 60 * 8000, 0xFFFF)
        for duration in (*range(8000, 0xFFFF, 8000), 0xFFFF)
    ]

    assert digits_of(packets, step_s=0.9) == "1"


def test_a_held_key_survives_the_loss_of_the_packets_around_a_new_segment():
    packets = [event_packet("1", 1000, 0xF000), event_packet("1", 1000 + 0xFFFF, 4000)]

    assert digits_of(packets) == "1"


def test_the_end_of_one_digit_that_comes_behind_the_next_adds_none():
    packets = [
        event_packet("1", 1000),
        event_packet("2", 2000),
        event_packet("1", 1000, 900, ended=True),
        event_packet("2", 2000, 320),
    ]

    assert digits_of(packets) == "12"


def test_another_source_may_send_the_digits():
    packets = [event_packet("1", 1000, ssrc=1), event_packet("2", 1000, ssrc=2)]

    assert digits_of(packets) == "12"


def test_a_recording_of_a_key_that_is_played_twice_is_two_digits():
    receiver = DigitReceiver()

    assert receiver.receive(event_packet("1", 1000), 0.0) == "1"
    assert receiver.receive(event_packet("1", 1000, 1600, ended=True), 0.2) is None
    assert receiver.receive(event_packet("1", 1000), 2.0) == "1"


def test_a_flash_hook_is_no_digit():
    packet = RtpPacket(payload_type=EVENTS, sequence=0, timestamp=0, ssrc=1, payload=b"\x10\x8a\x03\x20")

    assert DigitReceiver().receive(packet, 0.0) is None


def test_digits_from_any_number_of_sources_cost_no_more_memory():
    receiver = DigitReceiver()
    for ssrc in range(1000):
        receiver.receive(event_packet("1", 1000, ssrc=ssrc), 0.0)

    assert len(receiver._last_at) <= 16


def test_digits_of_sipp_come_from_a_source_of_their_own():
    receiver = DigitReceiver()
    events = [one for one in captured("sipp-digits.pcap") if one.packet.payload_type == EVENTS]

    assert "".join(receiver.receive(packet, at_s) or "" for at_s, packet in events) == "1#"


def test_a_digit_of_baresip_has_audio_beside_it():
    receiver = DigitReceiver()
    events = [one for one in captured("baresip-digit.pcap") if one.packet.payload_type == EVENTS]

    assert "".join(receiver.receive(packet, at_s) or "" for at_s, packet in events) == "5"


# -- out ----------------------------------------------------------------------------------------------


def sent(sender: DigitSender, frames: int, timestamp: int = 0) -> list[EventPacket | None]:
    return [sender.take(timestamp + 160 * frame) for frame in range(frames)]


def read(packet: EventPacket | None) -> TelephoneEvent:
    assert packet is not None
    return telephone_event.decode(packet.payload)


def test_a_digit_grows_by_a_frame_a_packet_and_ends_three_times():
    sender = DigitSender(press_ms=100)
    sender.press("5")

    events = [read(packet) for packet in sent(sender, 7)]

    assert [event.duration for event in events] == [160, 320, 480, 640, 800, 800, 800]
    assert [event.ended for event in events] == [False] * 4 + [True] * 3
    assert {event.event for event in events} == {5}


def test_all_packets_of_a_digit_have_the_timestamp_of_its_begin():
    sender = DigitSender()
    sender.press("5")

    packets = sent(sender, 7, timestamp=4000)

    assert {packet.timestamp for packet in packets if packet} == {4000}


def test_only_the_first_packet_of_a_digit_has_the_marker():
    sender = DigitSender()
    sender.press("5")

    packets = sent(sender, 7)

    assert [packet.marker for packet in packets if packet] == [True] + [False] * 6


def test_between_two_digits_audio_is_sent():
    sender = DigitSender(press_ms=100, gap_ms=80)
    sender.press("55")

    packets = sent(sender, 20)

    starts = [packet.timestamp for packet in packets if packet and packet.marker]
    assert starts == [0, 160 * 9]
    assert packets[7:9] == [None, None]


def test_the_shortest_gap_still_keeps_two_digits_apart():
    sender = DigitSender(press_ms=40, gap_ms=0)
    sender.press("12")

    starts = [packet.timestamp for packet in sent(sender, 20) if packet and packet.marker]

    assert starts[1] - starts[0] >= 2 * 160 + 160


@given(st.text(st.sampled_from(DIGITS), max_size=12), st.integers(40, 400), st.integers(0, 200))
def test_digits_that_are_sent_are_the_digits_that_arrive(digits: str, press_ms: int, gap_ms: int):
    sender = DigitSender(press_ms=press_ms, gap_ms=gap_ms)
    sender.press(digits)
    receiver, arrived, frame = DigitReceiver(), "", 0

    while sender.busy:
        packet = sender.take(frame * 160)
        if packet is not None:
            carried = RtpPacket(
                payload_type=EVENTS, sequence=0, timestamp=packet.timestamp, ssrc=1, payload=packet.payload
            )
            arrived += receiver.receive(carried, frame * 0.02) or ""
        frame += 1

    assert arrived == digits


def test_what_is_no_digit_is_refused_before_anything_is_sent():
    sender = DigitSender()

    with pytest.raises(ValueError, match="no digits"):
        sender.press("12x")

    assert not sender.busy


def test_a_press_that_one_event_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="9000 ms"):
        DigitSender(press_ms=9000)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import rtp
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtp import RtpPacket, sequence_step, timestamp_step

# Version 2, marker, PCMU, sequence 0x1234, timestamp 0xA0, SSRC 0xDEADBEEF.
HEADER = bytes.fromhex("8080123400 0000a0deadbeef".replace(" ", ""))

words = st.integers(0, 0xFFFF_FFFF)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=words,
    ssrc=words,
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(words, max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=10).map(lambda content: content * 4)),
    padding_bytes=st.integers(0, 255),
)


def test_a_packet_is_read_field_by_field():
    packet = rtp.decode(HEADER + b"\xff\x7f")

    assert packet == RtpPacket(
        payload_type=0,
        sequence=0x1234,
        timestamp=160,
        ssrc=0xDEADBEEF,
        payload=b"\xff\x7f",
        marker=True,
    )


def test_sources_and_extension_are_no_part_of_the_payload():
    header = bytes([0x92]) + HEADER[1:]
    packet = rtp.decode(header + b"\0\0\0\x01\0\0\0\x02" + b"\xbe\xde\0\x01abcd" + b"audio")

    assert packet.csrcs == (1, 2)
    assert packet.extension == (0xBEDE, b"abcd")
    assert packet.payload == b"audio"


def test_a_packet_of_nothing_but_padding_has_no_payload():
    packet = rtp.decode(bytes([0xA0]) + HEADER[1:] + b"\0\0\0\x04")

    assert packet.payload == b""
    assert packet.padding_bytes == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:11],
        b"\x00" + HEADER[1:],  # version 0: STUN begins so
        b"\x40" + HEADER[1:],
        b"\x8f" + HEADER[1:],  # fifteen sources, and none there
        b"\x90" + HEADER[1:] + b"\0\0",  # an extension that is cut off
        b"\x90" + HEADER[1:] + b"\0\0\0\x01abc",  # and one that is too short
        b"\xa0" + HEADER[1:],  # padding, and no byte that says how much
        b"\xa0" + HEADER[1:] + b"\0",  # no padding at all
        b"\xa0" + HEADER[1:] + b"ab\x04",  # more padding than packet
    ],
)
def test_what_is_no_packet_is_a_remote_protocol_error(data: bytes):
    with pytest.raises(RemoteProtocolError):
        rtp.decode(data)


@given(packets)
def test_a_packet_comes_back_as_it_was_sent(packet: RtpPacket):
    assert rtp.decode(rtp.encode(packet)) == packet


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"\xbf" + rest))
def test_any_bytes_are_a_packet_or_a_remote_protocol_error(data: bytes):
    try:
        packet = rtp.decode(data)
    except RemoteProtocolError:
        return

    assert len(rtp.encode(packet)) == len(data)


@pytest.mark.parametrize(
    ("newer", "older", "step"),
    [(5, 3, 2), (3, 5, -2), (0, 0xFFFF, 1), (0xFFFF, 0, -1), (0x7FFF, 0, 0x7FFF), (0x8000, 0, -0x8000)],
)
def test_sequence_numbers_wrap(newer: int, older: int, step: int):
    assert sequence_step(newer, older) == step


@pytest.mark.parametrize(("newer", "older", "step"), [(160, 0, 160), (0, 2**32 - 160, 160), (0, 160, -160)])
def test_timestamps_wrap(newer: int, older: int, step: int):
    assert timestamp_step(newer, older) == step

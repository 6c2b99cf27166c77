import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import rtcp
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.rtcp import (
    CNAME,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    is_rtcp,
    ntp_middle,
    ntp_time,
)

words = st.integers(0, 0xFFFF_FFFF)
blocks = st.lists(
    st.builds(
        ReportBlock,
        ssrc=words,
        fraction_lost=st.integers(0, 255),
        lost=st.integers(-0x80_0000, 0x7F_FFFF),
        highest_sequence=words,
        jitter=words,
        last_report=words,
        delay=words,
    ),
    max_size=31,
).map(tuple)
texts = st.text(st.characters(codec="utf-8"), max_size=60)
packets = st.one_of(
    st.builds(
        SenderReport,
        ssrc=words,
        ntp=st.integers(0, 2**64 - 1),
        timestamp=words,
        packets=words,
        octets=words,
        blocks=blocks,
    ),
    st.builds(ReceiverReport, ssrc=words, blocks=blocks),
    st.builds(
        SourceDescription,
        ssrc=words,
        items=st.lists(st.tuples(st.integers(1, 8), texts), max_size=4).map(tuple),
    ),
    st.builds(Goodbye, ssrcs=st.lists(words, max_size=31).map(tuple), reason=texts),
)

RECEIVER_REPORT = rtcp.encode((ReceiverReport(ssrc=1),))
# What a PBX sends: a sender report with one block, and its name (RFC 3550 §6.4.1, §6.5).
COMPOUND = bytes.fromhex(
    "81c8000c" "00000001" "e0000000" "80000000" "000000a0" "00000002" "00000140"
    "00000007" "40ffffff" "00010005" "00000010" "00008000" "00010000"
    "81ca0003" "00000001" "01037062" "78000000"
)  # fmt: skip


def test_a_compound_packet_is_read_field_by_field():
    report, name = rtcp.decode(COMPOUND)

    block = ReportBlock(
        ssrc=7,
        fraction_lost=64,
        lost=-1,
        highest_sequence=0x1_0005,
        jitter=16,
        last_report=0x8000,
        delay=0x1_0000,
    )
    assert report == SenderReport(
        ssrc=1, ntp=0xE000_0000_8000_0000, timestamp=160, packets=2, octets=320, blocks=(block,)
    )
    assert name == SourceDescription(ssrc=1, items=((CNAME, "pbx"),))


def test_kinds_that_nobody_uses_are_passed_over():
    ping = bytes.fromhex("80cc0003") + b"PINGPING" + bytes(4)  # baresip opens a NAT with an APP packet

    assert rtcp.decode(ping + RECEIVER_REPORT) == (ReceiverReport(ssrc=1),)


def test_padding_is_no_part_of_the_last_packet():
    padded = bytes.fromhex("a0c90002") + b"\0\0\0\x01" + b"\0\0\0\x04"

    assert rtcp.decode(padded) == (ReceiverReport(ssrc=1),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x00" + RECEIVER_REPORT[1:],
        b"\x80\x00" + RECEIVER_REPORT[2:],  # audio
        RECEIVER_REPORT[:-1],
        b"\x81" + RECEIVER_REPORT[1:],  # a block that is not there
        bytes.fromhex("80c80001") + bytes(4),
        bytes.fromhex("a0c90001") + b"\0\0\0\x09",
        bytes.fromhex("81ca0001") + bytes(4),
        bytes.fromhex("81ca0002") + bytes(4) + b"\x01\xffab",
        bytes.fromhex("82cb0001") + bytes(4),
        bytes.fromhex("81cb0002") + bytes(4) + b"\x09abc",
    ],
)
def test_what_is_no_report_is_a_remote_protocol_error(data: bytes):
    with pytest.raises(RemoteProtocolError):
        rtcp.decode(data)


@given(st.lists(packets, min_size=1, max_size=4).map(tuple))
def test_a_compound_packet_comes_back_as_it_was_sent(compound: tuple[RtcpPacket, ...]):
    assert rtcp.decode(rtcp.encode(compound)) == compound


@given(st.binary(max_size=80), st.integers(192, 223), st.integers(0, 31), st.integers(0, 20))
def test_any_bytes_are_reports_or_a_remote_protocol_error(body: bytes, kind: int, count: int, words: int):
    for data in (body, bytes([0x80 | count, kind, 0, words]) + body):
        try:
            read = rtcp.decode(data)
        except RemoteProtocolError:
            continue
        assert isinstance(read, tuple)


def test_more_loss_than_a_report_can_tell_is_the_most_it_can():
    block = ReportBlock(ssrc=1, fraction_lost=255, lost=10**9, highest_sequence=0, jitter=0)

    (report,) = rtcp.decode(rtcp.encode((ReceiverReport(ssrc=2, blocks=(block,)),)))

    assert isinstance(report, ReceiverReport)
    assert report.blocks[0].lost == 0x7F_FFFF


def test_a_text_that_is_too_long_is_our_error():
    with pytest.raises(ValueError, match="300 bytes"):
        rtcp.encode((Goodbye(ssrcs=(1,), reason="x" * 300),))


@pytest.mark.parametrize(
    ("data", "reports"),
    [(RECEIVER_REPORT, True), (b"\x80\x00", False), (b"\x80\x80", False), (b"\x80\x65", False), (b"", False)],
)
def test_reports_are_told_from_audio_on_one_port(data: bytes, reports: bool):
    assert is_rtcp(data) is reports


def test_time_is_counted_from_1900():
    assert ntp_time(0.5) == 2_208_988_800 << 32 | 1 << 31


def test_reports_carry_the_middle_of_a_time():
    assert ntp_middle(0x1111_2222_3333_4444) == 0x2222_3333

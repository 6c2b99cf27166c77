from collections.abc import Iterable

import dpkt  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capture.frames import Frame
from gateway.capture.links import LINKS, Packet, PacketReader
from gateway.media.latch import Address
from tests.capture.made_captures import CALLED, CALLER, MadeCapture

NUMBERS = {"ethernet": 1, "vlan": 1, "cooked": 113, "cooked 2": 276, "raw": 101, "null": 0}
CALLER_6, CALLED_6 = Address("2001:db8::1", 5060), Address("2001:db8::2", 5061)


def read(capture: MadeCapture, link: str = "ethernet", reader: PacketReader | None = None) -> list[Packet]:
    return taken([data for _, data in capture.frames], NUMBERS[link], reader)


def taken(frames: Iterable[bytes], link: int, reader: PacketReader | None = None) -> list[Packet]:
    reader = reader or PacketReader()
    found = (reader.take(Frame(number, 0, link, data, whole=True)) for number, data in enumerate(frames, 1))
    return [packet for packet in found if packet is not None]


@pytest.mark.parametrize("link", list(NUMBERS))
@pytest.mark.parametrize("ends", [(CALLER, CALLED), (CALLER_6, CALLED_6)])
def test_a_datagram_is_found_behind_every_link_layer(link, ends: tuple[Address, Address]):
    capture = MadeCapture(link)
    capture.udp(0, *ends, b"hello")

    found = read(capture, link)

    assert found == [Packet(1, 0, *ends, b"hello")]


def test_what_pads_a_short_frame_is_not_in_the_datagram():
    capture = MadeCapture()
    capture.udp(0, CALLER, CALLED, b"hello")

    found = taken([capture.frames[0][1] + bytes(18)], 1)

    assert [packet.data for packet in found] == [b"hello"]


def test_a_tcp_segment_has_its_sequence_and_no_options():
    capture = MadeCapture("raw")
    segment = dpkt.tcp.TCP(
        sport=5060, dport=5060, seq=4_000_000_000, opts=b"\x01" * 4, data=b"hello", off=6, flags=0x18
    )
    capture.ip(0, CALLER, CALLED, 6, segment)

    (found,) = read(capture, "raw")

    assert (found.data, found.sequence, found.opens) == (b"hello", 4_000_000_000, False)


def test_fragments_are_put_together_in_any_order():
    capture = MadeCapture("raw")
    message = bytes(range(256)) * 20
    capture.fragments(0, CALLER, CALLED, message, size=1480)

    (found,) = read(capture, "raw")

    assert found.data == message
    assert found.number == 4


def test_fragments_of_ipv6_are_put_together():
    datagram = bytes(dpkt.udp.UDP(sport=5060, dport=5061, data=b"x" * 24, ulen=32, sum=1))

    def piece(at: int, *, more: bool) -> bytes:
        header = bytes([17, 0]) + (at | more).to_bytes(2) + b"\0\0\0\x09"
        data = header + datagram[at : at + 16]
        addresses = bytes.fromhex("20010db8" + "0" * 23 + "1" + "20010db8" + "0" * 23 + "2")
        return b"\x60\0\0\0" + len(data).to_bytes(2) + bytes([44, 64]) + addresses + data

    found = taken([piece(0, more=True), piece(16, more=False)], 229)

    assert [(packet.source, packet.destination, packet.data) for packet in found] == [
        (CALLER_6, CALLED_6, b"x" * 24)
    ]


def test_a_datagram_of_which_a_fragment_is_missing_never_comes():
    capture = MadeCapture("raw")
    capture.fragments(0, CALLER, CALLED, bytes(5000), size=1480)
    del capture.frames[1]

    assert read(capture, "raw") == []


def test_fragments_that_never_end_are_not_kept():
    reader = PacketReader()
    capture = MadeCapture("raw")
    for number in range(20_000):
        piece = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=17, id=number % 65_536, data=bytes(8))
        piece.mf = 1
        capture.packet(0, bytes(piece))

    found = read(capture, "raw", reader)

    assert found == []
    assert len(reader._in_pieces) < 1000


def test_a_datagram_that_was_cut_off_is_said_to_be():
    reader = PacketReader()
    capture = MadeCapture()
    capture.udp(0, CALLER, CALLED, b"hello")

    (found,) = taken([capture.frames[0][1][:-2]], 1, reader)

    assert (found.data, found.whole) == (b"hel", False)
    assert reader.cut == 1


@pytest.mark.parametrize(
    ("link", "data"),
    [
        (105, bytes(60)),  # 802.11
        (1, bytes(60)),  # LLC
        (1, bytes(12) + b"\x08\x06" + bytes(46)),  # ARP
        (1, bytes(12) + b"\x81\x00\x00\x01" * 9 + b"\x08\x00"),
        (101, b"\x45" + bytes(8) + b"\x01" + bytes(30)),  # ICMP
        (101, b"\x4f" + bytes(30)),
        (229, b"\x60" + bytes(50)),
    ],
)
def test_what_is_no_udp_and_no_tcp_is_passed_over(link: int, data: bytes):
    assert taken([data], link) == []


@given(
    st.sampled_from(sorted(LINKS)),
    st.binary(max_size=120),
    st.sampled_from([b"", b"\x45", b"\x60\0\0\0\0\x30\x2c"]),
)
def test_whatever_a_frame_holds_nothing_is_raised(link: int, data: bytes, start: bytes):
    at = {0: 4, 1: 12, 108: 4, 113: 14, 276: 0}.get(link, 0)
    types = b"\x08\x00" if link in {1, 113} else b""

    found = taken([bytes(at) + types + start + data], link)

    assert all(packet.source.port >= 0 for packet in found)

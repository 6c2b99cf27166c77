from hypothesis import given
from hypothesis import strategies as st

from gateway.capture.links import Packet
from gateway.capture.messages import Found, SipReader
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CSEQ
from gateway.wire.sip.message import Request, Response
from tests.capture.made_captures import CALLED, CALLER, MadeCall, MadeCapture, sdp

CALL = MadeCall(MadeCapture())
INVITES = [CALL.ask(0, "INVITE", sdp(CALLER)).encode() for _ in range(3)]


def udp(data: bytes, *, whole: bool = True) -> Packet:
    return Packet(1, 0, CALLER, CALLED, data, whole=whole)


def tcp(data: bytes, sequence: int, *, opens: bool = False, whole: bool = True) -> Packet:
    return Packet(1, 0, CALLER, CALLED, data, sequence=sequence, opens=opens, whole=whole)


def numbers(found: list[Found]) -> list[int]:
    assert all(isinstance(message, Request) for message in found)
    return [message.headers[CSEQ].number for message in found if isinstance(message, Request)]


def test_a_datagram_is_a_message():
    reader = SipReader()

    found = reader.take(udp(INVITES[0]))

    assert numbers(found) == [1]


def test_a_response_is_a_message():
    head = b"SIP/2.0 180 Ringing\r\n" + INVITES[0].split(b"\r\n", 1)[1]

    (found,) = SipReader().take(udp(head))

    assert isinstance(found, Response)


def test_what_does_not_begin_as_a_message_is_passed_over():
    reader = SipReader()

    assert [reader.take(udp(data)) for data in (b"", b"\0\0\0\0", b"\r\n\r\n", b"\x80\x00" + bytes(170))] == [
        []
    ] * 4
    assert reader.take(udp(b"GET / HTTP/1.1\r\n\r\n")) == []


def test_a_message_that_cannot_be_read_is_an_error():
    (found,) = SipReader().take(udp(b"INVITE sip:a@b SIP/2.0\r\n\r\n"))

    assert isinstance(found, SipSyntaxError)


def test_a_message_that_the_capture_cut_off_is_said_to_be():
    (found,) = SipReader().take(udp(INVITES[0][:200], whole=False))

    assert str(found) == "the capture cut it off; tcpdump -s 0 keeps packets whole"


@given(st.data())
def test_a_stream_gives_its_messages_however_its_segments_come(data: st.DataObject):
    """In any sizes, in nearly any order, some of them twice, with a sequence that wraps."""
    stream = b"".join(INVITES)
    first = data.draw(st.sampled_from([0, 1000, 2**32 - 700]))
    cuts = sorted(data.draw(st.sets(st.integers(120, len(stream) - 1), max_size=8)))
    pieces = [(start, stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    rest = pieces[1:] + data.draw(st.lists(st.sampled_from(pieces), max_size=3))
    reader = SipReader()

    found: list[Found] = []
    for start, piece in [pieces[0], *data.draw(st.permutations(rest))]:
        found += reader.take(tcp(piece, (first + start) % 2**32))

    assert numbers(found) == [1, 2, 3]


def test_a_stream_is_taken_up_at_the_next_message_behind_a_gap():
    reader = SipReader()
    reader.take(tcp(INVITES[0][:300], 0))

    lost = reader.take(tcp(bytes(300_000), 1000))
    found = reader.take(tcp(INVITES[1], 400_000))

    assert lost == []
    assert numbers(found) == [2]


def test_a_connection_that_opens_on_the_same_ports_begins_anew():
    reader = SipReader()
    reader.take(tcp(INVITES[0][:300], 100))
    reader.take(tcp(b"", 7, opens=True))

    assert numbers(reader.take(tcp(INVITES[1], 8))) == [2]


def test_keepalives_on_a_stream_are_passed_over():
    reader = SipReader()
    reader.take(tcp(INVITES[0], 0))

    found = reader.take(tcp(b"\r\n\r\n" + INVITES[1], len(INVITES[0])))

    assert numbers(found) == [2]


def test_the_first_packet_of_tls_is_known():
    reader = SipReader()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)

    assert reader.take(tcp(b"GET / HTTP/1.1\r\n", 1)) == []
    assert reader.take(tcp(hello, 1)._replace(number=7)) == []
    assert reader.tls_at == 7


def test_more_streams_than_anybody_has_are_not_kept():
    reader = SipReader()

    for port in range(5000):
        packet = tcp(INVITES[0][:200], 0)
        reader.take(packet._replace(source=packet.source._replace(port=port)))

    assert len(reader._streams) < 1000

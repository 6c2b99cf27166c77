"""Messages out of a byte stream: framing, keepalives, and what breaks it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import MAX_MESSAGE_BYTES
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.stream import Keepalive, StreamParser

PING = (
    b"OPTIONS sip:b@h SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP h:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\n"
    b"Call-ID: c@h\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)
MALFORMED = PING.replace(b"CSeq: 1", b"CSeq: x")
WITHOUT_LENGTH = PING.replace(b"Content-Length: 4\r\n", b"")

Heard = Request | Response | Keepalive | tuple[str, int | None]


def hear(parser: StreamParser, data: bytes) -> list[Heard]:
    """All that comes out for these bytes; an error as what it says."""
    parser.receive_data(data)
    heard: list[Heard] = []
    while True:
        try:
            event = parser.next_message()
        except SipSyntaxError as error:
            heard.append((str(error), error.status))
            continue
        if event is None:
            return heard
        heard.append(event)


def test_messages_come_one_after_the_other():
    heard = hear(StreamParser(), PING + PING.replace(b"OPTIONS", b"INFO"))

    assert [message.method for message in heard if isinstance(message, Request)] == ["OPTIONS", "INFO"]
    assert [message.body for message in heard if isinstance(message, Request)] == [b"body", b"body"]


def test_a_message_comes_when_its_last_byte_has_come():
    parser = StreamParser()

    assert [hear(parser, PING[at : at + 1]) for at in range(len(PING) - 1)] == [[]] * (len(PING) - 1)
    assert hear(parser, PING[-1:]) == [parse_datagram(PING)]


def test_compact_and_folded_lengths_frame_as_well():
    folded = PING.replace(b"Content-Length: 4", b"l :\r\n  004 ")

    assert [message.body for message in hear(StreamParser(), folded) if isinstance(message, Request)] == [
        b"body"
    ]


def test_lines_that_end_in_lf_frame_as_well():
    data = PING.replace(b"\r\n", b"\n")

    assert len(hear(StreamParser(), data + data)) == 2


def test_a_malformed_message_is_refused_and_the_next_one_is_read():
    parser = StreamParser()

    heard = hear(parser, MALFORMED + PING)

    assert heard == [("CSeq: No number below 2**31 and method", 400), parse_datagram(PING)]
    assert not parser.broken


def test_a_malformed_message_waits_for_its_body():
    assert hear(StreamParser(), MALFORMED[:-1]) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (WITHOUT_LENGTH, 400),
        (PING.replace(b"Length: 4", b"Length: four"), 400),
        (PING.replace(b"Length: 4", b"Length: -4"), 400),
        (PING.replace(b"Length: 4", b"Length: 4 4"), 400),
        (PING.replace(b"Length: 4", b"Length:"), 400),
        (PING.replace(b"Length: 4", b"Length: 4\r\nl: 4"), 400),
        (PING.replace(b"Length: 4", b"Length: 65536"), 513),
        (PING.replace(b"Length: 4", b"Length: " + b"9" * 5000), 513),
        (
            PING.replace(b"OPTIONS sip:b@h SIP/2.0", b"SIP/2.0 200 OK").replace(b"Length: 4", b"Length: x"),
            None,
        ),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", None),
    ],
)
def test_where_the_next_message_begins_cannot_be_told_the_stream_is_broken(data, status):
    parser = StreamParser()

    heard = hear(parser, data + PING)

    assert [event[1] for event in heard if isinstance(event, tuple)] == [status]
    assert len(heard) == 1
    assert parser.broken


def test_a_broken_stream_can_still_be_answered_before_it_is_closed():
    parser = StreamParser()
    parser.receive_data(WITHOUT_LENGTH)

    with pytest.raises(SipSyntaxError) as caught:
        parser.next_message()

    assert (
        b"Via: SIP/2.0/TCP h:5060;branch=z9hG4bK1\r\n" in response_to(caught.value, 400, to_tag="t").encode()
    )


def test_a_broken_stream_takes_nothing_more():
    parser = StreamParser()
    hear(parser, WITHOUT_LENGTH)

    assert hear(parser, PING) == []


def test_a_head_without_an_end_is_refused_when_it_is_as_large_as_a_message_may_be():
    parser = StreamParser()
    endless = PING[:100] + b"X" * MAX_MESSAGE_BYTES

    assert hear(parser, endless[: MAX_MESSAGE_BYTES - 1]) == []
    assert hear(parser, endless[MAX_MESSAGE_BYTES - 1 : MAX_MESSAGE_BYTES]) == [("Message Too Large", 513)]


def test_a_message_may_be_as_large_as_one_may_be_and_no_larger():
    body = MAX_MESSAGE_BYTES - len(PING)  # the length has four digits more, the body four bytes less
    largest = PING.replace(b"Length: 4", b"Length: %d" % body).removesuffix(b"body") + b"b" * body
    too_large = PING.replace(b"Length: 4", b"Length: %d" % (body + 1))

    assert len(largest) == MAX_MESSAGE_BYTES
    assert len(hear(StreamParser(), largest)) == 1
    assert hear(StreamParser(), too_large) == [("Message Too Large", 513)]


# -- RFC 5626 §3.5.1 -------------------------------------------------------------------------------------


def test_a_double_crlf_is_a_ping_and_a_single_one_a_pong():
    assert hear(StreamParser(), b"\r\n") == [Keepalive.PONG]
    assert hear(StreamParser(), b"\r\n\r\n") == [Keepalive.PONG, Keepalive.PING]


def test_keepalives_come_between_messages():
    heard = hear(StreamParser(), PING + b"\r\n\r\n" + PING + b"\r\n" + PING + b"\r\n")

    message = parse_datagram(PING)
    assert heard == [
        *(message, Keepalive.PONG, Keepalive.PING),
        *(message, Keepalive.PONG),
        *(message, Keepalive.PONG),
    ]


def test_half_a_crlf_is_nothing_yet():
    parser = StreamParser()

    assert hear(parser, b"\r") == []
    assert hear(parser, b"\n") == [Keepalive.PONG]


# -- any chunks ------------------------------------------------------------------------------------------

streams = st.lists(
    st.one_of(
        st.sampled_from([PING, MALFORMED, PING.replace(b"\r\n", b"\n"), b"\r\n", b"\r\n\r\n", b"\n", b"\r"]),
        st.sampled_from([WITHOUT_LENGTH, PING[:-2], b"X" * MAX_MESSAGE_BYTES, b"\0", b" "]),
        st.binary(max_size=20),
    ),
    max_size=6,
).map(b"".join)


@given(streams, st.lists(st.integers(0, 2000), max_size=12))
def test_what_comes_out_depends_on_no_chunking(stream, cuts):
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    parser, whole = StreamParser(), StreamParser()

    heard = [event for start, end in pairwise(places) for event in hear(parser, stream[start:end])]

    assert heard == hear(whole, stream)
    assert parser.broken == whole.broken


@given(st.lists(st.sampled_from([PING, MALFORMED, b"\r\n\r\n", WITHOUT_LENGTH]), max_size=4).map(b"".join))
def test_byte_by_byte_is_as_good_as_at_once(stream):
    parser = StreamParser()

    heard = [event for at in range(len(stream)) for event in hear(parser, stream[at : at + 1])]

    assert heard == hear(StreamParser(), stream)

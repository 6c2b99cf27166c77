import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.crypto import Crypto
from gateway.wire.sdp.description import Origin, SessionDescription, decode, encode
from gateway.wire.sdp.media import Direction, Encoding, Media, Rtcp
from tests.wire.captured import DATA

# As Asterisk 16 writes it.
ASTERISK = b"""v=0
o=- 2024411407 2024411408 IN IP4 192.0.2.1
s=Asterisk
c=IN IP4 192.0.2.1
t=0 0
m=audio 19012 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:150
a=sendrecv
""".replace(b"\n", b"\r\n")
SAMPLES = sorted((DATA / "sdp").glob("*.sdp"))


def with_lines(*lines: str) -> SessionDescription:
    """A description whose one medium has these attributes."""
    return decode(ASTERISK + "".join(f"{line}\r\n" for line in lines).encode())


def test_a_description_is_read_field_by_field():
    read = decode(ASTERISK)

    assert read.origin == Origin(session_id=2024411407, version=2024411408, address="192.0.2.1")
    assert (read.name, read.address, read.direction) == ("Asterisk", "192.0.2.1", None)
    assert read.media == (
        Media(
            kind="audio",
            port=19012,
            protocol="RTP/AVP",
            formats=("0", "8", "101"),
            direction=Direction.SENDRECV,
            encodings={
                0: Encoding("pcmu", 8000),
                8: Encoding("pcma", 8000),
                101: Encoding("telephone-event", 8000),
            },
            parameters={101: "0-16"},
            ptime_ms=20,
            maxptime_ms=150,
        ),
    )


@pytest.mark.parametrize(
    "sloppy",
    [
        ASTERISK.replace(b"\r\n", b"\n"),
        ASTERISK.replace(b"\r\n", b"\r"),
        ASTERISK.replace(b"\r\n", b" \r\n\r\n"),
        ASTERISK.replace(b"t=0 0\r\n", b""),
        ASTERISK.replace(b"s=Asterisk\r\n", b"").replace(b"c=", b"s=Asterisk\r\nb=AS:84\r\nz=x\r\nc="),
        ASTERISK + b"\0",
    ],
)
def test_sloppy_lines_say_the_same(sloppy: bytes):
    assert decode(sloppy) == decode(ASTERISK)


def test_an_encoding_need_not_be_mapped_if_everybody_knows_its_number():
    media = decode(b"v=0\no=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP 8 13 96\n").media[0]

    assert [media.encoding(number) for number in media.payload_types] == [
        Encoding("pcma", 8000),
        Encoding("cn", 8000),
        None,
    ]


def test_events_of_another_clock_are_not_taken_for_ours():
    media = with_lines("a=rtpmap:96 telephone-event/48000").media[0]

    assert media.find("telephone-event") == 101
    assert media.find("telephone-event", clock_hz=48_000) is None  # it is mapped, and not offered


@pytest.mark.parametrize(
    ("line", "rtcp"),
    [
        ("a=rtcp:4001", Rtcp(4001)),
        ("a=rtcp:4001 IN IP4 192.0.2.7", Rtcp(4001, "192.0.2.7")),
        ("a=rtcp:1 IN IP7 X", None),
        ("a=rtcp:99999", None),
    ],
)
def test_reports_may_go_elsewhere(line: str, rtcp: Rtcp | None):
    assert with_lines(line).media[0].rtcp == rtcp


def test_reports_may_share_the_port():
    assert with_lines("a=rtcp-mux").media[0].rtcp_mux


def test_a_medium_has_its_own_address_and_direction_or_those_of_the_session():
    read = decode(
        b"v=0\no=- 1 1 IN IP6 2001:db8::1\nc=IN IP6 2001:db8::1\na=recvonly\n"
        b"m=audio 4000 RTP/AVP 0\nm=audio 5000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127/3\na=inactive\n"
    )

    assert [read.address_of(media) for media in read.media] == ["2001:db8::1", "224.2.1.1"]
    assert [read.direction_of(media) for media in read.media] == [Direction.RECVONLY, Direction.INACTIVE]


def test_a_key_that_cannot_be_read_is_passed_over_and_the_others_stay():
    media = with_lines(
        "a=crypto:1 X clear:no", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
    ).media[0]

    assert [crypto.tag for crypto in media.cryptos] == [2]


def test_no_key_is_in_a_repr():
    read = with_lines("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + "QUJD" * 10)

    assert "ABC" not in repr(read)
    assert "QUJD" not in repr(read)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"o=- 1 1 IN IP4 h\n",
        b"v=1\no=- 1 1 IN IP4 h\n",
        b"v=0\n",
        b"v=0\no=- x 1 IN IP4 h\n",
        b"v=0\no=- 1 1 IN IP4\n",
        b"v=0\no=- 1 1 IN IP4 h\nnonsense\n",
        b"v=0\no=- 1 1 IN IP4 h\nc=ATM NSAP 47\n",
        b"v=0\no=- 1 1 IN IP4 h\nm=audio RTP/AVP 0\n",
        b"v=0\no=- 1 1 IN IP4 h\nm=audio 65536 RTP/AVP 0\n",
        b"v=0\no=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP\n",
        b"v=0\no=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP 0\nc=IN IP4\n",
        b"v=0\no=- 1 1 IN IP4 h\nm=video 4000\n",
        b"v=0\no=- 1 1 IN IP4 h\n" + b"m=audio 4000 RTP/AVP 0\n" * 33,
        b"v=0\no=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP" + b" 0" * 129 + b"\n",
        ASTERISK + b"a=x\n" * 20_000,
    ],
)
def test_what_is_no_description_is_a_remote_protocol_error(data: bytes):
    with pytest.raises(RemoteProtocolError):
        decode(data)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_of_all_kinds_are_read_and_what_is_kept_is_written(sample):
    read = decode(sample.read_bytes())

    assert read.media
    assert decode(encode(read)) == read


lines = st.sampled_from(
    [line for sample in SAMPLES for line in sample.read_bytes().splitlines()] + ASTERISK.splitlines()
)


@given(st.lists(lines | st.binary(max_size=20), max_size=30))
def test_any_lines_are_a_description_or_a_remote_protocol_error(shuffled: list[bytes]):
    try:
        read = decode(b"v=0\r\no=- 1 1 IN IP4 h\r\n" + b"\r\n".join(shuffled))
    except RemoteProtocolError:
        return

    assert len(read.media) <= 32


@given(st.binary(max_size=200))
def test_any_bytes_are_a_description_or_a_remote_protocol_error(data: bytes):
    with pytest.raises(RemoteProtocolError):
        decode(data)


def test_the_largest_body_takes_no_more_time_than_its_size_is_worth():
    def cost_s(attributes: int) -> float:
        data = ASTERISK + b"a=rtpmap:96 x/8000\r\n" * attributes
        return min(_timed(data) for _ in range(5))

    assert cost_s(3200) < 20 * 2 * cost_s(200)


def _timed(data: bytes) -> float:
    began = time.perf_counter()
    decode(data)
    return time.perf_counter() - began


tokens = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
numbers = st.integers(0, 127)
addresses = st.none() | st.sampled_from(["192.0.2.1", "2001:db8::1"])
directions = st.none() | st.sampled_from(list(Direction))
media = st.builds(
    Media,
    kind=tokens,
    port=st.integers(0, 65_535),
    protocol=st.sampled_from(["RTP/AVP", "RTP/SAVP", "TCP", "UDPTL"]),
    formats=st.lists(numbers.map(str), min_size=1, max_size=5).map(tuple),
    address=addresses,
    direction=directions,
    encodings=st.dictionaries(
        numbers,
        st.builds(Encoding, name=tokens, clock_hz=st.integers(1, 10**6), channels=st.integers(1, 8)),
        max_size=4,
    ),
    parameters=st.dictionaries(numbers, tokens, max_size=3),
    ptime_ms=st.none() | st.integers(1, 9999),
    maxptime_ms=st.none() | st.integers(1, 9999),
    rtcp=st.none() | st.builds(Rtcp, port=st.integers(0, 65_535), address=addresses),
    rtcp_mux=st.booleans(),
    cryptos=st.lists(
        st.builds(
            Crypto,
            tag=st.integers(0, 99),
            suite=tokens.map(str.upper),
            key=st.binary(min_size=1, max_size=46),
        ),
        max_size=2,
    ).map(tuple),
)


@given(
    st.builds(
        SessionDescription,
        origin=st.builds(
            Origin,
            session_id=st.integers(0, 2**63),
            version=st.integers(0, 2**63),
            address=st.just("192.0.2.1"),
            user=tokens,
        ),
        name=tokens,
        address=addresses,
        direction=directions,
        media=st.lists(media, max_size=4).map(tuple),
    )
)
def test_a_description_comes_back_as_it_was_written(description: SessionDescription):
    assert decode(encode(description)) == description


def test_what_is_written_is_word_for_word_what_phones_write():
    assert encode(decode(ASTERISK)).splitlines() == ASTERISK.splitlines()

"""What crosses the carrier port of a SIP call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip import leg_messages as wire
from gateway.media.latch import Address
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.media import Direction

PHONE = Address("192.0.2.1", 17_000)
hosts = st.ip_addresses().map(str)
addresses = st.builds(Address, hosts, st.integers(1, 0xFFFF))
agreements = st.builds(
    wire.MediaAgreed,
    codec=st.sampled_from(["pcmu", "pcma"]),
    payload_type=st.integers(0, 127),
    event_payload_type=st.none() | st.integers(0, 127),
    receives=st.dictionaries(
        st.integers(0, 127), st.sampled_from(["pcmu", "pcma", "cn", "telephone-event"]), max_size=4
    ),
    direction=st.sampled_from(Direction),
    rtp=st.none() | addresses,
    rtcp=st.none() | addresses,
    rtcp_mux=st.booleans(),
    secure=st.booleans(),
    early=st.booleans(),
)


@given(address=addresses, data=st.binary(), rtcp=st.booleans(), authentic=st.booleans())
def test_a_datagram_comes_back_as_it_was(address: Address, data: bytes, *, rtcp: bool, authentic: bool):
    datagram = wire.Datagram(address, data, rtcp, authentic)

    assert wire.decode_datagram(wire.encode_datagram(datagram)) == datagram


@pytest.mark.parametrize(("host", "size"), [("192.0.2.1", 7), ("2001:db8::1", 19)])
def test_an_address_costs_a_datagram_few_bytes(host: str, size: int):
    framed = wire.encode_datagram(wire.Datagram(Address(host, 17_000), b""))

    assert len(framed) == size


def test_the_framing_is_as_its_page_says():
    framed = wire.encode_datagram(wire.Datagram(PHONE, b"\x80", rtcp=True, authentic=True))

    assert framed == bytes([0x03, 192, 0, 2, 1, 0x42, 0x68, 0x80])


@given(st.binary(max_size=40))
def test_any_bytes_are_a_datagram_or_a_protocol_error(framed: bytes):
    try:
        datagram = wire.decode_datagram(framed)
    except RemoteProtocolError:
        assert len(framed) < 19 or framed[0] > 7
    else:
        assert wire.encode_datagram(datagram) == framed


@given(
    agreements
    | st.builds(wire.CallOver, why=st.sampled_from(["hung up", "lost"]), text=st.text())
    | st.builds(wire.DigitInformed, digit=st.text())
)
def test_a_message_comes_back_as_it_was(message: wire.FromSip):
    assert wire.decode(wire.encode(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"event":"media.begun"}',
        '{"event":"digit.informed"}',
        '{"event":"call.over","why":"tired"}',
        '{"event":"call.ringing","status":99}',
        '{"event":"media.agreed","codec":"g729","payload_type":18,"receives":{},"rtp":null}',
        '{"event":"media.agreed","codec":"pcmu","payload_type":0,"receives":{"18":"g729"},"rtp":null}',
        '{"event":"media.agreed","codec":"pcmu","payload_type":128,"receives":{},"rtp":null}',
        '{"event":"media.agreed","codec":"pcmu","payload_type":0,"receives":{},"rtp":["phone.example",5004]}',
        '{"event":"media.agreed","codec":"pcmu","payload_type":0,"receives":{},"rtp":["192.0.2.1",0]}',
        '{"event":"media.agreed","codec":"pcmu","payload_type":0,"receives":{},"rtp":["192.0.2.1",65536]}',
        "\ud800",
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_protocol_error(text: str):
    with pytest.raises(RemoteProtocolError):
        wire.decode(text)

"""Any bytes, any mutation of a valid message, any header of any bytes: nothing but `SipSyntaxError` comes out."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.sip import fields
from gateway.wire.sip.acceptance import Abilities, refusal_of
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.headers import Field
from gateway.wire.sip.message import Request, Response, ack_for, cancel_for, response_to
from gateway.wire.sip.parser import parse_datagram
from tests.wire.sip.corpus import CALL_FLOWS, CAPTURED, IPV6, TORTURE, same

MESSAGES = [*TORTURE.values(), *IPV6.values(), *CAPTURED.values(), *CALL_FLOWS.values()]
FIELDS = [field for field in vars(fields).values() if isinstance(field, Field)]
ABILITIES = Abilities(methods=("INVITE",))
PLAIN = CAPTURED["asterisk1628-00-INVITE"]
TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r\n ",
        b"\r",
        b" ",
        b"\t",
        b",",
        b";",
        b"=",
        b":",
        b"@",
        b"?",
        b"&",
        b"%",
        b"%00",
        b"%0d%0a",
    ),
    *(
        b'"',
        b"\\",
        b"<",
        b">",
        b"(",
        b")",
        b"[",
        b"]",
        b"\0",
        b"\xff",
        "ü".encode(),
        b"0",
        b"9" * 30,
        b"-1",
        b"*",
    ),
    *(
        b"SIP/2.0",
        b"SIP/7.0",
        b"Via: ",
        b"v:",
        b"l: 0\r\n",
        b"Content-Length: 9\r\n",
        b"sip:",
        b"tel:",
        b"INVITE",
        b"ACK",
    ),
]


def check(data: bytes) -> None:
    """All that is ever done to what a peer sent."""
    try:
        message = parse_datagram(data)
    except SipSyntaxError as error:
        if error.status is not None:
            answer = response_to(error, error.status, to_tag="t", reason=str(error)).encode()
            assert answer.split(b"\r\n")[0].isascii()
            assert answer.count(b"\r\n\r\n") == 1
        return
    assert same(parse_datagram(message.encode()), message)
    for field in FIELDS:
        try:
            message.headers.get(field)
        except SipSyntaxError:
            continue
    if isinstance(message, Request):
        refusal_of(message, ABILITIES)
        parse_datagram(response_to(message, 200, to_tag="t").encode())
        parse_datagram(cancel_for(message).encode())
        parse_datagram(ack_for(message, response_to(message, 486, to_tag="t")).encode())
        message.headers[fields.VIAS].top.stamped("192.0.2.1", 5060)
    else:
        assert isinstance(message, Response)


@given(st.binary(max_size=400))
def test_any_bytes(data):
    check(data)


@given(st.binary(max_size=200))
def test_any_bytes_behind_a_start_line(data):
    check(b"INVITE sip:a@h SIP/2.0\r\n" + data)


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join))
def test_any_words_of_sip(data):
    check(data)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid message of which something was cut, doubled, replaced or put in, a few times."""
    data = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        middle = draw(
            st.one_of(
                st.sampled_from([b"", data[start:end] * 2]), st.sampled_from(TOKENS), st.binary(max_size=8)
            )
        )
        data = data[:start] + middle + data[end:]
    return data


@given(mutated())
def test_any_mutation_of_a_valid_message(data):
    check(data)


@given(
    st.sampled_from(FIELDS),
    st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join)),
)
@example(fields.VIAS, b"SIP/2.0/UDP [::" + b":" * 5000)
def test_any_header_of_any_bytes(field, value):
    lines = PLAIN.split(b"\r\n")
    name = field.name.encode()
    others = [line for line in lines if not line.lower().startswith(name.lower() + b":")]

    check(b"\r\n".join([others[0], name + b": " + value, *others[1:]]))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_header_that_holds_nothing_is_read_or_refused(field):
    lines = PLAIN.split(b"\r\n")

    check(b"\r\n".join([lines[0], field.name.encode() + b":", *lines[1:]]))

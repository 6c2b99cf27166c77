"""What reading SIP costs: a usual INVITE, and messages that were made to cost more than they should.

    PYTHONPATH=. python ops/bench/sip_parser.py

A usual INVITE is compared with the least that anybody could do to it in the same run: split its lines at their
colons. The hostile ones are compared with themselves at a sixteenth of their size: a message of 64 kB is to cost at
most 20 times one of 4 kB, whatever it is full of. So is a header as long as the parser lets one be, beside one of
1 kB: for every kind of header, and for all that could be said in it without end. Times are the minimum of several
rounds. Ends with 1 when a bound is broken.
"""

import sys
import timeit
from collections.abc import Callable, Iterator
from typing import Any

from gateway.wire.sip import fields
from gateway.wire.sip.acceptance import Abilities, refusal_of
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import MAX_FIELD_BYTES
from gateway.wire.sip.headers import Field
from gateway.wire.sip.message import Request, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.stream import StreamParser
from gateway.wire.sip.uri import parse_uri
from ops.bench.promises import Bound, verdict

SMALL_BYTES, LARGE_BYTES = 4_000, 64_000
SHORT_BYTES, LONG_BYTES = MAX_FIELD_BYTES // 16, MAX_FIELD_BYTES
MOST_FOR_SIXTEEN_TIMES_AS_MUCH = 20.0
# What is refused at once takes a microsecond at any size: then the ratio is of two noises.
LEAST_S = 20e-6
ROUNDS, TRIES = 3, 12
LEAST_ROUND_S = 0.001

HEAD = (
    b"INVITE sip:+15551230001@192.0.2.1:5060;user=phone SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.2:5060;rport;branch=z9hG4bKPj2b2f5ca5-8e75-4229-bbcc-6560a1231d6d\r\n"
    b'From: "Anna" <sip:+15551230000@192.0.2.2>;tag=345895f5-b25e-4c73-acb2-af1d488af156\r\n'
    b"To: <sip:+15551230001@192.0.2.1>\r\n"
    b"Contact: <sip:+15551230000@192.0.2.2:5060>\r\n"
    b"Call-ID: 6a8a4f08-7b35-400a-89ad-3fa1135dfdfd\r\n"
    b"CSeq: 2380 INVITE\r\n"
    b"Allow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, REFER\r\n"
    b"Supported: 100rel, timer, replaces, norefersub, histinfo\r\n"
    b"Session-Expires: 1800\r\n"
    b"Min-SE: 90\r\n"
    b"P-Asserted-Identity: <sip:+15551230000@192.0.2.2>\r\n"
    b"Max-Forwards: 70\r\n"
    b"User-Agent: Carrier\r\n"
)
INVITE = HEAD + b"Content-Type: application/sdp\r\nContent-Length: 12\r\n\r\nv=0\r\ns=call\r\n"

ABILITIES = Abilities(methods=("INVITE",))
FIELDS: list[Field[Any]] = [field for field in vars(fields).values() if isinstance(field, Field)]
KINDS: list[Field[Any]] = [
    *(fields.VIAS, fields.FROM, fields.ROUTE, fields.CALL_ID, fields.CSEQ, fields.MAX_FORWARDS, fields.DATE),
    *(fields.RETRY_AFTER, fields.REPLACES, fields.REASON, fields.REQUIRE, fields.ACCEPT, fields.EVENT),
    *(fields.SESSION_EXPIRES, fields.CONTENT_LENGTH, fields.AUTHORIZATION),
]

# How a value begins before it goes on with the same for ever.
BEGINNINGS = (
    "",
    "SIP/2.0/UDP h",
    "<sip:a@h>",
    '"',
    '"A" <sip:a@h>;x="',
    "sip:",
    "1 ",
    "1 (",
    "Digest a=b",
    "a/b",
)
UNITS = (
    *(
        " ",
        "\t",
        ",",
        ";",
        ";a",
        ";a=",
        '"',
        '""',
        "\\",
        '\\"',
        "\\\\",
        "(",
        ")",
        "()",
        "<",
        ">",
        "<>",
        "[",
        "]",
        "@",
        "a",
    ),
    *(
        "%",
        "%41",
        "?",
        "&",
        "&a=b",
        "=",
        ":",
        ":1",
        ".",
        "a.",
        "1",
        "0",
        "-",
        "/",
        "é",
        ", ",
        " ;",
        "a ",
        "<sip:a@h>,",
    ),
    *(";a=b,", 'a="b", ', "(a (b) ", "text/plain,", '"a",'),
)


def numbered(pattern: str, size_bytes: int) -> str:
    """The pattern again and again, each with a number of its own."""
    return "".join(pattern.format(number) for number in range(size_bytes // len(pattern.format(1000))))


def rows(name: str, value: Callable[[int], str], size_bytes: int) -> bytes:
    """So many bytes of one header, in rows as long as the parser allows."""
    row_bytes = min(size_bytes, MAX_FIELD_BYTES - 200)
    return f"{name}: {value(row_bytes)}\r\n".encode() * (size_bytes // row_bytes)


MESSAGES: dict[str, Callable[[int], bytes]] = {
    "many headers": lambda size: numbered("X-{}: " + "x" * 240 + "\r\n", size).encode(),
    "too many headers": lambda size: b"X: y\r\n" * (size // 6),
    "a long folded line": lambda size: rows("Subject", lambda row: "a" + "\r\n a" * (row // 4), size),
    "a line folded without end": lambda size: b"Subject: a" + b"\r\n a" * (size // 4) + b"\r\n",
    "folds of white space": lambda size: b"Subject: a" + b"\r\n " * (size // 3) + b"\r\n",
    "many Vias in one header": lambda size: rows(
        "Via", lambda row: "SIP/2.0/UDP h, " * (row // 15) + "SIP/2.0/UDP h", size
    ),
    "many Vias": lambda size: numbered(
        "Via: SIP/2.0/UDP h{};branch=z9hG4bK" + "x" * 220 + "\r\n", size
    ).encode(),
    "deep parameters": lambda size: rows("Contact", lambda row: "<sip:a@h>" + numbered(";p{}", row), size),
    "deep URI parameters": lambda size: rows(
        "Contact", lambda row: "<sip:a@h" + numbered(";p{}=v", row) + ">", size
    ),
    "URI headers": lambda size: rows("Contact", lambda row: "<sip:a@h?a=b" + "&a=b" * (row // 4) + ">", size),
    "quoted strings": lambda size: rows(
        "Contact", lambda row: '"' + '\\"' * (row // 2) + '" <sip:a@h>', size
    ),
    "many quoted strings": lambda size: rows(
        "Contact", lambda row: '"a,b" <sip:a@h>,' * (row // 16) + "<sip:a@h>", size
    ),
    "a quote without an end": lambda size: (
        rows("Contact", lambda row: "<sip:a@h>, " + '"a\\', size) + b"X: " + b'"' * size
    ),
    "comments": lambda size: rows(
        "Retry-After", lambda row: "1 " + "(" * (row // 2) + ")" * (row // 2), size
    ),
    "escapes": lambda size: rows("Contact", lambda row: "<sip:" + "%41" * (row // 3) + "@h>", size),
    "a name in many words": lambda size: rows("Contact", lambda row: "a " * (row // 2) + "<sip:a@h>", size),
    "white space": lambda size: rows("Contact", lambda row: "<sip:a@h>" + " " * row + ";q=1", size),
    "credentials": lambda size: rows(
        "Authorization", lambda row: "Digest " + numbered('p{}="v", ', row), size
    ),
    "option tags": lambda size: rows("Require", lambda row: numbered("tag{}, ", row), size),
    "no colons": lambda size: b"x" * size + b"\r\n",
    "carriage returns": lambda size: b"X: " + b"\r" * size + b"\r\n",
    "a body": lambda size: b"Content-Type: application/sdp\r\n\r\n" + b"b" * size,
    "line ends in a body": lambda size: b"Content-Type: application/sdp\r\n\r\n" + b"\r\n" * (size // 2),
}


def handle(data: bytes) -> None:
    """All that an upper layer might do with a datagram."""
    try:
        message = parse_datagram(data)
    except SipSyntaxError as error:
        response_to(error, error.status or 400, to_tag="t").encode()
        return
    for field in FIELDS:
        attempt(message.headers.get, field)
    if isinstance(message, Request):
        refusal_of(message, ABILITIES)
        response_to(message, 200, to_tag="t").encode()
    message.encode()


def stream(data: bytes) -> None:
    """The same, in a stream that comes byte by byte."""
    parser = StreamParser()
    for at in range(len(data)):
        parser.receive_data(data[at : at + 1])
        attempt(parser.next_message)


def attempt(does: Callable[..., Any], *given: Any) -> None:
    try:
        does(*given)
    except SipSyntaxError:
        return


def least_s(does: Callable[[], object], rounds: int = ROUNDS) -> float:
    """What it takes, at best."""
    once_s = timeit.timeit(does, number=1)
    number = max(1, round(LEAST_ROUND_S / max(once_s, 1e-7)))
    return min(once_s, *(each / number for each in timeit.repeat(does, number=number, repeat=rounds)))


def growth(small: Callable[[], object], large: Callable[[], object]) -> float:
    """How many times more the large one costs than the small one. Others on the machine only ever add."""
    large_s = small_s = float("inf")
    for _ in range(TRIES):
        large_s, small_s = min(large_s, least_s(large)), min(small_s, least_s(small))
        if large_s / max(small_s, LEAST_S) < MOST_FOR_SIXTEEN_TIMES_AS_MUCH:
            break
    return large_s / max(small_s, LEAST_S)


def of_message(
    build: Callable[[int], bytes], does: Callable[[bytes], None], size_bytes: int
) -> Callable[[], object]:
    filling = build(size_bytes)
    data = HEAD + filling + (b"" if b"\r\n\r\n" in filling else b"\r\n")
    return lambda: does(data)


def of_text(
    read: Callable[[str], object], beginning: str, unit: str, size_bytes: int
) -> Callable[[], object]:
    text = beginning + unit * (size_bytes // len(unit))
    return lambda: attempt(read, text)


def message_growth(build: Callable[[int], bytes], does: Callable[[bytes], None]) -> float:
    return growth(of_message(build, does, SMALL_BYTES), of_message(build, does, LARGE_BYTES))


def readers() -> Iterator[tuple[str, Callable[[str], object]]]:
    """One of each kind."""
    yield from ((field.name, lambda text, field=field: field.read([text])) for field in KINDS)
    yield "a URI", parse_uri


def grows_most() -> tuple[float, str]:
    """Of every kind of header, every beginning and every unit."""
    most, what = 0.0, "nothing"
    for name, read in readers():
        for beginning in BEGINNINGS:
            for unit in UNITS:
                small, large = (of_text(read, beginning, unit, size) for size in (SHORT_BYTES, LONG_BYTES))
                times = timeit.timeit(large, number=1) / max(timeit.timeit(small, number=1), LEAST_S)
                if times > most:
                    times = growth(small, large)
                if times > most:
                    most, what = times, f"{name}: {beginning}{unit}{unit}.."
    return most, what


def split_lines(data: bytes) -> dict[str, str]:
    """The least that anybody could do."""
    head, _, _ = data.partition(b"\r\n\r\n")
    return {
        name: value.strip()
        for name, _, value in (line.partition(":") for line in head.decode().split("\r\n"))
    }


def main() -> int:
    message = parse_datagram(INVITE)
    parse_s, encode_s = least_s(lambda: parse_datagram(INVITE)), least_s(message.encode)
    split_s = least_s(lambda: split_lines(INVITE))
    bounds = [
        Bound("a usual INVITE, read", 1 / parse_s, unit="/s"),
        Bound("a usual INVITE, written", 1 / encode_s, unit="/s"),
        Bound("reading it, as so many times splitting its lines", parse_s / split_s, 40.0, "x"),
        Bound("writing it, as so many times splitting its lines", encode_s / split_s, 8.0, "x"),
    ]
    for name, build in MESSAGES.items():
        times = message_growth(build, handle)
        bounds.append(Bound(f"64 kB beside 4 kB: {name}", times, MOST_FOR_SIXTEEN_TIMES_AS_MUCH, "x"))
    costs_s = {name: least_s(of_message(build, handle, LARGE_BYTES)) for name, build in MESSAGES.items()}
    costliest = max(costs_s, key=lambda name: costs_s[name])
    bounds.append(Bound(f"the costliest 64 kB: {costliest}", costs_s[costliest] * 1000))
    times = message_growth(MESSAGES["many headers"], stream)
    bounds.append(Bound("64 kB beside 4 kB: byte by byte", times, MOST_FOR_SIXTEEN_TIMES_AS_MUCH, "x"))
    times, what = grows_most()
    bounds.append(
        Bound(
            "16 kB beside 1 kB: the worst of all headers' texts", times, MOST_FOR_SIXTEEN_TIMES_AS_MUCH, "x"
        )
    )
    status = verdict(bounds)
    print(f"the worst text is {what}")
    return status


if __name__ == "__main__":
    sys.exit(main())

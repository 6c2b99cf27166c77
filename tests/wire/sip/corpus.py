"""Messages that others wrote: of RFC 4475, RFC 5118, call-flow RFCs, and of real stacks. See data/README.md."""

import re
from pathlib import Path

from gateway.wire.sip.fields import VIAS
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.via import Via

DATA = Path(__file__).parent / "data"

TORTURE = {path.stem: path.read_bytes() for path in sorted((DATA / "rfc4475").iterdir())}
CAPTURED = {path.stem: path.read_bytes() for path in sorted((DATA / "wire").iterdir())}


def _on_the_wire(archived: bytes) -> bytes:
    """RFC 5118's archive has LF for CRLF, leaves out two empty lines, and counts its bodies wrongly."""
    head, _, body = archived.replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"Content-Length: [0-9]+", length, head.removesuffix(b"\r\n")) + b"\r\n\r\n" + body


IPV6_ARCHIVED = {path.name: path.read_bytes() for path in sorted((DATA / "rfc5118").iterdir())}
IPV6 = {name: _on_the_wire(archived) for name, archived in IPV6_ARCHIVED.items()}


def _messages_of(path: Path) -> list[bytes]:
    """The items of a YAML list of literal blocks, each indented by two. The last may have lost its empty line."""
    items = re.split(r"(?m)^- \|\+?\n", path.read_text())[1:]
    texts = [re.sub(r"(?m)^ {2}", "", item).replace("\n", "\r\n") for item in items]
    return [(text if "\r\n\r\n" in text else f"{text}\r\n").encode() for text in texts]


CALL_FLOWS = {
    f"{path.parent.name} {path.stem} {number}": message
    for path in sorted((DATA / "callflows").glob("*/*.yaml"))
    for number, message in enumerate(_messages_of(path), 1)
}


def vias(message: Request | Response) -> list[Via]:
    """All of them, from the topmost down."""
    top, others = message.headers[VIAS]
    return [top, *map(Via.parse, others)]


def same(one: Request | Response, other: Request | Response) -> bool:
    """Whether both say the same. A Content-Length that had been left out may be there now."""
    return one.encode() == other.encode() and type(one) is type(other)

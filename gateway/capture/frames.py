"""A capture file as frames: pcap, with microseconds or nanoseconds, and pcapng, in either byte order.

pcap: draft-ietf-opsawg-pcap. pcapng: draft-ietf-opsawg-pcapng. Lengths are believed as far as a frame can be long; a
file that ends within a frame is what an interrupted tcpdump leaves, and is good up to there.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

__all__ = ["CaptureReader", "CaptureUnreadable", "Frame"]

# What tcpdump captures at the most (MAXIMUM_SNAPLEN); a frame on a wire is a good deal shorter.
_MOST_FRAME_BYTES: Final = 262_144
# Interfaces and comments take less; what is longer is skipped, whatever it is.
_MOST_BLOCK_BYTES: Final = _MOST_FRAME_BYTES + 65_536
_MOST_INTERFACES: Final = 1024
_BUFFER_BYTES: Final = 1 << 20

_NS: Final = 1_000_000_000
_LATEST_S: Final = 253_402_300_799  # of the year 9999: no clock of a capture says more
_PCAP_MAGICS: Final = {  # byte order and nanoseconds a unit, by the first four bytes
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
_PCAP_HEAD_BYTES: Final = 24

_SECTION: Final = 0x0A0D0D0A  # the same in both byte orders
_INTERFACE, _SIMPLE, _ENHANCED, _OBSOLETE = 1, 3, 6, 2
_BYTE_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_TIME_RESOLUTION, _TIME_OFFSET = 9, 14


class CaptureUnreadable(Exception):
    """No capture that can be read; the text says why, in one line."""


class Frame(NamedTuple):
    """`number`: as tshark counts, from 1. `at_ns`: since 1970. `link`: its link type. `whole`: nothing was cut off."""

    number: int
    at_ns: int
    link: int
    data: bytes
    whole: bool


class _Interface(NamedTuple):
    link: int
    units_per_s: int
    offset_s: int


class CaptureReader:
    """One pass over a capture file. Raises `CaptureUnreadable` for a file that is none.

    `damage`: once `frames` has ended, why it could not go on; empty: that was all.
    """

    def __init__(self, path: Path) -> None:
        self.damage = ""
        self._number = 0
        self._file = _open(path)
        magic = self._file.read(4)
        self._file.seek(0)
        self._pcap = _PCAP_MAGICS.get(magic)
        if self._pcap is None and magic != _SECTION.to_bytes(4):
            self._file.close()
            raise CaptureUnreadable(f"{path}: neither pcap nor pcapng")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def frames(self) -> Iterator[Frame]:
        """All frames up to the end, or to what cannot be read."""
        return self._blocks() if self._pcap is None else self._records(*self._pcap)

    def _is_over(self, wanted: int, got: bytes) -> bool:
        """Whether the file ended before so many bytes; said, unless it ended where a frame does."""
        if len(got) == wanted:
            return False
        if got:
            self._give_up("the file ends within it")
        return True

    def _give_up(self, why: str) -> None:
        self.damage = f"packet {self._number + 1}: {why}; what came before it was read"

    # -- pcap

    def _records(self, order: str, unit_ns: int) -> Iterator[Frame]:
        head = self._file.read(_PCAP_HEAD_BYTES)
        if self._is_over(_PCAP_HEAD_BYTES, head):
            return
        link = Layout(f"{order}I").unpack_from(head, 20)[0] & 0xFFFF
        layout = Layout(f"{order}IIII")
        read = self._file.read
        while not self._is_over(layout.size, got := read(layout.size)):
            seconds, units, captured, on_wire = layout.unpack(got)
            if captured > _MOST_FRAME_BYTES:
                self._give_up(f"it claims {captured} bytes")
                return
            data = read(captured)
            if len(data) < captured:
                self._give_up("the file ends within it")
                return
            self._number += 1
            at_ns = seconds * _NS + units * unit_ns
            yield Frame(self._number, at_ns, link, data, captured >= on_wire)

    # -- pcapng

    def _blocks(self) -> Iterator[Frame]:
        order = ""
        interfaces: list[_Interface] = []
        while not self._is_over(12, head := self._file.read(12)):
            if head[:4] == _SECTION.to_bytes(4):
                order = _BYTE_ORDERS.get(head[8:12], "")
                interfaces = []
            if not order:
                self._give_up("a section of no byte order")
                return
            kind, size = Layout(f"{order}II").unpack_from(head)
            if size < 12 or size % 4:
                self._give_up(f"a block of {size} bytes")
                return
            if size > _MOST_BLOCK_BYTES:
                if kind in {_INTERFACE, _SIMPLE, _ENHANCED, _OBSOLETE}:
                    self._give_up(f"it claims {size} bytes")
                    return
                self._file.seek(size - len(head), 1)
                continue
            body = head[8:] + self._file.read(size - len(head))
            if len(body) < size - 8:
                self._give_up("the file ends within it")
                return
            body = body[:-4]  # the size again
            if kind == _INTERFACE and len(interfaces) < _MOST_INTERFACES:
                interfaces.append(_interface(body, order))
            elif kind in {_SIMPLE, _ENHANCED, _OBSOLETE}:
                frame = self._frame(kind, body, order, interfaces)
                if frame is None:
                    return
                yield frame

    def _frame(self, kind: int, body: bytes, order: str, interfaces: list[_Interface]) -> Frame | None:
        """None: it cannot be one, and has been given up."""
        start = 4 if kind == _SIMPLE else 20
        if len(body) < start:
            self._give_up(f"a block of {len(body)} bytes")
            return None
        at, high, low, captured, on_wire = 0, 0, 0, 0, 0
        if kind == _SIMPLE:
            on_wire = Layout(f"{order}I").unpack_from(body)[0]
            captured = min(on_wire, len(body) - start)
        elif kind == _ENHANCED:
            at, high, low, captured, on_wire = Layout(f"{order}IIIII").unpack_from(body)
        else:
            at, _drops, high, low, captured, on_wire = Layout(f"{order}HHIIII").unpack_from(body)
        if captured > len(body) - start or at >= len(interfaces):
            what = f"it claims {captured} bytes" if at < len(interfaces) else f"it is of no interface {at}"
            self._give_up(what)
            return None
        interface = interfaces[at]
        at_ns = interface.offset_s * _NS + (high << 32 | low) * _NS // interface.units_per_s
        at_ns = max(0, min(at_ns, _LATEST_S * _NS))
        self._number += 1
        data = body[start : start + captured]
        return Frame(self._number, at_ns, interface.link, data, captured >= on_wire)


def _interface(body: bytes, order: str) -> _Interface:
    """What an Interface Description Block says; what it does not say is as the draft has it: microseconds."""
    link = Layout(f"{order}H").unpack_from(body)[0] if len(body) >= 2 else 0
    units_per_s, offset_s, at = 1_000_000, 0, 8
    while at + 4 <= len(body):
        code, size = Layout(f"{order}HH").unpack_from(body, at)
        value = body[at + 4 : at + 4 + size]
        if code == 0:
            break
        if code == _TIME_RESOLUTION and len(value) == 1:
            units_per_s = (2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F)
        elif code == _TIME_OFFSET and len(value) == 8:
            offset_s = Layout(f"{order}q").unpack(value)[0]
        at += 4 + (size + 3 & ~3)
    return _Interface(link, units_per_s, offset_s)


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb", buffering=_BUFFER_BYTES)
        file.seek(0)  # a pipe cannot: a capture is read twice
    except OSError as error:
        raise CaptureUnreadable(f"{path}: {error.strerror}") from error
    return file

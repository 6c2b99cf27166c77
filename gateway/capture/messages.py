"""The SIP messages in a capture: out of datagrams, and out of what TCP carried."""

import re
from collections import OrderedDict
from typing import Final

from gateway.capture.links import Packet
from gateway.media.latch import Address
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.stream import Keepalive, StreamParser

__all__ = ["Found", "SipReader"]

Found = Request | Response | SipSyntaxError

_SIP: Final = re.compile(rb"[\r\n]*+(?:SIP/2\.0 [1-6]\d\d |[A-Z]{3,10} [^\s]++ SIP/2\.0\r?\n)")
# RFC 8446 §5.1: a record of a handshake, of a version that looks like any of SSL 3.0 to TLS 1.2.
_TLS: Final = re.compile(rb"\x16\x03[\x00-\x03]..[\x01\x02]", re.DOTALL)

_WRAP: Final = 0xFFFF_FFFF
_MOST_STREAMS: Final = 512
# Segments behind one that is missing: what takes longer than a window of this to be sent again is not in the capture.
_MOST_WAITING_BYTES: Final = 262_144


class SipReader:
    """Takes packets in their order. `tls_at`: the first packet in which TLS begins, by its number; None: none."""

    def __init__(self) -> None:
        self.tls_at: int | None = None
        self._streams: OrderedDict[tuple[Address, Address], _Stream] = OrderedDict()

    def take(self, packet: Packet) -> list[Found]:
        """The messages that are complete with this packet, and the errors of those that are none."""
        if packet.sequence is not None:
            return self._segment(packet, packet.sequence)
        if not _SIP.match(packet.data):
            return []
        if not packet.whole:
            return [SipSyntaxError("the capture cut it off; tcpdump -s 0 keeps packets whole")]
        try:
            return [parse_datagram(packet.data)]
        except SipSyntaxError as error:
            return [error]

    def _segment(self, packet: Packet, sequence: int) -> list[Found]:
        key = (packet.source, packet.destination)
        stream = self._streams.get(key)
        if packet.opens and stream is not None:
            del self._streams[key]
            stream = None
        if not packet.data:
            return []
        if stream is None:
            if self.tls_at is None and _TLS.match(packet.data):
                self.tls_at = packet.number
            if not _SIP.match(packet.data):
                return []  # somebody else's, or the middle of a message
            stream = self._streams[key] = _Stream(sequence)
        self._streams.move_to_end(key)
        if len(self._streams) > _MOST_STREAMS:
            self._streams.popitem(last=False)
        found = stream.take(packet.data if packet.whole else b"", sequence)
        if stream.lost or not packet.whole:
            del self._streams[key]
        return found


class _Stream:
    """One direction of a TCP connection, from the beginning of a message on. `lost`: it cannot go on."""

    def __init__(self, sequence: int) -> None:
        self.lost = False
        self._next = sequence
        self._waiting: dict[int, bytes] = {}
        self._parser = StreamParser()

    def take(self, data: bytes, sequence: int) -> list[Found]:
        self._waiting[sequence] = max(data, self._waiting.get(sequence, b""), key=len)
        found: list[Found] = []
        while (at := self._due()) is not None:
            data = self._waiting.pop(at)[self._next - at & _WRAP :]
            self._next = self._next + len(data) & _WRAP
            found += self._read(data)
        self.lost = self.lost or sum(map(len, self._waiting.values())) > _MOST_WAITING_BYTES
        return found

    def _due(self) -> int | None:
        """Where the segment begins that goes on, or was sent again."""
        return next((at for at in self._waiting if (self._next - at & _WRAP) < 1 << 31), None)

    def _read(self, data: bytes) -> list[Found]:
        self._parser.receive_data(data)
        found: list[Found] = []
        while True:
            try:
                event = self._parser.next_message()
            except SipSyntaxError as error:
                found.append(error)
                continue
            if event is None:
                break
            if not isinstance(event, Keepalive):
                found.append(event)
        self.lost = self._parser.broken
        return found

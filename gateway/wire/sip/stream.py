"""A byte stream, over TCP or TLS, as messages. RFC 3261 §18.3, RFC 5626 §3.5.1.

    parser.receive_data(data)
    while (event := parser.next_message()) is not None: ...

What comes out depends on the bytes alone, not on how they were parted. As h11: bytes in, events out.
"""

import enum
import re
from typing import NoReturn

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import MAX_MESSAGE_BYTES, number_of, text_of
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import END_OF_HEAD, answerable, parse_datagram, unfolded_lines

__all__ = ["Keepalive", "StreamParser"]

_CRLF = re.compile(rb"\r?\n")
_CONTENT_LENGTH = re.compile(rb"(?:content-length|l)[ \t]*+:(.*)", re.IGNORECASE | re.DOTALL)


class Keepalive(enum.Enum):
    """A CRLF between messages. Whoever connected asks with two of them (PING), and is answered with one (PONG).

    The first is taken for a PONG at once, since nobody can tell whether a second follows; so a PING comes behind a
    PONG that nobody waits for.
    """

    PING = "\r\n\r\n"
    PONG = "\r\n"


class StreamParser:
    """The messages of one connection. `broken`: where the next one begins cannot be told, so it has to be closed."""

    def __init__(self) -> None:
        self.broken = False
        self._buffer = bytearray()
        self._searched = 0  # so far, no head ends in the buffer
        # Of the message at the beginning of the buffer, once its head is there.
        self._message_bytes: int | None = None
        self._after_pong = False

    def receive_data(self, data: bytes) -> None:
        """What the connection gave. To be followed by `next_message` until it gives None: that keeps this bounded."""
        if not self.broken:
            self._buffer += data

    def next_message(self) -> Request | Response | Keepalive | None:
        """What comes next; None: nothing yet. Raises `SipSyntaxError` for a message that is none.

        Unless it is `broken` then, the next call goes on behind that message.
        """
        if self.broken:
            return None
        if crlf := _CRLF.match(self._buffer):
            del self._buffer[: crlf.end()]
            self._after_pong = not self._after_pong
            return Keepalive.PONG if self._after_pong else Keepalive.PING
        if self._message_bytes is None:
            self._message_bytes = self._framed()
        if self._message_bytes is None or len(self._buffer) < self._message_bytes:
            return None
        message = bytes(self._buffer[: self._message_bytes])
        del self._buffer[: self._message_bytes]
        self._searched, self._message_bytes, self._after_pong = 0, None, False
        return parse_datagram(message)

    def _framed(self) -> int | None:
        """How long the message is that begins the buffer; None: its head is not all there."""
        end = END_OF_HEAD.search(self._buffer, self._searched, MAX_MESSAGE_BYTES)
        if not end:
            self._searched = max(0, len(self._buffer) - 2)  # the pattern's length less one
            if len(self._buffer) >= MAX_MESSAGE_BYTES:
                lines = unfolded_lines(bytes(self._buffer[:MAX_MESSAGE_BYTES]))
                self._break(SipSyntaxError("Message Too Large", 513), lines)
            return None
        lines = unfolded_lines(bytes(self._buffer[: end.start()]))
        try:
            return end.end() + _content_length(lines, MAX_MESSAGE_BYTES - end.end())
        except SipSyntaxError as error:
            self._break(error, lines)

    def _break(self, error: SipSyntaxError, lines: list[bytes]) -> NoReturn:
        self.broken = True
        self._buffer.clear()
        raise answerable(error, lines)


def _content_length(lines: list[bytes], most: int) -> int:
    """On a stream it must be there, once. RFC 3261 §20.14, RFC 4475 §3.3.9."""
    found = [line.group(1) for line in map(_CONTENT_LENGTH.fullmatch, lines[1:]) if line]
    if len(found) != 1:
        raise SipSyntaxError("More than one Content-Length" if found else "Missing Content-Length")
    length = number_of(text_of(found[0]).strip(" \t"), most)
    if length is None:
        raise SipSyntaxError("Message Too Large", 513)
    return length

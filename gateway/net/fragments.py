"""How many frames make up the WebSocket message that is arriving. RFC 6455 §5.2, §5.4."""

_FIN, _CONTROL, _MASKED, _LENGTH = 0x80, 0x08, 0x80, 0x7F
_EXTENDED_LENGTH_BYTES = {126: 2, 127: 8}


class FragmentCounter:
    """Counts the frames of the unfinished message, whatever pieces the bytes arrive in.

    A limit on the size of a message does not stop a peer that sends it in a million empty frames, each of
    which is parsed and kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames = 0
        self._header = b""
        self._payload_bytes = 0

    def admit(self, data: bytes) -> bool:
        """Take the peer's next bytes. False, and for ever, once a message has more than `limit` frames."""
        at = 0
        while at < len(data) and self._frames <= self._limit:
            if self._payload_bytes:
                step = min(self._payload_bytes, len(data) - at)
                self._payload_bytes -= step
            else:
                step = min(_header_bytes(self._header) - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                self._begin_frame()
            at += step
        return self._frames <= self._limit

    def _begin_frame(self) -> None:
        if len(self._header) < _header_bytes(self._header):
            return
        first, second, extended = self._header[0], self._header[1], self._header[2:]
        length_bytes = _EXTENDED_LENGTH_BYTES.get(second & _LENGTH, 0)
        self._payload_bytes = int.from_bytes(extended[:length_bytes]) if length_bytes else second & _LENGTH
        self._header = b""
        if not first & _CONTROL:  # a control frame may stand between two fragments
            self._frames = 0 if first & _FIN and self._frames < self._limit else self._frames + 1


def _header_bytes(start: bytes) -> int:
    """The length of the frame header that starts so; 2 while that cannot be told."""
    if len(start) < 2:
        return 2
    return 2 + _EXTENDED_LENGTH_BYTES.get(start[1] & _LENGTH, 0) + (4 if start[1] & _MASKED else 0)

"""What is to be played, by its position on the sender's clock: audio, silence, or nothing yet."""

from typing import Final

__all__ = ["AUDIO", "MISSING", "SILENT", "Tape"]

MISSING: Final = 0
AUDIO: Final = 1
SILENT: Final = 2

_MISSING: Final = bytes([MISSING])
_AUDIO: Final = bytes([AUDIO])
_SILENT: Final = bytes([SILENT])


class Tape:
    """Samples from `start` on, one byte each, and beside them what kind each is. Both go on as nothing for ever."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._codes = bytearray()
        self._kinds = bytearray()

    @property
    def end(self) -> int:
        """Nothing lies behind this position."""
        return self.start + len(self._codes)

    def write(self, position: int, payload: bytes) -> None:
        """Put audio down; what of it lies before `start` is not kept."""
        if position < self.start:
            payload = payload[self.start - position :]
            position = self.start
        at = position - self.start
        size = len(payload)
        if at != len(self._codes):  # nearly always it goes on where the last one ended
            self._reach(at)
        self._codes[at : at + size] = payload
        self._kinds[at : at + size] = _AUDIO * size

    def silence(self, position: int, end: int) -> None:
        """Nothing will come from `position` to `end`: what is missing there is silent."""
        first, last = max(position - self.start, 0), end - self.start
        if first < last:
            self._reach(last)
            self._kinds[first:last] = self._kinds[first:last].replace(_MISSING, _SILENT)

    def take(self, size: int) -> tuple[bytes, bytes]:
        """The next samples and their kinds, which leave the tape."""
        codes, kinds = bytes(self._codes[:size]), bytes(self._kinds[:size])
        del self._codes[:size]
        del self._kinds[:size]
        self.start += size
        short = size - len(codes)
        return (codes + bytes(short), kinds + bytes(short)) if short else (codes, kinds)

    def audio(self, most: int) -> bytes:
        """The audio from `start` to the first sample that is none, at most so many samples; it stays."""
        kinds = self._kinds[:most]
        return bytes(self._codes[: len(kinds) - len(kinds.lstrip(_AUDIO))])

    def silent(self) -> int:
        """How many samples from `start` on are silent."""
        if not self._kinds.startswith(_SILENT):
            return 0
        return len(self._kinds) - len(self._kinds.lstrip(_SILENT))

    def rewind(self, size: int, *, kind: int = MISSING) -> None:
        """Give `size` positions before `start` another turn."""
        self._codes[:0] = bytes(size)
        self._kinds[:0] = bytes([kind]) * size
        self.start -= size

    def clear(self) -> None:
        self._codes.clear()
        self._kinds.clear()

    def _reach(self, size: int) -> None:
        missing = size - len(self._codes)
        if missing > 0:
            self._codes += bytes(missing)
            self._kinds += _MISSING * missing

"""What the caller said that a new session of the voice would not know."""

from collections import deque

__all__ = ["Backlog"]

_LEAD_MS = 500  # a word has begun before anybody can tell
_MOST_MS = 15_000
_BYTES_PER_MS = 8


class Backlog:
    """The caller's last G.711: half a second while nothing is at stake, a whole turn (15 s of it) while one is."""

    def __init__(self) -> None:
        self._payloads: deque[bytes] = deque()
        self._bytes = 0
        self._keeping = False

    def add(self, payload: bytes) -> None:
        self._payloads.append(payload)
        self._bytes += len(payload)
        most_ms = _MOST_MS if self._keeping else _LEAD_MS
        while self._bytes > most_ms * _BYTES_PER_MS:
            self._bytes -= len(self._payloads.popleft())

    def keep(self) -> None:
        """What comes from now on, and half a second before it, must not be lost."""
        self._keeping = True

    def release(self) -> None:
        """What was kept is written down, or was answered."""
        self._keeping = False
        self._payloads.clear()
        self._bytes = 0

    def everything(self) -> bytes:
        """All that is kept, oldest first. It stays here."""
        return b"".join(self._payloads)

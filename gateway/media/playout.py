"""What the agent says next: G.711 by response item, paced and cuttable."""

from collections import deque
from typing import NamedTuple

__all__ = ["FRAME_BYTES", "FRAME_MS", "MOST_QUEUED_MS", "Piece", "Playout"]

FRAME_MS = 20
FRAME_BYTES = 160  # 20 ms of G.711 at 8 000 Hz

# A response of five minutes is a fault of the voice, not a long answer; mu-law of it is 2.4 MB.
MOST_QUEUED_MS = 5 * 60 * 1000

# With the lead used up, wait for room for three frames: a third of the messages at the same delay.
GROUP_MS = 60


class Piece(NamedTuple):
    """Whole frames of one response item, due now."""

    item: str
    payload: bytes


class Playout:
    """Queue of agent audio that runs at most `lead_ms` ahead of what the far end plays.

    The far end is taken to play 1 ms a millisecond as long as it has something (`ends_at`: when it runs
    dry). `silence`: the codec's byte of silence, which fills the last frame of an item.
    """

    def __init__(self, *, lead_ms: int, silence: bytes) -> None:
        self._lead_s = lead_ms / 1000
        self._silence = silence
        self._queue: deque[tuple[str, bytearray]] = deque()
        self._queued_bytes = 0
        self.ends_at = 0.0

    @property
    def queued_ms(self) -> float:
        """Audio that waits here, not yet sent."""
        return self._queued_bytes / 8

    def add(self, item: str, payload: bytes) -> None:
        """Queue G.711 of any length behind what is there; a new item fills up the last frame of the one before."""
        if not self._queue or self._queue[-1][0] != item:
            self._fill()
            self._queue.append((item, bytearray()))
        self._queue[-1][1].extend(payload)
        self._queued_bytes += len(payload)

    def finish(self, item: str) -> None:
        """No more of `item` will come: its last, partial frame is filled with silence and so becomes due."""
        if self._queue and self._queue[-1][0] == item:
            self._fill()

    def take(self, now: float) -> list[Piece]:
        """The frames to send now, in order, so that the far end holds at most the lead."""
        if not self._queued_bytes:
            return []
        ends_at = max(self.ends_at, now)
        room_ms = round((now + self._lead_s - ends_at) * 1000, 3)
        if room_ms < min(GROUP_MS, self.queued_ms):
            return []
        pieces: list[Piece] = []
        room_bytes = int(room_ms // FRAME_MS) * FRAME_BYTES
        while self._queue and room_bytes:
            item, waiting = self._queue[0]
            size = min(len(waiting) // FRAME_BYTES * FRAME_BYTES, room_bytes)
            if size:
                pieces.append(Piece(item, bytes(waiting[:size])))
                del waiting[:size]
                room_bytes -= size
                self._queued_bytes -= size
                ends_at += size / 8000
            if waiting or len(self._queue) == 1:
                break
            self._queue.popleft()
        if self._queue and not self._queue[0][1]:
            self._queue.popleft()
        if pieces:
            self.ends_at = ends_at
        return pieces

    def cut(self, now: float) -> float:
        """Drop all that waits; the far end is about to be cleared too. Returns the milliseconds dropped here."""
        dropped_ms = self.queued_ms
        self._queue.clear()
        self._queued_bytes = 0
        self.ends_at = min(self.ends_at, now)
        return dropped_ms

    def _fill(self) -> None:
        if self._queue:
            missing = -len(self._queue[-1][1]) % FRAME_BYTES
            self._queue[-1][1].extend(self._silence * missing)
            self._queued_bytes += missing

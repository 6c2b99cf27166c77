"""What the agent says next: G.711 by response item, paced, and cuttable to the millisecond."""

from collections import deque
from typing import NamedTuple

import msgspec

__all__ = ["FRAME_BYTES", "FRAME_MS", "MOST_QUEUED_MS", "Piece", "Playout"]

FRAME_MS = 20
FRAME_BYTES = 160  # 20 ms of G.711 at 8 000 Hz
BYTES_PER_MS = 8

# A response of five minutes is a fault of the voice, not a long answer; mu-law of it is 2.4 MB.
MOST_QUEUED_MS = 5 * 60 * 1000

# With the lead used up, wait for room for three frames: a third of the messages at the same delay.
GROUP_MS = 60

# Of what was sent, so much is kept until it is heard; a far end that never tells must not cost memory.
MOST_UNHEARD_MS = 2000


class Piece(NamedTuple):
    """Whole frames of one response item, due now."""

    item: str
    payload: bytes


class _Sent(msgspec.Struct, frozen=True, gc=False):
    """A piece on the playout axis, from `at_ms` to `end_ms` of agent audio since the call began."""

    at_ms: int
    end_ms: int
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
        self._unheard: deque[_Sent] = deque()
        self._sent_ms = 0
        self._heard_ms = 0  # or surely played, told or not
        self.held = False
        self.ends_at = 0.0

    @property
    def queued_ms(self) -> float:
        """Audio that waits here, not yet sent."""
        return self._queued_bytes / BYTES_PER_MS

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
        """The frames to send now, in order, so that the far end holds at most the lead. None while held."""
        if not self._queued_bytes or self.held:
            return []
        ends_at = max(self.ends_at, now)
        room_ms = round((now + self._lead_s - ends_at) * 1000, 3)
        if room_ms < GROUP_MS and room_ms < self._queued_bytes / BYTES_PER_MS:
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
            self._remember(pieces)
        return pieces

    def heard(self, low_ms: float) -> None:
        """The far end has played all before `low_ms` of the axis of what was sent."""
        self._heard_ms = max(self._heard_ms, int(low_ms))
        while self._unheard and self._unheard[0].end_ms <= low_ms:
            self._unheard.popleft()

    def run_dry(self, high_ms: float) -> None:
        """The far end has played all that it can have played, before `high_ms`: nothing of that goes back."""
        self.heard(high_ms)

    def delayed(self, queued_ms: float, now: float) -> None:
        """So much of what was sent is yet to be played."""
        self.ends_at = max(self.ends_at, now + queued_ms / 1000)

    def hold(self, now: float) -> None:
        """The far end was cleared: what it has not played goes back in front of the queue, and nothing is sent.

        Until `resume` or `cut`. A frame of which only a part was heard goes back whole.
        """
        self.held = True
        self.ends_at = min(self.ends_at, now)
        while self._unheard:
            sent = self._unheard.pop()
            played_frames = max(self._heard_ms - sent.at_ms, 0) // FRAME_MS
            self._put_back(sent.item, sent.payload[played_frames * FRAME_BYTES :])

    def resume(self) -> None:
        """Go on where it was held."""
        self.held = False

    def cut(self, now: float) -> float:
        """Drop all that waits; the far end was cleared, or is about to be. Returns the milliseconds dropped here."""
        dropped_ms = self.queued_ms
        self._queue.clear()
        self._queued_bytes = 0
        self._unheard.clear()
        self.held = False
        self.ends_at = min(self.ends_at, now)
        return dropped_ms

    def _remember(self, pieces: list[Piece]) -> None:
        for item, payload in pieces:
            begin_ms = self._sent_ms
            self._sent_ms += len(payload) // BYTES_PER_MS
            self._unheard.append(_Sent(begin_ms, self._sent_ms, item, payload))
        while self._sent_ms - self._unheard[0].at_ms > MOST_UNHEARD_MS:
            self._unheard.popleft()

    def _put_back(self, item: str, payload: bytes) -> None:
        if self._queue and self._queue[0][0] == item:
            self._queue[0][1][:0] = payload
        elif payload:
            self._queue.appendleft((item, bytearray(payload)))
        self._queued_bytes += len(payload)

    def _fill(self) -> None:
        if self._queue:
            missing = -len(self._queue[-1][1]) % FRAME_BYTES
            self._queue[-1][1].extend(self._silence * missing)
            self._queued_bytes += missing

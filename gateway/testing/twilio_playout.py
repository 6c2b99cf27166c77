"""What Twilio plays to the caller: a queue of G.711 that runs at the speed of the clock, with marks in it.

Audio sent faster than it plays waits its turn; `clear` throws it away. A mark comes back when all before it was
played, and every waiting mark comes back at once when the queue is cleared. Media Streams, "WebSocket messages".
"""

from collections import deque

import msgspec

__all__ = ["RATE_HZ", "SILENCE", "TwilioPlayout", "Underrun"]

RATE_HZ = 8000  # one byte a sample: G.711

# "If more than 10 minutes of audio is buffered by the Streamer, no more data is accepted" (warning 31931).
MAX_QUEUED_BYTES = 10 * 60 * RATE_HZ

# A shorter gap is heard as a stutter, a longer one as the pause between two utterances. People leave about 200 ms
# between turns, a voice over a telephone never less than its detection of the end of speech.
PAUSE_S = 0.25

# Half a sample: what arrives at the very instant at which the queue runs dry leaves no gap.
CONTIGUOUS_S = 0.5 / RATE_HZ

SILENCE = b"\xff"


def _magnitude(code: int) -> int:
    """The absolute 16-bit value of a mu-law code. ITU-T G.711, table 2."""
    inverted = ~code & 0xFF
    return ((((inverted & 0x0F) << 3) + 0x84) << ((inverted >> 4) & 7)) - 0x84


# Nobody hears -44 dBFS on a telephone, and a voice that streams silence does not speak.
QUIET_CODES = bytes(code for code in range(256) if _magnitude(code) <= 200)


class Underrun(msgspec.Struct, frozen=True):
    """The queue ran dry within an utterance: the caller heard a hole of `gap_ms` from `at_s` on."""

    at_s: float
    gap_ms: float


class TwilioPlayout:
    """The queue and the record of one stream. Times are seconds on the axis of the caller's ear."""

    def __init__(self) -> None:
        self._queue: deque[bytes | str] = deque()  # audio, and the names of marks
        self._head_bytes = 0  # of the first payload, already played
        self._runs: list[tuple[float, bytearray]] = []
        self._cleared = False
        self.queued_bytes = 0
        self.max_queued_bytes = 0
        self.cleared_bytes = 0
        self.underruns: list[Underrun] = []
        self.last_audible_s: float | None = None

    @property
    def played(self) -> list[tuple[float, bytes]]:
        """What the caller heard: runs without a hole in them, each with the time at which it began."""
        return [(start_s, bytes(audio)) for start_s, audio in self._runs]

    def add(self, audio: bytes, now: float) -> bool:
        """Queue audio. False when there is no room: none of it was taken."""
        if self.queued_bytes + len(audio) > MAX_QUEUED_BYTES:
            return False
        if audio:
            if not self.queued_bytes:
                self._begin_run(now)
            self._queue.append(audio)
            self.queued_bytes += len(audio)
            self.max_queued_bytes = max(self.max_queued_bytes, self.queued_bytes)
        return True

    def mark(self, name: str) -> None:
        """Queue a mark; `advance` gives it back when its turn has come."""
        self._queue.append(name)

    def clear(self) -> list[str]:
        """Throw away what was not played. Returns the names of all marks that waited."""
        marks = [item for item in self._queue if isinstance(item, str)]
        self.cleared_bytes += self.queued_bytes
        self._cleared = True
        self._queue.clear()
        self._head_bytes = self.queued_bytes = 0
        return marks

    def advance(self, now: float) -> list[str]:
        """Play up to `now`. Returns the names of the marks whose turn has come, in order."""
        returned = []
        while self._queue:
            item = self._queue[0]
            if isinstance(item, str):
                returned.append(item)
                self._queue.popleft()
            elif not self._play(item, now):
                break
        return returned

    def _begin_run(self, now: float) -> None:
        cleared, self._cleared = self._cleared, False
        if self._runs:
            end_s = self._end_s()
            if now - end_s < CONTIGUOUS_S:
                return
            if now - end_s < PAUSE_S and not cleared:
                self.underruns.append(Underrun(end_s, (now - end_s) * 1000))
        self._runs.append((now, bytearray()))

    def _end_s(self) -> float:
        start_s, audio = self._runs[-1]
        return start_s + len(audio) / RATE_HZ

    def _play(self, payload: bytes, now: float) -> bool:
        """Play what is due of the first payload; True when that was all of it."""
        start_s, audio = self._runs[-1]
        due_bytes = int((now - start_s) * RATE_HZ + 1e-3) - len(audio)
        piece = payload[self._head_bytes : self._head_bytes + max(due_bytes, 0)]
        audible = piece.rstrip(QUIET_CODES)
        if audible:
            self.last_audible_s = self._end_s() + len(audible) / RATE_HZ
        audio += piece
        self.queued_bytes -= len(piece)
        self._head_bytes += len(piece)
        if self._head_bytes < len(payload):
            return False
        self._queue.popleft()
        self._head_bytes = 0
        return True

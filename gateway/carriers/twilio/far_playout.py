"""How far Twilio has played what it was sent, as its marks and the clock of its stream tell. A core.

What is known, and when:

- Nothing plays before it was sent, nor faster than 1 ms a millisecond: `high` follows from our clock alone.
- A mark that comes back says that all before it was played, at about the end of the caller's audio that
  came before the mark: both travel in order on one connection.
- From there the far end plays on, 1 ms for each millisecond of the caller's audio, as long as it has
  something; but not past the next mark that is still out. Waiting for marks alone would be 100 ms behind.
- `clear` brings every mark back at once, played or not. So a mark counts only in the generation that sent
  it, and `clear` begins the next one.
- While `clear` is on its way the far end plays on. The way there and the way back of what we know last take
  about as long as they took the marks, together: what is played meanwhile is heard as well. Without it, what
  was heard would be that much too little, 100 to 300 ms on most lines.
"""

import re
from collections import deque
from typing import NamedTuple

from gateway.media.heard import Heard

__all__ = ["FIRST_MARK_MS", "MARK_EVERY_MS", "FarPlayout"]

# Ten marks a second are a fifth of the messages of the audio itself and bound every error to 100 ms.
MARK_EVERY_MS = 100
# After a pause only a mark tells when the far end began, so that the first frame has one of its own.
FIRST_MARK_MS = 20
# Audio without a mark gets one when nothing follows it. Playout sends every 60 ms while it has something.
TAIL_S = 0.1
# Twilio's frames of caller audio: a mark may be this much younger than the audio that came before it.
MEDIA_STEP_MS = 20
# The quickest of so many marks is what the line takes: three seconds of audio.
WAYS = 32
# A line is not always equally quick: so much less than it takes is sure.
JITTER_MS = 20
# The ten minutes that Twilio queues hold 6 000 marks; a peer that returns none must not cost us memory.
MOST_MARKS_OUT = 8192

_MARK = re.compile(r"g([0-9]{1,9}):[0-9]{1,12}", re.ASCII)


class _Mark(NamedTuple):
    """One that is out: its position, and when it would be back if nothing took time but the audio before it."""

    at_ms: int
    due_s: float


class FarPlayout:
    """Marks to send, and bounds on what was played. All positions in ms of agent audio since the call began."""

    def __init__(self) -> None:
        self.sent_ms = 0
        self._generation = 0
        self._out: dict[str, _Mark] = {}  # marks that are out, oldest first
        self._ways_ms: deque[float] = deque(maxlen=WAYS)  # how much later than due the last ones came back
        self._unmarked_ms = 0
        self._mark_after_ms = FIRST_MARK_MS
        self._sent_at_s = 0.0
        self._low_ms = 0.0
        self._high_ms = 0.0
        self._followed_at_s = 0.0
        self._ceiling_ms = 0.0  # nothing behind it can be playing: what was sent, or where it was cut
        self._began_ms = 0  # where the stretch began that is played without a pause
        self._media_ms = 0
        self._known_at_s = 0.0  # when the far end last told how far it was
        self._played_ms = 0  # the youngest mark that came back
        self._played_at_ms: int | None = None  # and the stream's clock at that time; None: nothing plays

    @property
    def heard(self) -> Heard:
        return Heard(round(self._low_ms, 3), round(self._high_ms, 3))

    @property
    def next_piece_ms(self) -> int:
        """The most audio to send in one message, so that no more than 200 ms are without a mark."""
        return FIRST_MARK_MS if self._is_idle() else MARK_EVERY_MS

    def sent(self, duration_ms: int, now: float) -> None:
        """So much more audio was sent."""
        self._follow(now)
        if self._is_idle():
            self._mark_after_ms = FIRST_MARK_MS
            self._played_at_ms = None
            self._began_ms = self.sent_ms
        if self._ceiling_ms < self.sent_ms:  # after a cut the axis goes on behind what was thrown away
            self._high_ms = float(self.sent_ms)
        self.sent_ms += duration_ms
        self._ceiling_ms = float(self.sent_ms)
        self._unmarked_ms += duration_ms
        self._sent_at_s = now

    def mark(self, now: float) -> str | None:
        """The mark that has to be sent now, if any."""
        due_ms = 1 if now - self._sent_at_s >= TAIL_S else self._mark_after_ms
        if self._unmarked_ms < due_ms:
            return None
        self._follow(now)
        name = f"g{self._generation}:{self.sent_ms}"
        self._out[name] = _Mark(self.sent_ms, now + (self.sent_ms - self._high_ms) / 1000)
        if len(self._out) > MOST_MARKS_OUT:
            del self._out[next(iter(self._out))]
        self._unmarked_ms = 0
        self._mark_after_ms = MARK_EVERY_MS
        return name

    def returned(self, mark: str, media_ms: int, now: float) -> bool:
        """A mark came back, `media_ms` into the caller's audio. False: it is none that could."""
        if mark not in self._out:
            cleared = _MARK.fullmatch(mark)
            return cleared is not None and int(cleared[1]) < self._generation
        self._played_ms, due_s = self._out[mark]
        self._played_at_ms = media_ms + MEDIA_STEP_MS
        self._ways_ms.append((now - due_s) * 1000)
        self._known_at_s = now
        for name in list(self._out):  # marks come in order: an older one that is still out is lost
            del self._out[name]
            if name == mark:
                break
        self.advance(media_ms, now)
        return True

    def advance(self, media_ms: int, now: float) -> None:
        """Time passed: ours, and to `media_ms` the caller's audio."""
        self._follow(now)
        if media_ms > self._media_ms:
            self._media_ms, self._known_at_s = media_ms, now
        played_ms = min(self._followed_ms, self._next_mark_ms)
        self._low_ms = max(self._low_ms, min(float(played_ms), self._high_ms))

    def clear(self, media_ms: int, now: float) -> None:
        """All that is not played when this arrives is thrown away, and never heard."""
        self.advance(media_ms, now)
        self._low_ms = max(self._low_ms, self._played_when_cleared_ms(now))
        self._generation += 1
        self._out.clear()
        self._unmarked_ms = 0
        self._played_ms = 0
        self._played_at_ms = None
        self._ceiling_ms = self._high_ms

    def _played_when_cleared_ms(self, now: float) -> float:
        """How far the far end comes at least until a `clear` of now is there; 0 when nobody can tell."""
        known_ms = self._low_ms if self._played_at_ms is not None else float(self._began_ms)
        if not self._ways_ms or self._followed_ms > self._next_mark_ms + MEDIA_STEP_MS:
            return 0.0  # a mark is late: maybe nothing plays
        meanwhile_ms = (now - self._known_at_s) * 1000 + min(self._ways_ms)
        played_ms = min(known_ms + meanwhile_ms, self._high_ms - JITTER_MS)
        return played_ms if played_ms > self._began_ms else 0.0

    @property
    def _followed_ms(self) -> int:
        """How far the far end is if it has played on ever since the youngest mark."""
        if self._played_at_ms is None:
            return self._played_ms
        return self._played_ms + max(self._media_ms - self._played_at_ms, 0)

    @property
    def _next_mark_ms(self) -> int:
        """The next mark that is out, or all that was sent."""
        return next((mark.at_ms for mark in self._out.values()), self.sent_ms)

    def _follow(self, now: float) -> None:
        passed_ms = max(now - self._followed_at_s, 0.0) * 1000
        self._high_ms = min(self._high_ms + passed_ms, self._ceiling_ms)
        self._followed_at_s = now

    def _is_idle(self) -> bool:
        return not self._out and not self._unmarked_ms

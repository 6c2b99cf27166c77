"""Which 20 ms frames a tick stands for: the ticks of a busy machine come late, or not at all, and time goes on."""

from typing import Final

__all__ = ["FRAME_SAMPLES", "FrameClock"]

FRAME_SAMPLES: Final = 160
_RATE_HZ: Final = 8000


class FrameClock:
    """A frame every 20 ms, whatever the ticks do. `due`: when the next one is, in samples of the clock that ticks have.

    Frames that were due meanwhile are made up for by the next tick, and the one on the heels of that has none left. So
    frames neither gain on the clock nor fall behind it.
    """

    def __init__(self) -> None:
        self.due: int | None = None
        self._made_up = False
        self._spare = 2 * FRAME_SAMPLES  # the first tick may be anywhere between two others, and late besides

    def tick(self, now: float) -> int:
        """How many frames are due, the first of them at `due` as it was before. The first tick stands for one."""
        at = round(now * _RATE_HZ)
        due = self.due if self.due is not None else at
        if 0 < due - at <= self._spare and not self._made_up:
            # Ticks may be late, and never early: the earliest one is the true one.
            self._spare -= due - at
            due = at
        frames = max((at - due) // FRAME_SAMPLES + 1, 0)
        self.due = due + frames * FRAME_SAMPLES
        self._made_up = frames > 1
        return frames

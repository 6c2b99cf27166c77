"""When and where to try again after a voice was lost, had no room, or would not have us. A core."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.contracts import VoiceTraits

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["Attempts", "Next"]

# The first try is at once: most connections break alone. Then soon, for a caller waits; then further and further
# apart, so that a voice that restarts is met again, and not by all calls together.
_BACKOFF_S = (0.0, 0.1, 0.3, 1.2, 2.4)
_BUSY_S = 3.0  # how long a caller waits for a voice that has no room
_BUSY_AGAIN_S = 1.0  # between the tries, unless the voice says


class Next(NamedTuple):
    """The next try: not before `at`, with this voice."""

    at: float
    voice: VoiceTraits


class Attempts:
    """The tries of one outage, which ends when the voice is heard again (`proved`).

    `voices`: in the order in which they are tried; one that worked is kept. `rng` spreads the tries.
    """

    def __init__(self, voices: "Sequence[VoiceTraits]", rng: "random.Random") -> None:
        self._voices = voices
        self._rng = rng
        self._at = 0
        self._failures = 0
        self._busy_since: float | None = None

    @property
    def voice(self) -> VoiceTraits:
        """The one that is tried, or talks, now."""
        return self._voices[self._at]

    def proved(self) -> None:
        """The voice speaks: what failed before is over."""
        self._failures = 0
        self._busy_since = None

    def lost(self, now: float, failures: int = 1) -> Next | None:
        """The connection broke, or could not be had. None: no voice is left to try."""
        if self._failures >= len(_BACKOFF_S):
            return self.refused(now)
        pause_s = _BACKOFF_S[self._failures] * self._rng.uniform(0.5, 1.0)
        self._failures += failures
        return Next(now + pause_s, self.voice)

    def busy(self, now: float, retry_after_s: float) -> Next | None:
        """The voice has no room, and asks for `retry_after_s` of patience; 0: it did not say."""
        if self._busy_since is None:
            self._busy_since = now
        at = now + (retry_after_s or _BUSY_AGAIN_S * self._rng.uniform(0.5, 1.0))
        if at > self._busy_since + _BUSY_S:
            return self.refused(now)
        return Next(at, self.voice)

    def refused(self, now: float) -> Next | None:
        """This voice will not have us: go on to the next one, if there is one."""
        self.proved()
        if self._at + 1 >= len(self._voices):
            return None
        self._at += 1
        return Next(now, self.voice)

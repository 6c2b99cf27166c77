"""The call as two channels on one time axis: the caller on the left, the agent as heard on the right."""

import numpy as np

__all__ = ["RATE_HZ", "StereoMix"]

RATE_HZ = 8000

# 2 MB a call: a disk that stood still for a minute will not come back in time.
_MOST_WAITING_S = 60


class StereoMix:
    """Lays both directions of a call beside each other.

    The axis is the carrier's media clock, which starts with the caller's first frame. The agent's audio
    lies where the far end plays it and ends where it was cut. `overran`: so much waited to be taken that all
    of it was given up, and nothing more is gathered.
    """

    def __init__(self) -> None:
        self.overran = False
        self._began: float | None = None
        self._caller = bytearray()
        self._agent = bytearray()
        self._done = 0  # samples already taken

    def caller(self, pcm: bytes, now: float) -> None:
        """The caller's next samples: PCM16 at 8 000 Hz, gapless."""
        if self.overran:
            return
        if self._began is None:
            self._began = now - len(pcm) / 2 / RATE_HZ
        self._caller += pcm
        self._bound(len(self._caller) // 2)

    def agent(self, pcm: bytes, plays_at: float) -> None:
        """Agent audio that the far end starts to play at `plays_at`, never before what it plays already."""
        if self.overran:
            return
        start = max(self._sample(plays_at) - self._done, len(self._agent) // 2)
        self._bound(start + len(pcm) // 2)
        if not self.overran:
            self._agent += bytes(2 * start - len(self._agent))
            self._agent += pcm

    def cut(self, now: float) -> None:
        """What the far end had not played at `now` is not heard."""
        del self._agent[2 * max(self._sample(now) - self._done, 0) :]

    def take(self, now: float) -> bytes:
        """The samples that nothing can change any more: interleaved PCM16, left caller, right agent."""
        return self._emit(min(len(self._caller) // 2, max(self._sample(now) - self._done, 0)))

    def finish(self, now: float) -> bytes:
        """All that is left; the agent's audio ends with the call."""
        self.cut(now)
        return self._emit(max(len(self._caller), len(self._agent)) // 2)

    def _bound(self, waiting_samples: int) -> None:
        if waiting_samples > _MOST_WAITING_S * RATE_HZ:
            self.overran = True
            self._caller.clear()
            self._agent.clear()

    def _sample(self, at: float) -> int:
        return 0 if self._began is None else round((at - self._began) * RATE_HZ)

    def _emit(self, samples: int) -> bytes:
        both = np.zeros((samples, 2), "<i2")
        for channel, track in enumerate((self._caller, self._agent)):
            part = np.frombuffer(bytes(track[: 2 * samples]), "<i2")
            both[: len(part), channel] = part
            del track[: 2 * samples]
        self._done += samples
        return both.tobytes()

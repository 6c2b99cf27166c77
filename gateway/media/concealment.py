"""What is played where packets are missing: the last waveform goes on, and fades. After ITU-T G.711 Appendix I.

The last period before the gap repeats; after 10 ms its last two, then its last three, so that a long gap does not buzz.
From 10 ms on it loses a fifth of its level every 10 ms: after 60 ms there is silence, since no sound lasts that long
unchanged, and a tone that does not belong there is worse than none. Where packets go on, the made-up waveform fades into
theirs. Unlike the Appendix this adds no delay: what is played already is not touched.
"""

from typing import Final

import numpy as np

from gateway.audio.g711 import Codec
from gateway.media.splice import (
    LONGEST_LAG,
    SHORTEST_LAG,
    Samples,
    crossfade,
    decoded,
    encoded,
    nearest_repeat,
)

__all__ = ["Concealment"]

_PATTERN: Final = 160  # the last 20 ms, whose like is looked for
_KEPT: Final = _PATTERN + LONGEST_LAG + SHORTEST_LAG  # room for three short periods, or two long ones
_STEP: Final = 80
_FADE: Final = 5 * _STEP
_JOIN: Final = 32  # 4 ms to fade over, and as much more for each 10 ms of the gap, up to 10 ms
_LONGEST_JOIN: Final = 80


class Concealment:
    """Fills gaps in one stream of G.711. `active`: in a gap, or silent since the last one."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._played = codec.silence * _KEPT
        self._made = 0
        self._period = 0
        self._history: Samples = np.zeros(_KEPT, np.int64)

    @property
    def active(self) -> bool:
        return self._made > 0

    @property
    def history(self) -> bytes:
        """The last 40 ms that were played."""
        return self._played

    def played(self, payload: bytes) -> None:
        """Remember what was played, made up or not."""
        self._played = (self._played + payload)[-_KEPT:]

    def fill(self, size: int) -> bytes:
        """The next `size` samples of a gap."""
        if not self._made:
            self._begin()
        if self._made >= _STEP + _FADE:
            self._made += size
            return self._codec.silence * size
        made = self._continued(size)
        self._made += size
        return encoded(self._codec, made)

    def join(self, payload: bytes) -> bytes:
        """The next payload; after a gap, with the waveform of the gap fading out in it."""
        if not self._made:
            return payload
        size = min(_JOIN + _JOIN * (self._made // _STEP), _LONGEST_JOIN, len(payload))
        fresh = decoded(self._codec, payload[:size])
        joined = crossfade(self._continued(size), fresh)
        self._made = 0
        return encoded(self._codec, joined) + payload[size:]

    def stop(self) -> None:
        """The gap is over, and silence follows."""
        self._made = 0

    def _begin(self) -> None:
        self._history = decoded(self._codec, self._played)
        pattern = self._history[-_PATTERN:]
        earlier = self._history[-_PATTERN - LONGEST_LAG : -SHORTEST_LAG]
        offset, _ = nearest_repeat(earlier, pattern)
        self._period = LONGEST_LAG - offset

    def _continued(self, size: int) -> Samples:
        """The waveform of the gap from where it stands now."""
        at = np.arange(self._made, self._made + size)
        # The repeats: one period in the first 10 ms, two in the next, then three.
        periods = np.minimum(1 + at // _STEP, max(_KEPT // self._period, 1)).clip(max=3)
        span = periods * self._period
        source = self._history[len(self._history) - span + at % span]
        gain = (_STEP + _FADE - at).clip(0, _FADE)
        continued: Samples = source * gain // _FADE
        return continued

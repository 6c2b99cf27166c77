"""Keys that an agent presses: as tones that are heard, or as events of the leg while it is silent. A core."""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from gateway.audio.tones import dtmf
from gateway.calls.call_tools import Tones

__all__ = ["Press", "presses"]


class Press(NamedTuple):
    """Keys to be pressed at the begin of audio. PCM16 at 24 000 Hz."""

    digits: str
    pcm: bytes


def presses(tones: Tones, *, as_events: bool) -> Iterator[Press]:
    """What to play so that these keys arrive. Events have silence under them, as long as the tones would be."""
    if not as_events:
        yield Press("", tones.pcm)
        return
    for is_wait, run in groupby(tones.digits.upper(), key=lambda key: key in "W,"):
        keys = "".join(run)
        yield Press("" if is_wait else keys, bytes(len(dtmf(keys))))

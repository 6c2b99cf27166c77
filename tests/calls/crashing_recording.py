"""A process that records a call as fast as it can until it is killed; says after each frame how many there were.

The caller's samples are the number of their frame. With a number of flushes it stops after those, and waits with
the recording open until its standard input ends.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trio

from gateway.calls.recording import Recording
from gateway.media.stereo import StereoMix

FRAME_S = 0.02
FRAMES_A_FLUSH = 25  # half a second


async def inline(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
    return blocking(*args)


async def main(folder: Path, flushes: int) -> None:
    mix = StereoMix()
    recording = Recording(folder, mix)
    frame = 0
    while frame < flushes * FRAMES_A_FLUSH:
        frame += 1
        mix.caller(np.full(160, frame % 10_000, "<i2").tobytes(), frame * FRAME_S)
        print(frame, flush=True)  # noqa: T201  # the parent reads it
        if frame % FRAMES_A_FLUSH == 0:
            await recording.flush(frame * FRAME_S, inline)
    print("waits", flush=True)  # noqa: T201
    sys.stdin.read()


trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))

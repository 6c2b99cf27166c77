"""A program that does nothing but wake up every 10 ms on each processor. What it is late by, no gateway can help."""

import os
import sys
import time

__all__: list[str] = []

_STEP_S = 0.01
_UNFELT_S = 0.01  # half of what a packet takes
_MOST_PROCESSORS = 8
_LONGEST_S = 300  # where nobody is left to stop it


def _beat() -> None:
    """Write how late it was, in milliseconds, whenever that could be heard; until killed."""
    ends_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < ends_s:
        due_s = time.monotonic() + _STEP_S
        time.sleep(_STEP_S)
        late_s = time.monotonic() - due_s
        if late_s > _UNFELT_S:
            os.write(sys.stdout.fileno(), f"{1000 * late_s:.0f}\n".encode())


def _beat_everywhere() -> None:
    """A machine that is one of many on a host may be kept from one processor and not from the others."""
    here, *others = sorted(os.sched_getaffinity(0))[:_MOST_PROCESSORS]
    for other in others:
        if os.fork() == 0:
            here = other
            break
    os.sched_setaffinity(0, {here})
    _beat()


if __name__ == "__main__":
    _beat_everywhere()

"""A program that does nothing but wake up every 10 ms, beside a gateway. What it is late by, no gateway can help."""

import sys
import time

__all__: list[str] = []

_STEP_S = 0.01
_UNFELT_S = 0.01  # half of what a packet takes


def _beat() -> None:
    """Write how late it was, in milliseconds, whenever that could be heard; until killed."""
    while True:
        due_s = time.monotonic() + _STEP_S
        time.sleep(_STEP_S)
        late_s = time.monotonic() - due_s
        if late_s > _UNFELT_S:
            sys.stdout.write(f"{1000 * late_s:.0f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _beat()

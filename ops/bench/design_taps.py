"""Design the resamplers' low-pass and print gateway/audio/taps.py. Needs scipy, which nothing else does.

    python ops/bench/design_taps.py > gateway/audio/taps.py && ruff format gateway/audio/taps.py

An equiripple filter, because telephone speech ends at 3400 Hz and its images begin at 8000 - 3400 Hz: both
edges are known, and nothing between them matters. The length is odd, so the delay is a whole number of
samples; 73 is the shortest that has 70 dB and 0.03 dB together. What was tried (ripple peak to peak over
0-3400 Hz, stop band from 4600 Hz, after rounding to Q20):

    taps  weight  ripple dB  stop dB  delay ms
      69       8      0.041     70.6     1.417
      71       8      0.038     71.1     1.458
      73       6      0.024     72.6     1.500
      77       6      0.020     74.2     1.583
"""

import numpy as np
from scipy import signal  # type: ignore[import-not-found, import-untyped, unused-ignore] # installed by hand

RATE_HZ = 24_000
PASS_EDGE_HZ, STOP_EDGE_HZ = 3400, 4600
TAPS = 73
STOP_WEIGHT = 6
FRACTION_BITS = 20

HEAD = '''"""The low-pass of both resamplers: {taps} taps at {rate_hz} Hz, in units of 2**-{bits}; they sum to 2**{bits}.

Equiripple, pass band 0-{pass_hz} Hz, stop band from {stop_hz} Hz. Written by ops/bench/design_taps.py and
committed: a table that is computed anew could differ in the last bit from one machine to the next, and the
audio of a recorded call would with it.
"""

from typing import Final

FRACTION_BITS: Final = {bits}

TAPS: Final = (
'''


def design() -> list[int]:
    edges_hz = [0, PASS_EDGE_HZ, STOP_EDGE_HZ, RATE_HZ / 2]
    taps = signal.remez(TAPS, edges_hz, [1, 0], weight=[1, STOP_WEIGHT], fs=RATE_HZ, maxiter=500)
    rounded = [int(tap) for tap in np.rint(taps / taps.sum() * 2**FRACTION_BITS)]
    rounded[TAPS // 2] += 2**FRACTION_BITS - sum(rounded)  # unity gain at 0 Hz, exactly
    return rounded


def main() -> None:
    head = HEAD.format(
        taps=TAPS, rate_hz=RATE_HZ, bits=FRACTION_BITS, pass_hz=PASS_EDGE_HZ, stop_hz=STOP_EDGE_HZ
    )
    print(head + "".join(f"    {tap},\n" for tap in design()) + ")")


if __name__ == "__main__":
    main()

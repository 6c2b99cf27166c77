"""Design the resamplers' low-passes and print gateway/audio/taps.py.

    python ops/bench/design_taps.py > gateway/audio/taps.py

Each is equiripple, because both edges are known and nothing between them matters: telephone speech ends at
3400 Hz and its images at a rate of 8000 Hz begin at 8000 - 3400 Hz; wideband speech ends at 7000 Hz (ITU-T
G.722), its images at a rate of 16 000 Hz begin at 16 000 - 7000 Hz. The lengths are the shortest whose delay
is a whole number of samples at both rates of a pair and that have 72 dB and 0.03 dB together. What was tried
(ripple peak to peak over the pass band, after rounding to Q20; the stop band weighs 6 times as much, or 8):

    rate_hz  taps       ripple dB  stop dB  delay ms
     16 000    47           0.036     69.3     1.438
     16 000    49           0.022     73.5     1.500
     16 000    51           0.021     73.6     1.563
     24 000    69, by 8     0.041     70.6     1.417
     24 000    71, by 8     0.038     71.1     1.458
     24 000    73           0.024     72.6     1.500
     24 000    77           0.020     74.2     1.583
     48 000    85           0.029     70.8     0.875
     48 000    91           0.019     74.5     0.938
     48 000    97           0.012     77.8     1.000
"""

from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

STOP_WEIGHT = 6
FRACTION_BITS = 20
GRID_DENSITY = 16  # points a coefficient at which the error is looked at, as in the program cited below


@dataclass(frozen=True)
class LowPass:
    rate_hz: int
    taps: int
    pass_hz: int
    stop_hz: int


LOW_PASSES = (
    LowPass(rate_hz=16_000, taps=49, pass_hz=3400, stop_hz=4600),
    LowPass(rate_hz=24_000, taps=73, pass_hz=3400, stop_hz=4600),
    LowPass(rate_hz=48_000, taps=97, pass_hz=7000, stop_hz=9000),
)

HEAD = '''"""The resamplers' low-passes by the rate in Hz at which they work, in units of 2**-{bits}; each sums to 2**{bits}.

Equiripple:
{edges}
Written by ops/bench/design_taps.py and committed: a table that is computed anew could differ in the last bit
from one machine to the next, and the audio of a recorded call would with it.
"""

from collections.abc import Mapping
from typing import Final

FRACTION_BITS: Final = {bits}

TAPS: Final[Mapping[int, tuple[int, ...]]] = {{
'''


def design(low_pass: LowPass) -> list[int]:
    """Taps in units of 2**-FRACTION_BITS."""
    half = equiripple(low_pass)
    taps = np.concatenate([half[:0:-1] / 2, half[:1], half[1:] / 2])
    rounded = [int(tap) for tap in np.rint(taps / taps.sum() * 2**FRACTION_BITS)]
    rounded[len(taps) // 2] += 2**FRACTION_BITS - sum(rounded)  # unity gain at 0 Hz, exactly
    return rounded


def equiripple(low_pass: LowPass) -> NDArray[np.float64]:
    """Coefficients of the cosines whose sum is the amplitude response, by the exchange of Remez.

    J. H. McClellan, T. W. Parks, L. R. Rabiner, A Computer Program for Designing Optimum FIR Linear Phase
    Digital Filters, IEEE Transactions on Audio and Electroacoustics 21 (1973) 506.
    """
    unknown = low_pass.taps // 2 + 1
    step_hz = low_pass.rate_hz / 2 / (GRID_DENSITY * unknown)
    bands = [
        grid(0, low_pass.pass_hz, step_hz),
        grid(low_pass.stop_hz, low_pass.rate_hz / 2, step_hz),
    ]
    tones_hz = np.concatenate(bands)
    wanted = np.repeat([1.0, 0.0], [len(band) for band in bands])
    weight = np.repeat([1.0, STOP_WEIGHT], [len(band) for band in bands])
    cosines = np.cos(2 * np.pi * np.outer(tones_hz / low_pass.rate_hz, np.arange(unknown)))
    signs = (-1.0) ** np.arange(unknown + 1)
    extremes = np.linspace(0, len(tones_hz) - 1, unknown + 1).round().astype(int)
    while True:  # until the places where the error is largest are those where it was made equal
        equations = np.column_stack([cosines[extremes], signs / weight[extremes]])
        coefficients: NDArray[np.float64] = np.linalg.solve(equations, wanted[extremes])[:-1]
        error = (wanted - cosines @ coefficients) * weight
        found = alternating(error, len(bands[0]), unknown + 1)
        if np.array_equal(found, extremes):
            return coefficients
        extremes = found


def grid(begin_hz: float, end_hz: float, step_hz: float) -> NDArray[np.float64]:
    points = begin_hz + step_hz * np.arange(round((end_hz - begin_hz) / step_hz), dtype=np.float64)
    points[-1] = end_hz
    return points


def alternating(error: NDArray[np.float64], stop_begins: int, count: int) -> NDArray[np.intp]:
    """Where the error is largest, its sign changing from each place to the next."""
    places = range(len(error))
    lobes = groupby(places, key=lambda place: (place >= stop_begins, error[place] > 0))
    peaks = [max(lobe, key=lambda place: abs(error[place])) for _, lobe in lobes]
    # Two lobes that meet across the gap between the bands may have one sign.
    lower = {
        min(pair, key=lambda at: abs(error[at])) for pair in pairwise(peaks) if error[list(pair)].prod() > 0
    }
    peaks = [peak for peak in peaks if peak not in lower]
    while len(peaks) > count:
        del peaks[0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1]
    return np.array(peaks)


def main() -> None:
    edges = "".join(
        f"- {it.taps} taps at {it.rate_hz} Hz: pass band 0-{it.pass_hz} Hz, stop band from {it.stop_hz} Hz.\n"
        for it in LOW_PASSES
    )
    tables = (
        f"    {it.rate_hz:_}: (\n" + "".join(f"        {tap},\n" for tap in design(it)) + "    ),\n"
        for it in LOW_PASSES
    )
    print(HEAD.format(bits=FRACTION_BITS, edges=edges) + "".join(tables) + "}")


if __name__ == "__main__":
    main()

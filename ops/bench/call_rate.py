"""SIP calls that are set up at a rate, each answered, held for a moment and ended: how long from INVITE to 200?

    python ops/bench/call_rate.py [--rate 75] [--seconds 20] [--recorded]

The gateway runs on one core, its voice is `echo`, and every call gets its 20 ms of RTP for as long as it lasts; nobody
sends any to it. The baseline (sip_plain.py) answers the same calls with one regular expression. Exits with 1 if a call
failed, or the 95th percentile is not below 20 ms.
"""

import argparse
import select
import sys
import time

from ops.bench.sip_callers import Caller, Line, socket_on
from ops.bench.sip_servers import Server, gateway, plain

HOLD_S = 0.2
LONGEST_S = 2.0
MOST_MS = 20.0


def call(server: Server, rate: float, seconds: float) -> tuple[list[float], int]:
    """How long each set-up took, in ms, and how many calls failed."""
    line = Line(server.sip_port)
    rtp = socket_on()
    count = int(rate * seconds)
    answered: list[Caller] = []
    ending: list[tuple[float, Caller]] = []
    start = time.perf_counter()
    sent = 0
    while len(answered) < count and time.perf_counter() < start + seconds + LONGEST_S:
        now = time.perf_counter()
        while sent < count and now >= start + sent / rate:
            line.invite(Caller(sent, 0.0, b"", rtp))
            sent += 1
        while ending and ending[0][0] <= now:
            line.hang_up(ending.pop(0)[1])
        select.select([line.sock], [], [], 0.002)
        taken = line.read()
        answered += taken
        ending += [(time.perf_counter() + HOLD_S, each) for each in taken]
    for _, each in ending:
        line.hang_up(each)
    time.sleep(0.5)
    return sorted(each.setup_ms for each in answered), count - len(answered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=75)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--recorded", action="store_true", help="with trace and recording of every call")
    options = parser.parse_args()
    with plain() as server:
        baseline = call(server, options.rate, options.seconds)
    with gateway(recorded=options.recorded) as server:
        call(server, options.rate, 1)  # what the first calls load is no later one's
        found = call(server, options.rate, options.seconds)
    print(f"{'INVITE to 200':14} {'calls':>6} {'failed':>6} {'p50 ms':>7} {'p95':>7} {'p99':>7} {'max':>7}")
    for name, (ms, failed) in (("plain server", baseline), ("gateway", found)):
        p50, p95, p99 = (ms[int(share * (len(ms) - 1))] for share in (0.5, 0.95, 0.99))
        print(f"{name:14} {len(ms):6} {failed:6} {p50:7.2f} {p95:7.2f} {p99:7.2f} {ms[-1]:7.2f}")
    p95 = found[0][int(0.95 * (len(found[0]) - 1))]
    print(
        f"p95: {p95 / baseline[0][int(0.95 * (len(baseline[0]) - 1))]:.1f} times that of a server that only answers"
    )
    return 1 if found[1] or p95 >= MOST_MS else 0


if __name__ == "__main__":
    sys.exit(main())

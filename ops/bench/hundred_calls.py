"""A hundred SIP calls at once to a gateway on one core, `echo`: what the far ends hear, and what a call costs.

    python ops/bench/hundred_calls.py [--calls 100] [--seconds 20] [--recorded]

Once without loss and once with 3 % of the packets lost each way, seeded. Every caller says a tone of its own and hears
it back. Late: packets more than 40 ms behind their schedule, beside those of a control caller whom a server answers that
does nothing else, at the same time on the same core: so much of it is the machine's. CPU and memory are of the gateway's process alone, beside a server that does
nothing but send back (sip_plain.py). Exits with 1 if more than 1 packet in 10 000 was late beyond the control's share,
or a call without loss had gaps for more than 1 % of the time.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from typing import Any

from ops.bench.sip_servers import HERE, Server, cores, gateway, plain

MOST_LATE = 1e-4
MOST_GAPS = 0.01


def talked(server: Server, options: argparse.Namespace, loss: float, control: int) -> dict[str, Any]:
    """The callers' findings, with `cpu_ms` and `kb` of a call."""
    command = [
        sys.executable,
        str(HERE / "sip_callers.py"),
        "--sip",
        str(server.sip_port),
        "--control",
        str(control),
    ]
    command += ["--calls", str(options.calls), "--seconds", str(options.seconds), "--loss", str(loss)]
    rss_kb = server.rss_kb()
    with subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, cores()[1])), *command], stdout=subprocess.PIPE, text=True
    ) as callers:
        time.sleep(options.calls / 50 + 2)
        began, cpu_ms = time.monotonic(), server.cpu_ms()
        time.sleep(max(options.seconds - 4, 2))
        cpu_ms = (server.cpu_ms() - cpu_ms) / (time.monotonic() - began) / options.calls
        kb = (server.rss_kb() - rss_kb) / options.calls
        text, _ = callers.communicate()
    found: dict[str, Any] = json.loads(text)
    return found | {"cpu_ms": cpu_ms, "kb": kb}


def row(name: str, found: dict[str, Any]) -> str:
    calls = found["calls"]
    packets, late = (sum(call[key] for call in calls) for key in ("packets", "late"))
    snr, gaps, delay = (sorted(call[key] for call in calls) for key in ("snr_db", "gaps_ms", "delay_ms"))
    control = found["control"]
    return (
        f"{name:14} {found['set_up']:5} {snr[0]:6.1f} {snr[len(snr) // 2]:6.1f} {gaps[len(gaps) // 2]:7.1f} {gaps[-1]:7.1f}"
        f" {delay[len(delay) // 2]:6.0f} {delay[-1]:6.0f} {1e4 * late / max(packets, 1):8.2f}"
        f" {1e4 * control['late'] / max(control['packets'], 1):8.2f} {found['cpu_ms']:7.2f} {found['kb']:6.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--recorded", action="store_true", help="with trace and recording of every call")
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with plain(on=cores()[0]) as control:
        for name, loss in (("no loss", 0.0), ("3 % lost", 0.03)):
            with gateway(recorded=options.recorded) as server:
                found[name] = talked(server, options, loss, control.rtp_port)
        with plain() as server:
            found["plain server"] = talked(server, options, 0.0, control.rtp_port)
    print(
        f"{'':14} {'calls':>5} {'SNR dB':>6} {'':>6} {'gaps ms':>7} {'':>7} {'delay':>6} {'ms':>6} {'late of':>8} {'control':>8} {'CPU ms':>7} {'kB of':>6}"
    )
    print(
        f"{'':14} {'':>5} {'min':>6} {'p50':>6} {'p50':>7} {'max':>7} {'p50':>6} {'max':>6} {'10 000':>8} {'':>8} {'/call s':>7} {'a call':>6}"
    )
    for name, each in found.items():
        print(row(name, each))
    ratio = found["no loss"]["cpu_ms"] / max(found["plain server"]["cpu_ms"], 1e-9)
    print(f"CPU: {ratio:.1f} times that of a server that only sends back")
    return (
        1
        if any(
            flaws(found[name], options.calls, gaps_ms)
            for name, gaps_ms in (("no loss", MOST_GAPS * 1000 * options.seconds), ("3 % lost", math.inf))
        )
        else 0
    )


def flaws(found: dict[str, Any], calls: int, most_gaps_ms: float) -> list[str]:
    packets, late = (sum(call[key] for call in found["calls"]) for key in ("packets", "late"))
    control = found["control"]["late"] / max(found["control"]["packets"], 1)
    wrong = []
    if found["set_up"] < calls:
        wrong.append(f"{calls - found['set_up']} calls were not set up")
    if late / max(packets, 1) > MOST_LATE + control:
        wrong.append(f"{late} of {packets} packets were late")
    gaps_ms = sum(call["gaps_ms"] for call in found["calls"]) / max(len(found["calls"]), 1)
    if gaps_ms > most_gaps_ms:
        wrong.append(f"a call had gaps of {gaps_ms:.0f} ms")
    for each in wrong:
        print(each)
    return wrong


if __name__ == "__main__":
    sys.exit(main())

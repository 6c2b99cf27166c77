"""Callers who talk with the embedded voice, all at once: how late the loop is, how soon they are answered.

    python ops/bench/talking_calls.py [--calls 40] [--seconds 60]

The gateway is another process; its own histograms are read from its private door at the end.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import trio

from gateway.audio.clip import convert, read_wav
from gateway.audio.pauses import utterances
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.handset import CallOver

TOKEN = "bench"
CALLER = Path(__file__).parents[2] / "gateway" / "testing" / "caller.wav"


async def talk(twilio: FakeTwilio, parts: list[bytes], until: float) -> None:
    """Ask the first two questions over and over, in calls of about half a minute, each answer waited for."""
    while trio.current_time() < until:
        async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
            try:
                await caller.speaking()
                await caller.quiet(0.8)
                for part in parts[:2]:
                    await caller.says(part)
                    await caller.speaking()
                    await caller.quiet(0.8)
            except CallOver:
                continue


async def load(port: int, calls: int, seconds: int) -> None:
    async def dial() -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    clip = read_wav(CALLER)
    parts = utterances(convert(clip.pcm, clip.rate_hz, 8000), 8000)
    account = TwilioAccount(
        account_sid="AC" + "1" * 32, auth_token=TOKEN, public_url=f"http://127.0.0.1:{port}", dial=dial
    )
    async with FakeTwilio(account) as twilio, trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(talk, twilio, parts, trio.current_time() + seconds)
            await trio.sleep(8 / calls)


def percentile(metrics: str, name: str, share: float) -> str:
    """The histogram's bucket that the percentile falls into."""
    buckets = [
        (bound, float(count)) for bound, count in re.findall(rf'{name}_bucket{{le="([^"]+)"}} (\S+)', metrics)
    ]
    total = buckets[-1][1]
    bound = next(bound for bound, count in buckets if count >= share * total)
    return f"<= {float(bound) * 1000:g} ms" if bound != "+Inf" else "beyond all buckets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "GATEWAY_HTTP__PORT": "0",
            "GATEWAY_PRIVATE__PORT": "0",
            "GATEWAY_CALLS__FOLDER": f"{folder}/calls",
            "TWILIO_AUTH_TOKEN": TOKEN,
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "gateway", "serve"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, text=True
        ) as server:
            try:
                assert server.stdout is not None
                ports = [re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline()) for _ in range(2)]
                public, private = (int(port[1]) for port in ports if port is not None)
                trio.run(load, public, options.calls, options.seconds)
                with urllib.request.urlopen(f"http://127.0.0.1:{private}/metrics") as answer:
                    metrics = answer.read().decode()
            finally:
                server.terminate()
                server.wait(timeout=20)
    for name, what in (
        ("gw_event_loop_lag_seconds", "loop lag"),
        ("gw_turn_latency_seconds", "turn latency"),
        ("gw_clear_latency_seconds", "cut on the wire"),
    ):
        count = re.search(rf"{name}_count (\S+)", metrics)
        if count is not None and float(count[1]):
            bounds = ", ".join(
                f"{share:.0%} {percentile(metrics, name, share)}" for share in (0.5, 0.95, 0.99)
            )
            print(f"{what:16} {bounds}   ({float(count[1]):.0f} samples)")


main()

"""Forty calls at once to a gateway in another process: is every frame returned, how late, at what cost?

    python ops/bench/forty_calls.py [--calls 40] [--seconds 60]

Each caller says frames that carry the call's number and a count as tones; the voice is `echo`. Every frame has
to come back once, in order, in its own call. CPU and memory are those of the gateway's process, as ratios to a
server that only sends each frame back (echo_baseline.py), which gets the same calls in the same run.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trio

from gateway.audio.tones import FRAMES, decode_frames, encode_frame
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount

TOKEN = "bench"
BASELINE = Path(__file__).with_name("echo_baseline.py")


@dataclass
class Load:
    """`wrong`: calls whose frames did not all come back once and in order."""

    calls: int
    wrong: int
    lag_ms: list[float]
    cpu_ms_per_call_s: float
    kb_per_call: float


def coded(call: int, frames: int) -> bytes:
    return b"".join(encode_frame(call, k % FRAMES) for k in range(frames))


async def call_once(twilio: FakeTwilio, number: int, pcm: bytes, seconds: int) -> tuple[bool, float]:
    """Whether all frames came back once, in order and in this call, and how much later, in ms."""
    async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
        await caller.silence(1)
        await caller.says(pcm)
        await caller.silence(1)
        said, heard = caller.recording()
    frames = [(frame.call, frame.frame) for frame in decode_frames(heard)]
    expected = [(number % 64, k % FRAMES) for k in range(seconds * 50)]
    a, b = (np.frombuffer(x, "<i2").astype(float) for x in (said, heard))
    n = 1 << (len(a) + len(b) - 1).bit_length()
    lag = int(np.argmax(np.fft.irfft(np.conj(np.fft.rfft(a, n)) * np.fft.rfft(b, n))))
    return frames == expected, lag / 8


async def load(port: int, pid: int, calls: int, seconds: int) -> Load:
    async def dial() -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    account = TwilioAccount(
        account_sid="AC" + "1" * 32, auth_token=TOKEN, public_url=f"http://127.0.0.1:{port}", dial=dial
    )
    audio = [coded(number % 64, seconds * 50) for number in range(calls)]
    results: list[tuple[bool, float]] = []
    rss_before = rss_kb(pid)
    async with FakeTwilio(account) as twilio, trio.open_nursery() as nursery:

        async def one(number: int) -> None:
            await trio.sleep(number * 0.02)
            results.append(await call_once(twilio, number, audio[number], seconds))

        for number in range(calls):
            nursery.start_soon(one, number)
        await trio.sleep(3)
        cpu_before = cpu_ms(pid)
        await trio.sleep(seconds - 2)
        cpu = (cpu_ms(pid) - cpu_before) / (seconds - 2) / calls
        rss = rss_kb(pid)
    wrong = sum(not right for right, _ in results)
    return Load(calls, wrong, sorted(lag for _, lag in results), cpu, (rss - rss_before) / calls)


def cpu_ms(pid: int) -> float:
    """User and system time of all threads of a process, exact to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+)", text)
    return int(match[1]) if match else 0


def under_load(command: list[str], calls: int, seconds: int, environ: dict[str, str]) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | environ | {"GATEWAY_CALLS__FOLDER": f"{folder}/calls"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, text=True
        ) as server:
            try:
                assert server.stdout is not None
                match = re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())
                assert match is not None
                return trio.run(load, int(match[1]), server.pid, calls, seconds)
            finally:
                server.terminate()
                server.wait(timeout=20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    settings = {
        "GATEWAY_HTTP__PORT": "0",
        "GATEWAY_PRIVATE__PORT": "0",
        "GATEWAY_VOICE__BACKEND": "echo",
        "TWILIO_AUTH_TOKEN": TOKEN,
        "OPENBLAS_NUM_THREADS": "1",
    }
    gateway = under_load([sys.executable, "-m", "gateway", "serve"], options.calls, options.seconds, settings)
    baseline = under_load([sys.executable, str(BASELINE)], options.calls, min(options.seconds, 20), settings)
    print(
        f"{'':10} {'calls':>5} {'wrong':>5} {'lag ms p50':>10} {'max':>6} {'CPU ms / call s':>15} {'kB / call':>9}"
    )
    for name, row in (("gateway", gateway), ("baseline", baseline)):
        print(
            f"{name:10} {row.calls:5} {row.wrong:5} {row.lag_ms[len(row.lag_ms) // 2]:10.1f} {row.lag_ms[-1]:6.1f}"
            f" {row.cpu_ms_per_call_s:15.2f} {row.kb_per_call:9.0f}"
        )
    added = gateway.lag_ms[len(gateway.lag_ms) // 2] - baseline.lag_ms[len(baseline.lag_ms) // 2]
    ratio = gateway.cpu_ms_per_call_s / baseline.cpu_ms_per_call_s
    print(f"added latency {added:.1f} ms; CPU {ratio:.2f} times that of a server that only sends frames back")
    return 1 if gateway.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

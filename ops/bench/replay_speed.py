"""How fast a call is recorded and replayed.

    python ops/bench/replay_speed.py                                    a synthetic call of 60 minutes
    python ops/bench/replay_speed.py --minutes 5
    python ops/bench/replay_speed.py --folder calls/01J... --build-core gateway.building:build_core

The synthetic call has 50 ticks, 50 caller frames and, half of the time, 50 voice deltas a second; its core
only copies audio, so what is measured is the recorder, the reader and the comparison. A call of 60 minutes
takes 400 MB in the temporary directory while the program runs.
"""

import argparse
import importlib
import random
import resource
import sys
import tempfile
import time
from binascii import b2a_base64
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import trio

from gateway.contracts import CarrierMessage, Output, Port, VoiceMessage
from gateway.traces import Header, Recorder, Verdict, replay, report_lines
from gateway.traces.reader import Trace
from gateway.traces.replay import BuildCore

TICK_US = 20_000
FLUSH_TICKS = 25


class Media(msgspec.Struct):
    payload: bytes


class FromCarrier(msgspec.Struct):
    media: Media


class FromVoice(msgspec.Struct):
    delta: bytes


class CopyingCore:
    """Sends the caller's frames to the voice and the voice's deltas to the caller, one a tick."""

    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._playing: list[bytes] = []
        self._carrier = msgspec.json.Decoder(FromCarrier)
        self._voice = msgspec.json.Decoder(FromVoice)

    def feed(self, port: Port, data: str | bytes, now: float) -> None:
        if port == "carrier":
            audio = b2a_base64(self._carrier.decode(data).media.payload * 6, newline=False).decode()
            event = f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
            self._outputs.append(VoiceMessage(event, 20))
        elif port == "voice":
            self._playing.append(self._voice.decode(data).delta[:160])
        elif self._playing:
            payload = b2a_base64(self._playing.pop(0), newline=False).decode()
            message = f'{{"event":"media","at":{now},"media":{{"payload":"{payload}"}}}}'
            self._outputs.append(CarrierMessage(message))

    def drain(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs


def inputs(minutes: float) -> Iterator[tuple[int, Port, str]]:
    source = random.Random(3)
    frames = [b2a_base64(source.randbytes(160), newline=False).decode() for _ in range(50)]
    deltas = [b2a_base64(source.randbytes(960), newline=False).decode() for _ in range(50)]
    for n in range(int(minutes * 60 * 50)):
        t_us = n * TICK_US
        yield t_us + 3_000, "carrier", media(n, frames[n % 50])
        if n // 100 % 2 == 0:
            yield t_us + 7_000, "voice", delta(n, deltas[n % 50])
        yield t_us + TICK_US, "tick", ""


def media(n: int, payload: str) -> str:
    return (
        f'{{"event":"media","sequenceNumber":"{n + 2}","media":{{"track":"inbound","chunk":"{n + 1}",'
        f'"timestamp":"{155 + n * 20}","payload":"{payload}"}},"streamSid":"MZ0123456789abcdef0123456789abcdef"}}'
    )


def delta(n: int, audio: str) -> str:
    return (
        f'{{"type":"response.output_audio.delta","event_id":"event_{n}","response_id":"resp_1",'
        f'"item_id":"item_1","output_index":0,"content_index":0,"delta":"{audio}"}}'
    )


async def inline(run: Callable[..., object], *args: Any) -> object:
    return run(*args)


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.times = 0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began
        self.times += 1

    def line(self, what: str) -> str:
        return f"{what:34s} {self.seconds:7.2f} s  {self.seconds / max(1, self.times) * 1e6:7.2f} us each"


async def record(folder: Path, minutes: float, run_blocking: Callable[..., Awaitable[object]]) -> None:
    header = Header(
        call_id="bench",
        carrier="twilio",
        backend="echo",
        caller="tel:aaaaaaaaaa",
        called="tel:bbbbbbbbbb",
        plan={},
        agents={},
        settings={},
        seed=1,
        wall_time="2026-01-01T00:00:00+00:00",
        gateway_version="0",
    )
    recorder, core = Recorder(folder, header), CopyingCore()
    by_kind = {"carrier": Stopwatch(), "voice": Stopwatch(), "tick": Stopwatch()}
    answers, flushes = Stopwatch(), Stopwatch()
    for seq, (t_us, port, data) in enumerate(inputs(minutes)):
        with by_kind[port]:
            recorder.input(seq, t_us, port, data)
        core.feed(port, data, t_us / 1e6)
        for output in core.drain():
            with answers:
                recorder.output(seq, output)
        if seq % (FLUSH_TICKS * 3) == 0:
            with flushes:
                await recorder.flush(run_blocking)
    await recorder.close(run_blocking)
    for what, watch in by_kind.items():
        print(watch.line(f"record input, {what}"))
    print(answers.line("record output"))
    print(flushes.line("flush"))


def read(folder: Path) -> Stopwatch:
    watch = Stopwatch()
    with watch, Trace(folder) as trace:
        count = sum(1 for _ in trace.entries())
    watch.times = count
    return watch


def feed_only(folder: Path, build_core: BuildCore) -> float:
    """Reading, feeding and draining without writing down or comparing what the core answers."""
    began = time.perf_counter()
    with Trace(folder) as trace:
        core = build_core(trace.header)
        for entry, data in trace.entries():
            core.feed(entry.port, data, entry.t_us / 1e6)
            core.drain()
    return time.perf_counter() - began


def measure(folder: Path, build_core: BuildCore) -> Verdict:
    reading = read(folder)
    feeding_s = feed_only(folder, build_core)
    began = time.perf_counter()
    verdict = replay(folder, build_core)
    replay_s = time.perf_counter() - began
    entries = max(1, verdict.entries)
    core_s = feeding_s - reading.seconds
    print(reading.line("read"))
    print(f"{'replay':34s} {replay_s:7.2f} s  {replay_s / entries * 1e6:7.2f} us an entry")
    print(f"{'  of it the core':34s} {core_s:7.2f} s  {core_s / entries * 1e6:7.2f} us an entry")
    rest_s = replay_s - core_s
    print(f"{'  of it reading and comparing':34s} {rest_s:7.2f} s  {rest_s / entries * 1e6:7.2f} us an entry")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return verdict


def named(name: str) -> BuildCore:
    module, _, attribute = name.partition(":")
    found: BuildCore = getattr(importlib.import_module(module), attribute)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the synthetic call")
    parser.add_argument("--folder", type=Path, help="a recorded call, instead of the synthetic one")
    parser.add_argument("--build-core", type=named, help="module:function that builds the folder's core")
    given = parser.parse_args()
    if (given.folder is None) != (given.build_core is None):
        parser.error("--folder and --build-core go together")
    if given.folder is not None:
        verdict = measure(given.folder, given.build_core)
    else:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "bench"
            trio.run(record, folder, given.minutes, inline)
            verdict = measure(folder, lambda _: CopyingCore())
    print("\n".join(report_lines(verdict)))
    return 0 if verdict.identical else 1


if __name__ == "__main__":
    sys.exit(main())

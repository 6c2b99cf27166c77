"""How late does the event loop run while callers talk with the embedded voice, and how long do they wait?

    python ops/bench/embedded_lag.py [--calls 40] [--seconds 40]

Callers share one process with the voice, as in the gateway: each sends 20 ms of telephone audio every 20 ms,
says something every eight seconds, and reads what it gets; the models run in worker threads. Some of the
CPU is the callers' own.
"""

import argparse
import base64
import os
import random
import resource
import time
from collections.abc import Iterator
from itertools import cycle

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import msgspec
import numpy as np
import trio

from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler, Upsampler
from gateway.contracts import Agent, VoiceConnection
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.embedded import models

FRAME_S = 0.02
FRAME_BYTES = 960
BYTES_PER_S = 48_000
PHASES = 4  # the frames of different calls arrive at different times
TURN_S = 8.0
AUDIBLE = 500
LINES = (
    "What time do you close?",
    "I would like to book a table for two.",
    "On Friday.",
    "At eight o'clock.",
    "Yes, that is right.",
    "Where are you located?",
)


class Heard(msgspec.Struct):
    type: str


class Line(msgspec.Struct):
    """One sentence as ready client events, and when it is audible, in seconds from its first frame."""

    frames: list[str]
    starts_s: float
    ends_s: float


class Caller:
    """One call: what it has still to send, and what it waits for."""

    def __init__(self, connection: VoiceConnection, lines: list[Line], rng: random.Random) -> None:
        self.connection = connection
        first = rng.randrange(len(lines))
        self.lines = cycle(lines[first:] + lines[:first])
        self.frames: Iterator[str] = iter(())
        self.speaks_at = trio.current_time() + 3 + rng.random() * TURN_S
        self.started_at: float | None = None
        self.stopped_at: float | None = None


class Figures:
    def __init__(self) -> None:
        self.lag_s: list[float] = []
        self.onset_s: list[float] = []
        self.answer_s: list[float] = []

    def show(self, name: str, values_s: list[float]) -> None:
        p50, p95, p99 = (1000 * np.percentile(values_s, p) for p in (50, 95, 99)) if values_s else (0, 0, 0)
        print(f"{name:32s} p50 {p50:7.1f}  p95 {p95:7.1f}  p99 {p99:7.1f} ms   ({len(values_s)})")


def event(pcm: bytes) -> str:
    audio = base64.b64encode(pcm).decode()
    return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'


def over_the_phone(pcm: bytes) -> bytes:
    codec = CODECS["pcmu"]
    return Upsampler().feed(codec.decode(codec.encode(Downsampler().feed(pcm + bytes(FRAME_BYTES)))))


def record(speech: models.Models, text: str) -> Line:
    pcm = over_the_phone(speech.synthesize(text))
    audible = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > AUDIBLE) / 24_000
    frames = [event(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]
    return Line(frames, float(audible[0]), float(audible[-1]))


async def listen(caller: Caller, figures: Figures) -> None:
    decoder = msgspec.json.Decoder(Heard)
    while True:
        heard = decoder.decode(await caller.connection.receive())
        now = trio.current_time()
        if heard.type == "input_audio_buffer.speech_started" and caller.started_at is not None:
            figures.onset_s.append(now - caller.started_at)
            caller.started_at = None
        if (
            heard.type == "response.output_audio.delta"
            and caller.stopped_at is not None
            and now > caller.stopped_at
        ):
            figures.answer_s.append(now - caller.stopped_at)
            caller.stopped_at = None


async def pace(callers: list[Caller], phase: int, figures: Figures) -> None:
    """Send the next frame of every caller of one phase, on time."""
    rng = np.random.default_rng(phase)
    noise = cycle(
        [event((rng.standard_normal(FRAME_BYTES // 2) * 20).astype("<i2").tobytes()) for _ in range(50)]
    )
    start = trio.current_time() + phase * FRAME_S / PHASES
    for count in range(10**9):
        due = start + count * FRAME_S
        await trio.sleep_until(due)
        figures.lag_s.append(trio.current_time() - due)
        for caller in callers[phase::PHASES]:
            if due >= caller.speaks_at:
                line = next(caller.lines)
                caller.frames = iter(line.frames)
                caller.started_at, caller.stopped_at = due + line.starts_s, due + line.ends_s
                caller.speaks_at += TURN_S
            await caller.connection.send(next(caller.frames, None) or next(noise))


async def talk(
    backend: EmbeddedBackend, callers: list[Caller], lines: list[Line], seed: int, figures: Figures
) -> None:
    async with backend.connect(Agent(name="bench")) as connection:
        caller = Caller(connection, lines, random.Random(seed))
        await connection.send('{"type":"response.create"}')
        callers.append(caller)
        await listen(caller, figures)


async def run(calls: int, seconds: float) -> None:
    speech = models.load()
    lines = [record(speech, text) for text in LINES]
    backend = EmbeddedBackend(EmbeddedSettings(), trio.to_thread.run_sync, load=lambda: speech)
    figures = Figures()
    callers: list[Caller] = []
    with trio.move_on_after(seconds + 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.run)
            for seed in range(calls):
                nursery.start_soon(talk, backend, callers, lines, seed, figures)
            await trio.sleep(2)  # greetings are out, prompts rehearsed
            cpu_s = time.process_time()
            for phase in range(PHASES):
                nursery.start_soon(pace, callers, phase, figures)
    cpu_s = time.process_time() - cpu_s
    figures.show("event loop late by", figures.lag_s)
    figures.show("speech found after its start", figures.onset_s)
    figures.show("answer after the end of speech", figures.answer_s)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{calls} calls, {seconds:.0f} s: CPU {100 * cpu_s / seconds:.0f} % of one core, peak memory {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    trio.run(run, options.calls, options.seconds)

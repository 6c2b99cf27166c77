"""How soon is it noticed that somebody speaks, and how soon does an answer sound when he has stopped?

    python ops/bench/turns_found.py [--callers 6] [--seconds 90] [--seed 1]

Callers talk with the embedded voice in this process, with its real models, by telephone and in real time: a frame of
20 ms is sent when its last sample would have been spoken, and all that happens until the caller has the event (the
wait for the next batch of detection, the models, their threads) takes the time that it takes. So the figures are of
this machine while it serves that many callers. Nothing is known to the server beforehand: every answer is a sentence
that was never synthesized before. The true beginning and end of what is said are in sounds.py: by level, before noise
is added. Sounds that are no speech are only counted: a start is one on any clock, so these run as fast as they can.

Ends with 1 when a bound is broken.
"""

import argparse
import base64
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from random import Random
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np
import trio

from gateway.contracts import VoiceConnection
from gateway.voice.embedded import models
from gateway.voice.embedded.brain import Turn
from gateway.voice.embedded.input_audio import InputAudio, SpeechStarted
from gateway.voice.embedded.server import RealtimeServer
from gateway.voice.embedded.session_settings import ServerVad
from gateway.voice.embedded.vad import SpeechStream
from ops.bench.promises import Bound, percentile, verdict
from ops.bench.sounds import (
    LINES,
    NO_SPEECH,
    RATE_HZ,
    Spoken,
    disturbances,
    noise,
    on_the_phone,
    spoken,
    voices,
)

FRAME_MS = 20
FRAME_BYTES = 48 * FRAME_MS
SILENCE_MS = 500
LEAD_MS = 700  # of the line before somebody speaks, and up to a hop more
ANSWER_MS = 1400  # as long as an answer may take
SPEECH_DBOV = -26
LINES_DBOV = {"quiet line": -70, "20 dB above noise": SPEECH_DBOV - 20, "10 dB above noise": SPEECH_DBOV - 10}

ONSET_P50_MS, ONSET_P95_MS, ANSWER_P95_MS = 100, 180, 900
SOUNDS = 160  # of each kind
# How many began a turn at most, with three seeds, before speech was found as early as it is now: a faster detection
# must not buy its speed with more.
MOST_STARTS = {"knocks": 20, "coughs": 49, "telephone keys": 13}


class Said(NamedTuple):
    """One utterance on a line. `lead_ms`: when it begins to be played."""

    line: str
    spoken: Spoken
    lead_ms: int
    pcm: bytes


class Figures(NamedTuple):
    """Milliseconds after the truth, by line. `odd`: what is in neither."""

    onset: dict[str, list[float]]
    stop: list[float]
    answer: list[float]
    odd: Counter[str]


class Counting:
    """A brain that never says the same twice."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def begin(self) -> Turn:
        return Turn("")

    def heard(self, text: str) -> Turn:
        return Turn(f"That was question number {next(self._numbers)}. You said: {text}")

    def digit(self, digit: str) -> Turn:
        return Turn(digit)

    def silence(self) -> Turn:
        return Turn("")

    def told(self, name: str, output: str) -> Turn:
        return Turn("")


# -- what is said


def everything_said(speech: models.Models) -> list[Spoken]:
    """Every line in every voice."""
    return [spoken(name, say(text)) for name, say in voices(speech.synthesize).items() for text in LINES]


def put_on(line: str, utterance: Spoken, rng: np.random.Generator) -> Said:
    lead_ms = LEAD_MS + int(rng.integers(0, 64))
    silences = [np.zeros(RATE_HZ * ms // 1000) for ms in (lead_ms, ANSWER_MS)]
    samples = np.concatenate([silences[0], utterance.samples, silences[1]])
    return Said(line, utterance, lead_ms, on_the_phone(samples + noise(len(samples), LINES_DBOV[line], rng)))


# -- in real time


async def talk(connection: VoiceConnection, lines: Iterable[Said], until: float, figures: Figures) -> None:
    """Say one thing after the other and take down what comes back, and when."""
    came: list[tuple[float, str]] = []

    async def listen() -> None:
        while True:
            event = json.loads(await connection.receive())
            came.append((trio.current_time(), event["type"]))
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for said in lines:
            zero = trio.current_time()
            if zero > until:
                break
            came.clear()
            for number, at in enumerate(range(0, len(said.pcm), FRAME_BYTES), 1):
                await trio.sleep_until(zero + number * FRAME_MS / 1000)
                audio = base64.b64encode(said.pcm[at : at + FRAME_BYTES]).decode()
                await connection.send(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')
            take_down(said, [(1000 * (when - zero), kind) for when, kind in came], figures)
        nursery.cancel_scope.cancel()


def take_down(said: Said, came: Sequence[tuple[float, str]], figures: Figures) -> None:
    """Measure what came against the truth. `came`: milliseconds from the first sample, and the event."""
    starts, ends, sounds = (
        [at for at, kind in came if kind == wanted]
        for wanted in (
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "response.output_audio.delta",
        )
    )
    begins_ms = said.lead_ms + said.spoken.starts_ms
    over_ms = said.lead_ms + said.spoken.ends_ms
    if starts and starts[0] < begins_ms:
        figures.odd["found before they began"] += 1
    else:
        figures.onset.setdefault(said.line, []).append(starts[0] - begins_ms if starts else inf)
    if len(ends) > 1:
        figures.odd["taken for several turns"] += 1
    else:
        figures.stop.append(ends[0] - over_ms if ends else inf)
        figures.answer.append(sounds[0] - over_ms if sounds else inf)


class Bench(NamedTuple):
    """What all callers share. `until`: trio's clock."""

    server: RealtimeServer
    speech: models.Models
    lines: Sequence[Spoken]
    until: float
    figures: Figures


async def converse(bench: Bench, caller: int) -> None:
    numbers = iter(range(11 + 100 * caller, 1000))
    async with bench.server.connect(Counting(numbers), bench.speech) as connection:
        detection = {"type": "server_vad", "silence_duration_ms": SILENCE_MS, "interrupt_response": False}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await connection.send(json.dumps({"type": "session.update", "session": session}))
        line = list(LINES_DBOV)[caller % len(LINES_DBOV)]  # he stays where he is
        rng = np.random.default_rng(caller)
        lines = [put_on(line, said, rng) for said in Random(caller).sample(bench.lines, len(bench.lines))]
        await trio.sleep(0.007 * caller)  # the frames of different callers arrive at different times
        await talk(connection, lines, bench.until, bench.figures)


async def hold(speech: models.Models, callers: int, seconds: float, seed: int) -> Figures:
    figures = Figures({}, [], [], Counter())
    lines = everything_said(speech)
    server = RealtimeServer(trio.to_thread.run_sync, model="bench", workers=1)
    async with trio.open_nursery() as detecting:
        detecting.start_soon(server.detect_speech, speech.detect)
        bench = Bench(server, speech, lines, trio.current_time() + seconds, figures)
        async with trio.open_nursery() as nursery:
            for number in range(callers):
                nursery.start_soon(converse, bench, seed + number)
        detecting.cancel_scope.cancel()
    return figures


# -- as fast as it goes


def starts(speech: models.Models, kind: str, rng: np.random.Generator) -> int:
    """How many of some sounds begin a turn."""
    lines = [(InputAudio(ServerVad()), pcm) for pcm in disturbances(kind, SOUNDS, rng)]
    hops = [turns.append(pcm) for turns, pcm in lines]
    streams = [SpeechStream() for _ in lines]
    begun = set()
    for column in zip(*hops, strict=True):
        likely = speech.detect(streams, column)
        for number, ((turns, _), probability) in enumerate(zip(lines, likely, strict=True)):
            if isinstance(turns.judge(probability), SpeechStarted):
                begun.add(number)
    return len(begun)


def bounds_of(figures: Figures, begun: dict[str, int]) -> list[Bound]:
    onsets = list(chain.from_iterable(figures.onset.values()))
    turns = len(figures.answer)
    return [
        *chain.from_iterable(
            row(f"speech found after its start, {line}", values)
            for line, values in sorted(figures.onset.items())
        ),
        *row(f"speech found after its start, all {len(onsets)}", onsets, ONSET_P50_MS, ONSET_P95_MS),
        *row("its end found after it", figures.stop),
        *row(f"answer after the last word, {turns} turns", figures.answer, p95_ms=ANSWER_P95_MS),
        *(Bound(f"utterances {what}", count, unit="") for what, count in sorted(figures.odd.items())),
        *(
            Bound(f"turns begun by {SOUNDS} {kind}", count, MOST_STARTS.get(kind, 0), unit="")
            for kind, count in begun.items()
        ),
    ]


def row(
    what: str, values: Sequence[float], p50_ms: float | None = None, p95_ms: float | None = None
) -> tuple[Bound, Bound]:
    return (
        Bound(f"{what}, p50", percentile(values, 0.5), p50_ms),
        Bound(f"{what}, p95", percentile(values, 0.95), p95_ms),
    )


def run(callers: int, seconds: float, seed: int) -> int:
    speech = models.load()
    begun = {kind: starts(speech, kind, np.random.default_rng(seed)) for kind in NO_SPEECH}
    figures = trio.run(hold, speech, callers, seconds, seed)
    return verdict(bounds_of(figures, begun))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.exit(run(options.callers, options.seconds, options.seed))

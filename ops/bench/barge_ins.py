"""A caller who interrupts a thousand times: what the voice is told that he heard, and how soon the agent is silent.

    python ops/bench/barge_ins.py [--calls 50] [--seed 1]

The fake Twilio keeps its own clock of what it plays, and its log is the truth. Every call has a network of its own,
0 to 150 ms each way and up to 20 ms of jitter. All of that is in virtual time. How soon `clear` leaves the gateway
only real time can say: some calls of the same kind are made in it, all at once.

Ends with 1 when a bound is broken.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

import trio
from trio.testing import MockClock

from gateway.audio.resample import Downsampler
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.network import Network
from gateway.testing.tone_speech import WORDS, speak
from gateway.testing.tone_voice import ToneVoice
from gateway.testing.twilio_playout import RATE_HZ
from ops.bench.promises import Bound, Line, OneCall, hold_calls, percentile, verdict

BYTES_PER_MS = 48  # of the voice
ANSWER_WORDS = 22  # 4.4 s
# What was in the filter when the agent was cut did not leave it.
FILTER_MS = Downsampler().delay_ms


class Circumstances(NamedTuple):
    """How bad a call's network is at most, and how long the caller lets the agent speak."""

    delay_s: float
    jitter_s: float
    patience_s: float


FAR = Circumstances(delay_s=0.15, jitter_s=0.02, patience_s=3.5)
NEAR = Circumstances(delay_s=0.0, jitter_s=0.0, patience_s=1.0)


class Interruption(NamedTuple):
    """What came of one. `told_ms`: what the voice was told of the item; None: it was told nothing, wrongly.

    `clear_ms`: from the voice's `speech_started` to `clear` on the wire. `late_frames`: messages of audio behind it.
    """

    told_ms: int | None
    played_ms: float
    clear_ms: float
    late_frames: int


def answer(question: str) -> str:
    """Made word by word: half of it is still to come when half of what there is has been heard."""
    return ". ".join(Random(question).sample(WORDS, ANSWER_WORDS)) + "."


async def interruptions(calls: int, times: int, seed: int, at_most: Circumstances) -> list[Interruption]:
    """So many calls at once, in each of which the caller interrupts so often."""
    found: list[Interruption] = []

    async def talk(call: OneCall) -> None:
        rng = Random(f"{seed} {call.agent}")
        await trio.sleep(rng.uniform(0, 1))
        for _ in range(times):
            await call.caller.speaking()
            await trio.sleep(rng.uniform(0, at_most.patience_s))
            await call.caller.says(speak(" ".join(rng.sample(WORDS, 3)), RATE_HZ))
            await call.caller.quiet(0.3)
        await call.caller.speaking()
        found.extend(of_call(call))

    voice = FaultyVoice(ToneVoice(answer, speed=2.0))
    lines = []
    for number in range(calls):
        rng = Random(f"{seed} network {number}")
        network = Network(
            rng,
            to_gateway_s=rng.uniform(0, at_most.delay_s),
            to_twilio_s=rng.uniform(0, at_most.delay_s),
            jitter_s=rng.uniform(0, at_most.jitter_s),
        )
        lines.append(Line(answer(f"hello {number}"), voice, network))
    await hold_calls(lines, talk)
    return found


def of_call(call: OneCall) -> Iterator[Interruption]:
    """What came of each, from the voice's record, the network's, and Twilio's log of what was played."""
    (record,) = call.sessions
    network = call.line.network
    assert network is not None
    began: dict[str, float] = {}
    made_ms: dict[str, float] = {}
    for at_s, event in record.sent:
        if event["type"] == "response.output_audio.delta":
            began.setdefault(event["item_id"], at_s)
            made_ms[event["item_id"]] = made_ms.get(event["item_id"], 0.0) + event["delta"] / BYTES_PER_MS
    started_s = [at_s for at_s, event in record.sent if event["type"] == "input_audio_buffer.speech_started"]
    runs = [(call.zero_s + start_s, len(audio)) for start_s, audio in call.caller.streams[0].played]
    for (item, from_s), (_, until_s) in pairwise(began.items()):  # the last one still speaks
        played_ms = sum(size for at_s, size in runs if from_s <= at_s < until_s) * 1000 / RATE_HZ - FILTER_MS
        told_ms = record.truncated.get(item)
        if told_ms is None and played_ms >= made_ms[item]:
            continue  # he was too late, and heard all of it
        speech_s = next(at_s for at_s in started_s if at_s > from_s)
        passed = [each for each in network.passed if speech_s <= each.left_s < until_s]
        cleared = next((at for at, each in enumerate(passed) if each.event == "clear"), None)
        yield Interruption(
            told_ms,
            max(played_ms, 0.0),
            (passed[cleared].left_s - speech_s) * 1000 if cleared is not None else float("inf"),
            sum(each.event == "media" for each in passed[(cleared or 0) :]),
        )


def heard(found: Sequence[Interruption], expected: int) -> list[Bound]:
    """The promises about what was heard, and about silence."""
    told = [(each.told_ms, each.played_ms) for each in found if each.told_ms is not None]
    errors_ms = [abs(played_ms - told_ms) for told_ms, played_ms in told]
    clears_ms = [each.clear_ms for each in found]
    return [
        Bound("interruptions that are missing", expected - len(found), 0, ""),
        Bound("items cut of which the voice was told nothing", len(found) - len(told), 0, ""),
        Bound("truncation against what was played, p50", percentile(errors_ms, 0.5)),
        Bound("truncation against what was played, p99", percentile(errors_ms, 0.99), 60),
        Bound("truncation against what was played, max", max(errors_ms, default=0.0)),
        Bound("truncations later than what was played", sum(t > p for t, p in told), 0, ""),
        Bound("messages of a cut response behind its clear", sum(e.late_frames for e in found), 0, ""),
        Bound("speech_started to clear, virtual time, p50", percentile(clears_ms, 0.5)),
        Bound("speech_started to clear, virtual time, p99", percentile(clears_ms, 0.99), 20),
    ]


def silenced(found: Sequence[Interruption]) -> list[Bound]:
    """The promise about how soon the agent is silent, in real time."""
    clears_ms = [each.clear_ms for each in found]
    return [
        Bound("speech_started to clear, real time, p50", percentile(clears_ms, 0.5)),
        Bound("speech_started to clear, real time, p99", percentile(clears_ms, 0.99), 20),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=50, help="in virtual time, of 20 interruptions each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    virtual = MockClock(autojump_threshold=0)
    found = trio.run(interruptions, options.calls, 20, options.seed, FAR, clock=virtual)
    bounds = heard(found, options.calls * 20)
    bounds += silenced(trio.run(interruptions, 10, 10, options.seed, NEAR))
    return verdict(bounds)


if __name__ == "__main__":
    sys.exit(main())

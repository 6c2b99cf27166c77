"""Calls that outlast the hour that a voice's session may last: does anybody notice that another one goes on?

    python ops/bench/the_hour.py [--calls 20] [--seed 1] [--full]

Caller and agent take turns all along. Every session ends when it is as old as it may get; the gateway replaces it
before. In virtual time, on two processes. A call of 61 minutes has 180 000 frames each way and takes two to three
minutes to compute. So one of the calls is as long as that, and the others have a shorter hour, of three minutes: a
session may last that long, and is replaced when 55/60 of it are over. With `--full` all have 61 minutes. Ends with
1 when a bound is broken.
"""

import argparse
import concurrent.futures
import sys
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

import trio
from trio.testing import MockClock

from gateway.settings import Settings
from gateway.testing.faulty_record import Passed, VoiceRecord
from gateway.testing.faulty_table import Expire, Late
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.tone_speech import WORDS, sounds, speak, words_of
from gateway.testing.tone_voice import ToneVoice
from gateway.testing.twilio_playout import RATE_HZ
from gateway.voice.settings import VoiceSettings
from ops.bench.promises import Bound, Line, OneCall, hold_calls, percentile, verdict

HOUR_S = 3600.0
SHORT_HOUR_S = 180.0
RENEWED_AT = 55 / 60  # of the hour
CALL_LASTS = 61 / 60
FRAME_S = 0.02
BYTES_PER_MS = 48  # of the voice
MOST_SEEDED = 40  # entries of a conversation that a new session is told


class Hour(NamedTuple):
    """What came of a call. `unseeded`: sessions that were not told what had been said before. Times in ms.

    `gap_ms`: the longest in the caller's audio to his voice, whichever session it went to; `missing_ms`: of that
    audio, in all. `latencies_ms`: of the answers; `late_ms`: of the first answer of every later session.
    """

    renewals: int
    expired: int
    unseeded: int
    turns: int
    garbled: int
    gap_ms: float
    missing_ms: float
    stutters: int
    latencies_ms: list[float]
    late_ms: list[float]


def answer(question: str) -> str:
    """The words of the question, and some more: every answer says which question it answers."""
    rng = Random(question)
    return ". ".join([*words_of(question), *rng.sample(WORDS, rng.randint(2, 20))]) + "."


async def hours(seeds: Sequence[str], hour_s: float) -> list[Hour]:
    """One call a seed, all at once."""
    found: list[Hour] = []
    settings = Settings(voice=VoiceSettings(renew_s=hour_s * RENEWED_AT))

    async def talk(call: OneCall) -> None:
        found.append(await Talk(call).until(hour_s * CALL_LASTS))

    lines = []
    for seed in seeds:
        rng = Random(seed)
        late = [Late(connection=number, by_s=rng.uniform(0.05, 0.4)) for number in range(1, 10)]
        voice = FaultyVoice(ToneVoice(answer), [Expire(times=None, after_s=hour_s), *late], strict=False)
        lines.append(Line(" ".join(rng.sample(WORDS, 10)), voice))
    await hold_calls(lines, talk, settings)
    return found


class Talk:
    """A caller who asks something as soon as he has heard an answer, or after a while."""

    def __init__(self, call: OneCall) -> None:
        self._call = call
        self._rng = Random(call.line.greeting)
        self._questions: list[str] = []
        self._over_s: list[float] = []  # when each had been said

    async def until(self, end_s: float) -> Hour:
        """Talk for so long."""
        caller, rng = self._call.caller, self._rng
        while caller.now < end_s:
            await caller.speaking()
            await caller.quiet(rng.uniform(0.1, 3.0))
            self._questions.append(" ".join(rng.sample(WORDS, rng.randint(2, 12))))
            await caller.says(speak(self._questions[-1], RATE_HZ))
            self._over_s.append(caller.now)
        await caller.speaking()
        await caller.quiet(1.0)
        return self._found()

    def _found(self) -> Hour:
        call = self._call
        sessions, later = call.sessions, call.sessions[1:]
        latencies_ms, garbled = self._answered()
        appended_s, missing_ms = _appended(sessions)
        firsts = [self._turns_before(session) for session in later]
        return Hour(
            renewals=len(later),
            expired=sum("maximum duration" in session.ended for session in sessions),
            unseeded=sum(session.seeded != self._said(n) for session, n in zip(later, firsts, strict=True)),
            turns=len(self._questions),
            garbled=garbled,
            gap_ms=max(after - before for before, after in pairwise(appended_s)) * 1000,
            missing_ms=missing_ms,
            stutters=sum(len(stream.underruns) for stream in call.caller.streams),
            latencies_ms=latencies_ms,
            late_ms=[latencies_ms[n] for n in firsts if n < len(latencies_ms)],
        )

    def _answered(self) -> tuple[list[float], int]:
        """How long each answer took, and in how many turns other words were heard than that answer, once."""
        heard = [sound for sound in sounds(self._call.caller.heard, RATE_HZ) if sound.word is not None]
        latencies_ms = []
        at = len(words_of(self._call.line.greeting))
        garbled = int([sound.word for sound in heard[:at]] != words_of(self._call.line.greeting))
        for question, over_s in zip(self._questions, self._over_s, strict=True):
            words = words_of(answer(question))
            garbled += [sound.word for sound in heard[at : at + len(words)]] != words
            if at < len(heard):
                latencies_ms.append(heard[at].start_ms - over_s * 1000)
            at += len(words)
        return latencies_ms, garbled + (len(heard) != at)

    def _turns_before(self, session: VoiceRecord) -> int:
        """How many turns were over when a session began to listen."""
        from_s = _appends(session)[0].at_s - self._call.zero_s
        return sum(over_s < from_s for over_s in self._over_s)

    def _said(self, turns: int) -> list[tuple[str, str]]:
        """What a session is told that begins after so many turns."""
        said = [("assistant", self._call.line.greeting)]
        for question in self._questions[:turns]:
            said += [("user", question), ("assistant", answer(question))]
        return said[-MOST_SEEDED:]


def _appends(session: VoiceRecord) -> list[Passed]:
    return [passed for passed in session.received if passed.event["type"] == "input_audio_buffer.append"]


def _appended(sessions: Sequence[VoiceRecord]) -> tuple[list[float], float]:
    """When the caller's audio came, and how much of it did not. What a session is told first, was said before."""
    appends = [_appends(session)[1:] for session in sessions]
    at_s = sorted(passed.at_s for session in appends for passed in session)
    came_ms = sum(passed.event["audio"] for session in appends for passed in session) / BYTES_PER_MS
    return at_s, (at_s[-1] - at_s[0] + FRAME_S) * 1000 - came_ms


def figures(found: Sequence[Hour]) -> list[Bound]:
    """The promises about a session's hour."""
    usual_ms = percentile([latency for hour in found for latency in hour.latencies_ms], 0.5)
    late_ms = [latency - usual_ms for hour in found for latency in hour.late_ms]
    return [
        Bound("sessions that followed another one", sum(hour.renewals for hour in found), unit=""),
        Bound("calls whose session was not renewed", sum(not hour.renewals for hour in found), 0, ""),
        Bound("sessions that got too old", sum(hour.expired for hour in found), unit=""),
        Bound("sessions that did not know what had been said", sum(hour.unseeded for hour in found), 0, ""),
        Bound("turns", sum(hour.turns for hour in found), unit=""),
        Bound("turns that were not answered once and whole", sum(hour.garbled for hour in found), 0, ""),
        Bound("longest gap in the caller's audio to the voice", max(hour.gap_ms for hour in found), 40),
        Bound("most of a caller's audio that did not come", max(hour.missing_ms for hour in found), 40),
        Bound("stutters in the agent's speech", sum(hour.stutters for hour in found), 0, ""),
        Bound("usual time from a question to its answer", usual_ms),
        Bound("the slowest answer was later by", max(max(hour.latencies_ms) for hour in found) - usual_ms),
        Bound("the slowest one of a new session was later by", max(late_ms, default=0.0), 40),
    ]


def in_virtual_time(seeds: Sequence[str], hour_s: float) -> list[Hour]:
    """So many calls."""
    return trio.run(hours, seeds, hour_s, clock=MockClock(autojump_threshold=0))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="61 minutes each")
    options = parser.parse_args()
    seeds = [f"{options.seed}.{number}" for number in range(options.calls)]
    shares = [(seeds[:1], HOUR_S), (seeds[1:], SHORT_HOUR_S)]
    if options.full:
        shares = [(seeds[::2], HOUR_S), (seeds[1::2], HOUR_S)]
    with concurrent.futures.ProcessPoolExecutor(2) as processes:
        found = list(processes.map(in_virtual_time, *zip(*shares, strict=True)))
    return verdict(figures([hour for share in found for hour in share]))


if __name__ == "__main__":
    sys.exit(main())

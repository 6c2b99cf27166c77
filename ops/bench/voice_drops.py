"""A voice that is lost two hundred times, in fifty calls: is a call lost, how long is it silent, what is said twice?

    python ops/bench/voice_drops.py [--calls 50] [--seed 1]

Connections break at random moments: while the agent greets, while he answers, while the caller speaks, while an
answer is owed, and in silence; of the next ones some break as well. Connecting takes 50 to 400 ms. The voice speaks
in tones, each of them a word, so that the words that reached the caller can be read from what Twilio played. They
have to be those of an undisturbed call. In virtual time. Ends with 1 when a bound is broken.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import trio
from trio.testing import MockClock

from ops.bench.dropped_calls import Loss, Story, stories
from ops.bench.promises import Bound, percentile, verdict

# One passes until the call sees that it is silent, one until it sees that this has lasted too long.
TICK_MS = 20


def figures(told: Sequence[Story]) -> list[Bound]:
    """The promises about a voice that is lost."""
    usual_ms = percentile([late for story in told for late in _latencies_ms(story, disturbed=False)], 0.5)
    late_ms = [late - usual_ms for story in told for late in _latencies_ms(story, disturbed=True)]
    waited = [
        (loss, _wait(story, loss, usual_ms))
        for story in told
        for loss in story.losses
        if loss.said < loss.owed
    ]
    known = [(loss, wait) for loss, wait in waited if wait is not None]
    once_ms = [wait.resumed_ms for loss, wait in known if loss.in_a_row == 1]
    row_ms = [wait.resumed_ms for loss, wait in known if loss.in_a_row > 1]
    noticed_ms = [wait.silent_ms for loss, wait in known if loss.noticed]
    unnoticed_ms = [wait.silent_ms for loss, wait in known if not loss.noticed]
    return [
        Bound("connections broken", sum(story.drops for story in told), unit=""),
        Bound("calls lost", sum(story.over for story in told), 0, ""),
        Bound("calls in which other words were heard", sum(map(_garbled, told)), 0, ""),
        Bound("losses that kept the caller waiting", len(waited), unit=""),
        Bound("losses after which nothing came", len(waited) - len(known), 0, ""),
        Bound("from one loss to the agent's next word, p50", percentile(once_ms, 0.5)),
        Bound("from one loss to the agent's next word, p95", percentile(once_ms, 0.95), 1500),
        Bound("from two or three in a row to the agent's next word, p50", percentile(row_ms, 0.5)),
        Bound("from two or three in a row to the agent's next word, p95", percentile(row_ms, 0.95)),
        Bound("unexpected silence, p50", percentile(noticed_ms, 0.5)),
        Bound("unexpected silence, max", max(noticed_ms, default=0.0), 300 + 2 * TICK_MS),
        Bound("the same, where no voice had noticed that he was done", max(unnoticed_ms, default=0.0)),
        Bound("answers of disturbed turns later than usual, p50", percentile(late_ms, 0.5)),
        Bound("answers of disturbed turns later than usual, p95", percentile(late_ms, 0.95)),
    ]


class _Wait(NamedTuple):
    resumed_ms: float
    silent_ms: float


def _garbled(story: Story) -> bool:
    return [sound.word for sound in story.heard if sound.word is not None] != story.expected


def _latencies_ms(story: Story, *, disturbed: bool) -> list[float]:
    """From the end of each question to the first word of its answer."""
    words = [sound for sound in story.heard if sound.word is not None]
    turns = {loss.turn for loss in story.losses}
    found = []
    for number in range(1, len(story.turns)):
        first = story.turns[number - 1].words
        if (number in turns) is disturbed and first < len(words):
            found.append(words[first].start_ms - story.turns[number].over_s * 1000)
    return found


def _wait(story: Story, loss: Loss, usual_ms: float) -> _Wait | None:
    """What the caller noticed of a loss. None: he never heard another word."""
    words = [sound for sound in story.heard if sound.word is not None]
    if loss.said >= len(words):
        return None
    at_ms, next_ms = loss.at_s * 1000, words[loss.said].start_ms
    before = story.turns[loss.turn - 1].words if loss.turn else 0
    quiet_from_ms = at_ms
    if loss.said > before:  # the voice had begun: what had come is heard first
        last_ms = words[loss.said - 1].start_ms + TICK_MS
        quiet_from_ms = max(
            at_ms, next(end_ms for start_ms, end_ms in story.runs if start_ms <= last_ms < end_ms)
        )
    elif loss.turn:  # nobody wonders before an answer could be there
        quiet_from_ms = max(at_ms, story.turns[loss.turn].over_s * 1000 + usual_ms)
    sound_ms = min((start_ms for start_ms, _ in story.runs if start_ms > at_ms), default=quiet_from_ms)
    heard_on = next_ms < quiet_from_ms
    return _Wait(next_ms - at_ms, 0.0 if heard_on else max(sound_ms - quiet_from_ms, 0.0))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return verdict(
        figures(trio.run(stories, options.calls, options.seed, clock=MockClock(autojump_threshold=0)))
    )


if __name__ == "__main__":
    sys.exit(main())

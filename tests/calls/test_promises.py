"""The promises that ops/bench proves at length, in small: the same calls, and the same bounds."""

from collections.abc import Sequence

from trio.testing import MockClock

from ops.bench import barge_ins, dropped_calls, the_hour, voice_drops
from ops.bench.promises import Bound, verdict


def broken(bounds: Sequence[Bound]) -> list[Bound]:
    return [bound for bound in bounds if not bound.kept]


async def test_what_a_caller_heard_who_interrupts_is_known(autojump_clock: MockClock):
    found = await barge_ins.interruptions(3, 5, 1, barge_ins.FAR)

    assert broken(barge_ins.heard(found, 15)) == []


async def test_a_voice_that_is_lost_is_heard_again_with_the_same_words(autojump_clock: MockClock):
    told = await dropped_calls.stories(4, 1)

    assert sum(story.drops for story in told) >= 12
    assert broken(voice_drops.figures(told)) == []


async def test_nobody_notices_that_a_session_has_outlasted_its_hour(autojump_clock: MockClock):
    found = await the_hour.hours(["1.0", "1.1"], 60.0)

    assert broken(the_hour.figures(found)) == []


def test_a_broken_promise_ends_a_bench_with_1(capsys):
    status = verdict([Bound("clear", 12.0, 20), Bound("truncation", 61.0, 60)])

    assert status == 1
    assert "BROKEN" in capsys.readouterr().out.splitlines()[1]

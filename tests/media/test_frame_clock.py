"""Frames by the clock, whatever the ticks do."""

import random
from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.media.frame_clock import FRAME_SAMPLES, FrameClock

FRAME_S = 0.02


def frames(*ticks_ms: float) -> list[int]:
    clock = FrameClock()
    return [clock.tick(at_ms / 1000) for at_ms in ticks_ms]


def test_each_tick_stands_for_a_frame():
    assert frames(5, 25, 45, 65) == [1, 1, 1, 1]


def test_a_tick_may_be_late():
    assert frames(0, 39, 40, 79, 80) == [1, 1, 1, 1, 1]


def test_what_was_missed_is_made_up_for():
    assert frames(0, 70, 80, 100) == [1, 3, 1, 1]


def test_the_tick_on_the_heels_of_a_late_one_has_nothing_left_to_do():
    assert frames(0, 53, 58, 62, 80) == [1, 2, 0, 1, 1]


def test_a_first_tick_that_was_late_is_no_measure():
    assert frames(15, 20, 40, 60, 99) == [1, 1, 1, 1, 1]


def test_a_stall_of_an_hour_is_made_up_for():
    assert frames(0, 3_600_000, 3_600_020) == [1, 180_000, 1]


def test_ticks_on_the_heels_of_a_late_one_do_not_make_time_run_faster():
    clock, now, total = FrameClock(), 0.0, 0

    for slot in range(3000):  # every third tick is 30 ms late, and the next one has caught up
        now = max(now, slot * FRAME_S) + (0.03 if slot % 3 == 0 else 0.001)
        total += clock.tick(now)

    assert abs(total - now / FRAME_S) <= 2


def test_a_first_frame_that_is_late_in_its_slot_leaves_a_frame_to_every_tick():
    rng = random.Random(1)
    late = [0.0003, 0.0004, *(0.02 * slot + rng.uniform(0, 0.0006) for slot in range(1, 300))]
    clock = FrameClock()

    assert {clock.tick(now) for now in late} == {1}


@given(st.lists(st.floats(-0.015, 0.015), min_size=1, max_size=300))
def test_frames_are_as_many_as_the_time_has_however_ticks_waver(waver_s: list[float]):
    clock = FrameClock()
    ticks = [1 + slot * FRAME_S + at_s for slot, at_s in enumerate(waver_s)]

    total = sum(clock.tick(now) for now in sorted(ticks))

    assert abs(total - (max(ticks) - min(ticks)) / FRAME_S - 1) <= 2


@given(st.lists(st.floats(0, 0.3), max_size=60), st.floats(0, 1e5))
@example([0.053, 0.005, 0.004], 0)
def test_frames_neither_gain_on_the_clock_nor_fall_behind_it(steps_s: list[float], start_s: float):
    clock = FrameClock()

    for now in accumulate(steps_s, initial=start_s):
        clock.tick(now)

        assert clock.due is not None
        assert 0 < clock.due - round(now * 8000) <= 2 * FRAME_SAMPLES


@given(st.lists(st.floats(0, 0.15), min_size=1, max_size=60))
def test_there_is_never_more_than_a_frame_for_each_20_ms(lates_s: list[float]):
    """As the pacing clock has it: a wake-up may be late, and the one after it is at its time again, or right after."""
    clock, now, slot = FrameClock(), 0.0, 0
    total = clock.tick(now)

    for late_s in lates_s:
        slot += 1
        now = max(now, slot * FRAME_S + late_s)
        slot = max(slot, int(now / FRAME_S))
        total += clock.tick(now)

    assert total <= round(now * 8000) // FRAME_SAMPLES + 1

import threading

import structlog
import trio
from trio.testing import MockClock

from gateway.telemetry.lag import StallDetector, StallWatch, watch_loop
from gateway.telemetry.metrics import Metrics

DETECTOR = {"stall_s": 0.5, "quiet_s": 10.0, "now": 0.0}


def test_a_loop_that_beats_is_never_reported() -> None:
    detector = StallDetector(**DETECTOR)

    found = []
    for tick in range(100):
        detector.beat(tick * 0.1)
        found.append(detector.check(tick * 0.1 + 0.09))

    assert found == [None] * 100


def test_a_stall_is_reported_once_while_it_lasts() -> None:
    detector = StallDetector(**DETECTOR)

    found = [detector.check(now) for now in (0.5, 0.6, 0.7, 5.0)]

    assert found == [None, 0.6, None, None]


def test_the_next_stall_is_reported_again_after_a_quiet_time() -> None:
    detector = StallDetector(**DETECTOR)

    first = detector.check(1.0)
    detector.beat(2.0)
    too_soon = detector.check(3.0)
    detector.beat(12.0)
    later = detector.check(13.0)

    assert (first, too_soon, later) == (1.0, None, 1.0)


def test_the_report_carries_the_stack_that_held_the_loop() -> None:
    reported = threading.Event()
    reports: list[tuple[float, str]] = []

    def report(stalled_s: float, stack: str) -> None:
        reports.append((stalled_s, stack))
        reported.set()

    def hold_the_loop() -> bool:
        return reported.wait(5)

    with StallWatch(report, stall_s=0.02) as watch:
        watch.beat()
        held = hold_the_loop()

    assert held
    [(stalled_s, stack)] = reports
    assert stalled_s > 0.02
    assert "hold_the_loop" in stack


def test_the_watching_thread_ends_with_its_block() -> None:
    before = threading.active_count()

    with StallWatch(lambda _stalled_s, _stack: None):
        during = threading.active_count()

    assert during == before + 1
    assert threading.active_count() == before


def test_the_loop_is_not_watched_on_a_virtual_clock() -> None:
    metrics = Metrics()

    trio.run(watch_loop, metrics, structlog.get_logger(), clock=MockClock(autojump_threshold=0))

    assert b"gw_event_loop_lag_seconds_count 0.0" in metrics.expose()


async def test_lag_and_tasks_are_measured_on_the_real_clock() -> None:
    metrics = Metrics()

    with trio.move_on_after(0.25):
        await watch_loop(metrics, structlog.get_logger())

    assert b"gw_event_loop_lag_seconds_count 0.0" not in metrics.expose()
    assert b"gw_tasks 0.0" not in metrics.expose()

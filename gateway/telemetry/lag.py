"""How late the loop is, and what it was doing when it stood still.

Every part of the gateway shares one event loop, so one slow function delays every call. The lag goes into a
histogram; a loop that stands still for longer than `STALL_S` is reported once, with the stack that held it.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Never, Self

import trio
from structlog.typing import FilteringBoundLogger

from gateway.telemetry.metrics import Metrics

# Five lost ticks of 100 ms are past any jitter buffer: callers hear this.
STALL_S = 0.5

_SAMPLE_S = 0.1
_SAMPLES_PER_TASK_COUNT = 10
# After a stop of the whole process (a debugger, SIGSTOP) the missed samples are not made up for.
_MOST_MISSED_S = 10.0
# A loop that keeps stalling would fill the log with the same stack.
_QUIET_S = 10.0
_STACK_DEPTH = 40


async def watch_loop(metrics: Metrics, log: FilteringBoundLogger) -> None:
    """Measure this loop until cancelled. Returns at once on a clock that is not the real one."""
    if not _keeps_real_time():
        return

    def report(stalled_s: float, stack: str) -> None:
        log.error("loop.stalled", stalled_s=round(stalled_s, 3), stack=stack)

    with StallWatch(report) as watch:
        await _sample(metrics, watch)


def _keeps_real_time() -> bool:
    """Whether a second of the loop's clock takes a second; on a virtual one there is nothing to measure."""
    clock = trio.lowlevel.current_clock()
    return abs(clock.deadline_to_sleep_time(clock.current_time() + 1.0) - 1.0) < 0.5


async def _sample(metrics: Metrics, watch: "StallWatch") -> Never:
    due = trio.current_time()
    sample = 0
    while True:
        # From one absolute deadline to the next: a stall of a second counts as the ten samples it delayed.
        due += _SAMPLE_S
        await trio.sleep_until(due)
        watch.beat()
        late_s = max(0.0, trio.current_time() - due)
        metrics.event_loop_lag_s.observe(late_s)
        if late_s > _MOST_MISSED_S:
            due = trio.current_time()
        if sample % _SAMPLES_PER_TASK_COUNT == 0:
            metrics.tasks.set(trio.lowlevel.current_statistics().tasks_living)
        sample += 1


class StallDetector:
    """Decides when a stall is reported: once each, and at most one in `quiet_s`. Knows no clock."""

    def __init__(self, *, stall_s: float, quiet_s: float, now: float) -> None:
        self._stall_s = stall_s
        self._quiet_s = quiet_s
        self._beat_at = now
        self._reported_at = -quiet_s
        self._reported = False

    def beat(self, now: float) -> None:
        """The loop runs."""
        self._beat_at = now
        self._reported = False

    def check(self, now: float) -> float | None:
        """How long the loop has been standing, when that has to be reported."""
        standing_s = now - self._beat_at
        if standing_s <= self._stall_s or self._reported or now - self._reported_at < self._quiet_s:
            return None
        self._reported = True
        self._reported_at = now
        return standing_s


class StallWatch:
    """A thread that looks at the thread which made it, for as long as the block lasts.

    `report(stalled_s, stack)` is called in the watching thread, while the stall goes on. A stall inside C code
    that holds the interpreter lock hides from every thread; it still shows in the lag.
    """

    def __init__(
        self, report: Callable[[float, str], None], *, stall_s: float = STALL_S, quiet_s: float = _QUIET_S
    ) -> None:
        self._report = report
        self._look_every_s = stall_s / 5
        self._detector = StallDetector(stall_s=stall_s, quiet_s=quiet_s, now=time.monotonic())
        self._loop_thread = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def beat(self) -> None:
        """The loop runs."""
        self._detector.beat(time.monotonic())

    def _watch(self) -> None:
        while not self._over.wait(self._look_every_s):
            stalled_s = self._detector.check(time.monotonic())
            if stalled_s is not None:
                frames = sys._current_frames()  # noqa: SLF001  # public in all but name: documented in the library
                self._report(stalled_s, _stack_of(frames.get(self._loop_thread)))


def _stack_of(frame: FrameType | None) -> str:
    return "".join(traceback.format_stack(frame, limit=_STACK_DEPTH)) if frame else ""

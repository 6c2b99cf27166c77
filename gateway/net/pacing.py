"""The one clock that paces all calls.

A sleep per call costs four to nine times the CPU of a shared one and falls apart at a few hundred calls.
The calls are spread over phases: ticked all at one instant, the last would wait for all the others.
"""

import math
from collections.abc import Callable
from typing import NoReturn

import structlog
import trio

TICK_S = 0.02
PHASES = 4
SLOT_S = TICK_S / PHASES

log = structlog.get_logger()


def next_slot() -> float:
    """The next instant at which calls are ticked. Whoever else sleeps until then has his wake-up for nothing."""
    return (math.floor(trio.current_time() / SLOT_S) + 1) * SLOT_S


class PacingClock:
    """Calls every member once in 20 ms, at instants that do not drift.

    `on_late`: told at every wake-up how many seconds it came late. After a stall each member is called
    once; what it missed is not made up for.
    """

    def __init__(self, *, on_late: Callable[[float], None] | None = None) -> None:
        self._on_late = on_late
        self._phases: list[dict[object, Callable[[], None]]] = [{} for _ in range(PHASES)]
        self._joined = trio.Event()

    def add(self, tick: Callable[[], None]) -> Callable[[], None]:
        """Have `tick` called until the function that this returns is called; once more does no harm.

        A tick is quick and raises nothing: one that raises is logged and never called again.
        """
        phase, member = min(self._phases, key=len), object()
        phase[member] = tick
        self._joined.set()

        def remove() -> None:
            phase.pop(member, None)

        return remove

    def __len__(self) -> int:
        return sum(len(phase) for phase in self._phases)

    async def run(self) -> NoReturn:
        """Tick until cancelled; asleep while there is no member. Run it once."""
        start = next_slot() - SLOT_S
        slot = 0
        while True:
            if not any(self._phases):
                self._joined = trio.Event()
                await self._joined.wait()
                slot = math.ceil((trio.current_time() - start) / SLOT_S)
            while not self._phases[slot % PHASES]:
                slot += 1
            await trio.sleep_until(start + slot * SLOT_S)
            late_s = trio.current_time() - (start + slot * SLOT_S)
            if self._on_late is not None:
                self._on_late(late_s)
            slot += PHASES * int(late_s / TICK_S)  # whole rounds were missed, and the phase stays
            self._tick(self._phases[slot % PHASES])
            slot += 1

    def _tick(self, phase: dict[object, Callable[[], None]]) -> None:
        for member, tick in list(phase.items()):
            if member not in phase:
                continue  # removed by the tick of another
            try:
                tick()
            except Exception:
                phase.pop(member, None)
                log.exception("tick.broke")

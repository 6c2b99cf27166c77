"""All calls of this process: who is active, when their words go to disk, and how they end together."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
import trio

from gateway.calls.call import Call
from gateway.contracts import EndReason, RunBlocking

__all__ = ["Supervisor"]

_FLUSH_S = 0.5  # so a crash loses at most the last second
_MOST_FLUSHES = 2  # at a time: every thread that runs takes the interpreter away from the loop
_RECORD_S = 2.0


class Supervisor:
    """`host` runs a call and contains it. `ended` is told of each call when nothing of it is left."""

    def __init__(
        self,
        *,
        most_active: int,
        run_blocking: RunBlocking,
        ended: Callable[[Call], None],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.active: dict[str, Call] = {}
        self.draining = False
        self._most_active = most_active
        self._run_blocking = run_blocking
        self._ended = ended
        self._log = log
        self._flushes = trio.CapacityLimiter(_MOST_FLUSHES)
        self._flushing: set[Call] = set()
        self._idle = trio.Event()
        self._idle.set()

    def full(self, coming: int) -> bool:
        """No place is left when those who are `coming` have theirs."""
        return len(self.active) + coming >= self._most_active

    async def host(self, call: Call, folder: Path | None) -> None:
        """Run `call` to its end, then write its record. Whatever breaks in it stays in it."""
        self.active[call.call_id] = call
        if self._idle.is_set():
            self._idle = trio.Event()
        try:
            await call.run()
        except* Exception as group:  # noqa: BLE001 - containment: a teardown broke; the other calls go on
            self._log.exception("call.teardown_broken", call=call.call_id, exc_info=group)
        finally:
            try:
                if folder is not None:
                    await self._write_record(call, folder)
                self._log.info("call.ended", call=call.call_id, **call.record.totals())
                self._ended(call)
            finally:  # last, so that who waits for `idle` finds every record written
                del self.active[call.call_id]
                if not self.active:
                    self._idle.set()

    async def flush(self) -> None:
        """Write every call's trace and recording, twice a second, until cancelled.

        A call whose last flush still waits for the disk is left out, and holds up no other.
        """
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(_FLUSH_S)
                for call in self.active.values():
                    if call not in self._flushing:
                        self._flushing.add(call)
                        nursery.start_soon(self._flush, call)

    async def _flush(self, call: Call) -> None:
        try:
            async with self._flushes:
                await call.flush()
        except Exception:  # noqa: BLE001 - containment: the other calls go on
            self._log.exception("call.flush_broken", call=call.call_id)
            call.end(EndReason.BUG)
        finally:
            self._flushing.discard(call)

    async def idle(self) -> None:
        """Wait until no call is left."""
        await self._idle.wait()

    def end_all(self, reason: EndReason) -> None:
        for call in list(self.active.values()):
            call.hang_up(reason)

    async def _write_record(self, call: Call, folder: Path) -> None:
        text = msgspec.json.format(msgspec.json.encode(call.record), indent=1)
        with trio.move_on_after(_RECORD_S, shield=True) as deadline:
            try:
                await self._run_blocking(_write, folder / "call.json", text)
            except OSError as error:
                self._log.error("record.failed", call=call.call_id, detail=error.strerror)
        if deadline.cancelled_caught:
            self._log.error("record.failed", call=call.call_id, detail=f"not written within {_RECORD_S} s")


def _write(path: Path, text: bytes) -> None:
    part = path.with_suffix(".json.part")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.write_bytes(text)
    part.chmod(0o600)
    part.rename(path)

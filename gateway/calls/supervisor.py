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
        self._idle = trio.Event()
        self._idle.set()

    @property
    def full(self) -> bool:
        return len(self.active) >= self._most_active

    async def host(self, call: Call, folder: Path | None) -> None:
        """Run `call` to its end, then write its record. Whatever breaks in it stays in it."""
        self.active[call.call_id] = call
        self._idle = trio.Event()
        try:
            await call.run()
        except* Exception as group:  # noqa: BLE001 - containment: a teardown broke; the other calls go on
            self._log.exception("call.teardown_broken", call=call.call_id, exc_info=group)
        finally:
            del self.active[call.call_id]
            if not self.active:
                self._idle.set()
            if folder is not None:
                with trio.move_on_after(2, shield=True):
                    await self._write_record(call, folder)
            self._log.info("call.ended", call=call.call_id, **call.record.totals())
            self._ended(call)

    async def flush(self) -> None:
        """Write every call's trace and recording, twice a second, until cancelled."""
        while True:
            await trio.sleep(_FLUSH_S)
            for call in list(self.active.values()):
                await call.flush()

    async def idle(self) -> None:
        """Wait until no call is left."""
        await self._idle.wait()

    def end_all(self, reason: EndReason) -> None:
        for call in list(self.active.values()):
            call.hang_up(reason)

    async def _write_record(self, call: Call, folder: Path) -> None:
        text = msgspec.json.format(msgspec.json.encode(call.record), indent=1)
        try:
            await self._run_blocking(_write, folder / "call.json", text)
        except OSError as error:
            self._log.error("record.failed", call=call.call_id, detail=error.strerror)


def _write(path: Path, text: bytes) -> None:
    part = path.with_suffix(".json.part")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.write_bytes(text)
    part.chmod(0o600)
    part.rename(path)

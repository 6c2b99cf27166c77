"""What a call has at hand beside its core and its leg."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from gateway import contracts as c

__all__ = ["Services", "TraceSink"]


class TraceSink(Protocol):
    """Where a call's inputs and outputs are kept (traces/recorder.py)."""

    failed: str | None

    def input(self, seq: int, t_us: int, port: c.Port, data: str | bytes) -> None: ...

    def output(self, seq: int, output: c.Output) -> None: ...

    async def flush(self, run_blocking: c.RunBlocking) -> None: ...

    async def close(self, run_blocking: c.RunBlocking) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What carries out a core's requests, shared by all calls.

    `backends` are the call's voices by their names, in the order in which they are tried.
    `synthesize(text, voice)` and `load_clip(name)` give PCM16 at 24 000 Hz; `run_tool(name, arguments)` gives
    what to tell the model. They raise `RequestFailed` with a text for people. `add_tick` joins the pacing
    clock and returns what leaves it. `watch` sees every fact of every call.
    """

    backends: Mapping[str, c.VoiceBackend]
    synthesize: Callable[[str, str | None], Awaitable[bytes]]
    load_clip: Callable[[str], Awaitable[bytes]]
    run_tool: Callable[[str, str], Awaitable[str]]
    run_blocking: c.RunBlocking
    add_tick: Callable[[Callable[[], None]], Callable[[], None]]
    watch: Callable[[str, c.Fact], None]
    clear_took: Callable[[float], None]

"""Programs that run beside a test: each in a process group of its own, without a keyboard, for a bounded time."""

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

__all__ = ["PeerFailed", "Program", "running"]

# Who talks goes before whoever compiles or tests beside it, where we may say so.
_NICE = -10

_LOOK_S = 0.02
_TAIL_CHARS = 4000


class PeerFailed(AssertionError):
    """A peer did not do its part; the text has the last that it said."""


@dataclass(frozen=True)
class Program:
    """`output`: the file with all that it prints."""

    name: str
    process: trio.Process
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    async def ends(self, longest_s: float) -> int:
        """Wait for its exit status. Raises `PeerFailed` when it is still there after `longest_s`."""
        with trio.move_on_after(longest_s):
            return await self.process.wait()
        raise self.failed(f"still runs after {longest_s} s")

    async def until(self, done: Callable[[], bool], longest_s: float, what: str) -> None:
        """Wait until another process has done something. Raises `PeerFailed` if it takes longer, or this one ends."""
        with trio.move_on_after(longest_s):
            while not done():
                if self.process.poll() is not None and not done():
                    raise self.failed(f"ended with {self.process.returncode} before {what}")
                await trio.sleep(_LOOK_S)
            return
        raise self.failed(f"not within {longest_s} s: {what}")

    async def says(self, words: str, longest_s: float = 10) -> None:
        """Wait until it has printed that."""
        await self.until(lambda: words in self.text, longest_s, f"{words!r}")

    def failed(self, what: str) -> PeerFailed:
        return PeerFailed(f"{self.name}: {what}\n{self.text[-_TAIL_CHARS:]}")

    @property
    def withheld_s(self) -> float:
        """How long its first thread has been ready to run and was not let, so far (Documentation/scheduler/sched-stats)."""
        try:
            return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9
        except OSError:  # it is gone, or this kernel does not count
            return 0.0

    def signal(self, number: signal.Signals) -> None:
        """Signal it and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str | Path],
    *,
    folder: Path,
    variables: Mapping[str, str] | None = None,
    stops_s: float = 2,
) -> AsyncIterator[Program]:
    """A program run in `folder`, where `name`.out then has what it prints. Stopped when the block is left.

    `variables`: its whole environment; None: ours. `stops_s`: how long it may take to end when asked to.
    """
    output = folder / f"{name}.out"
    with output.open("wb") as file:
        process = await trio.lowlevel.open_process(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=None if variables is None else dict(variables),
            start_new_session=True,
        )
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    program = Program(name, process, output)
    try:
        yield program
    finally:
        with trio.CancelScope(shield=True):
            await _stop(program, stops_s)


async def _stop(program: Program, stops_s: float) -> None:
    for number, wait_s in ((signal.SIGTERM, stops_s), (signal.SIGKILL, 5.0)):
        if program.process.poll() is None:
            program.signal(number)
            with trio.move_on_after(wait_s):
                await program.process.wait()
    program.signal(signal.SIGKILL)  # what it may have started and left

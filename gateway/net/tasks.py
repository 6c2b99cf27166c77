"""Tasks around a block that somebody else writes, and threads for what blocks."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import trio

__all__ = ["open_tasks", "run_in_thread", "unwrapped"]

T = TypeVar("T")


@contextmanager
def unwrapped() -> Iterator[None]:
    """A single error leaves the block as it is, not in a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from error.__cause__


@asynccontextmanager
async def open_tasks() -> AsyncIterator[trio.Nursery]:
    """A nursery that a single error leaves as it is: who waits for `SessionLost` gets no group that holds one."""
    with unwrapped():
        async with trio.open_nursery() as nursery:
            yield nursery


async def run_in_thread(
    blocking: Callable[..., T], /, *args: object, limiter: trio.CapacityLimiter | None = None
) -> T:
    """`RunBlocking` of production: a worker thread, left behind when the caller is cancelled.

    Work on a disk that hangs ends when it ends; a call's end does not wait for it.
    """
    return await trio.to_thread.run_sync(blocking, *args, limiter=limiter, abandon_on_cancel=True)

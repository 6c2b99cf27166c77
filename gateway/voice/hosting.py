"""Where the tasks of a session live: in the block of its user, in a nursery of his, or in one system task."""

import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

import trio

__all__ = ["Block", "Connecting", "Host", "failures_in"]

S = TypeVar("S")


class Block(NamedTuple):
    """A block whose `nursery` hosts tasks. `cancel`: ends it when one of them fails."""

    nursery: trio.Nursery
    cancel: Callable[[], None]


class Host:
    """Runs `main` once. `failed`: takes what `main` raised where nobody else would be told of it."""

    def __init__(self, main: Callable[[], Awaitable[None]], failed: Callable[[BaseException], None]) -> None:
        self._main = main
        self._failed = failed
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None
        self._ended = trio.Event()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def start(self, where: Block | trio.Nursery | None) -> None:
        """Start in a block or a system task, which contain every error; or in a nursery, which gets them."""
        if isinstance(where, trio.Nursery):
            where.start_soon(self._run)
        elif where is not None:
            where.nursery.start_soon(self._contained, where.cancel)
        else:
            context = contextvars.copy_context()
            trio.lowlevel.spawn_system_task(self._contained, lambda: None, context=context)

    async def stop(self) -> None:
        """Cancel it, and wait for its end; from one of its own tasks, which could not wait for itself, only cancel."""
        self._scope.cancel()
        if not self._is_among_its_tasks():
            with trio.CancelScope(shield=True):  # whatever it does at its end has a deadline
                await self._ended.wait()

    def _is_among_its_tasks(self) -> bool:
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        while task is not None and task is not self._task:
            task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
        return task is not None

    async def _run(self) -> None:
        self._task = trio.lowlevel.current_task()
        try:
            with self._scope:
                await self._main()
        finally:
            self._ended.set()

    async def _contained(self, then: Callable[[], None]) -> None:
        try:
            await self._run()
        except BaseException as error:
            failures = failures_in(error)
            if not failures:
                raise
            self._failed(failures[0])
            then()


class Connecting(Generic[S]):
    """What `connect()` gives: `await` it, or enter it with `async with`, which ends the session with the block.

    `connect(where)` connects. `disconnect` ends what it began, `check` raises what has ended it; `begun`: there is
    nothing to begin.
    """

    def __init__(
        self,
        session: S,
        nursery: trio.Nursery | None,
        *,
        connect: Callable[[Block | trio.Nursery | None], Awaitable[None]],
        disconnect: Callable[[], Awaitable[None]],
        check: Callable[[], None],
        begun: Callable[[], bool],
    ) -> None:
        self._session = session
        self._nursery = nursery
        self._connect = connect
        self._disconnect = disconnect
        self._check = check
        self._begun = begun
        self._block: AbstractAsyncContextManager[S] | None = None

    def __await__(self) -> Generator[Any, Any, S]:
        return self._awaited().__await__()

    async def __aenter__(self) -> S:
        if self._block is not None:
            raise RuntimeError("entered twice: call connect() for each block")
        self._block = self._entered()
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._block is None:
            raise RuntimeError("left, but never entered")
        return await self._block.__aexit__(kind, error, traceback)

    async def _awaited(self) -> S:
        await self._connect(self._nursery)
        return self._session

    def _entered(self) -> AbstractAsyncContextManager[S]:
        if self._begun():  # whoever began it ends it
            return self._joined()
        return self._hosted() if self._nursery is None else self._ending()

    @asynccontextmanager
    async def _joined(self) -> AsyncGenerator[S, None]:
        yield await self._awaited()

    @asynccontextmanager
    async def _ending(self) -> AsyncGenerator[S, None]:
        try:
            yield await self._awaited()
        finally:
            await self._disconnect()

    @asynccontextmanager
    async def _hosted(self) -> AsyncGenerator[S, None]:
        """A bug in the session ends the block and leaves it as it is; so does what the block itself raises."""
        raised: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.CancelScope() as block:
                        await self._connect(Block(nursery, block.cancel))
                        yield self._session
                except BaseException as error:  # noqa: BLE001 - raised below, where the nursery makes no group of it
                    raised = error
                finally:
                    await self._disconnect()
            if raised is not None:
                raise raised
            if block.cancel_called:
                self._check()
        finally:
            raised = None  # it holds this frame


def failures_in(error: BaseException) -> list[BaseException]:
    """What went wrong, out of all groups; that tasks were cancelled, because of it or not, is no failure."""
    if isinstance(error, BaseExceptionGroup):
        return [failure for each in error.exceptions for failure in failures_in(each)]
    return [] if isinstance(error, trio.Cancelled) else [error]

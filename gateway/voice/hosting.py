"""Where the tasks of a session live: in the block of its user, in a nursery of his, or in one system task."""

import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

import trio

from gateway.net.tasks import open_tasks

__all__ = ["Connecting", "Host"]

S = TypeVar("S")

_hosts: contextvars.ContextVar["Host | None"] = contextvars.ContextVar("the host of this task", default=None)


class Host:
    """Runs `main` once. `failed`: takes what `main` raised where nobody else would be told of it."""

    def __init__(self, main: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> None:
        self._main = main
        self._failed = failed
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def start(self, nursery: trio.Nursery | None) -> None:
        """Start in `nursery`; without one in a system task, which contains every error."""
        if nursery is not None:
            nursery.start_soon(self._run)
        else:
            trio.lowlevel.spawn_system_task(self._contained, context=contextvars.copy_context())

    def cancel(self) -> None:
        self._scope.cancel()

    async def stop(self) -> None:
        """Cancel it, and wait for its end; from one of its own tasks, which could not wait for itself, only cancel."""
        self._scope.cancel()
        if _hosts.get() is not self:
            with trio.CancelScope(shield=True):
                await self._ended.wait()

    async def _run(self) -> None:
        _hosts.set(self)
        try:
            with self._scope:
                await self._main()
        finally:
            self._ended.set()

    async def _contained(self) -> None:
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - raised again by the next call on the session
            self._failed(error)


class Connecting(Generic[S]):
    """What `connect()` gives: `await` it, or enter it with `async with`, which ends the session with the block.

    `connect(nursery)` connects. `disconnect` ends what it began; `begun`: there is nothing to begin.
    """

    def __init__(
        self,
        session: S,
        nursery: trio.Nursery | None,
        *,
        connect: Callable[[trio.Nursery | None], Awaitable[None]],
        disconnect: Callable[[], Awaitable[None]],
        begun: Callable[[], bool],
    ) -> None:
        self._session = session
        self._nursery = nursery
        self._connect = connect
        self._disconnect = disconnect
        self._begun = begun
        self._block: AbstractAsyncContextManager[S] | None = None

    def __await__(self) -> Generator[Any, Any, S]:
        return self._awaited().__await__()

    async def __aenter__(self) -> S:
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

    @asynccontextmanager
    async def _entered(self) -> AsyncGenerator[S, None]:
        if self._begun():  # whoever began it ends it
            yield await self._awaited()
            return
        if self._nursery is not None:
            async with self._ending():
                yield await self._awaited()
            return
        async with open_tasks() as self._nursery, self._ending():
            yield await self._awaited()

    @asynccontextmanager
    async def _ending(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._disconnect()

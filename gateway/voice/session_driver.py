"""The tasks of a session: one holds the connection and reads it, one writes, one calls handlers, one runs each tool."""

import math
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, TypeVar

import structlog
import trio

from gateway.contracts import Agent, RequestFailed, SessionLost, SessionRefused, VoiceBackend, VoiceConnection
from gateway.net.tasks import open_tasks, run_in_thread
from gateway.tools import PythonTool
from gateway.voice.choice import Choice
from gateway.voice.handlers import Handlers
from gateway.voice.hosting import Block, Host, failures_in
from gateway.voice.session_events import ToolCalled
from gateway.voice.states import SessionState
from gateway.voice.tool_runs import run_tool
from gateway.voice.turn_taking import TurnTaking

__all__ = ["NotConnected", "SessionDriver"]

T = TypeVar("T")

_NOT_YET = frozenset({SessionState.IDLE, SessionState.CONNECTING})
_READY_S = 30.0  # to connect, and to be told that the voice has taken our configuration
_TOOL_S = 30.0
_LAST_WORDS_S = 1.0  # for what is still to be sent when a session ends
_LAST_HANDLERS_S = 2.0


class NotConnected(RuntimeError):
    """The session is not connected yet, or any more."""


class SessionDriver:
    """Carries out what `talk` decides, in tasks that end together. `connect` may be called by several at once."""

    def __init__(self, agent: Agent, choice: Choice, talk: TurnTaking) -> None:
        self._agent = agent
        self._tools = {tool.name: tool for tool in agent.tools if isinstance(tool, PythonTool)}
        self._choice = choice
        self._talk = talk
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        self.handlers = Handlers(self._log)
        self._host = Host(self._main, self._failed)
        self._failure: BaseException | None = None
        self._failed_at: TracebackType | None = None
        self._settled = trio.Event()  # connected, or it will not be
        self._changed = trio.lowlevel.ParkingLot()
        self._outbox: deque[str] = deque()
        self._queued = self._written = 0  # client events

    # -- its life

    async def connect(self, where: Block | trio.Nursery | None) -> None:
        """Be connected. Raises `SessionRefused`, `SessionLost`, `NotConnected` when the session is over."""
        first = self._state is SessionState.IDLE
        if first:
            self._host.start(where)
            self._talk.connect()
            self.settle()
        try:
            await self._settled.wait()
            self.check_not_over()
        except BaseException:
            if first:
                await self._host.stop()
            raise

    async def disconnect(self) -> None:
        """End it, wherever and however often it is called. Raises nothing, even where the caller is cancelled."""
        if self._state is SessionState.IDLE:
            self._talk.ended(None)
            self._settled.set()
        elif not self._host.ended:
            with trio.move_on_after(_LAST_WORDS_S, shield=True):
                await self._until_written()
            await self._host.stop()

    # -- for whoever calls the session

    def settle(self) -> None:
        """Hand on what the voice must be sent and what handlers must be told."""
        events = [event for event, _ in self._talk.outgoing()]
        self._outbox.extend(events)
        self._queued += len(events)
        for happened in self._talk.happened():
            self.handlers.post(happened)
        self._changed.unpark_all()

    async def sent(self) -> None:
        """Wait until the voice was sent all that there is by now. Raises `NotConnected`, `SessionLost`."""
        queued = self._queued
        await self.until(lambda: True if self._written >= queued else None)

    async def until(self, look: Callable[[], T | None]) -> T:
        """What `look` gives, as soon as that is something; it is asked again whenever something has changed.

        No checkpoint comes after it gave something: who is cancelled has taken nothing. Raises `NotConnected`,
        `SessionLost`.
        """
        while (found := look()) is None:
            self.check_connected()
            await self._changed.park()
        return found

    def check_not_over(self) -> None:
        """Raises `NotConnected` after the end; or what has ended the session."""
        if self._over:
            if self._failure is not None:
                raise self._failure.with_traceback(self._failed_at)  # which would grow each time
            raise NotConnected("the session is over: make a new VoiceSession")

    def check_connected(self) -> None:
        """Raises as `check_not_over`, and `NotConnected` before the connection stands."""
        self.check_not_over()
        if self._state in _NOT_YET:
            raise NotConnected(f"the session is {self._state}: await connect() first")

    # -- the tasks

    async def _main(self) -> None:
        try:
            async with open_tasks() as tasks:
                backend = self._choice.backend()
                tasks.start_soon(backend.run)
                tasks.start_soon(self.handlers.run)
                await self._hold(backend, tasks)
        except BaseException as error:
            failures = failures_in(error)
            bug = next(
                (each for each in failures if not isinstance(each, SessionLost | SessionRefused)), None
            )
            self._ends_with(bug or next(iter(failures), None))
            if bug is not None:
                raise bug from bug.__cause__
            if not failures:
                raise
        finally:
            self._talk.ended(self._failure)
            self.settle()
            self._settled.set()
            with trio.move_on_after(_LAST_HANDLERS_S, shield=True):
                await self.handlers.finish()

    async def _hold(self, backend: VoiceBackend, tasks: trio.Nursery) -> NoReturn:
        """Talk with the voice until it is gone. Raises `SessionLost`, `SessionRefused`."""
        with trio.move_on_after(_READY_S) as patience:
            async with backend.connect(self._agent) as connection, open_tasks() as talking:
                self._talk.opened()
                self.settle()
                talking.start_soon(self._write, connection)
                while True:
                    self._receive(await connection.receive(), tasks)
                    if self._talk.ready:
                        patience.deadline = math.inf
                        self._settled.set()
        raise SessionLost(f"the voice was not ready within {_READY_S:g} s")

    def _receive(self, event: str, tasks: trio.Nursery) -> None:
        self._talk.receive(event)
        for call in self._talk.calls():
            tasks.start_soon(self._run_tool, call)
        self.settle()

    async def _write(self, connection: VoiceConnection) -> NoReturn:
        while True:
            while not self._outbox:
                await self._changed.park()
            await connection.send(self._outbox.popleft())
            self._written += 1
            self._changed.unpark_all()

    async def _run_tool(self, call: ToolCalled) -> None:
        if call.name in self._tools:
            try:
                with trio.fail_after(_TOOL_S):
                    output = await run_tool(self._tools, call.name, call.arguments, run_in_thread, self._log)
            except (RequestFailed, trio.TooSlowError) as error:
                output = f"The tool failed: {str(error) or f'it took longer than {_TOOL_S:g} s'}"
        else:
            output = f"There is no tool {call.name!r}."
        self._talk.tool_answered(call.call, output)
        self.settle()

    async def _until_written(self) -> None:
        while self._written < self._queued and self._state not in _NOT_YET and not self._over:
            await self._changed.park()

    def _ends_with(self, failure: BaseException | None) -> None:
        """The next calls raise it; the first one counts."""
        if self._failure is None and failure is not None:
            self._failure, self._failed_at = failure, failure.__traceback__

    def _failed(self, bug: BaseException) -> None:
        self._ends_with(bug)
        self._log.error("session.failed", exc_info=bug)

    @property
    def _over(self) -> bool:
        return self._state is SessionState.DISCONNECTED

    @property
    def _state(self) -> SessionState:
        return self._talk.session.state

"""The tasks of a session: one holds the connection and reads it, one writes, one calls handlers, one runs each tool."""

import math
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import structlog
import trio

from gateway.contracts import Agent, RequestFailed, SessionLost, SessionRefused, VoiceBackend, VoiceConnection
from gateway.net.tasks import open_tasks, run_in_thread
from gateway.tools import PythonTool
from gateway.voice.choice import Choice
from gateway.voice.handlers import Handlers
from gateway.voice.hosting import Host
from gateway.voice.session_events import ToolCalled
from gateway.voice.states import SessionState
from gateway.voice.tool_runs import run_tool
from gateway.voice.turn_taking import TurnTaking

__all__ = ["NotConnected", "SessionDriver"]

T = TypeVar("T")

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
        self._host = Host(self._main, self._fail)
        self._failure: Exception | None = None
        self._settled = trio.Event()  # connected, or it will not be
        self._changed = trio.lowlevel.ParkingLot()
        self._outbox: deque[str] = deque()
        self._queued = self._written = 0  # client events

    # -- its life

    async def connect(self, nursery: trio.Nursery | None) -> None:
        """Be connected. Raises `SessionRefused`, `SessionLost`, `NotConnected` when the session is over."""
        first = self._state is SessionState.IDLE
        if first:
            self._talk.connect()
            self.settle()
            self._host.start(nursery)
        try:
            await self._settled.wait()
        except trio.Cancelled:
            if first:
                await self._host.stop()
            raise
        self.check_connected()

    async def disconnect(self) -> None:
        """End it. Harmless when repeated."""
        if self._state is SessionState.IDLE:
            self._talk.ended(None)
            self._settled.set()
        elif not self._host.ended:
            with trio.move_on_after(_LAST_WORDS_S):
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

        Raises `NotConnected`, `SessionLost`.
        """
        await trio.lowlevel.checkpoint()
        while (found := look()) is None:
            self.check_connected()
            await self._changed.park()
        return found

    def check_not_over(self) -> None:
        """Raises `NotConnected` after the end; or what has ended the session."""
        if self._state is SessionState.DISCONNECTED:
            if self._failure is not None:
                raise self._failure
            raise NotConnected("the session is over: make a new VoiceSession")

    def check_connected(self) -> None:
        """Raises as `check_not_over`, and `NotConnected` before it is connected."""
        self.check_not_over()
        if not self._settled.is_set():
            raise NotConnected(f"the session is {self._state}: connect() first")

    # -- the tasks

    async def _main(self) -> None:
        try:
            async with open_tasks() as tasks:
                backend = self._choice.backend()
                tasks.start_soon(backend.run)
                tasks.start_soon(self.handlers.run)
                await self._hold(backend, tasks)
                tasks.cancel_scope.cancel()
        except Exception as bug:
            self._failure = self._failure or bug
            raise
        finally:
            self._talk.ended(self._failure)
            self.settle()
            self._settled.set()
            with trio.move_on_after(_LAST_HANDLERS_S, shield=True):
                await self.handlers.finish()

    async def _hold(self, backend: VoiceBackend, tasks: trio.Nursery) -> None:
        """Talk with the voice until it is gone."""
        try:
            with trio.move_on_after(_READY_S) as patience:
                async with backend.connect(self._agent) as connection:
                    self._talk.opened()
                    tasks.start_soon(self._write, connection, tasks.cancel_scope)
                    while True:
                        self._receive(await connection.receive(), tasks)
                        if self._talk.ready:
                            patience.deadline = math.inf
                            self._settled.set()
        except (SessionLost, SessionRefused) as failure:
            self._failure = self._failure or failure
        if patience.cancelled_caught:
            self._failure = SessionLost(f"the voice was not ready within {_READY_S:g} s")

    def _receive(self, event: str, tasks: trio.Nursery) -> None:
        self._talk.receive(event)
        for call in self._talk.calls():
            tasks.start_soon(self._run_tool, call)
        self.settle()

    async def _write(self, connection: VoiceConnection, session: trio.CancelScope) -> None:
        try:
            while True:
                while not self._outbox:
                    await self._changed.park()
                await connection.send(self._outbox.popleft())
                self._written += 1
                self._changed.unpark_all()
        except (SessionLost, SessionRefused) as failure:
            self._failure = self._failure or failure
            session.cancel()

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
        while self._written < self._queued and not self._host.ended:
            await self._changed.park()

    def _fail(self, error: Exception) -> None:
        """Nobody else is told that a task of the session has failed: the next call raises it."""
        self._failure = error
        self._log.error("session.failed", exc_info=error)

    @property
    def _state(self) -> SessionState:
        return self._talk.session.state

"""Holds a call's connections to its voices: makes them, reads them into the core, writes the core's words to them."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import trio

from gateway import contracts as c
from gateway.calls.outbox import Outbox

__all__ = ["Keeper", "OutboxMark"]

# A call is 50 appends a second; beyond three seconds of a stalled voice the caller's words are too old.
_MOST_CALLER_MS = 3000
_MOST_MESSAGES = 1000

_CONNECT_S = 5
_SEND_S = 2


class OutboxMark(NamedTuple):
    """A place in what one session is sent: the first `messages` of it."""

    session: int
    outbox: Outbox[str]
    messages: int


class _Wire:
    """One session: what waits for it, and what it can be ended by."""

    def __init__(self, request: c.OpenVoice) -> None:
        self.request = request
        self.outbox: Outbox[str] = Outbox(most_messages=_MOST_MESSAGES, most_caller_ms=_MOST_CALLER_MS)
        self.scope = trio.CancelScope()
        self.sending_since = math.inf
        self.prompt: c.PromptVoice | None = None  # once connected


class Keeper:
    """One call's connections. `feed_command` takes what became of them, `feed_voice` what the one that talks says.

    The oldest that is not closed talks; what another one says goes to `feed_command`, as `StandbySaid`. `open` and
    `close` are the core's requests; they act at once, so that nothing of a closed session enters the core after
    the core closed it.
    """

    def __init__(
        self,
        backends: Mapping[str, c.VoiceBackend],
        agents: Mapping[str, c.Agent],
        *,
        feed_voice: Callable[[str], None],
        feed_command: Callable[[c.Command], None],
    ) -> None:
        self._backends = backends
        self._agents = agents
        self._feed_voice = feed_voice
        self._feed_command = feed_command
        self._wires: dict[int, _Wire] = {}  # by session, oldest first
        self._asked_for: list[_Wire] = []
        self._asked = trio.Event()
        self._dropped_ms = 0

    def open(self, request: c.OpenVoice) -> None:
        wire = _Wire(request)
        self._wires[request.session] = wire
        self._asked_for.append(wire)
        self._asked.set()

    def close(self, session: int) -> None:
        wire = self._wires.pop(session, None)
        if wire is not None:
            self._dropped_ms += wire.outbox.dropped_ms
            wire.outbox.clear()
            wire.scope.cancel()

    def put(self, message: c.VoiceMessage) -> None:
        """Send something, in order. What is for a closed session is for nobody."""
        wire = self._wires.get(message.session)
        if wire is None:
            return
        if wire.prompt is None:
            wire.outbox.put(message.data, message.caller_ms)
            return
        try:
            wire.prompt.send_now(message.data)
        except (c.SessionLost, c.SessionRefused) as error:
            self._lost(wire, error)

    def drop(self, session: int) -> None:
        """The connection does not carry out what it is told: end it as lost."""
        wire = self._wires.get(session)
        if wire is not None:
            self._lost(wire, c.SessionLost("did not take what it was sent"))

    @property
    def talking(self) -> OutboxMark | None:
        """How far the session that talks has been told everything, once that is on its wire."""
        for session, wire in self._wires.items():
            return OutboxMark(session, wire.outbox, wire.outbox.put_count)
        return None

    @property
    def dropped_ms(self) -> int:
        """Caller audio that no session took in time."""
        return self._dropped_ms + sum(wire.outbox.dropped_ms for wire in self._wires.values())

    async def run(self) -> None:
        """Make and hold connections, as they are asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._asked.wait()
                self._asked = trio.Event()
                asked_for, self._asked_for = self._asked_for, []
                for wire in asked_for:
                    nursery.start_soon(self._hold, wire)

    async def _hold(self, wire: _Wire) -> None:
        try:
            with wire.scope:
                await self._converse(wire)
        except* c.SessionRefused as group:
            self._lost(wire, _first(group))
        except* (c.SessionLost, trio.TooSlowError) as group:
            self._lost(wire, _first(group))

    async def _converse(self, wire: _Wire) -> None:
        request = wire.request
        agent = self._agents[request.agent]
        deadline = trio.CancelScope(deadline=trio.current_time() + _CONNECT_S)
        with deadline:
            async with self._backends[request.backend].connect(agent) as connection:
                deadline.deadline = float("inf")
                if request.session not in self._wires:
                    return
                if isinstance(
                    connection, c.PromptVoice
                ):  # a task a message each way costs more than the message
                    wire.prompt = connection
                self._feed_command(c.VoiceOpened(session=request.session))
                if wire.prompt is not None:
                    wire.prompt.hear_with(functools.partial(self._feed, request.session))
                    await trio.sleep_forever()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, wire, connection)
                    nursery.start_soon(self._watch, wire)
                    while True:
                        self._feed(request.session, await connection.receive())
        if deadline.cancelled_caught:
            raise c.SessionLost(f"no connection within {_CONNECT_S} s")

    def _feed(self, session: int, event: str) -> None:
        for talking in self._wires:
            if session == talking:
                self._feed_voice(event)
            elif session in self._wires:
                self._feed_command(c.StandbySaid(session=session, event=event))
            return

    async def _write(self, wire: _Wire, connection: c.VoiceConnection) -> None:
        while True:
            event = await wire.outbox.take()
            wire.sending_since = trio.current_time()
            await connection.send(event)
            wire.sending_since = math.inf
            wire.outbox.done()

    async def _watch(self, wire: _Wire) -> None:
        """See that no send takes too long. A deadline of its own for each of 50 a second would cost more than they."""
        while True:
            await trio.sleep(_SEND_S / 2)
            if trio.current_time() - wire.sending_since > _SEND_S:
                raise c.SessionLost(f"did not read for {_SEND_S} s")

    def _lost(self, wire: _Wire, error: BaseException) -> None:
        session = wire.request.session
        if session not in self._wires:
            return
        self.close(session)
        busy_s = (error.retry_after_s or 0.0) if isinstance(error, c.SessionBusy) else None
        ended = c.VoiceEnded(
            session=session,
            refused=isinstance(error, c.SessionRefused),
            detail=str(error) or type(error).__name__,
            busy_s=busy_s,
        )
        self._feed_command(ended)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

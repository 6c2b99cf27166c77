"""Holds a call's connection to its voice: makes it, reads it into the core, writes the core's words to it."""

import math
from collections.abc import Callable, Mapping

import trio

from gateway import contracts as c
from gateway.calls.outbox import Outbox

__all__ = ["Keeper"]

# A call is 50 appends a second; beyond three seconds of a stalled voice the caller's words are too old.
_MOST_CALLER_MS = 3000
_MOST_MESSAGES = 1000

_CONNECT_S = 10
_SEND_S = 2


class Keeper:
    """One call's voice connection. `feed_command` takes what became of it, `feed_voice` what it says.

    `open` and `close` are the core's requests; they act at once, so that nothing of a closed session enters
    the core after the core closed it.
    """

    def __init__(
        self,
        backend: c.VoiceBackend,
        agents: Mapping[str, c.Agent],
        *,
        feed_voice: Callable[[str], None],
        feed_command: Callable[[c.Command], None],
    ) -> None:
        self.outbox: Outbox[str] = Outbox(most_messages=_MOST_MESSAGES, most_caller_ms=_MOST_CALLER_MS)
        self.connected = False
        self._backend = backend
        self._agents = agents
        self._feed_voice = feed_voice
        self._feed_command = feed_command
        self._wanted: c.OpenVoice | None = None
        self._asked = trio.Event()
        self._scope = trio.CancelScope()
        self._sending_since = math.inf

    def open(self, request: c.OpenVoice) -> None:
        self.outbox.clear()
        self._wanted = request
        self._asked.set()

    def close(self) -> None:
        self._wanted = None
        self._scope.cancel()

    def drop(self) -> None:
        """The connection does not carry out what it is told: end it as lost."""
        if self._wanted is not None:
            self._lost(self._wanted, "did not take what it was sent", refused=False)

    async def run(self) -> None:
        """Make and hold one connection after the other, as they are asked for, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            if self._wanted is not None:
                await self._hold(self._wanted)

    async def _hold(self, request: c.OpenVoice) -> None:
        try:
            with trio.CancelScope() as self._scope:
                await self._converse(request)
        except* c.SessionRefused as group:
            self._lost(request, _first(group), refused=True)
        except* (c.SessionLost, trio.TooSlowError) as group:
            self._lost(request, _first(group), refused=False)
        finally:
            self.connected = False

    async def _converse(self, request: c.OpenVoice) -> None:
        deadline = trio.CancelScope(deadline=trio.current_time() + _CONNECT_S)
        with deadline:
            async with self._backend.connect(self._agents[request.agent]) as connection:
                deadline.deadline = float("inf")
                self.connected = True
                if self._wanted is request:
                    self._feed_command(c.VoiceOpened(session=request.session))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, connection)
                    nursery.start_soon(self._watch)
                    while True:
                        event = await connection.receive()
                        if self._wanted is request:
                            self._feed_voice(event)
        if deadline.cancelled_caught:
            raise c.SessionLost(f"no connection within {_CONNECT_S} s")

    async def _write(self, connection: c.VoiceConnection) -> None:
        self._sending_since = math.inf
        while True:
            event = await self.outbox.take()
            self._sending_since = trio.current_time()
            await connection.send(event)
            self._sending_since = math.inf
            self.outbox.done()

    async def _watch(self) -> None:
        """See that no send takes too long. A deadline of its own for each of 50 a second would cost more than they."""
        while True:
            await trio.sleep(_SEND_S / 2)
            if trio.current_time() - self._sending_since > _SEND_S:
                raise c.SessionLost(f"did not read for {_SEND_S} s")

    def _lost(self, request: c.OpenVoice, detail: str, *, refused: bool) -> None:
        if self._wanted is request:
            self.close()
            self.outbox.clear()
            self._feed_command(c.VoiceEnded(session=request.session, refused=refused, detail=detail))


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__

"""A voice that fails as told, in virtual time as in real, and sees to it that the protocol is kept.

    voice = FaultyVoice(ScriptedBackend(...), [Drop(at="response.output_audio.delta", count=3)])

It stands before another voice, which does the talking. What passed is there to be asked for:

    assert voice.records[1].seeded == [("user", "I need a table."), ("assistant", "For when?")]

The rows of the table are in `faulty_table`.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from gateway.contracts import (
    Agent,
    SessionBusy,
    SessionLost,
    SessionRefused,
    VoiceBackend,
    VoiceConnection,
    VoiceTraits,
)
from gateway.net.tasks import open_tasks
from gateway.testing.faulty_connection import FaultyConnection
from gateway.testing.faulty_record import VoiceRecord
from gateway.testing.faulty_table import Busy, Fault, Late, Refuse, Unreachable
from gateway.testing.realtime_schema import SchemaError

__all__ = ["Attempt", "FaultyVoice"]


class Attempt(NamedTuple):
    """Somebody tried to connect."""

    at_s: float
    agent: str


class FaultyVoice:
    """A `VoiceBackend` around another one. `faults`: may be changed, for the connections to come.

    `attempts`: every one, in order. `records`: of those that led to a connection. An event against the protocol
    raises `SchemaError` where it passes, and from `run`, because a gateway contains what fails in a call.
    """

    def __init__(self, backend: VoiceBackend, faults: Iterable[Fault] = (), *, strict: bool = True) -> None:
        self.faults = list(faults)
        self.attempts: list[Attempt] = []
        self.records: list[VoiceRecord] = []
        self._backend = backend
        self._strict = strict
        self._struck_at: dict[Fault, float] = {}  # when each row did so for the first time
        self._open: set[FaultyConnection] = set()
        self._violation: SchemaError | None = None
        self._violated = trio.Event()

    @property
    def traits(self) -> VoiceTraits:
        return self._backend.traits

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        """A connection of the other backend, unless a fault is in the way."""
        self.attempts.append(Attempt(trio.current_time(), agent.name))
        faults = [fault for fault in self.faults if self._strikes(fault, agent.name)]
        for fault in faults:
            await _stand_in_the_way(fault)
        async with self._backend.connect(agent) as inner:
            record = VoiceRecord(agent.name, trio.current_time(), strict=self._strict)
            self.records.append(record)
            connection = FaultyConnection(inner, record, faults, self._note)
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)
                connection.lose(SessionLost("the connection was closed"))

    async def run(self) -> None:
        """Run the other backend until cancelled. Raises `SchemaError`."""
        async with open_tasks() as nursery:
            nursery.start_soon(self._backend.run)
            try:
                await self._violated.wait()
            finally:
                if self._violation is not None:  # even if everything ends at this moment
                    raise self._violation

    def drop_all(self) -> None:
        """Every connection that stands is gone, without a word."""
        for connection in list(self._open):
            connection.lose(SessionLost("the connection broke"))

    def heard_ms(self, item_id: str) -> int:
        """How much of an item its session believes to have been heard; 0 for an item of no session."""
        return max((record.heard_ms(item_id) for record in self.records), default=0)

    def _strikes(self, fault: Fault, agent: str) -> bool:
        now = trio.current_time()
        attempt = sum(fault.agent in (None, other) for _, other in self.attempts)
        if fault.agent not in (None, agent) or not fault.strikes(attempt):
            return False
        return now - self._struck_at.setdefault(fault, now) <= fault.for_s

    def _note(self, violation: SchemaError) -> None:
        self._violation = self._violation or violation
        self._violated.set()


async def _stand_in_the_way(fault: Fault) -> None:
    match fault:
        case Late():
            await trio.sleep(fault.by_s)
        case Unreachable():
            await trio.sleep(fault.after_s)
            raise SessionLost("there is nobody")
        case Busy():
            raise SessionBusy("too many requests", fault.retry_after_s)
        case Refuse():
            raise SessionRefused(fault.detail)

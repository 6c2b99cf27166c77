"""What waits for one wire: in order, bounded, with a count of what has gone out."""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

import trio

__all__ = ["Outbox", "OutboxFull"]

T = TypeVar("T", bound=str | bytes)


class OutboxFull(Exception):
    """The wire takes nothing, and control may not be dropped."""


class _Waiting(NamedTuple, Generic[T]):
    data: T
    caller_ms: int


class Outbox(Generic[T]):
    """Messages for one wire. One task takes them out.

    `most_messages`: beyond it the peer is lost to us. `most_caller_ms`: of caller audio at most this much
    waits, the oldest is dropped first and counted in `dropped_ms`; everything else is never dropped.
    """

    def __init__(self, *, most_messages: int, most_caller_ms: int = 0) -> None:
        self._waiting: deque[_Waiting[T]] = deque()
        self._most_messages = most_messages
        self._most_caller_ms = most_caller_ms
        self._caller_ms = 0
        self._filled = trio.Event()
        self._emptier = trio.Event()
        self.dropped_ms = 0
        self.put_count = 0
        self.done_count = 0

    def put(self, data: T, caller_ms: int = 0) -> None:
        """Queue a message. Raises `OutboxFull`."""
        self._waiting.append(_Waiting(data, caller_ms))
        self.put_count += 1
        if caller_ms:
            self._caller_ms += caller_ms
            while self._caller_ms > self._most_caller_ms:
                self._drop_oldest_audio()
        if len(self._waiting) > self._most_messages:
            raise OutboxFull
        self._filled.set()

    async def take(self) -> T:
        """The next message. Call `done` when the wire has it."""
        while not self._waiting:
            self._filled = trio.Event()
            await self._filled.wait()
        data, caller_ms = self._waiting.popleft()
        self._caller_ms -= caller_ms
        return data

    def done(self) -> None:
        """The message taken last is on the wire."""
        self.done_count += 1
        self._emptier.set()

    async def carried(self, count: int) -> None:
        """Wait until the first `count` messages ever put are on the wire, or dropped."""
        while self.done_count < count:
            if self._emptier.is_set():
                self._emptier = trio.Event()
            await self._emptier.wait()

    def clear(self) -> None:
        """Forget what waits: its wire is gone."""
        self._waiting.clear()
        self._caller_ms = 0
        self.done_count = self.put_count
        self._emptier.set()

    def _drop_oldest_audio(self) -> None:
        for index, waiting in enumerate(self._waiting):
            if waiting.caller_ms:
                del self._waiting[index]
                self._caller_ms -= waiting.caller_ms
                self.dropped_ms += waiting.caller_ms
                self.done()
                return

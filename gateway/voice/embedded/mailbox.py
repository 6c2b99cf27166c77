"""Server events on their way to a client in the same process."""

from collections import deque
from collections.abc import Callable, Iterable

import trio

from gateway.contracts import SessionLost

__all__ = ["Mailbox"]

# A sentence is about 25 events, an answer 50. A client that lets a thousand pile up does not read.
_MOST_EVENTS = 1024
_COMFORTABLE_EVENTS = 128


class Mailbox:
    """Delivers events in order: by `take`, each in a later turn of the loop than the one that posted it, or to a `hear`."""

    def __init__(self) -> None:
        self._events: deque[str] = deque()
        self._lost = ""
        self._hear: Callable[[str], None] | None = None
        self._changed = trio.lowlevel.ParkingLot()

    def post(self, events: Iterable[str]) -> None:
        """Add events. When the client does not read, it is told so instead of the rest."""
        if self._hear is not None and not self._lost:
            for event in events:
                self._hear(event)
            return
        if not self._lost:
            self._events.extend(events)
            if len(self._events) > _MOST_EVENTS:
                self._events.clear()
                self.close(f"{_MOST_EVENTS} events were not read")
        self._changed.unpark_all()

    def hear_with(self, hear: Callable[[str], None]) -> None:
        """Call `hear` with every event, at once; no one takes any more."""
        while self._events:
            hear(self._events.popleft())
        self._hear = hear

    def close(self, why: str) -> None:
        """No more events; what was posted can still be taken."""
        self._lost = self._lost or why
        self._changed.unpark_all()

    async def take(self) -> str:
        """Return the next event. Raises `SessionLost` when there will be none."""
        if self._events:
            await trio.lowlevel.checkpoint()  # although one is there: a long answer must not hold up the loop
        while not self._events:
            self.raise_if_closed()
            await self._changed.park()
        self._changed.unpark_all()
        return self._events.popleft()

    async def room(self) -> None:
        """Wait until the client has read most of what there is."""
        while len(self._events) > _COMFORTABLE_EVENTS and not self._lost:
            await self._changed.park()

    def raise_if_closed(self) -> None:
        """Raises `SessionLost` when this was closed."""
        if self._lost:
            raise SessionLost(self._lost)

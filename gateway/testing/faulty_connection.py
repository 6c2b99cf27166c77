"""One connection of a voice that fails: what passes, until something is due."""

import math
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
import trio

from gateway.contracts import SessionLost, VoiceConnection
from gateway.testing.faulty_record import VoiceRecord
from gateway.testing.faulty_responses import FailingResponses
from gateway.testing.faulty_table import Drop, Expire, FailResponse, Fault, GoMute
from gateway.testing.realtime_schema import SchemaError

__all__ = ["FaultyConnection", "SessionExpired"]


class SessionExpired(SessionLost):
    """The session got as old as a session may get; the text is what the server says of it."""


class FaultyConnection:
    """A `VoiceConnection` with a time bomb or two. It has no task: who receives sees what became due."""

    def __init__(
        self,
        inner: VoiceConnection,
        record: VoiceRecord,
        faults: Iterable[Fault],
        note: Callable[[SchemaError], None],
    ) -> None:
        self._inner = inner
        self._record = record
        self._note = note
        self._faults = [fault for fault in faults if isinstance(fault, Drop | GoMute | Expire)]
        self._counts = [fault.count for fault in self._faults]
        self._due: list[tuple[float, Drop | GoMute | Expire]] = []
        self._responses = FailingResponses(fault for fault in faults if isinstance(fault, FailResponse))
        self._ready: deque[str] = deque()
        self._mute = False
        self._lost: SessionLost | None = None
        self._waiting = trio.CancelScope()
        self._passed(None)

    async def send(self, event: str) -> None:
        """Raises `SessionLost`, and `SchemaError` for what no client may say."""
        self._strike()
        self._raise_if_lost()
        kind = self._checked(self._record.receive, event)
        passed_on, answer = self._responses.from_client(event)
        self._say(*answer)
        if self._mute or passed_on is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.send(passed_on)
        self._passed(kind)

    async def receive(self) -> str:
        """Raises `SessionLost`, and `SchemaError` for what no server may say."""
        while True:
            await trio.lowlevel.checkpoint()
            self._strike()
            if self._ready:
                return self._handed_over(self._ready.popleft())
            self._raise_if_lost()
            next_at = min((at for at, _ in self._due), default=math.inf)
            with trio.CancelScope(deadline=next_at) as self._waiting:
                await self._fetch()

    def lose(self, lost: SessionLost, *last_words: str) -> None:
        """The connection is gone; only the last words can still be received. The first loss counts."""
        if self._lost is None:
            self._lost = lost
            self._record.end(str(lost), trio.current_time())
            self._ready.clear()
            self._say(*last_words)
            self._waiting.cancel()

    def _say(self, *events: str) -> None:
        if events:
            self._ready.extend(events)
            self._waiting.cancel()

    async def _fetch(self) -> None:
        if self._mute:
            await trio.sleep_forever()
        try:
            event = await self._inner.receive()
        except SessionLost as lost:
            self.lose(lost)
            return
        self._ready.extend(self._responses.from_server(event))

    def _handed_over(self, event: str) -> str:
        if '"conversation.item.retrieved"' in event:
            event = self._without_unheard_words(event)
        self._passed(self._checked(self._record.send, event))
        return event

    def _without_unheard_words(self, event: str) -> str:
        """To truncate an item takes its transcript away. OpenAI API reference, `conversation.item.truncated`."""
        retrieved = msgspec.json.decode(event)
        if retrieved.get("item", {}).get("id") in self._record.truncated:
            for part in retrieved["item"]["content"]:
                part.pop("transcript", None)
        return msgspec.json.encode(retrieved).decode()

    def _checked(self, check: Callable[[str, float], str], event: str) -> str:
        try:
            return check(event, trio.current_time())
        except SchemaError as violation:
            self._note(violation)
            raise

    def _passed(self, kind: str | None) -> None:
        """Count an event; None: the connection stands."""
        for at, fault in enumerate(self._faults):
            if fault.at == kind:
                self._counts[at] -= 1
                if self._counts[at] == 0 or kind is None:
                    self._due.append((trio.current_time() + fault.after_s, fault))
                    self._waiting.cancel()  # whoever waits would wait for too long
        self._strike()

    def _strike(self) -> None:
        now = trio.current_time()
        due = [fault for at, fault in self._due if at <= now]
        self._due = [(at, fault) for at, fault in self._due if at > now]
        for fault in due:
            match fault:
                case Drop():
                    self.lose(SessionLost("the connection broke"))
                case GoMute():
                    self._mute = True
                    self._ready.clear()
                    self._waiting.cancel()
                case Expire():
                    self.lose(SessionExpired(fault.message), _expired(fault.message))

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise self._lost


def _expired(message: str) -> str:
    error = {"type": "invalid_request_error", "code": "session_expired", "message": message}
    event = {"type": "error", "event_id": "event_session_expired", "error": error}
    return msgspec.json.encode(event).decode()

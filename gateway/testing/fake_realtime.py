"""A server of the OpenAI Realtime protocol to test a client with, on any stream, in virtual time or real.

    fake = FakeRealtime(ScriptedBackend(...), [Busy(retry_after_s=2)], api_key="sk-test")
    nursery.start_soon(fake.run)
    stream = await fake.dial()

What it answers comes from the backend behind it; how it fails, from the table of `FaultyVoice`, where the model's
name stands for the agent's. A client's event against the protocol ends the test, unless `strict` is off.
"""

from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import trio
import trio.testing

from gateway.contracts import Agent, SessionBusy, SessionLost, SessionRefused, VoiceBackend, VoiceConnection
from gateway.net.exchange import Exchange, Head
from gateway.net.streams import close_now
from gateway.net.tasks import open_tasks
from gateway.net.websocket import WebSocket, WebSocketClosed, accept
from gateway.testing.faulty_connection import SessionExpired
from gateway.testing.faulty_record import VoiceRecord, decode
from gateway.testing.faulty_table import Fault
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.realtime_fake_door import busy, complaint_about
from gateway.testing.realtime_fake_session import FakeSession
from gateway.testing.realtime_schema import SchemaError
from gateway.voice.embedded.admission import Complaint, model_of

__all__ = ["FakeRealtime"]

_MOST_EVENT_BYTES = 15 << 20  # OpenAI API reference, `input_audio_buffer.append`
_GOING_AWAY = 1001


class FakeRealtime:
    """`models`: those that there are; None: all. `dialect`: how events are spelled.

    `complains`: where one who is not let in is told. Over HTTP, most servers; OpenAI itself has taken such a
    WebSocket, sent an `error` event and closed it with 3000 or 4000. `commit_s`: how long after a commit it is
    read; meanwhile turn detection, which lags here, gets as far as that of OpenAI is by then. `requests`: the
    heads of all that came.
    """

    def __init__(
        self,
        backend: VoiceBackend,
        faults: Iterable[Fault] = (),
        *,
        api_key: str = "sk-test",
        models: Collection[str] | None = None,
        dialect: Literal["ga", "beta"] = "ga",
        complains: Literal["http", "websocket"] = "http",
        commit_s: float = 0,
        strict: bool = True,
    ) -> None:
        self.voice = FaultyVoice(backend, faults, strict=strict)
        self.requests: list[Head] = []
        self._api_key = api_key
        self._models = models
        self._beta = dialect == "beta"
        self._complains_over_http = complains == "http"
        self._commit_s = commit_s
        self._streams: trio.Nursery | None = None
        self._running = trio.Event()

    @property
    def records(self) -> list[VoiceRecord]:
        """What passed over each connection, spelled as GA does."""
        return self.voice.records

    def heard_ms(self, item_id: str) -> int:
        """How much of an item the server believes to have been heard."""
        return self.voice.heard_ms(item_id)

    async def run(self) -> None:
        """Serve those who dialled, until cancelled. Raises `SchemaError`."""
        async with open_tasks() as self._streams:
            self._running.set()
            await self.voice.run()

    async def dial(self) -> trio.abc.Stream:
        """The client's end of a new stream in memory. `run` serves it."""
        await self._running.wait()
        ours, theirs = trio.testing.memory_stream_pair()
        if self._streams is not None:
            self._streams.start_soon(self.serve_stream, theirs)
        return ours

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str, None]:
        """Run, on a free port of this machine too; gives the URL."""
        async with open_tasks() as nursery:
            nursery.start_soon(self.run)
            serve = partial(trio.serve_tcp, self.serve_stream, 0, host="127.0.0.1")
            listeners: list[trio.SocketListener] = await nursery.start(serve)
            port = listeners[0].socket.getsockname()[1]
            yield f"ws://127.0.0.1:{port}/v1/realtime"
            nursery.cancel_scope.cancel()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client until either end has enough. Raises `SchemaError`."""
        exchange = Exchange(stream)
        try:
            head = await exchange.read_head()
            if head is not None:
                self.requests.append(head)
                await self._serve(stream, exchange, head)
        except (WebSocketClosed, trio.BrokenResourceError):
            return  # most clients end so
        finally:
            close_now(stream)

    async def _serve(self, stream: trio.abc.Stream, exchange: Exchange, head: Head) -> None:
        complaint = complaint_about(head, self._api_key, self._models)
        if complaint is None:
            complaint = await self._converse(stream, exchange, head)
        if complaint is None:
            return
        if self._complains_over_http:
            await exchange.answer(complaint.answer())
        else:
            async with _accepted(stream, exchange) as websocket:
                await websocket.send(complaint.event())
                await websocket.aclose(complaint.close_code, complaint.close_reason)

    async def _converse(self, stream: trio.abc.Stream, exchange: Exchange, head: Head) -> Complaint | None:
        """Why there was no conversation, if it is to be told."""
        model = model_of(head)
        try:
            async with (
                self.voice.connect(Agent(name=model)) as voice,
                _accepted(stream, exchange) as websocket,
            ):
                session = FakeSession(model, beta=self._beta)
                await _carry(session, _Commits(voice, self._commit_s), websocket)
        except SessionBusy as why:
            return busy(why)
        except SessionRefused as why:
            return Complaint(403, 3000, "not_allowed", str(why))
        except SessionLost:  # before it stood: the stream is closed without an answer
            return None
        return None


class _Commits:
    """A `VoiceConnection` that reads a commit late."""

    def __init__(self, voice: VoiceConnection, late_s: float) -> None:
        self._voice = voice
        self._late_s = late_s
        self.receive = voice.receive

    async def send(self, event: str) -> None:
        if self._late_s and decode(event).get("type") == "input_audio_buffer.commit":
            await trio.sleep(self._late_s)
        await self._voice.send(event)


async def _carry(session: FakeSession, voice: VoiceConnection, websocket: WebSocket) -> None:
    async with open_tasks() as nursery:
        nursery.start_soon(_listen, session, voice, websocket, nursery.cancel_scope)
        try:
            while True:
                for event in session.to_client(await voice.receive()):
                    await websocket.send(event)
        except SessionExpired as expired:
            await websocket.aclose(_GOING_AWAY, str(expired))
        except SessionLost:
            websocket.release()
        nursery.cancel_scope.cancel()


async def _listen(
    session: FakeSession, voice: VoiceConnection, websocket: WebSocket, served: trio.CancelScope
) -> None:
    try:
        while True:
            text = await websocket.receive()
            if isinstance(text, bytes):
                raise SchemaError("an event came in a binary frame")
            event, answer = session.from_client(text)
            if event is not None:
                await voice.send(event)
            if answer is not None:
                await websocket.send(answer)
    except WebSocketClosed:
        served.cancel()
    except SessionLost:
        return  # whoever receives from it takes leave of the client


@asynccontextmanager
async def _accepted(stream: trio.abc.Stream, exchange: Exchange) -> AsyncGenerator[WebSocket, None]:
    async with accept(stream, head=exchange.raw_head, max_message_bytes=_MOST_EVENT_BYTES) as websocket:
        yield websocket

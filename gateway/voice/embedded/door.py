"""Realtime sessions for whoever comes over a stream: OpenAI's protocol on a WebSocket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from gateway.contracts import Agent, SessionLost, SessionRefused, VoiceBackend, VoiceConnection
from gateway.net.exchange import Answer, Exchange, Head, Refused
from gateway.net.streams import close_now
from gateway.net.tasks import open_tasks
from gateway.net.websocket import CLOSE_S, WebSocket, WebSocketClosed, accept
from gateway.voice.embedded.admission import Complaint, complaint_about, model_of, with_model

__all__ = ["MOST_EVENT_BYTES", "RealtimeDoor"]

# OpenAI API reference, `input_audio_buffer.append`: 15 MiB of audio, which are 20 MiB in base64.
MOST_EVENT_BYTES = 21 << 20
# What a browser's client offers beside its key, which it has no header for.
_SUBPROTOCOLS = ("realtime",)

_SEND_S = 3  # the WebSocket gives up before

_GOING_AWAY = 1001
_BROKEN = 1011
_REASON_CHARACTERS = 60  # 123 bytes at most, and UTF-8: RFC 6455 §5.5

_NOT_TEXT = Complaint(400, 4000, "invalid_frame", "An event is a text frame; this one was binary.")


class RealtimeDoor:
    """Gives everybody a session of a backend, which must be running. `script`: the dialogue that answers."""

    def __init__(
        self,
        backend: VoiceBackend,
        *,
        script: str | None = None,
        foreign_pages: bool = False,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._backend = backend
        self._script = script
        self._foreign_pages = foreign_pages
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client until either end has enough. Cancelled, it takes leave of the client.

        Raises nothing: what goes wrong in one session is logged and ends that one.
        """
        exchange = Exchange(stream)
        try:
            head = await self._admit(exchange)
            if head is not None:
                await self._converse(stream, exchange, head)
        except WebSocketClosed as closed:
            self._log.info("client.left", code=closed.code, why=closed.reason)
        except trio.BrokenResourceError:
            return  # before it was a client
        finally:
            close_now(stream)

    async def _admit(self, exchange: Exchange) -> Head | None:
        """The request of somebody who is let in; others are answered."""
        try:
            head = await exchange.read_head()
        except Refused as refused:
            await exchange.answer(refused.answer)
            return None
        if head is None:
            return None
        complaint = complaint_about(head, foreign_pages=self._foreign_pages)
        if complaint is not None:
            self._log.info("client.refused", status=complaint.status, why=complaint.code)
            await exchange.answer(complaint.answer())
            return None
        if exchange.beyond_head:
            await exchange.answer(Answer(400))  # RFC 6455 §4.1: a client waits for the answer
            return None
        return head

    async def _converse(self, stream: trio.abc.Stream, exchange: Exchange, head: Head) -> None:
        model = model_of(head)
        agent = Agent(name="client", model=model or None, script=self._script)
        async with (
            accept(
                stream,
                head=exchange.raw_head,
                max_message_bytes=MOST_EVENT_BYTES,
                subprotocols=_SUBPROTOCOLS,
            ) as websocket,
            self._taking_leave(websocket),
            self._backend.connect(agent) as voice,
        ):
            await _carry(voice, websocket, model)

    @asynccontextmanager
    async def _taking_leave(self, websocket: WebSocket) -> AsyncIterator[None]:
        """Around a session: however it ends, its client is told."""
        try:
            yield
        except trio.Cancelled:
            with trio.move_on_after(CLOSE_S, shield=True):
                await websocket.aclose(_GOING_AWAY, "the server is stopping")
            raise
        except WebSocketClosed:
            raise
        except (SessionLost, SessionRefused) as why:
            self._log.info("client.dropped", why=str(why))
            await websocket.aclose(_BROKEN, str(why)[:_REASON_CHARACTERS])
        except Exception:  # noqa: BLE001 - a bug in this session: the others go on
            self._log.exception("session.broke")
            await websocket.aclose(_BROKEN, "the session broke")


async def _carry(voice: VoiceConnection, websocket: WebSocket, model: str) -> None:
    """Carry events both ways. Raises `WebSocketClosed` when the client is gone, or `SessionLost`."""
    async with open_tasks() as nursery:
        await _send(websocket, with_model(await voice.receive(), model))  # before anything is answered
        nursery.start_soon(_answer, voice, websocket, model)
        await _listen(voice, websocket)


async def _answer(voice: VoiceConnection, websocket: WebSocket, model: str) -> None:
    try:
        while True:
            await _send(websocket, with_model(await voice.receive(), model))
    except WebSocketClosed:
        return  # whoever listens to the client hears why


async def _listen(voice: VoiceConnection, websocket: WebSocket) -> None:
    binary = 0
    try:
        while True:
            message = await websocket.receive()
            if isinstance(message, str):
                await voice.send(message)
            else:
                binary += 1
                await _send(websocket, _NOT_TEXT.event(binary))
    except SessionLost:
        return  # whoever answers the client hears why


async def _send(websocket: WebSocket, event: str) -> None:
    # An event that is cut short would be the last thing that the client hears.
    with trio.move_on_after(_SEND_S, shield=True):
        await websocket.send(event)

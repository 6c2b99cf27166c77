"""The socket under one Media Stream: what Twilio's streamer does between the upgrade and the end."""

import enum
import math

import trio

from gateway.net.websocket import WebSocket, WebSocketClosed
from gateway.testing.handset import Handset
from gateway.testing.line import Line
from gateway.testing.twilio_stream import TwilioStream

__all__ = ["MediaConnection", "Outcome"]

# For a server that does not read, Twilio keeps some of the caller's audio, then warns (31930) and discards. It does
# not say how much; this is some 5 s, beside what the sockets' buffers hold.
MAX_UNSENT_BYTES = 100_000

STOP_S = 2


class Outcome(enum.Enum):
    """How a stream ended, with the entry that Twilio's debugger has for it."""

    STOPPED = None  # by Twilio: hung up, or taken away by new TwiML
    CLOSED = 31921  # by the server, which is the normal way
    LOST = 31903
    REFUSED = 31920


class MediaConnection:
    """One stream on its line. `sends_start` false: Twilio connects and then says no more than that."""

    def __init__(self, stream: TwilioStream, line: Line, handset: Handset, *, sends_start: bool) -> None:
        self.stream = stream
        self.line = line
        self.close_code: int | None = None
        self._handset = handset
        self._sends_start = sends_start
        self._live = False  # start was sent, stop was not
        self._stopping = trio.Event()
        self._written = trio.Event()
        self._outcome = Outcome.STOPPED
        self._outbox, self._unsent = trio.open_memory_channel[str](math.inf)

    def stop(self) -> None:
        """Have the stream ended by Twilio: `stop`, then the socket is closed."""
        self._stopping.set()

    async def run(self, websocket: WebSocket) -> Outcome:
        """Stream until either side ends it. Closing the socket is the caller's business."""
        try:
            async with trio.open_nursery() as tasks:
                tasks.start_soon(self._write, websocket)
                tasks.start_soon(self._read, websocket, tasks.cancel_scope)
                self._begin()
                await self._stopping.wait()
                self._finish()
                with trio.move_on_after(STOP_S):
                    await self._written.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._live = False
            self.stream.advance(self._handset.now)  # what was playing is heard up to this moment
            self._handset.disconnect()
        return self._outcome

    def speak(self, payload: bytes, digit: str | None, now: float) -> None:
        """Send 20 ms of the caller, or discard them when the server does not read."""
        if not self._live:
            return
        if digit is not None:
            self._outbox.send_nowait(self.stream.digit(digit))
        if self.line.unsent_bytes < MAX_UNSENT_BYTES:
            self._outbox.send_nowait(self.stream.caller_frame(payload))
        else:
            self.stream.discard_caller_frame(now)

    def advance(self, now: float) -> None:
        self._post(self.stream.advance(now))

    def _begin(self) -> None:
        connected, start = self.stream.start_messages()
        self._outbox.send_nowait(connected)
        if self._sends_start:
            self._outbox.send_nowait(start)
            self._live = True
        self._handset.connect(self)

    def _finish(self) -> None:
        if self._live:
            self._outbox.send_nowait(self.stream.stop())
            self._live = False
        self._outbox.close()

    def _post(self, texts: list[str]) -> None:
        if self._live:
            for text in texts:
                self._outbox.send_nowait(text)

    async def _write(self, websocket: WebSocket) -> None:
        try:
            async for text in self._unsent:
                await websocket.send(text)
        except WebSocketClosed:
            return  # the reader learns of it too, and with it why
        self._written.set()

    async def _read(self, websocket: WebSocket, whole: trio.CancelScope) -> None:
        try:
            while True:
                data = await websocket.receive()
                self._post(self.stream.receive(data, self._handset.now))
                self._handset.changed()
        except WebSocketClosed as closed:
            self.close_code = closed.code
            self._outcome = Outcome.LOST if closed.code == 1006 else Outcome.CLOSED
            whole.cancel()

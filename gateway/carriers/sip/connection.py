"""One TCP or TLS connection as messages, from its first byte until it breaks."""

import time
from typing import Final

import trio

from gateway.carriers.sip.shares import Shares
from gateway.carriers.sip.transport import Message, TransportUser
from gateway.net.raw_stream import RawStream
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.keepalive import StreamKeepalive
from gateway.wire.sip.stream import Keepalive, StreamParser

__all__ = ["Connection"]

# Whoever connects has something to say.
_FIRST_MESSAGE_S: Final = 10.0
# Who keeps a connection for later sends a CRLF every two minutes (RFC 5626 §4.4.1); a call may be silent for long.
_SILENCE_S: Final = 4 * 3600.0
# Who has begun a message has it: one that comes byte by byte is nobody's. The longest takes a modem as long.
_WHOLE_MESSAGE_S: Final = 10.0
# What a peer may leave unread: it is cut off 2 s later anyway. Four of the longest messages.
_OUTBOX_BYTES: Final = 262_144


class Connection:
    """`stream`: connected, and behind its handshake if it is TLS; it is ours now. `dialled`: by us.

    `identities`: whom its certificate is for, if that was checked. `shares`: of the time that reading may take.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        flow: Flow,
        user: TransportUser,
        shares: Shares | None = None,
        *,
        dialled: bool,
        identities: tuple[str, ...] = (),
    ) -> None:
        self.flow = flow
        self.identities = identities
        self._stream = RawStream(stream)
        self._user = user
        self._shares = shares or Shares()
        self._parser = StreamParser()
        self._keepalive = StreamKeepalive(trio.current_time()) if dialled else None
        patience_s = _SILENCE_S if dialled else _FIRST_MESSAGE_S
        self._silence = trio.CancelScope(deadline=trio.current_time() + patience_s)
        self._outbox = bytearray()
        self._to_write = trio.Event()
        self._is_last = False  # what is in the outbox; then it ends
        self._is_unfinished = False  # the message that has begun to come

    @property
    def is_open(self) -> bool:
        return not self._stream.ended and not self._is_last

    def send(self, data: bytes) -> bool:
        """Have it written, behind what was sent before. False: it is not open. Who reads too slowly is cut off."""
        if self._stream.ended:
            return False
        if len(self._outbox) + len(data) > _OUTBOX_BYTES:
            self.end("the peer does not read")
            return False
        self._outbox += data
        self._to_write.set()
        return True

    def end(self, why: str) -> None:
        """Close it now; who is at its far end is not told."""
        self._stream.end(why)
        self._to_write.set()

    async def run(self) -> None:
        """Read and write until it breaks; then its user is told. When cancelled, it is closed without a word."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                if self._keepalive is not None:
                    nursery.start_soon(self._keep_alive, self._keepalive)
                with self._silence:
                    await self._read()
                if self._silence.cancelled_caught:
                    self.end("it was silent for too long")
                await self._stream.wait_ended()
                nursery.cancel_scope.cancel()
        finally:
            self._stream.end("closed")
        self._user.broken(self.flow, self._stream.ended)

    # -- reading

    async def _read(self) -> None:
        while not self._parser.broken:
            try:
                data = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.end("the connection broke")
                return
            if not data:
                self.end("the peer closed it")
                return
            self._parser.receive_data(data)
            if not await self._hear():
                self._unfinished()
        self._is_last = True  # an answer that says why may be in it
        self._to_write.set()

    async def _hear(self) -> bool:
        """Hand up all that is complete, as fast as there is time for; whether anything was."""
        is_anything = False
        while not self._stream.ended:
            await self._rest()
            began_s = time.thread_time()
            event = self._next_event()
            if event is None:
                break
            is_anything = True
            self._take(event)
            spent_s = time.thread_time() - began_s
            self._shares.spent(self.flow.remote.host, spent_s, trio.current_time())
        return is_anything

    async def _rest(self) -> None:
        """Let others have their turn. What came meanwhile waits where it is, and in the end at its sender."""
        host = self.flow.remote.host
        await trio.lowlevel.checkpoint()
        while rest_s := self._shares.rest_s(trio.current_time(), host):  # noqa: ASYNC110 - others spend it meanwhile
            await trio.sleep(rest_s)

    def _next_event(self) -> Message | Keepalive | None:
        try:
            return self._parser.next_message()
        except SipSyntaxError as error:
            return error

    def _take(self, event: Message | Keepalive) -> None:
        if not isinstance(event, SipSyntaxError):
            self._heard(answer=isinstance(event, Keepalive))
        if not isinstance(event, Keepalive):
            self._user.received(event, self.flow)
        elif event is Keepalive.PING and self._keepalive is None:  # RFC 5626 §3.5.1: who dialled asks
            self.send(Keepalive.PONG.value.encode())

    def _heard(self, *, answer: bool) -> None:
        now = trio.current_time()
        self._is_unfinished = False
        self._silence.deadline = now + _SILENCE_S
        if self._keepalive is not None:
            self._keepalive.heard(now, answer=answer)

    def _unfinished(self) -> None:
        """Something came that is no message yet."""
        if not self._is_unfinished:
            self._is_unfinished = True
            self._silence.deadline = min(self._silence.deadline, trio.current_time() + _WHOLE_MESSAGE_S)

    # -- writing

    async def _write(self) -> None:
        while not self._stream.ended:
            await self._to_write.wait()
            self._to_write = trio.Event()
            data, self._outbox = bytes(self._outbox), bytearray()
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.end("the connection broke")
            if self._is_last and not self._outbox:
                self.end("nobody can tell where its next message begins")

    async def _keep_alive(self, keepalive: StreamKeepalive) -> None:
        while True:
            await trio.sleep_until(keepalive.deadline)
            match keepalive.advance(trio.current_time()):
                case "ask":
                    self.send(Keepalive.PING.value.encode())
                case "gone":
                    self.end("it does not answer any more")

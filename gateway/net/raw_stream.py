"""A byte stream as a WebSocket library gets to see it, while the stream itself stays ours."""

import trio

from gateway.net.fragments import FragmentCounter
from gateway.net.quick_tcp import QuickTcp
from gateway.net.streams import close_now, socket_of

SEND_S = 2
MAX_FRAGMENTS = 16
# A refusal is a head and perhaps a page that explains it; more of it is not worth having.
ANSWER_BYTES = 20 * 1024


class RawStream(trio.abc.Stream):
    """Passes bytes on, watches them, and can end the stream from outside at any time.

    `unread`: bytes that were read before and come first. `keeps_answer`: remember what the server said
    first, until `forget_answer`, because the library loses all but a well-framed refusal.
    """

    def __init__(self, stream: trio.abc.Stream, unread: bytes = b"", *, keeps_answer: bool = False) -> None:
        self.ended = ""
        self._stream = QuickTcp(stream) if isinstance(stream, trio.SocketStream) else stream
        self._unread = unread
        self._answer = bytearray() if keeps_answer else None
        self._fragments: FragmentCounter | None = None
        self._wait = trio.CancelScope()
        self._is_over = False
        self._end = trio.Event()

    def end(self, reason: str) -> None:
        """Close the stream now. The first reason stays in `ended`."""
        self.ended = self.ended or reason
        close_now(self._stream)
        self._be_over()
        self._end.set()

    async def wait_ended(self) -> None:
        await self._end.wait()

    def wait_at_most(self, seconds: float) -> trio.CancelScope:
        """A scope for waiting on the peer; it ends as soon as the stream does, from whichever end."""
        self._wait = trio.CancelScope(deadline=trio.current_time() + seconds)
        if self._is_over:
            self._wait.cancel()
        return self._wait

    def _be_over(self) -> None:
        self._is_over = True
        self._wait.cancel()

    def limit_send_buffer(self, size_bytes: int) -> None:
        """Let the kernel hold no more than about this that the peer has not read; where there is a kernel."""
        socket = socket_of(self._stream)
        if socket is not None:
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, size_bytes)

    def limit_fragments(self) -> None:
        """From here on the peer sends frames, at most 16 to a message."""
        self._fragments = FragmentCounter(MAX_FRAGMENTS)

    @property
    def answer(self) -> bytes:
        return bytes(self._answer or b"")

    def forget_answer(self) -> None:
        self._answer = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._unread:
            unread, self._unread = self._unread, b""
            await trio.lowlevel.checkpoint()
            return unread
        data = await self._receive(max_bytes)
        if not data:
            self._be_over()
        elif self._fragments is not None and not self._fragments.admit(data):
            self.end("a message in too many fragments")
            raise trio.BrokenResourceError(self.ended)
        return data

    async def _receive(self, max_bytes: int | None) -> bytes:
        if self._answer is not None and len(self._answer) >= ANSWER_BYTES:
            return b""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._be_over()
            raise
        if self._answer is not None:
            self._answer += data
        return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send it all within 2 s, or end the stream: a part of a frame may have left."""
        await trio.lowlevel.checkpoint_if_cancelled()
        sent_bytes = self._stream.send_now(data) if isinstance(self._stream, QuickTcp) else 0
        if sent_bytes == len(data):  # nearly always: half the cost of a message was its deadline
            return await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            with trio.fail_after(SEND_S):
                await self._stream.send_all(memoryview(data)[sent_bytes:])
        except trio.TooSlowError:
            self.end("the peer does not read")
            raise trio.BrokenResourceError(self.ended) from None
        except trio.Cancelled:
            self.end("a send was cut short")
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """What the library calls when it is done with the peer."""
        self._be_over()
        await self._stream.aclose()

"""TCP at half of trio's cost for small messages."""

import errno
import operator
import os

import trio

RECEIVE_BYTES = 65536
CLOSED = -1


class QuickTcp(trio.abc.Stream):
    """A `trio.SocketStream` for traffic in small pieces with pauses between them.

    `SocketStream` tries to receive, finds nothing, waits, and receives again: this one waits first. A small
    send nearly always fits into the kernel's buffer: this one puts it there before it builds anything that
    could wait. Takes over the stream.

    trio does not show the socket under its own, so this reads and writes by file number. The number is asked
    for anew each time: after a close it is -1, while the old one may already be another connection's.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self._stream = stream

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Give the kernel what it takes at once. Returns how many bytes that was; raises as `send_all` does."""
        try:
            return os.write(self.socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _stream_error(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        sent_bytes = self.send_now(data)
        if sent_bytes < len(data):
            await self._stream.send_all(memoryview(data)[sent_bytes:])
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        size_bytes = RECEIVE_BYTES if max_bytes is None else operator.index(max_bytes)
        if size_bytes < 1:
            raise ValueError("max_bytes is at least 1")
        while self.socket.fileno() != CLOSED:
            await trio.lowlevel.wait_readable(self.socket)
            try:
                return os.read(self.socket.fileno(), size_bytes)
            except BlockingIOError:
                continue  # the kernel may announce what it then throws away
            except OSError as error:
                raise _stream_error(error) from error
        raise trio.ClosedResourceError("this socket was closed")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _stream_error(error: OSError) -> Exception:
    if error.errno == errno.EBADF:
        return trio.ClosedResourceError("this socket was closed")
    return trio.BrokenResourceError(f"the connection broke: {error}")

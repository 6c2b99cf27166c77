"""A byte stream that can go wrong, and whose sender never waits for a peer that does not read."""

import trio

from gateway.net.streams import close_now

__all__ = ["Line"]


class Line(trio.abc.Stream):
    """A stream as it is, until a fault is switched on. Owns `inner`; `pump` must run while it is used."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self._unsent = bytearray()
        self._sending_bytes = 0
        self._more = trio.Event()
        self._over = trio.Event()
        self._dead = False
        self._bytes_per_s: float | None = None

    @property
    def unsent_bytes(self) -> int:
        """What the peer's side of the network would not take yet."""
        return len(self._unsent) + self._sending_bytes

    def cut(self) -> None:
        """The connection is lost here and now, without a goodbye in any protocol above. Repeatable."""
        self._over.set()
        self._more.set()
        close_now(self._inner)

    def close(self) -> None:
        self.cut()

    def go_dead(self) -> None:
        """Half-open: the socket stands, but nothing passes any more, either way."""
        self._dead = True

    def read_slowly(self, bytes_per_s: float) -> None:
        """From now on, take no more than so much from the peer; its buffers fill."""
        self._bytes_per_s = bytes_per_s

    async def pump(self) -> None:
        """Carry to the peer what was sent, until the line is cut or breaks."""
        while not self._over.is_set():
            await self._more.wait()
            self._more = trio.Event()
            data, self._unsent = self._unsent, bytearray()
            self._sending_bytes = len(data)
            try:
                await self._inner.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._over.set()
            self._sending_bytes = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._over.is_set():
            raise trio.BrokenResourceError
        if not self._dead:
            self._unsent += data
            self._more.set()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._bytes_per_s is not None:
            max_bytes = max(1, int(self._bytes_per_s / 2))
            await trio.sleep(max_bytes / self._bytes_per_s)
        data = await self._inner.receive_some(max_bytes)
        if self._dead:
            await self._over.wait()
            raise trio.ClosedResourceError
        return data

    async def aclose(self) -> None:
        self.cut()
        await trio.lowlevel.checkpoint()

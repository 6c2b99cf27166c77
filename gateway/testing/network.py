"""The way between Twilio and a gateway, which takes time, and may be watched.

    async with Network(rng, to_gateway_s=0.04, to_twilio_s=0.03, jitter_s=0.01) as network:
        account = dataclasses.replace(account, dial=network.through(account.dial))

Every connection that the account dials then passes there.
"""

import re
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import NamedTuple, Self

import trio

from gateway.net.streams import close_now

__all__ = ["Network", "Passed"]

Dial = Callable[[], Awaitable[trio.abc.Stream]]

# What a server sends is not masked (RFC 6455 §5.1), so its JSON can be read as it passes.
_EVENT = re.compile(rb'"event":"([a-z]+)"')


class Passed(NamedTuple):
    """An event that the gateway sent to Twilio. Times are on trio's clock."""

    left_s: float
    arrived_s: float
    event: str


class Network:
    """Delays what passes, each way by so much and by up to `jitter_s` more. Nothing overtakes what went before.

    An async context manager, to be left when every connection through it is over. `passed`: what the gateway
    sent on streams, the last of it maybe still on its way.
    """

    def __init__(
        self, rng: Random, *, to_gateway_s: float = 0.0, to_twilio_s: float = 0.0, jitter_s: float = 0.0
    ) -> None:
        self.passed: list[Passed] = []
        self._rng = rng
        self._to_gateway_s = to_gateway_s
        self._to_twilio_s = to_twilio_s
        self._jitter_s = jitter_s
        self._tasks = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        self._nursery = await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    def through(self, dial: Dial) -> Dial:
        """A dial whose connections pass here."""

        async def dial_through() -> trio.abc.Stream:
            if self._nursery is None:
                raise RuntimeError("the network does not stand")
            inner = await dial()
            up = _Way(self._rng, self._to_gateway_s, self._jitter_s)
            down = _Way(self._rng, self._to_twilio_s, self._jitter_s)
            self._nursery.start_soon(_carry_up, up, inner)
            self._nursery.start_soon(self._carry_down, inner, down)
            return _FarEnd(inner, up, down)

        return dial_through

    async def _carry_down(self, stream: trio.abc.Stream, way: "_Way") -> None:
        data = b"more"
        try:
            while data:
                data = bytes(await stream.receive_some())
                self._note(data, way.put(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            way.put(b"")

    def _note(self, data: bytes, arrives_s: float) -> None:
        now = trio.current_time()
        self.passed += [Passed(now, arrives_s, event.decode()) for event in _EVENT.findall(data)]


class _Way:
    """One direction of a connection."""

    def __init__(self, rng: Random, delay_s: float, jitter_s: float) -> None:
        self._rng = rng
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._last_s = 0.0
        self._send, self._receive = trio.open_memory_channel[tuple[float, bytes]](10_000)

    def put(self, data: bytes) -> float:
        """Send something, b"" for the end; when it will arrive."""
        arrives_s = trio.current_time() + self._delay_s + self._rng.uniform(0, self._jitter_s)
        self._last_s = max(self._last_s, arrives_s)
        self._send.send_nowait((self._last_s, data))
        return self._last_s

    async def take(self) -> bytes:
        """What arrives next, when it does."""
        arrives_s, data = await self._receive.receive()
        await trio.sleep_until(arrives_s)
        return data


class _FarEnd(trio.abc.Stream):
    """Twilio's end of a connection."""

    def __init__(self, inner: trio.abc.Stream, up: _Way, down: _Way) -> None:
        self._inner = inner
        self._up = up
        self._down = down
        self._closed = False

    def close(self) -> None:
        self._closed = True
        close_now(self._inner)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        self._up.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - a frame is never cut
        return await self._down.take()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


async def _carry_up(way: _Way, stream: trio.abc.Stream) -> None:
    try:
        while True:
            await stream.send_all(await way.take())
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # what comes behind has nobody to go to

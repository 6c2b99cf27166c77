"""Server cores at work: their jobs go to the models in threads, and one speech detection serves them all."""

import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import trio

from gateway.voice.embedded.brain import Brain
from gateway.voice.embedded.mailbox import Mailbox
from gateway.voice.embedded.server_core import Detect, RealtimeServerCore, Synthesize, Transcribe
from gateway.voice.embedded.vad import HOP_MS, SpeechStream

__all__ = ["Connection", "RealtimeServer", "RunBlocking", "Speech"]

_T = TypeVar("_T")
_HOP_S = HOP_MS / 1000


class RunBlocking(Protocol):
    """Runs what would hold up the event loop: `trio.to_thread.run_sync`, or inline in a test."""

    def __call__(
        self, sync_fn: Callable[..., _T], /, *args: Any, limiter: trio.CapacityLimiter | None = None
    ) -> Coroutine[Any, Any, _T]: ...


class Speech(Protocol):
    """What turns speech into text and back, PCM16 at 24 000 Hz. May be called in several threads at once."""

    def transcribe(self, pcm: bytes) -> str: ...

    def synthesize(self, text: str) -> bytes: ...

    def remembered(self, text: str) -> bytes | None:
        """What `synthesize` would give, if that costs nothing."""


DetectSpeech = Callable[[Sequence[SpeechStream], Sequence[bytes]], list[float]]


class Connection:
    """A `VoiceConnection` to a server core."""

    def __init__(self, core: RealtimeServerCore, start: Callable[[Transcribe | Synthesize], None]) -> None:
        self.stream = SpeechStream()
        self.hops: deque[Detect] = deque()
        self.mailbox = Mailbox()
        self._core = core
        self._start = start
        self._settle()

    async def send(self, event: str) -> None:
        """Hand the server a client event. Raises `SessionLost`."""
        await trio.lowlevel.checkpoint()
        self.mailbox.raise_if_closed()
        self._core.receive(event, trio.current_time())
        self._settle()

    async def receive(self) -> str:
        """Return the next server event. Raises `SessionLost`."""
        return await self.mailbox.take()

    def finish(self, job: Detect | Transcribe | Synthesize, value: float | str | bytes) -> None:
        """Hand the server the result of a job."""
        self._core.result(job.id, value, trio.current_time())
        self._settle()

    def advance(self) -> None:
        """Let time pass."""
        self._core.advance(trio.current_time())
        self._settle()

    def _settle(self) -> None:
        if events := self._core.outgoing():
            self.mailbox.post(events)
        for job in self._core.jobs():
            if isinstance(job, Detect):
                self.hops.append(job)
            else:
                self._start(job)


class RealtimeServer:
    """Serves any number of connections. `workers`: how many may be transcribing or synthesizing at once."""

    def __init__(self, run_blocking: RunBlocking, *, model: str, workers: int) -> None:
        self._run_blocking = run_blocking
        self._model = model
        self._workers = trio.CapacityLimiter(workers)
        self._connections: set[Connection] = set()
        self._busy = trio.Event()

    @asynccontextmanager
    async def connect(self, brain: Brain, speech: Speech) -> AsyncGenerator[Connection, None]:
        """A session that lives as long as the block. `detect_turns` must be running."""
        core = RealtimeServerCore(brain, random.Random(), model=self._model)
        try:
            async with trio.open_nursery() as jobs:
                connection = Connection(
                    core, lambda job: jobs.start_soon(self._work, connection, job, speech)
                )
                self._connections.add(connection)
                self._busy.set()
                try:
                    yield connection
                finally:
                    self._connections.discard(connection)
                    connection.mailbox.close("the connection was closed")
                    jobs.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def detect_turns(self, detect: DetectSpeech) -> None:
        """Judge the hops of all connections together, every 32 ms, and let their time pass. Never returns."""
        one_thread = trio.CapacityLimiter(1)
        at = trio.current_time()
        while True:
            await self._busy.wait()
            at = max(at + _HOP_S, trio.current_time())
            await trio.sleep_until(at)
            while waiting := [connection for connection in self._connections if connection.hops]:
                hops = [connection.hops.popleft() for connection in waiting]
                streams = [connection.stream for connection in waiting]
                likely = await self._run_blocking(
                    detect, streams, [hop.hop for hop in hops], limiter=one_thread
                )
                for connection, hop, probability in zip(waiting, hops, likely, strict=True):
                    connection.finish(hop, probability)
                await trio.lowlevel.checkpoint()
            for connection in self._connections:
                connection.advance()
            if not self._connections:
                self._busy = trio.Event()

    async def speak(self, text: str, speech: Speech) -> bytes:
        """Synthesize a text: PCM16 at 24 000 Hz."""
        pcm = speech.remembered(text)
        return (
            pcm
            if pcm is not None
            else await self._run_blocking(speech.synthesize, text, limiter=self._workers)
        )

    async def _work(self, connection: Connection, job: Transcribe | Synthesize, speech: Speech) -> None:
        value: str | bytes
        if isinstance(job, Transcribe):
            value = await self._run_blocking(speech.transcribe, job.clip, limiter=self._workers)
        else:
            value = await self.speak(job.text, speech)
            await connection.mailbox.room()
        connection.finish(job, value)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong; that other tasks were cancelled because of it is no news."""
    others = group.split(trio.Cancelled)[1]
    error: BaseException = others if others is not None else group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

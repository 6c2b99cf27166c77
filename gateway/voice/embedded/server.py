"""Server cores at work: their jobs go to the models in threads, and one speech detection serves them all."""

import functools
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, assert_never, runtime_checkable

import trio

from gateway.contracts import RunBlocking
from gateway.voice.embedded.brain import Brain, Thought
from gateway.voice.embedded.chat_request import ChatRequest
from gateway.voice.embedded.jobs import Detect, Job, Stop, Synthesize, Think, Transcribe
from gateway.voice.embedded.mailbox import Mailbox
from gateway.voice.embedded.server_core import RealtimeServerCore
from gateway.voice.embedded.vad import HOP_MS, SpeechStream

__all__ = ["Connection", "RealtimeServer", "Speech", "Thinker"]

# Twice a hop: a caller waits 8 ms for his turn in the batch instead of 16, and a batch is half as large.
_ROUND_S = HOP_MS / 1000 / 2
_TICK_S = 0.1  # how exactly a silence is measured


class Speech(Protocol):
    """What turns speech into text and back, PCM16 at 24 000 Hz. May be called in several threads at once."""

    def transcribe(self, pcm: bytes) -> str: ...

    def synthesize(self, text: str) -> bytes: ...

    def remembered(self, text: str) -> bytes | None:
        """What `synthesize` would give, if that costs nothing."""


@runtime_checkable
class Thinker(Protocol):
    """What answers one caller in its own time: a model on some server."""

    async def think(self, request: ChatRequest, take: Callable[[Thought], None]) -> None:
        """Hand each thought to `take` as soon as it is known, and a `Decided` or a `Failure` as the last one.

        Cancelled when nobody waits for it any more.
        """


DetectSpeech = Callable[[Sequence[SpeechStream], Sequence[bytes]], list[float]]


class Connection:
    """A `VoiceConnection` to a server core. Only its own tasks touch the core: what fails there ends this call."""

    def __init__(
        self, core: RealtimeServerCore, start: Callable[[Transcribe | Synthesize | Think], None]
    ) -> None:
        self.stream = SpeechStream()
        self.hops: deque[Detect] = deque()
        self.mailbox = Mailbox()
        self._core = core
        self._start = start
        self._judged: deque[tuple[Detect, float]] = deque()
        self._verdict = trio.lowlevel.ParkingLot()
        self._thinking: dict[int, trio.CancelScope] = {}
        self._settle()

    async def send(self, event: str) -> None:
        """Hand the server a client event. Raises `SessionLost`."""
        self.mailbox.raise_if_closed()
        self._core.receive(event, trio.current_time())
        self._settle()

    async def receive(self) -> str:
        """Return the next server event. Raises `SessionLost`."""
        return await self.mailbox.take()

    def judge(self, hop: Detect, likely: float) -> None:
        """Take how likely a hop is speech; acted upon in a later turn of the loop."""
        self._judged.append((hop, likely))
        self._verdict.unpark_all()

    def finish(self, job: Job, value: float | str | bytes | Thought) -> None:
        """Hand the server a result of a job."""
        self._core.result(job.id, value, trio.current_time())
        self._settle()

    async def think(self, job: Think, thinker: Thinker) -> None:
        """Have a question answered for as long as the server waits for it."""
        with self._thinking[job.id]:
            await thinker.think(job.request, functools.partial(self.finish, job))
        del self._thinking[job.id]

    async def detect_turns(self) -> None:
        """Act upon what was judged. Never returns."""
        while True:
            if not self._judged:
                await self._verdict.park()
            while self._judged:
                self.finish(*self._judged.popleft())

    async def watch_silence(self) -> None:
        """Let time pass. Never returns."""
        while True:
            await trio.sleep(_TICK_S)
            self._core.advance(trio.current_time())
            self._settle()

    def _settle(self) -> None:
        if events := self._core.outgoing():
            self.mailbox.post(events)
        for job in self._core.jobs():
            match job:
                case Detect():
                    self.hops.append(job)
                case Stop():
                    self._thinking[job.id].cancel()
                case Think():
                    self._thinking[job.id] = trio.CancelScope()
                    self._start(job)
                case Transcribe() | Synthesize():
                    self._start(job)
                case _:
                    assert_never(job)


class RealtimeServer:
    """Serves any number of connections. `workers`: how many may be transcribing or synthesizing at once."""

    def __init__(self, run_blocking: RunBlocking, *, model: str, workers: int) -> None:
        self._run_blocking = run_blocking
        self._model = model
        self._workers = trio.CapacityLimiter(workers)
        self._connections: set[Connection] = set()
        self._busy = trio.Event()
        self._detecting = trio.Lock()

    @asynccontextmanager
    async def connect(self, brain: Brain | Thinker, speech: Speech) -> AsyncGenerator[Connection, None]:
        """A session that lives as long as the block. `detect_speech` must be running."""
        at_once = None if isinstance(brain, Thinker) else brain
        core = RealtimeServerCore(at_once, random.Random(), model=self._model)
        try:
            async with trio.open_nursery() as jobs:

                def start(job: Transcribe | Synthesize | Think) -> None:
                    if not isinstance(job, Think):
                        jobs.start_soon(self._work, connection, job, speech)
                    elif isinstance(brain, Thinker):
                        jobs.start_soon(connection.think, job, brain)

                connection = Connection(core, start)
                jobs.start_soon(connection.detect_turns)
                jobs.start_soon(connection.watch_silence)
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

    async def detect_speech(self, detect: DetectSpeech) -> None:
        """Judge the hops of all connections together, every 16 ms. Never returns.

        Of several tasks that run this one works; when it is cancelled, the next one takes over.
        """
        async with self._detecting:
            await self._detect_speech(detect)

    async def _detect_speech(self, detect: DetectSpeech) -> None:
        one_thread = trio.CapacityLimiter(1)
        at = trio.current_time()
        while True:
            await self._busy.wait()
            at = max(at + _ROUND_S, trio.current_time())
            await trio.sleep_until(at)
            while waiting := [connection for connection in self._connections if connection.hops]:
                hops = [connection.hops.popleft() for connection in waiting]
                streams = [connection.stream for connection in waiting]
                clips = [hop.hop for hop in hops]
                # Milliseconds, also where this is cancelled: who takes over misses no hop, and finds no stream in use.
                with trio.CancelScope(shield=True):
                    likely = await self._run_blocking(detect, streams, clips, limiter=one_thread)
                    for connection, hop, probability in zip(waiting, hops, likely, strict=True):
                        connection.judge(hop, probability)
                # More than one round is left only after a burst of audio, which must not hold up the loop.
                await trio.lowlevel.checkpoint()
            if not self._connections:
                self._busy = trio.Event()

    async def speak(self, text: str, speech: Speech) -> bytes:
        """Synthesize a text: PCM16 at 24 000 Hz."""
        pcm = speech.remembered(text)
        if pcm is None:
            pcm = await self._run_blocking(speech.synthesize, text, limiter=self._workers)
        return pcm

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

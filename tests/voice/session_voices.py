"""Voices for sessions, and what is said to them: all of it without a model, in virtual time as in real."""

import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from gateway.config import Secret
from gateway.contracts import Agent, SessionLost, VoiceConnection
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Fault
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.tone_voice import ToneVoice
from gateway.voice import VoiceSession
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, tone
from tests.voice.voice_caller import inline

QUESTION = "Where are you?"
ADDRESS = "We are at 12 Mill Lane, next to the bakery."
SPEECH = tone("a question")  # 600 ms
SILENCE = bytes(48 * 1000)  # one second
SAID_IN_FULL = SPEECH + SILENCE  # turn detection finds its end


def scripted(*hears: str) -> ScriptedBackend:
    """Takes what is said for `hears`, turn by turn."""
    return ScriptedBackend(ScriptedSettings(hears=hears), inline)


def slow() -> ToneVoice:
    """Makes its speech word by word, twice as fast as it sounds."""
    return ToneVoice(lambda _: " ".join(f"{number}." for number in range(10, 30)), speed=2)


def faulty(*faults: Fault, hears: Iterable[str] = (QUESTION,) * 20) -> FaultyVoice:
    return FaultyVoice(scripted(*hears), faults)


@asynccontextmanager
async def openai(
    *faults: Fault, hears: Iterable[str] = (QUESTION,) * 20, commit_s: float = 0.2, **settings: Any
) -> AsyncGenerator[tuple[RealtimeBackend, FakeRealtime], None]:
    """A voice over a WebSocket in memory, from a server that commits as OpenAI's does."""
    fake = FakeRealtime(scripted(*hears), faults, commit_s=commit_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fake.run)
        yield RealtimeBackend(RealtimeSettings(**settings), Secret("sk-test"), dial=fake.dial), fake
        nursery.cancel_scope.cancel()


class BrokenVoice:
    """A voice with a bug: raises `error` where it is told to: connect, send, receive, leave, or run.

    In `receive`, after `count` events; in `send`, after `count` events that came.
    """

    def __init__(self, where: str, *, count: int = 0, error: Callable[[], BaseException] = KeyError) -> None:
        self._inner = scripted(*[QUESTION] * 20)
        self._where = where
        self._count = count
        self._error = error
        self.traits = self._inner.traits

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        if self._where == "connect":
            raise self._error()
        async with self._inner.connect(agent) as connection:
            yield _BrokenConnection(connection, self._where, self._count, self._error)
            # not reached: whoever talks leaves by an exception
        raise AssertionError

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._inner.run)
            if self._where == "run":
                await trio.sleep(self._count)
                raise self._error()


class _BrokenConnection:
    def __init__(
        self, inner: VoiceConnection, where: str, count: int, error: Callable[[], BaseException]
    ) -> None:
        self._inner = inner
        self._where = where
        self._left = count
        self._error = error

    async def send(self, event: str) -> None:
        if self._where == "send" and self._left == 0:
            raise self._error()
        self._left -= self._where == "send"
        await self._inner.send(event)

    async def receive(self) -> str:
        if self._where == "receive" and self._left == 0:
            raise self._error()
        self._left -= self._where == "receive"
        return await self._inner.receive()


class OddVoice:
    """Says `texts`, too, after the first event of type `after`."""

    def __init__(self, *texts: str, after: str = "session.updated") -> None:
        self._inner = scripted(*[QUESTION] * 20)
        self._texts = texts
        self._after = after
        self.traits = self._inner.traits

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        async with self._inner.connect(agent) as connection:
            yield _OddConnection(connection, self._texts, self._after)

    async def run(self) -> None:
        await self._inner.run()


class _OddConnection:
    def __init__(self, inner: VoiceConnection, texts: Iterable[str], after: str) -> None:
        self._inner = inner
        self._after = f'"type":"{after}"'
        self._texts = deque(texts)
        self._due = False
        self.send = inner.send

    async def receive(self) -> str:
        if self._due and self._texts:
            return self._texts.popleft()
        event = await self._inner.receive()
        self._due = self._due or self._after in event
        return event


class DeafVoice:
    """Takes no event after the first `count`, and is lost after `lost_after_s`."""

    def __init__(self, *, count: int = 1, lost_after_s: float = math.inf) -> None:
        self._inner = scripted(*[QUESTION] * 20)
        self._count = count
        self._lost_after_s = lost_after_s
        self.traits = self._inner.traits

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        async with self._inner.connect(agent) as connection:
            yield _DeafConnection(connection, self._count, trio.current_time() + self._lost_after_s)

    async def run(self) -> None:
        await self._inner.run()


class _DeafConnection:
    def __init__(self, inner: VoiceConnection, count: int, lost_at: float) -> None:
        self._inner = inner
        self._left = count
        self._lost_at = lost_at

    async def send(self, event: str) -> None:
        if self._left == 0:
            await trio.sleep_forever()
        self._left -= 1
        await self._inner.send(event)

    async def receive(self) -> str:
        with trio.move_on_at(self._lost_at):
            return await self._inner.receive()
        raise SessionLost("it broke")


def living_tasks() -> int:
    """How many tasks there are."""
    return trio.lowlevel.current_statistics().tasks_living


@asynccontextmanager
async def no_task_left(patience_s: float = 0) -> AsyncGenerator[None, None]:
    """Nothing that is started in the block outlives it, longer than `patience_s`."""
    await trio.testing.wait_all_tasks_blocked()
    before = living_tasks()
    yield
    await trio.testing.wait_all_tasks_blocked()
    if patience_s:
        await trio.sleep(patience_s)
    assert living_tasks() == before


async def say(session: VoiceSession, audio: bytes = SAID_IN_FULL) -> None:
    """Say something as a microphone would, 20 ms at a time, and leave it to turn detection."""
    for at in range(0, len(audio), 960):
        await session.send_audio(audio[at : at + 960], commit=False)
        await trio.sleep(0.02)


def remember(session: VoiceSession, *events: str) -> list[str]:
    """The names of those of `events` that happen from here on."""
    told: list[str] = []

    def note(event: str) -> Callable[[], None]:
        return lambda: told.append(event)

    for event in events:
        session.on(event)(note(event))
    return told

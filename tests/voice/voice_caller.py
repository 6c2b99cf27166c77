"""Somebody who talks with a voice through its connection, on whatever clock trio has."""

import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from gateway.contracts import Agent, SessionLost, VoiceBackend, VoiceConnection
from gateway.testing.realtime_schema import ServerOrder, check_server_event

FRAME_BYTES = 960  # 20 ms at 24 000 Hz
FRAME_S = 0.02
T = TypeVar("T")
Event = dict[str, Any]


async def inline(blocking: Callable[..., T], /, *args: Any, limiter: Any = None) -> T:
    """A `RunBlocking` without a thread."""
    await trio.lowlevel.checkpoint()
    return blocking(*args)


class VoiceCaller:
    """Sends audio in frames of 20 ms and events; keeps and checks what comes back."""

    def __init__(self, connection: VoiceConnection) -> None:
        self.events: list[Event] = []
        self._connection = connection
        self._order = ServerOrder()
        self._came = trio.Event()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def transcripts(self) -> list[str]:
        """What the voice said and understood, in order."""
        return [event["transcript"] for event in self.events if "transcript" in event]

    @property
    def matched(self) -> list[str | None]:
        done = (event["response"] for event in self.events if event["type"] == "response.done")
        return [(response["metadata"] or {}).get("matched") for response in done]

    @property
    def audio(self) -> bytes:
        deltas = (event["delta"] for event in self.events if event["type"] == "response.output_audio.delta")
        return b"".join(base64.b64decode(delta) for delta in deltas)

    async def send(self, event_type: str, **fields: Any) -> None:
        await self.send_text(json.dumps({"type": event_type, **fields}))

    async def send_text(self, event: str) -> None:
        await self._connection.send(event)

    async def say(self, pcm: bytes, *, pause_s: float = 0.8) -> None:
        """Say something and be silent for a while."""
        pcm += bytes(int(pause_s / FRAME_S) * FRAME_BYTES)
        for at in range(0, len(pcm), FRAME_BYTES):
            await self.append(pcm[at : at + FRAME_BYTES])
            await trio.sleep(FRAME_S)

    async def append(self, pcm: bytes) -> None:
        """Hand over audio at once."""
        await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def press(self, key: str) -> None:
        content = [{"type": "input_text", "text": f"[DTMF] {key}"}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)
        await self.send("response.create")

    async def wait_for(self, event_type: str, count: int = 1) -> Event:
        """The event of a type that came as the `count`th. Raises `trio.TooSlowError` after a minute."""
        with trio.fail_after(60):
            while self.types.count(event_type) < count:
                await self._came.wait()
        return [event for event in self.events if event["type"] == event_type][count - 1]

    async def read(self) -> None:
        """Read until the connection ends."""
        try:
            while True:
                text = await self._connection.receive()
                check_server_event(text)
                self._order.check(text)
                self.events.append(json.loads(text))
                self._came.set()
                self._came = trio.Event()
        except SessionLost:
            pass


@asynccontextmanager
async def running(backend: VoiceBackend) -> AsyncGenerator[None, None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(backend: VoiceBackend, agent: Agent | None = None) -> AsyncGenerator[VoiceCaller, None]:
    """A caller of a backend that is running."""
    async with backend.connect(agent or Agent(name="agent")) as connection:
        caller = VoiceCaller(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.read)
            yield caller
            nursery.cancel_scope.cancel()

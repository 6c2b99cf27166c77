"""The embedded server core in both of its forms, and a client of it whose every frame is checked, both ways."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio
import trio.testing

from gateway.contracts import Agent, VoiceBackend, VoiceConnection
from gateway.net.websocket import connect
from gateway.testing.realtime_schema import check_client_event
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, detect_loudness, tone
from gateway.voice.embedded.door import RealtimeDoor
from tests.testing.realtime_client import Client
from tests.voice.offline import the_models
from tests.voice.voice_caller import Event, VoiceCaller, inline, running

T = TypeVar("T")

IN_PROCESS = "in the process"
ON_A_WEBSOCKET = "on a WebSocket"
FORMS = (IN_PROCESS, ON_A_WEBSOCKET)
URL = "ws://127.0.0.1:8765/v1/realtime?model=gpt-realtime"


def scripted(*hears: str) -> VoiceBackend:
    """Hears in each session what is listed, turn by turn, and answers in tones."""
    return ScriptedBackend(ScriptedSettings(hears=hears), inline)


class Tones:
    """Models that hear what is listed and take their time over each sentence."""

    detect = staticmethod(detect_loudness)

    def __init__(self, hears: Iterable[str]) -> None:
        self._hears = iter(hears)

    def transcribe(self, pcm: bytes) -> str:
        return next(self._hears, "")

    def synthesize(self, text: str) -> bytes:
        return tone(text)

    def remembered(self, text: str) -> bytes | None:
        return None


async def _at_leisure(blocking: Callable[..., T], /, *args: Any, limiter: Any = None) -> T:
    """A `RunBlocking` in which a sentence takes a second to make."""
    await trio.sleep(1 if getattr(blocking, "__name__", "") == "synthesize" else 0)
    return blocking(*args)


def leisurely(*hears: str) -> VoiceBackend:
    """Takes a second to make a sentence."""
    return EmbeddedBackend(EmbeddedSettings(), _at_leisure, load=lambda: Tones(hears))


def with_models() -> VoiceBackend:
    return EmbeddedBackend(EmbeddedSettings(), inline, load=the_models)


class RealtimeClient(VoiceCaller):
    """Says only what the protocol knows; `send_text` and `send_wrong` are for mistakes."""

    async def send(self, event_type: str, **fields: Any) -> None:
        event = json.dumps({"type": event_type, **fields})
        check_client_event(event)
        await self.send_text(event)

    async def send_wrong(self, event: Any) -> None:
        await self.send_text(json.dumps(event))

    async def update(self, **changes: Any) -> Event:
        """Change the session; what it is then."""
        count = self.types.count("session.updated")
        await self.send("session.update", session={"type": "realtime", **changes})
        event = await self.wait_for("session.updated", count + 1)
        session: Event = event["session"]
        return session

    async def detect_turns(self, **changes: Any) -> None:
        await self.update(audio={"input": {"turn_detection": {"type": "server_vad", **changes}}})

    async def commit_by_hand(self) -> None:
        await self.update(audio={"input": {"turn_detection": None}})

    async def write(self, text: str) -> Event:
        """Put a message of the user into the conversation; the item."""
        count = self.types.count("conversation.item.done")
        content = [{"type": "input_text", "text": text}]
        await self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        item: Event = (await self.wait_for("conversation.item.done", count + 1))["item"]
        return item

    async def answer(self, **response: Any) -> Event:
        """Ask for a response and wait for its end; the response."""
        count = self.types.count("response.done")
        await self.send("response.create", response=response)
        done: Event = (await self.wait_for("response.done", count + 1))["response"]
        return done

    async def error_for(self, event_type: str, **fields: Any) -> Event:
        """Send something that cannot be done now; the error, which must name it."""
        count = self.types.count("error")
        await self.send(event_type, event_id=f"mine_{count}", **fields)
        error: Event = (await self.wait_for("error", count + 1))["error"]
        assert error["event_id"] == f"mine_{count}"
        return error

    def all(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event["type"] == event_type]

    def since(self, event_type: str) -> list[str]:
        """The types from the first event of a type on."""
        return self.types[self.types.index(event_type) :]


@asynccontextmanager
async def client_of(form: str, backend: VoiceBackend) -> AsyncIterator[RealtimeClient]:
    """A client of a backend that is running."""
    async with _connection(form, backend) as connection, trio.open_nursery() as nursery:
        client = RealtimeClient(connection)
        nursery.start_soon(client.read)
        await client.wait_for("session.created")
        yield client
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking_to(
    form: str, *hears: str, make: Callable[..., VoiceBackend] = scripted
) -> AsyncIterator[RealtimeClient]:
    """A client of a server that hears what is listed."""
    backend = make(*hears)
    async with running(backend), client_of(form, backend) as client:
        yield client


@asynccontextmanager
async def _connection(form: str, backend: VoiceBackend) -> AsyncIterator[VoiceConnection]:
    if form == IN_PROCESS:
        async with backend.connect(Agent(name="client")) as connection:
            yield connection
        return
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(RealtimeDoor(backend).serve_stream, theirs)
        async with connect(URL, stream=ours, max_message_bytes=16 << 20) as websocket:
            yield Client(websocket)

"""Server cores at work: what fails in one call, or leaves it, touches no other."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from gateway.voice.embedded.brain import Turn
from gateway.voice.embedded.server import RealtimeServer
from gateway.voice.embedded.vad import SpeechStream
from tests.voice.core_client import Parrot
from tests.voice.voice_caller import VoiceCaller, inline

Clock = trio.testing.MockClock
T = TypeVar("T")
VOICED = b"\x01\x01" * 12_000
IDLE_AFTER_6_S = json.dumps(
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}},
        },
    }
)


class Speechless:
    """Models that know one sentence."""

    def transcribe(self, pcm: bytes) -> str:
        return "hello"

    def synthesize(self, text: str) -> bytes:
        return bytes(4800)

    def remembered(self, text: str) -> bytes | None:
        return None


class Impatient(Parrot):
    """A brain that breaks when nobody speaks."""

    def silence(self) -> Turn:
        raise RuntimeError("say something")


def detect(streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
    return [float(any(hop)) for hop in hops]


async def test_a_brain_that_breaks_by_itself_ends_its_call_and_no_other(autojump_clock: Clock):
    server = RealtimeServer(inline, model="test", workers=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.detect_speech, detect)
        async with server.connect(Parrot(), Speechless()) as other:
            with pytest.raises(RuntimeError, match="say something"):  # noqa: PT012 - it comes out of the block
                async with server.connect(Impatient(), Speechless()) as connection:
                    await connection.send(IDLE_AFTER_6_S)
                    await connection.send('{"type": "response.create"}')
                    await trio.sleep(60)
            await other.send('{"type": "response.create"}')
            first = await other.receive()
        nursery.cancel_scope.cancel()

    assert "session.created" in first


async def test_a_call_that_ends_while_it_is_judged_disturbs_nobody(autojump_clock: Clock):
    judging, may_go_on = trio.Event(), trio.Event()

    async def slowly(blocking: Callable[..., T], /, *args: Any, limiter: Any = None) -> T:
        judging.set()
        await may_go_on.wait()
        return blocking(*args)

    server = RealtimeServer(slowly, model="test", workers=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.detect_speech, detect)
        async with server.connect(Parrot(), Speechless()) as other:
            async with server.connect(Parrot(), Speechless()) as connection:
                await VoiceCaller(connection).append(VOICED + bytes(48_000))
                await judging.wait()
            may_go_on.set()
            caller = VoiceCaller(other)
            nursery.start_soon(caller.read)
            await caller.say(VOICED)
            await caller.wait_for("response.done")
        nursery.cancel_scope.cancel()

    assert "response.output_audio.delta" in caller.types


async def test_a_burst_of_audio_is_judged_in_its_order(autojump_clock: Clock):
    server = RealtimeServer(inline, model="test", workers=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.detect_speech, detect)
        async with server.connect(Parrot(), Speechless()) as connection:
            caller = VoiceCaller(connection)
            nursery.start_soon(caller.read)
            for _ in range(3):
                await caller.append(VOICED + bytes(48_000))
            await caller.wait_for("response.done", 3)
        nursery.cancel_scope.cancel()

    starts = [event["audio_start_ms"] for event in caller.events if "audio_start_ms" in event]
    assert starts == sorted(starts)
    assert len(starts) == 3

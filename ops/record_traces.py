"""Records the calls of tests/traces/: each shows something that a change could break.

    python ops/record_traces.py FOLDER [NAME ...]

Calls run on the virtual clock against the fake Twilio. A trace is kept, not made again, as long as its replay is
identical; `gateway replay --accept` is for changes that are meant.
"""

import base64
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from trio.testing import MockClock

from gateway.audio.clip import convert, read_wav
from gateway.audio.pauses import utterances
from gateway.audio.tones import encode_frame, sine
from gateway.contracts import Agent, VoiceBackend, VoiceTraits
from gateway.testing.handset import CallOver
from gateway.testing.live import inline, live_gateway
from gateway.testing.twilio_caller import Caller
from gateway.voice.backends import BACKENDS

ROOT = Path(__file__).parent.parent
RECEPTION = ROOT / "dialplans" / "reception.toml"
CALLER = ROOT / "gateway" / "testing" / "caller.wav"

SPEECH = sine(300, 900, level_dbfs=-14)


def voice(name: str, **settings: object) -> VoiceBackend:
    kind = BACKENDS[name]
    return kind.make(kind.settings(**settings), inline)


class SlowVoice:
    """A `VoiceBackend` that makes its responses no faster than they are heard, as a busy model does."""

    traits = VoiceTraits(name="slow")

    @asynccontextmanager
    async def connect(self, _agent: Agent) -> AsyncIterator["SlowConnection"]:
        async with trio.open_nursery() as nursery:
            yield SlowConnection(nursery)
            nursery.cancel_scope.cancel()

    async def run(self) -> None:
        await trio.sleep_forever()


class SlowConnection:
    """Answers every `response.create` with four seconds of a tone, and hears speech after 2.5 s of audio."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._say, self._said = trio.open_memory_channel[str](1000)
        self._scope = trio.CancelScope()
        self._responses = 0
        self._appends = 0

    async def send(self, event: str) -> None:
        await trio.lowlevel.checkpoint()
        match msgspec.json.decode(event)["type"]:
            case "session.update":
                self._tell(type="session.updated", session={"id": "sess_slow"})
            case "response.create":
                self._responses += 1
                self._nursery.start_soon(self._respond, f"resp_{self._responses}")
            case "response.cancel":
                self._scope.cancel()
            case "input_audio_buffer.append":
                self._appends += 1
                if self._appends == 125:
                    self._tell(type="input_audio_buffer.speech_started", audio_start_ms=2400, item_id="heard")

    async def receive(self) -> str:
        return await self._said.receive()

    async def _respond(self, response: str) -> None:
        about = {"response_id": response, "item_id": f"item_of_{response}"}
        self._tell(type="response.created", response={"id": response, "status": "in_progress"})
        with trio.CancelScope() as self._scope:
            tone = sine(520, 4000, rate_hz=24_000)
            for at in range(0, len(tone), 4800):
                audio = base64.b64encode(tone[at : at + 4800]).decode()
                self._tell(type="response.output_audio.delta", delta=audio, **about)
                await trio.sleep(0.1)
        self._tell(type="response.output_audio.done", **about)
        status = "cancelled" if self._scope.cancelled_caught else "completed"
        # A cancelled response takes a moment to end, and nothing may be asked for before it has.
        await trio.sleep(0.15)
        self._tell(type="response.done", response={"id": response, "status": status})

    def _tell(self, **event: object) -> None:
        self._say.send_nowait(msgspec.json.encode({"event_id": "event"} | event).decode())


async def slow(caller: Caller) -> None:
    """A key and then a word cut responses that are still being made."""
    await caller.silence(1.0)
    await caller.presses("4")
    await caller.silence(4.0)
    await caller.presses("5")
    await caller.silence(2.0)
    await caller.hangs_up()


async def echo(caller: Caller) -> None:
    """Coded frames come back; in the middle the carrier loses a second of audio."""
    await caller.says(b"".join(encode_frame(3, k) for k in range(150)))
    caller.streams[0].discard_caller_frame(caller.now)
    await caller.says(b"".join(encode_frame(3, k) for k in range(150, 250)))
    await caller.silence(0.5)
    await caller.hangs_up()


async def interrupted(caller: Caller) -> None:
    """Asks, interrupts the answer twice, then lets the agent finish, and hangs up."""
    await caller.speaking()
    await caller.quiet(0.8)
    for listens_s in (1.7, 2.45, 9.0):
        await caller.says(SPEECH)
        await caller.speaking()
        await caller.silence(listens_s)
    await caller.hangs_up()


async def keys(caller: Caller) -> None:
    """Interrupts the greeting by a key, asks for the operator by another, and is connected."""
    await caller.silence(1.0)
    await caller.presses("1")
    await caller.silence(4.0)
    await caller.presses("0")
    await caller.ended()


async def goodbye(caller: Caller) -> None:
    """Says goodbye, and the agent ends the call when its own goodbye was heard."""
    await caller.speaking()
    await caller.quiet(0.8)
    await caller.says(SPEECH)
    await caller.ended()


async def spoken(caller: Caller) -> None:
    """The recorded caller talks with the embedded voice, in words."""
    clip = read_wav(CALLER)
    first, second, *_ = utterances(convert(clip.pcm, clip.rate_hz, 8000), 8000)
    await caller.speaking()
    await caller.quiet(0.8)
    await caller.says(first)
    await caller.speaking()
    await caller.silence(2.5)
    await caller.says(second)
    await caller.speaking()
    await caller.quiet(0.8)
    await caller.hangs_up()


HOURS = "what are your opening hours"
CALLS: dict[str, tuple[VoiceBackend, Callable[[Caller], Awaitable[None]]]] = {
    "echo": (voice("echo"), echo),
    "interrupted": (voice("scripted", hears=(HOURS, HOURS, "where are you")), interrupted),
    "keys": (voice("scripted"), keys),
    "goodbye": (voice("scripted", hears=("goodbye",)), goodbye),
    "slow": (SlowVoice(), slow),
    "spoken": (voice("embedded"), spoken),
}


async def record(name: str, into: Path) -> None:
    backend, talk = CALLS[name]
    with tempfile.TemporaryDirectory() as folder:
        async with live_gateway(RECEPTION, backend, folder=Path(folder)) as live:
            async with live.twilio.call(from_="+15550100001", to="+15550100002") as caller:
                with contextlib.suppress(CallOver):  # the agent ended it first
                    await talk(caller)
        (call,) = Path(folder).glob("2*")
        for path in call.iterdir():
            if path.name.startswith(("trace", "outputs")):
                shutil.copy(path, into / name / path.name)


def main() -> None:
    into, *names = sys.argv[1:]
    for name in names or CALLS:
        (Path(into) / name).mkdir(parents=True, exist_ok=True)
        trio.run(record, name, Path(into), clock=MockClock(autojump_threshold=0))
        print(name)


if __name__ == "__main__":
    main()

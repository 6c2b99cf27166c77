"""Records the calls of tests/traces/: each shows something that a change could break.

    python ops/record_traces.py FOLDER [NAME ...]

Calls run on the virtual clock against the fake Twilio. A trace is kept, not made again, as long as its replay is
identical; `gateway replay --accept` is for changes that are meant.
"""

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from trio.testing import MockClock

from gateway.audio.clip import convert, read_wav
from gateway.audio.pauses import utterances
from gateway.audio.tones import encode_frame, sine
from gateway.contracts import VoiceBackend
from gateway.testing.handset import CallOver
from gateway.testing.live import inline, live_gateway
from gateway.testing.twilio_caller import Caller
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.scripted import ScriptedSettings

ROOT = Path(__file__).parent.parent
RECEPTION = ROOT / "dialplans" / "reception.toml"
CALLER = ROOT / "gateway" / "testing" / "caller.wav"

SPEECH = sine(300, 900, level_dbfs=-14)


def voice(name: str, **settings: object) -> VoiceBackend:
    kind = BACKENDS[name]
    return kind.make(kind.settings(**settings), inline)


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
    "spoken": (voice("embedded"), spoken),
}


async def record(name: str, into: Path) -> None:
    backend, talk = CALLS[name]
    with tempfile.TemporaryDirectory() as folder:
        async with live_gateway(RECEPTION, backend, folder=Path(folder)) as live:
            async with live.twilio.call(from_="+15550100001", to="+15550100002") as caller:
                try:
                    await talk(caller)
                except CallOver:
                    pass
        (call,) = Path(folder).glob("2*")
        for path in call.iterdir():
            if path.name.startswith(("trace", "outputs")):
                shutil.copy(path, into / name / path.name)


def main() -> None:
    into, *names = sys.argv[1:]
    for name in names or CALLS:
        (Path(into) / name).mkdir(parents=True, exist_ok=True)
        trio.run(record, name, Path(into), clock=MockClock(autojump_threshold=0))
        print(name)  # noqa: T201 - a script


if __name__ == "__main__":
    main()

"""A call small enough to see through: a core that echoes audio and text, and what it is fed."""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import trio

from gateway.contracts import CarrierMessage, Fact, Output, Port, VoiceMessage
from gateway.traces import Header, Recorder

Input = tuple[int, Port, str | bytes]

HEADER = Header(
    call_id="01JTOY",
    carrier="twilio",
    backend="echo",
    caller="tel:aaaaaaaaaa",
    called="tel:bbbbbbbbbb",
    plan={"steps": [{"answer": {}}]},
    agents={"front desk": {"instructions": "Grüß Gott"}},
    settings={"lead_ms": 200},
    seed=7,
    wall_time="2026-11-22T10:00:00+01:00",
    gateway_version="0.1.0",
)


class ToyCore:
    """Sends what the caller says to the voice, flipped by the seed, and says bytes back to the carrier."""

    def __init__(self, header: Header) -> None:
        self._flip = random.Random(header.seed).randrange(256)
        self._outputs: list[Output] = []
        self.fed: list[tuple[Port, str | bytes, float]] = []

    def feed(self, port: Port, data: str | bytes, now: float) -> None:
        self.fed.append((port, data, now))
        if port == "tick":
            return
        if isinstance(data, bytes):
            self._outputs.append(CarrierMessage(bytes(byte ^ self._flip for byte in data)))
            return
        self._outputs.append(Fact("input.taken", {"at": now, "ports": {port, "any"}}))
        payload = json.loads(data).get("payload")
        if payload:
            audio = b64encode(bytes(byte ^ self._flip for byte in b64decode(payload))).decode()
            self._outputs.append(VoiceMessage(f'{{"type":"append","audio":"{audio}"}}', 20))

    def drain(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs


def frame(n: int, size_bytes: int = 160) -> str:
    payload = random.Random(n).randbytes(size_bytes)
    return f'{{"event":"media","chunk":"{n}","payload":"{b64encode(payload).decode()}"}}'


def inputs(seconds: int = 1) -> list[Input]:
    """Frames, ticks, bytes and text, out of time order as they may be in a real call."""
    made: list[Input] = []
    for n in range(seconds * 50):
        made.append((n * 20_000 + 3_000, "carrier", frame(n)))
        made.append((n * 20_000 + 2_000, "voice", f'{{"type":"grüße","n":{n}}}'))
        made.append((n * 20_000 + 5_000, "carrier", random.Random(n).randbytes(172)))
        made.append((n * 20_000 + 20_000, "tick", ""))
    return made


async def inline(run: Callable[..., object], *args: Any) -> object:
    return run(*args)


async def record(
    folder: Path, fed: Iterable[Input], flush_every: int = 25, *, finish: bool = True
) -> Recorder:
    recorder, core = Recorder(folder, HEADER), ToyCore(HEADER)
    for seq, (t_us, port, data) in enumerate(fed):
        recorder.input(seq, t_us, port, data)
        core.feed(port, data, t_us / 1e6)
        for output in core.drain():
            recorder.output(seq, output)
        if seq % flush_every == 0:
            await recorder.flush(inline)
    await (recorder.close(inline) if finish else recorder.flush(inline))
    return recorder


def recorded(folder: Path, fed: Iterable[Input] | None = None, *, finish: bool = True) -> Path:
    """A recorded toy call, for tests that have no loop of their own."""

    async def main() -> None:
        await record(folder, inputs() if fed is None else fed, finish=finish)

    trio.run(main)
    return folder

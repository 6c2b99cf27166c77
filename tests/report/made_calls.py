"""Call folders made for a test: a trace line by line, and what may stand beside it."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

from gateway.contracts import CarrierMessage, Fact, Output, Port, VoiceMessage
from gateway.traces.format import (
    OUTPUTS,
    OUTPUTS_AUDIO,
    TRACE,
    TRACE_AUDIO,
    Header,
    end_line,
    entry_line,
    header_line,
    output_line,
)

__all__ = [
    "FRAME_MS",
    "MadeCall",
    "clear",
    "delta",
    "frame",
    "header",
    "mark",
    "mark_back",
    "media",
    "play",
    "said",
    "write_recording",
]

FRAME_MS = 20


def header(**changes: Any) -> Header:
    values: dict[str, Any] = {
        "call_id": "20260101T000000Z-00000001",
        "carrier": "twilio",
        "backend": "scripted",
        "caller": "tel:aaaaaaaaaa",
        "called": "tel:bbbbbbbbbb",
        "plan": {"name": "reception"},
        "agents": {},
        "settings": {},
        "seed": 1,
        "wall_time": "2026-01-01T00:00:00.000+00:00",
        "gateway_version": "0",
    }
    return Header(**values | changes)


def frame(ms: int = FRAME_MS) -> str:
    """Base64 of so much mu-law."""
    return base64.b64encode(bytes(range(160))[:160] * (ms // 20)).decode()


def media(ms: int = FRAME_MS) -> str:
    """A message of Twilio with so much of the caller's audio."""
    body = {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": frame(ms)}
    return json.dumps({"event": "media", "media": body, "streamSid": "MZ1"})


def said(kind: str, **fields: Any) -> str:
    """An event of the voice."""
    return json.dumps({"type": kind, "event_id": "event", **fields})


class MadeCall:
    """Write a call entry by entry. `at` takes milliseconds since the call began."""

    def __init__(self, folder: Path, **header_changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._trace = [header_line(header(**header_changes))]
        self._trace_audio = b""
        self._outputs: list[bytes] = []
        self._outputs_audio = b""
        self._seq = 0

    def at(self, t_ms: float, port: Port, data: str | bytes = "", *outputs: Output) -> "MadeCall":
        self._seq += 1
        line, audio = entry_line(self._seq, round(t_ms * 1000), port, data, len(self._trace_audio))
        self._trace.append(line)
        self._trace_audio += audio
        for output in outputs:
            line, audio = output_line(self._seq, output, len(self._outputs_audio))
            self._outputs.append(line)
            self._outputs_audio += audio
        return self

    def fact(self, t_ms: float, name: str, **fields: Any) -> "MadeCall":
        return self.at(t_ms, "tick", "", Fact(name, fields))

    def caller_audio(self, from_ms: int, to_ms: int, *, session: int | None = 1) -> "MadeCall":
        """A frame of the caller every 20 ms, each at its end; at once sent on to a session at 24 kHz."""
        for t_ms in range(from_ms + FRAME_MS, to_ms + 1, FRAME_MS):
            pcm = base64.b64encode(bytes(48 * FRAME_MS)).decode()
            append = json.dumps({"type": "input_audio_buffer.append", "audio": pcm})
            sent = [] if session is None else [VoiceMessage(append, FRAME_MS, session)]
            self.at(t_ms, "carrier", media(), *sent)
        return self

    def write(self, *, finished: bool = True) -> Path:
        end = [end_line(self._seq)] if finished else []
        (self.folder / TRACE).write_bytes(b"".join([*self._trace, *end]))
        (self.folder / TRACE_AUDIO).write_bytes(self._trace_audio)
        (self.folder / OUTPUTS).write_bytes(b"".join(self._outputs))
        (self.folder / OUTPUTS_AUDIO).write_bytes(self._outputs_audio)
        return self.folder


def play(ms: int = FRAME_MS) -> CarrierMessage:
    """So much agent audio to Twilio."""
    return CarrierMessage(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": frame(ms)}}))


def mark(name: str) -> CarrierMessage:
    return CarrierMessage(json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}}))


def mark_back(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}})


def clear() -> CarrierMessage:
    return CarrierMessage(json.dumps({"event": "clear", "streamSid": "MZ1"}))


def delta(ms: int, *, response: str = "resp", item: str = "item") -> str:
    """Audio of the voice at 24 kHz."""
    audio = base64.b64encode(bytes(48 * ms)).decode()
    return said("response.output_audio.delta", response_id=response, item_id=item, delta=audio)


def write_recording(folder: Path, pcm: bytes, *, name: str = "recording.wav", rate_hz: int = 8000) -> Path:
    """Stereo PCM16 with a plain header; of a `.part` the header says that there is nothing."""
    size = 0 if name.endswith(".part") else len(pcm)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 2, rate_hz, rate_hz * 4, 4, 16, b"data", size),
    )
    path = folder / name
    path.write_bytes(head + pcm)
    return path

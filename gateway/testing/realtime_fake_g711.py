"""A Realtime session in G.711 for a voice that knows only PCM16 at 24 000 Hz.

For tests, not for ears: there is no filter, every third sample is taken or each is said three times. So a byte of
G.711 is exactly three samples, and what was heard can be counted on both sides.
"""

import base64
from typing import Any

import msgspec
import numpy as np

from gateway.audio.g711 import CODECS, Codec
from gateway.testing.faulty_record import decode

__all__ = ["PhoneAudio"]

_PCM = {"type": "audio/pcm", "rate": 24000}


class PhoneAudio:
    """The audio of one session, in the formats that its client asked for."""

    def __init__(self) -> None:
        self._codecs: dict[str, Codec | None] = {"input": None, "output": None}

    def from_client(self, text: str) -> str:
        """A client's event for the voice."""
        event = decode(text)
        if event.get("type") == "session.update":
            return self._session_update(event)
        codec = self._codecs["input"]
        if codec is None or event.get("type") != "input_audio_buffer.append":
            return text
        samples = np.frombuffer(codec.decode(base64.b64decode(event["audio"])), "<i2")
        event["audio"] = base64.b64encode(np.repeat(samples, 3).tobytes()).decode()
        return _encoded(event)

    def to_client(self, text: str) -> str:
        """A server's event for the client."""
        event = decode(text)
        if event["type"] == "session.updated":
            return self._session_updated(event)
        codec = self._codecs["output"]
        if codec is None or event["type"] != "response.output_audio.delta":
            return text
        samples = np.frombuffer(base64.b64decode(event["delta"]), "<i2")
        event["delta"] = base64.b64encode(codec.encode(samples[::3].tobytes())).decode()
        return _encoded(event)

    def _session_update(self, event: dict[str, Any]) -> str:
        for way in self._codecs:
            audio = event["session"].get("audio", {}).get(way, {})
            name = audio.get("format", {}).get("type", "").removeprefix("audio/")
            if name:
                self._codecs[way] = CODECS.get(name)
            if name in CODECS:
                audio["format"] = _PCM
        return _encoded(event)

    def _session_updated(self, event: dict[str, Any]) -> str:
        for way, codec in self._codecs.items():
            if codec is not None:
                event["session"]["audio"][way]["format"] = {"type": f"audio/{codec.name}"}
        return _encoded(event)


def _encoded(event: dict[str, Any]) -> str:
    return msgspec.json.encode(event).decode()

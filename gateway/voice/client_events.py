"""What a session says to its voice, in order, each with an id that an error would name. A core."""

import binascii
from typing import NamedTuple

from gateway.wire import realtime

__all__ = ["ClientEvents", "Outgoing"]


class Outgoing(NamedTuple):
    """One client event. `caller_ms`: the caller's audio in it, 0 for control."""

    event: str
    caller_ms: int


class ClientEvents:
    """`sent_bytes`: audio, so far."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self._count = 0
        self._waiting: list[Outgoing] = []

    def say(self, **event: object) -> str:
        """One more event; its first field is its `type`. Gives its id."""
        self._count += 1
        event_id = f"c{self._count}"
        head = {"type": event.pop("type"), "event_id": event_id}
        self._waiting.append(Outgoing(realtime.encode(head | event), 0))
        return event_id

    def append(self, audio: bytes, caller_ms: int) -> None:
        """More of the caller's audio. There are fifty of these a second: their JSON is written by hand."""
        self.sent_bytes += len(audio)
        self._count += 1
        text = binascii.b2a_base64(audio, newline=False).decode()
        event = f'{{"type":"input_audio_buffer.append","event_id":"c{self._count}","audio":"{text}"}}'
        self._waiting.append(Outgoing(event, caller_ms))

    def drain(self) -> list[Outgoing]:
        waiting, self._waiting = self._waiting, []
        return waiting

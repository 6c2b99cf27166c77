"""What the server says to its client, in order, with identifiers."""

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import random

__all__ = ["Outbox"]


class Outbox:
    """Server events as JSON text. `rng` gives the identifiers."""

    def __init__(self, rng: "random.Random") -> None:
        self._rng = rng
        self._events: list[str] = []
        self._encoder = msgspec.json.Encoder()

    def new_id(self, kind: str) -> str:
        """Return an identifier such as "item_1f0c93a2b45d6e78"."""
        return f"{kind}_{self._rng.getrandbits(64):016x}"

    def emit(self, event_type: str, **fields: Any) -> None:
        """Add an event; bytes become base64."""
        event = {"type": event_type, "event_id": self.new_id("event"), **fields}
        self._events.append(self._encoder.encode(event).decode())

    def drain(self) -> list[str]:
        """Return what was added since the last call."""
        events, self._events = self._events, []
        return events

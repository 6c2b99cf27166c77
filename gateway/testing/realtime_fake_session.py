"""One session of a fake Realtime server as its client spells it, before a voice that knows one spelling."""

import msgspec

from gateway.testing.faulty_record import decode
from gateway.testing.realtime_fake_beta import UnknownParameter, from_beta, to_beta
from gateway.testing.realtime_fake_g711 import PhoneAudio
from gateway.voice.embedded.admission import with_model

__all__ = ["FakeSession"]


class FakeSession:
    """`model`: what the client asked for, and is told that it has. `beta`: it speaks the older dialect."""

    def __init__(self, model: str, *, beta: bool) -> None:
        self._model = model
        self._beta = beta
        self._phone = PhoneAudio()

    def from_client(self, text: str) -> tuple[str | None, str | None]:
        """What the voice gets of a client's event, or what the client gets for it instead."""
        try:
            event = from_beta(text) if self._beta else text
        except UnknownParameter as unknown:
            return None, _complaint(str(unknown), text)
        return self._phone.from_client(event), None

    def to_client(self, text: str) -> list[str]:
        """What the client gets of a server's event."""
        text = self._phone.to_client(with_model(text, self._model))
        return to_beta(text) if self._beta else [text]


def _complaint(path: str, text: str) -> str:
    asked = decode(text).get("event_id")
    error = {
        "type": "invalid_request_error",
        "code": "unknown_parameter",
        "message": f"Unknown parameter: '{path}'.",
        "param": path,
        "event_id": asked,
    }
    event = {"type": "error", "event_id": f"event_for_{asked or path}", "error": error}
    return msgspec.json.encode(event).decode()

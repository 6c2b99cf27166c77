"""Whom a Realtime server lets in, and what it tells the others."""

import ipaddress
import json
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.net.exchange import Answer, Head

__all__ = ["Complaint", "complaint_about", "is_loopback", "model_of", "with_model", "wrong_place"]

# Azure's clients ask for the second one, and for the third one with an `api-version`.
_PATHS = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
_HOW = "Connect to /v1/realtime with a WebSocket"


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why somebody is not let in. `close_code`: of the WebSocket, where that is how he is told."""

    status: int
    close_code: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()

    def answer(self) -> Answer:
        """The HTTP answer. OpenAI API reference, "Error codes"."""
        body = json.dumps({"error": self._body()}).encode()
        return Answer(self.status, body, "application/json", self.headers)

    def event(self, number: int = 0) -> str:
        """The same as a server event. `number`: tells it from others of its kind in one session."""
        event_id = f"event_{self.code}_{number}" if number else f"event_{self.code}"
        return json.dumps({"type": "error", "event_id": event_id, "error": self._body()})

    @property
    def close_reason(self) -> str:
        return f"invalid_request_error.{self.code}"

    def _body(self) -> dict[str, str | None]:
        return {"type": "invalid_request_error", "code": self.code, "message": self.message, "param": None}


def wrong_place(head: Head) -> Complaint | None:
    """There is nothing at other paths."""
    if head.path in _PATHS:
        return None
    message = f"Invalid URL ({head.method} {head.path}). {_HOW}; nothing else is served here."
    return Complaint(404, 4000, "invalid_url", message)


def complaint_about(head: Head, *, foreign_pages: bool) -> Complaint | None:
    """What is wrong with a request, if anything; a key is not asked for, nor a model.

    `foreign_pages`: let in what a browser sends for a page that is not from this machine. Any page that somebody
    opens may connect to the servers of his machine: RFC 6455 §10.2.
    """
    if (complaint := wrong_place(head)) is not None:
        return complaint
    if head.method != "GET":
        return Complaint(
            405, 4000, "method_not_allowed", f"{_HOW}: that begins with a GET.", (("Allow", "GET"),)
        )
    if (head.header("upgrade") or "").lower() != "websocket":  # RFC 9110 §15.5.22
        return Complaint(
            426, 4000, "upgrade_required", f"{_HOW}, not with plain HTTP.", (("Upgrade", "websocket"),)
        )
    origin = head.header("origin")
    if origin is not None and not foreign_pages and not _is_of_this_machine(origin):
        message = f"A page of {origin} has no business here: serve it from localhost."
        return Complaint(403, 4000, "origin_not_allowed", message)
    return None


def model_of(head: Head) -> str:
    """The model asked for, or nothing. Azure's older clients call it a deployment."""
    query = parse_qs(head.query)
    return (query.get("model") or query.get("deployment") or [""])[0]


def with_model(event: str, model: str) -> str:
    """A server's event as it stands in a session that has this model; without one, as it is."""
    if not model or not event.startswith('{"type":"session.'):  # fifty a second are not
        return event
    decoded = msgspec.json.decode(event)
    decoded["session"]["model"] = model
    return msgspec.json.encode(decoded).decode()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as seen from itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_of_this_machine(origin: str) -> bool:
    try:
        url = urlsplit(origin)
        host = url.hostname or ""
    except ValueError:
        return False
    if url.scheme in ("http", "https"):
        return is_loopback(host)
    return bool(url.scheme)  # of an application that is installed here; "null" may be any page in a frame

"""Whom a Realtime server lets in, and what it tells the others."""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs

from gateway.contracts import SessionBusy
from gateway.net.exchange import Answer, Head

__all__ = ["Complaint", "busy", "complaint_about", "model_of"]

# Azure serves the same protocol under the second one.
_PATHS = ("/v1/realtime", "/openai/v1/realtime")


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

    def event(self) -> str:
        """The same as a server event."""
        return json.dumps({"type": "error", "event_id": f"event_{self.code}", "error": self._body()})

    @property
    def close_reason(self) -> str:
        return f"invalid_request_error.{self.code}"

    def _body(self) -> dict[str, str | None]:
        return {"type": "invalid_request_error", "code": self.code, "message": self.message, "param": None}


def complaint_about(head: Head, api_key: str, models: Collection[str] | None) -> Complaint | None:
    """What is wrong with a request, if anything. `models` of None: there is every model."""
    if head.path not in _PATHS:
        return Complaint(404, 4000, "invalid_url", f"Invalid URL ({head.method} {head.path})")
    if head.header("authorization") != f"Bearer {api_key}" and head.header("api-key") != api_key:
        return Complaint(401, 3000, "invalid_api_key", "Incorrect API key provided.")
    model = model_of(head)
    if not model:
        return Complaint(400, 4000, "missing_model", "You must provide a model parameter.")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return Complaint(404, 4004, "model_not_found", message)
    return None


def model_of(head: Head) -> str:
    """The model asked for, or nothing."""
    return parse_qs(head.query).get("model", [""])[0]


def busy(why: SessionBusy) -> Complaint:
    """Too many requests."""
    headers: tuple[tuple[str, str], ...] = ()
    if why.retry_after_s is not None:
        headers = (("Retry-After", str(math.ceil(why.retry_after_s))),)  # RFC 9110 §10.2.3: whole seconds
    return Complaint(429, 4000, "rate_limit_exceeded", str(why), headers)

"""Responses that fail as those of a service at its limit do: made, and done, with nothing in between.

The voice behind knows nothing of it: it has answered, and would have nothing to say if it were asked again. So
what it said is withheld, and handed out, as another response, when the client asks for one.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.testing.faulty_record import decode
from gateway.testing.faulty_table import FailResponse
from gateway.wire.exact_words import exact_words

__all__ = ["FailingResponses"]


class FailingResponses:
    """The responses of one connection on their way to the client."""

    def __init__(self, faults: Iterable[FailResponse]) -> None:
        self._faults = list(faults)
        self._made = 0
        self._response: dict[str, Any] = {}  # the one that failed last, as it was created
        self._name = ""  # what the client knows it as, since it asked again
        self._items: set[str] = set()
        self._withheld: list[str] | None = None  # None: nobody will ask for it any more

    def from_client(self, event: str) -> tuple[str | None, list[str]]:
        """What the voice gets of a client's event, and what the client gets at once."""
        asked = decode(event)
        if asked.get("type") == "conversation.item.create":
            self._withheld = None
        if self._withheld is None or asked.get("type") != "response.create":
            return _renamed(event, self._name, self._id), []
        if _words(asked):  # something else is to be said instead
            self._withheld = None
            return event, []
        self._made += 1
        self._name = f"{self._id}.{self._made}"
        answer = [self._event("response.created", id=self._name)]
        fault = self._fault()
        if fault is not None:
            answer.append(self._failure(fault))
            self._name = ""
        else:
            answer += [_renamed(text, self._id, self._name) for text in self._withheld]
            self._withheld = None
        return None, answer

    def from_server(self, text: str) -> list[str]:
        """What the client gets of a server's event."""
        event = msgspec.json.decode(text)
        if event["type"] == "response.created":
            self._made += 1
            self._withheld = None
            fault = self._fault()
            if fault is not None:
                self._response, self._name, self._items, self._withheld = event["response"], "", set(), []
                return [text, self._failure(fault)]
        elif event["type"] == "input_audio_buffer.committed":
            self._withheld = None
        if not self._belongs(event):
            return [text]
        if self._name:
            return [_renamed(text, self._id, self._name)]
        if self._withheld is not None:
            self._withheld.append(text)
        return []

    @property
    def _id(self) -> str:
        return str(self._response.get("id", ""))

    def _fault(self) -> FailResponse | None:
        """What is wrong with the response that is being made."""
        ahead = (fault for fault in self._faults if fault.response <= self._made)
        return next((fault for fault in ahead if self._made < fault.response + fault.in_a_row), None)

    def _belongs(self, event: dict[str, Any]) -> bool:
        """Whether an event is of the response that failed, or of an item of it."""
        item_id = event.get("item_id") or event.get("item", {}).get("id")
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        if self._id and response_id == self._id:
            self._items.add(item_id)
            return True
        return item_id is not None and item_id in self._items

    def _failure(self, fault: FailResponse) -> str:
        error = {"type": "invalid_request_error", "code": fault.code, "message": fault.message}
        details = {"type": "failed", "error": error}
        name = self._name or self._id
        return self._event("response.done", id=name, status="failed", status_details=details, output=[])

    def _event(self, kind: str, **response: Any) -> str:
        event = {
            "type": kind,
            "event_id": f"event_{kind}_{response['id']}",
            "response": self._response | response,
        }
        return msgspec.json.encode(event).decode()


def _words(asked: dict[str, Any]) -> str | None:
    """The words that our own voices are told to say; `None` leaves the answer to them."""
    return exact_words((asked.get("response") or {}).get("metadata") or {})


def _renamed(text: str, old: str, new: str) -> str:
    return text.replace(f'"{old}"', f'"{new}"') if old and new else text

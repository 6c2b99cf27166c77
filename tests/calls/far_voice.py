"""What one session of a voice knows of its client, and what it must not be told."""

import json
from typing import Any

from gateway import contracts as c
from gateway.testing.realtime_schema import check_client_event
from tests.calls.far_end import Item


class FarVoice:
    """One session: the responses it made, and every claim about what its client says."""

    def __init__(self, request: c.OpenVoice, traits: c.VoiceTraits) -> None:
        self.number = request.session
        self.traits = traits
        self.opened = False
        self.closed = False  # its wire is gone, or the call has no use for it
        self.was_closed = False  # by the call
        self.configured = False
        self.asked: str | None = None  # the event of a `response.create` that has had no answer
        self.running: list[str] = []
        self.over: list[str] = []
        self.cancelled: set[str] = set()
        self.items: dict[str, Item] = {}
        self.truncated: dict[str, int] = {}
        self.unanswered: set[str] = set()  # function calls that are in the conversation
        self.told = ["root"]  # items of the client that it may name again
        self.digits = 0

    def item(self, name: str, response: str) -> Item:
        if name not in self.items:
            self.items[name] = Item(name, int(name.removeprefix("i")), response, self.traits.output)
        return self.items[name]

    # -- what the client says

    def take(self, text: str) -> None:
        assert self.opened, f"session {self.number} is told something before it is open"
        assert not self.closed, f"session {self.number} is told something after it was closed"
        check_client_event(text)
        event = json.loads(text)
        assert self.configured == (event["type"] != "session.update")
        match event["type"]:
            case "session.update":
                self.configured = True
            case "response.create":
                assert self.asked is None, "two responses were asked for at once"
                assert not self.running, f"{self.running[0]} is not done, and another response is asked for"
                self.asked = event["event_id"]
            case "response.cancel":
                self._cancel(event["response_id"])
            case "conversation.item.truncate":
                self._truncate(event["item_id"], event["audio_end_ms"])
            case "conversation.item.create":
                assert event.get("previous_item_id", "root") in self.told, (
                    "it is put behind what does not exist"
                )
                self._create(event["item"])
            case "conversation.item.delete":
                self.told.remove(event["item_id"])

    def _cancel(self, response: str) -> None:
        assert response in self.running, f"{response} is cancelled, and is not running"
        assert response not in self.cancelled, f"{response} is cancelled twice"
        self.cancelled.add(response)

    def _truncate(self, name: str, end_ms: int) -> None:
        assert name in self.items, f"{name} is truncated in a session that did not make it"
        item = self.items[name]
        item.dropped, item.truncated_ms = True, end_ms
        assert end_ms <= item.received_ms, f"{name} is truncated at {end_ms} of {item.received_ms} ms"
        assert name not in self.truncated, f"{name} is truncated twice"
        self.truncated[name] = end_ms

    def _create(self, item: dict[str, Any]) -> None:
        if "id" in item:
            self.told.append(item["id"])
        match item["type"]:
            case "function_call":
                self.unanswered.add(item["call_id"])
            case "function_call_output":
                assert item["call_id"] in self.unanswered, f"{item['call_id']} is no call of this session"
                self.unanswered.remove(item["call_id"])
            case "message" if item["content"][0]["text"].startswith("[DTMF]"):
                self.digits += 1

    # -- what it says; the model changes before the client hears of it

    def created(self, response: str) -> dict[str, Any]:
        self.asked = None
        self.running.append(response)
        return {"type": "response.created", "response": {"id": response, "status": "in_progress"}}

    def delta(self, response: str, name: str, size_bytes: int) -> tuple[bytes, dict[str, Any]]:
        if self._is_unannounced(response):
            self.running.append(response)
        audio = self.item(name, response).more(size_bytes)
        return audio, {"type": "response.output_audio.delta", "response_id": response, "item_id": name}

    def _is_unannounced(self, response: str) -> bool:
        """Not every voice tells when a response begins: it may be the one that was asked for."""
        if response in (*self.running, *self.over):
            return False
        self.asked = None
        return True

    def done(self, response: str, status: str, output: list[dict[str, Any]], code: str) -> dict[str, Any]:
        self._is_unannounced(response)
        if response in self.running:
            self.running.remove(response)
        self.over.append(response)
        if response in self.cancelled:
            status = "cancelled"
        if status == "completed":
            self.unanswered |= {call["call_id"] for call in output}
        details = {"type": status, "error": {"type": "x", "code": code}} if status == "failed" else None
        return {
            "type": "response.done",
            "response": {"id": response, "status": status, "status_details": details, "output": output},
        }

"""What those who hold a session are told of it, and in which words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

__all__ = ["EVENTS", "Happened", "Message", "VoiceError"]

EVENTS = (
    "speech_started",
    "speech_ended",
    "response_started",
    "transcript_available",
    "response_ended",
    "interrupted",
    "tool_called",
    "state_changed",
    "error",
    "disconnected",
)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Happened(NamedTuple):
    """One of `EVENTS`. `value`: what a handler takes as its argument, if the event has one; `details`: by name."""

    event: str
    value: Any = None
    details: Mapping[str, Any] = _NOTHING


class Message(NamedTuple):
    """Something that was said. `text` of None: nobody has written it down yet.

    `interrupted`: the agent was, and `text` is about what the user had heard of it by then.
    """

    who: Literal["user", "agent"]
    text: str | None
    item_id: str
    interrupted: bool


class VoiceError(Exception):
    """The voice complained; the session goes on. `code`: its word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

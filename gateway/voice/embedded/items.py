"""Items of a Realtime conversation, as they stand in events. OpenAI API reference, Realtime (GA)."""

from typing import Any, Literal

import msgspec

__all__ = ["Content", "FunctionCall", "FunctionCallOutput", "Item", "Message", "Status", "Tool"]

Status = Literal["completed", "incomplete", "in_progress"]


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Content(_Part):
    """A part of a message. `audio` enters as base64 and is not kept."""

    type: Literal["input_text", "input_audio", "output_text", "output_audio"]
    text: str | None = None
    transcript: str | None = None
    audio: bytes | None = None


class _Item(_Part, tag_field="type"):
    id: str = ""
    object: Literal["realtime.item"] | None = None
    status: Status | None = None


class Message(_Item, kw_only=True, tag="message"):
    role: Literal["user", "assistant", "system"]
    content: list[Content]

    @property
    def text(self) -> str:
        """All that is known of what was written or said."""
        return " ".join(part.text or part.transcript or "" for part in self.content).strip()


class FunctionCall(_Item, kw_only=True, tag="function_call"):
    """`arguments`: a JSON object as text."""

    name: str
    arguments: str
    call_id: str = ""


class FunctionCallOutput(_Item, kw_only=True, tag="function_call_output"):
    call_id: str
    output: str


Item = Message | FunctionCall | FunctionCallOutput


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function that the client carries out. `parameters`: a JSON schema."""

    type: Literal["function"] = "function"
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}

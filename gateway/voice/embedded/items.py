"""Items of a Realtime conversation, as they stand in events. OpenAI API reference, Realtime (GA)."""

from typing import Annotated, Any, Literal

import msgspec

from gateway.voice.embedded.refusals import InvalidRequest

__all__ = [
    "Content",
    "FunctionCall",
    "FunctionCallOutput",
    "Item",
    "LongText",
    "Message",
    "Status",
    "Tool",
    "Tools",
    "check_content",
]

Status = Literal["completed", "incomplete", "in_progress"]

# OpenAI refuses more in an `input_text`, and 33 characters in an id.
LongText = Annotated[str, msgspec.Meta(max_length=256_000)]
_Id = Annotated[str, msgspec.Meta(max_length=32)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]
_MOST_PARTS = 64
_MOST_TOOLS = 128  # as OpenAI

# What parts a client may write for whom. What an assistant said aloud cannot be put in, only its text.
_PARTS = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text",),
    "system": ("input_text",),
}


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Content(_Part):
    """A part of a message. `audio` enters as base64, `image_url` as a whole image; neither is kept."""

    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
    text: LongText | None = None
    transcript: LongText | None = None
    audio: bytes | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class _Item(_Part, tag_field="type"):
    id: _Id = ""
    object: Literal["realtime.item"] | None = None
    status: Status | None = None

    @property
    def size(self) -> int:
        """Characters that keeping it takes, about."""
        return 0


class Message(_Item, kw_only=True, tag="message"):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Content], msgspec.Meta(max_length=_MOST_PARTS)]

    @property
    def text(self) -> str:
        """All that is known of what was written or said."""
        return " ".join(part.text or part.transcript or "" for part in self.content).strip()

    @property
    def size(self) -> int:
        return sum(len(part.text or "") + len(part.transcript or "") for part in self.content)


class FunctionCall(_Item, kw_only=True, tag="function_call"):
    """`arguments`: a JSON object as text."""

    name: _Name
    arguments: LongText
    call_id: _Id = ""

    @property
    def size(self) -> int:
        return len(self.arguments)


class FunctionCallOutput(_Item, kw_only=True, tag="function_call_output"):
    call_id: _Id
    output: LongText

    @property
    def size(self) -> int:
        return len(self.output)


Item = Message | FunctionCall | FunctionCallOutput


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function that the client carries out. `parameters`: a JSON schema."""

    type: Literal["function"] = "function"
    name: _Name
    description: LongText = ""
    parameters: dict[str, Any] = {}


Tools = Annotated[tuple[Tool, ...], msgspec.Meta(max_length=_MOST_TOOLS)]


def check_content(message: Message) -> None:
    """Whether a client may write such a message. Raises `InvalidRequest`."""
    allowed = _PARTS[message.role]
    for at, part in enumerate(message.content):
        where = f"item.content[{at}]"
        if part.type not in allowed:
            wanted = ", ".join(f"'{kind}'" for kind in allowed)
            text = f"Invalid value: '{part.type}'. Supported values of '{message.role}' are: {wanted}."
            raise InvalidRequest("invalid_value", text, param=f"{where}.type")
        if part.type in ("input_text", "output_text") and part.text is None:
            text = f"Missing required parameter: '{where}.text'."
            raise InvalidRequest("missing_required_parameter", text, param=f"{where}.text")
        if part.type == "input_audio" and part.audio is None and part.transcript is None:
            text = f"Missing required parameter: '{where}.audio'."
            raise InvalidRequest("missing_required_parameter", text, param=f"{where}.audio")

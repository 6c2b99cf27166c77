"""A conversation as a request for a chat completion. OpenAI API reference, "Create chat completion".

Servers of the field are stricter than OpenAI's: many a model's template wants the user to begin and the roles to
alternate, an answer to each function that was called, and the user or a function at the end.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.voice.embedded.asked import Asked, Terms
from gateway.voice.embedded.items import FunctionCall, FunctionCallOutput, Item, Tool

__all__ = ["ChatRequest", "chat_request"]

# Some 8 000 tokens, an hour of talk. Where a model has room for less, its server says so or drops the oldest.
_MOST_CHARS = 32_000

_SPOKEN = (
    "What you write is read out aloud, and what the user says was written down by ear. Write as people talk: a "
    "few short sentences, no lists, no headings, no markup, no emoji. A line like “[DTMF] 5” is a telephone key "
    "that the user pressed."
)
_BEGIN = "(The conversation begins. Speak first.)"
_GO_ON = "(The user has said nothing since. Go on as your instructions say.)"
_SILENT = "(The user has said nothing for some time.)"
_ASK = " Ask in one short sentence whether they are still there."
_NO_RESULT = "(There is no result yet.)"
_TAIL_CHARS = 120

Line = dict[str, Any]


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a request, but for what the settings say of it: `model`, `stream`."""

    messages: list[Line]
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool | None = None
    # `max_tokens` is what older servers know, and what newer models of OpenAI refuse.
    max_completion_tokens: int | None = None


def chat_request(asked: Asked) -> ChatRequest | None:
    """What to ask a model. None: there is nothing to answer, for what was heard had no words."""
    terms = asked.terms
    lines = _lines(_latest(asked.items))
    background = [_system(terms)]
    while lines and lines[0]["role"] == "system":
        background.append(lines.pop(0)["content"])
    waits = bool(lines) and lines[-1]["role"] != "assistant"
    if terms.wish == "answer" and asked.inputs and not terms.instructed and not waits:
        return None
    if not lines or lines[0]["role"] != "user":
        lines.insert(0, {"role": "user", "content": _BEGIN})
    last = lines[-1]
    if terms.wish == "idle":
        _say(lines, "user", _SILENT if terms.instructed else _SILENT + _ASK)
    elif last["role"] in ("assistant", "system"):
        broke_off = terms.wish == "carry_on" and last["role"] == "assistant"
        _say(lines, "user", _carry_on(last["content"]) if broke_off else _GO_ON)
    tools = [_function(tool) for tool in terms.tools]
    return ChatRequest(
        messages=[{"role": "system", "content": "\n\n".join(background)}, *lines],
        tools=tools,
        tool_choice=_choice(terms.tool_choice) if tools else "auto",
        parallel_tool_calls=terms.parallel_tool_calls if tools else None,
        max_completion_tokens=terms.most_tokens,
    )


def _system(terms: Terms) -> str:
    language = f"Speak the language “{terms.language}” (ISO 639-1)." if terms.language else ""
    return "\n\n".join(part for part in (terms.instructions.strip(), _SPOKEN, language) if part)


def _carry_on(said: str) -> str:
    return (
        f"(Your last answer broke off after “{said[-_TAIL_CHARS:]}”. Go on right there. Do not repeat what was "
        "said, and do not apologize.)"
    )


def _latest(items: Sequence[Item]) -> Sequence[Item]:
    """As many of the last items as there is room for; the very last one in any case."""
    room = _MOST_CHARS
    for at in range(len(items) - 1, -1, -1):
        room -= len(_text(items[at]))
        if room < 0:
            return items[min(at + 1, len(items) - 1) :]
    return items


def _text(item: Item) -> str:
    match item:
        case FunctionCall():
            return item.arguments
        case FunctionCallOutput():
            return item.output
        case _:
            return item.text


def _lines(items: Sequence[Item]) -> list[Line]:
    """The items as messages. A result stands behind its call, even where it came later or was never given."""
    outputs = {item.call_id: item.output for item in items if isinstance(item, FunctionCallOutput)}
    lines: list[Line] = []
    results: list[Line] = []  # of the calls in the last line
    calls = 0
    for item in items:
        if isinstance(item, FunctionCall):
            calls += 1
            # A name of our own: whatever a client calls it, Mistral's takes nine letters and digits, and no others.
            call_id = f"call{calls:05}"
            if not lines or lines[-1]["role"] != "assistant":
                lines.append({"role": "assistant", "content": None})
            function = {"name": item.name, "arguments": _object(item.arguments)}
            called = {"id": call_id, "type": "function", "function": function}
            lines[-1].setdefault("tool_calls", []).append(called)
            output = outputs.get(item.call_id, _NO_RESULT)
            results.append({"role": "tool", "tool_call_id": call_id, "content": output})
        elif isinstance(item, FunctionCallOutput):
            lines, results = [*lines, *results], []
        elif item.text:
            lines, results = [*lines, *results], []
            _say(lines, item.role, item.text)
    return [*lines, *results]


def _say(lines: list[Line], role: str, text: str) -> None:
    """Add what was said. What one says in several pieces is one message."""
    last = lines[-1] if lines else None
    if last is not None and last["role"] == role and "tool_calls" not in last:
        last["content"] += f"\n{text}" if role == "user" else f" {text}"
    else:
        lines.append({"role": role, "content": text})


def _object(arguments: str) -> str:
    """Arguments that every server can read. Ollama refuses a whole conversation in which a call has others."""
    try:
        is_object = isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        is_object = False
    return arguments if is_object else "{}"


def _choice(choice: Any) -> str | dict[str, Any]:
    """`tool_choice` as this API has it. One that it does not know leaves it to the model."""
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return {"type": "function", "function": {"name": choice["name"]}}
    return "required" if choice == "required" else "auto"


def _function(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}

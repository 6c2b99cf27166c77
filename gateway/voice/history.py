"""What was said in a conversation, as the caller heard it: what a new session has to know of the old one."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

__all__ = ["History", "Message", "message"]

# A model needs the last minutes, not the hours before them; a tool's answer may be long.
_MOST_SEEDED = 40
_MOST_KEPT = 400


class Message(msgspec.Struct, kw_only=True):
    """Something that was said. `text` of None: nobody has written it down yet.

    `cut`: the agent was interrupted, and `text` is what the caller had heard of it by then, an estimate.
    """

    who: Literal["caller", "agent"]
    item: str
    text: str | None = None
    cut: bool = False


class _ToolCall(msgspec.Struct, kw_only=True):
    call: str
    name: str
    arguments: str
    output: str | None = None


def message(who: Literal["caller", "agent"], text: str) -> dict[str, Any]:
    """What somebody said, as an item of the Realtime protocol."""
    role, kind = ("user", "input_text") if who == "caller" else ("assistant", "output_text")
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


class History:
    """One conversation, in its order, over all the sessions that it takes."""

    def __init__(self) -> None:
        self._entries: list[Message | _ToolCall] = []
        self._messages: dict[str, Message] = {}
        self._calls: dict[str, _ToolCall] = {}

    # -- what happens

    def turn(self, item: str, text: str | None = None) -> None:
        """The caller's turn is over. `text`: if it is known already."""
        if text is not None or item not in self._messages:  # some voices write it down before it is over
            self._add_message(Message(who="caller", item=item, text=text))

    def written_down(self, item: str, text: str) -> None:
        """The words of a turn are known."""
        message = self._messages.get(item)
        if message is None:
            self.turn(item, text)
        else:
            message.text = text

    def spoke(self, item: str, text: str) -> None:
        """The agent says `text` in `item`, as far as it is known by now."""
        message = self._messages.get(item)
        if message is None:
            self._add_message(Message(who="agent", item=item, text=text))
        elif not message.cut:
            message.text = text

    def cut(self, item: str, heard: str) -> None:
        """Of what the agent said in `item`, the caller heard this much."""
        message = self._messages.get(item)
        if message is not None:
            message.text, message.cut = heard, True

    def called(self, call: str, name: str, arguments: str) -> None:
        self._calls[call] = _ToolCall(call=call, name=name, arguments=arguments)
        self._add(self._calls[call])

    def answered(self, call: str, output: str) -> None:
        if call in self._calls:
            self._calls[call].output = output

    # -- what is known

    def __contains__(self, item: object) -> bool:
        return item in self._messages

    def text(self, item: str) -> str:
        """What was said in `item`, as far as it is known."""
        message = self._messages.get(item)
        return (message.text or "") if message is not None else ""

    @property
    def messages(self) -> list[Message]:
        return [entry for entry in self._entries if isinstance(entry, Message)]

    @property
    def last(self) -> Message | None:
        """What was said last."""
        return next((entry for entry in reversed(self._entries) if isinstance(entry, Message)), None)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The last of what was said and done: what it is called here, and an item of the Realtime protocol.

        A turn that nobody has written down is not among them.
        """
        for entry in self._entries[-_MOST_SEEDED:]:
            if isinstance(entry, _ToolCall):
                call = {"call_id": entry.call, "name": entry.name, "arguments": entry.arguments}
                yield entry.call, {"type": "function_call"} | call
                if entry.output is not None:
                    answer = {"call_id": entry.call, "output": entry.output}
                    yield entry.call, {"type": "function_call_output"} | answer
            elif entry.text:
                yield entry.item, message(entry.who, entry.text)

    def _add_message(self, message: Message) -> None:
        self._messages[message.item] = message
        self._add(message)

    def _add(self, entry: Message | _ToolCall) -> None:
        self._entries.append(entry)
        if len(self._entries) > _MOST_KEPT:
            oldest = self._entries.pop(0)
            if isinstance(oldest, Message):
                self._messages.pop(oldest.item, None)
            else:
                self._calls.pop(oldest.call, None)

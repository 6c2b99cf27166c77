"""The items of a conversation in their order, and which of them the brain has yet to answer."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from gateway.media.heard import words_heard
from gateway.voice.embedded.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    check_content,
)
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.refusals import InvalidRequest

__all__ = ["Conversation", "Digit", "Heard", "Input", "Told"]

_DIGIT_LEAD = "[DTMF] "
_FRONT = "root"  # the protocol's name for the place before the first item
# More than an hour of talk. Beyond it the oldest items are forgotten, as OpenAI's sessions do with `truncation: auto`.
_MOST_ITEMS = 1024
_MOST_CHARACTERS = 2_000_000


class Heard(NamedTuple):
    text: str


class Digit(NamedTuple):
    digit: str


class Told(NamedTuple):
    name: str
    output: str


Input = Heard | Digit | Told
"""What a brain answers."""


class _Spoken(msgspec.Struct):
    """A piece of what the voice said. `end_ms`: from the beginning of the item's audio."""

    words: str
    end_ms: int


class Conversation:
    """Adds, removes and shows items, and says so. Of very many it forgets the oldest, without a word."""

    def __init__(self, outbox: Outbox) -> None:
        self.id = outbox.new_id("conv")
        self._outbox = outbox
        self._items: dict[str, Item] = {}
        self._unanswered: list[str] = []
        self._spoken: dict[str, list[_Spoken]] = {}  # by item, what the voice said aloud
        self._heard: dict[str, str] = {}  # of what was cut: the words until there, an estimate

    @property
    def last_id(self) -> str | None:
        return next(reversed(self._items), None)

    def begin(self, item: Item, after: str | None = None) -> None:
        """Add an item that is still being made. `after`: None for the end, "root" for the front."""
        item.id = item.id or self._outbox.new_id("item")
        if item.id in self._items:
            message = f"Error adding item: there is an item with id '{item.id}' already."
            raise InvalidRequest("item_create_duplicate_id", message, param="item.id")
        previous = self._place(after)
        if previous == self.last_id:
            self._items[item.id] = item
        else:
            order = [*self._items.items()]
            at = 0 if previous is None else list(self._items).index(previous) + 1
            self._items = dict([*order[:at], (item.id, item), *order[at:]])
        self._outbox.emit("conversation.item.added", previous_item_id=previous, item=item)

    def finish(self, item: Item) -> None:
        """Say that an item is whole. One that was deleted meanwhile stays so."""
        if item.id not in self._items:
            return
        order = list(self._items)
        at = order.index(item.id)
        previous = order[at - 1] if at else None
        self._outbox.emit("conversation.item.done", previous_item_id=previous, item=item)
        self._forget_oldest()

    def create(self, item: Item, after: str | None) -> None:
        """Add an item of the client. Raises `InvalidRequest`."""
        if isinstance(item, Message):
            check_content(item)
            for part in item.content:
                part.audio = part.image_url = None
        elif isinstance(item, FunctionCallOutput) and not self._has_call(item.call_id):
            message = f"Tool call ID '{item.call_id}' not found in conversation."
            raise InvalidRequest("invalid_tool_call_id", message)
        self._create(item, after)

    def add_turn(self, item_id: str) -> None:
        """Add what the caller said; its words come later, by `write_down`."""
        item = Message(id=item_id, status="completed", role="user", content=[Content(type="input_audio")])
        self._create(item, None)

    def write_down(self, item_id: str, content_index: int, transcript: str) -> None:
        """Give what was said its words. An item that was deleted meanwhile stays so."""
        item = self._items.get(item_id)
        if isinstance(item, Message):
            item.content[content_index].transcript = transcript

    def spoken(self, item_id: str, words: str, end_ms: int) -> None:
        """Note what was said aloud in an item, and how long its audio is by now."""
        if item_id not in self._items:
            return
        pieces = self._spoken.setdefault(item_id, [])
        if words or not pieces:
            pieces.append(_Spoken(words, end_ms))
        else:  # a piece that sounds on
            pieces[-1].end_ms = end_ms

    def heard(self) -> list[Item]:
        """All items in their order. Of what the voice said and was cut, the words that were heard."""
        return [self._as_heard(item) for item in self._items.values()]

    def retrieve(self, item_id: str) -> None:
        """Show an item, without its audio. Raises `InvalidRequest`."""
        self._must_know(item_id, "retriev")
        self._outbox.emit("conversation.item.retrieved", item=self._items[item_id])

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises `InvalidRequest`."""
        self._must_know(item_id, "delet")
        self._remove(item_id)
        self._outbox.emit("conversation.item.deleted", item_id=item_id)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Take note of how much of an item was heard. Raises `InvalidRequest`."""
        self._must_know(item_id, "truncat")
        item = self._items[item_id]
        if not isinstance(item, Message) or item_id not in self._spoken:
            message = "Only model output audio messages can be truncated"
            raise InvalidRequest("unsupported_content_type", message)
        if content_index != 0:
            message = f"Invalid 'content_index': item '{item_id}' has no audio in part {content_index}."
            raise InvalidRequest("invalid_value", message, param="content_index")
        length_ms = self._spoken[item_id][-1].end_ms
        if audio_end_ms > length_ms:
            message = f"Audio content of {length_ms}ms is already shorter than {audio_end_ms}ms"
            raise InvalidRequest("invalid_value", message, param="audio_end_ms")
        self._heard[item_id] = _words_until(self._spoken[item_id], audio_end_ms)
        self._spoken[item_id] = [_Spoken(self._heard[item_id], audio_end_ms)]
        item.content[content_index].transcript = None  # nobody knows where in the words that is
        self._outbox.emit(
            "conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms
        )

    def take_unanswered(self) -> list[Input]:
        """Return what the caller and the functions said since the last call. Turns in a row are one."""
        inputs: list[Input] = []
        for item_id in self._unanswered:
            item = self._items[item_id]
            if isinstance(item, FunctionCallOutput):
                inputs.append(Told(self._function(item.call_id), item.output))
            elif isinstance(item, Message) and item.text.startswith(_DIGIT_LEAD):
                inputs.extend(Digit(digit) for digit in item.text.removeprefix(_DIGIT_LEAD).strip())
            elif isinstance(item, Message):
                last = inputs[-1] if inputs else None
                if isinstance(last, Heard):
                    inputs[-1] = Heard(f"{last.text} {item.text}".strip())
                else:
                    inputs.append(Heard(item.text))
        self._unanswered = []
        return inputs

    def _create(self, item: Item, after: str | None) -> None:
        item.status = item.status or "completed"
        self.begin(item, after)
        if isinstance(item, FunctionCallOutput) or (isinstance(item, Message) and item.role == "user"):
            self._unanswered.append(item.id)
        self.finish(item)

    def _as_heard(self, item: Item) -> Item:
        if item.id not in self._heard:
            return item
        content = [Content(type="output_text", text=self._heard[item.id])]
        return Message(id=item.id, role="assistant", content=content)

    def _function(self, call_id: str) -> str:
        return next((call.name for call in self._calls() if call.call_id == call_id), "")

    def _has_call(self, call_id: str) -> bool:
        return any(call.call_id == call_id for call in self._calls())

    def _calls(self) -> Iterator[FunctionCall]:
        return (item for item in self._items.values() if isinstance(item, FunctionCall))

    def _place(self, after: str | None) -> str | None:
        """The item behind which a new one stands; None for the front."""
        if not after:  # some clients have "" for none
            return self.last_id
        if after == _FRONT:
            return None
        if after not in self._items:
            message = f"Error adding item: the previous item with id '{after}' does not exist."
            raise InvalidRequest("item_create_invalid_previous_item_id", message)
        return after

    def _must_know(self, item_id: str, verb: str) -> None:
        if item_id not in self._items:
            message = f"Error {verb}ing item: the item with id '{item_id}' does not exist."
            raise InvalidRequest(f"item_{verb}e_invalid_item_id", message)

    def _remove(self, item_id: str) -> None:
        del self._items[item_id]
        self._spoken.pop(item_id, None)
        self._heard.pop(item_id, None)
        self._unanswered = [other for other in self._unanswered if other != item_id]

    def _forget_oldest(self) -> None:
        characters = sum(item.size for item in self._items.values())
        whole = [item for item in self._items.values() if item.status != "in_progress"]
        for item in whole:
            if len(self._items) <= _MOST_ITEMS and characters <= _MOST_CHARACTERS:
                return
            characters -= item.size
            self._remove(item.id)


def _words_until(pieces: Iterable[_Spoken], cut_ms: int) -> str:
    """The words up to a point of the audio."""
    heard: list[str] = []
    start_ms = 0
    for piece in pieces:
        length_ms = piece.end_ms - start_ms
        heard.append(words_heard(piece.words, cut_ms - start_ms, length_ms) if length_ms > 0 else "")
        start_ms = piece.end_ms
    return " ".join(filter(None, heard))

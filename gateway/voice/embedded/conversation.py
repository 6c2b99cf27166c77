"""The items of a conversation in their order, and which of them the brain has yet to answer."""

from typing import NamedTuple

from gateway.voice.embedded.client_events import InvalidRequest
from gateway.voice.embedded.items import Content, FunctionCall, FunctionCallOutput, Item, Message
from gateway.voice.embedded.outbox import Outbox

__all__ = ["Conversation", "Digit", "Heard", "Input", "Told"]

_DIGIT_LEAD = "[DTMF] "
_FRONT = "root"  # the protocol's name for the place before the first item


class Heard(NamedTuple):
    text: str


class Digit(NamedTuple):
    digit: str


class Told(NamedTuple):
    name: str
    output: str


Input = Heard | Digit | Told
"""What a brain answers."""


class Conversation:
    """Adds, removes and shows items, and says so."""

    def __init__(self, outbox: Outbox) -> None:
        self.id = outbox.new_id("conv")
        self._outbox = outbox
        self._items: dict[str, Item] = {}
        self._unanswered: list[str] = []
        self._audio_ms: dict[str, int] = {}  # how long what the voice said is

    @property
    def last_id(self) -> str | None:
        return next(reversed(self._items), None)

    def begin(self, item: Item, after: str | None = None) -> None:
        """Add an item that is still being made. `after`: None for the end, "root" for the front."""
        item.id = item.id or self._outbox.new_id("item")
        if item.id in self._items:
            raise InvalidRequest(
                "item_create_duplicate_id", f"There is an item {item.id!r} already", param="item.id"
            )
        previous = (
            self.last_id if after is None else self._known(after, "item_create_invalid_previous_item_id")
        )
        order = list(self._items)
        at = 0 if previous is None else order.index(previous) + 1
        items = [*self._items.items()]
        self._items = dict([*items[:at], (item.id, item), *items[at:]])
        self._outbox.emit("conversation.item.added", previous_item_id=previous, item=item)

    def finish(self, item: Item) -> None:
        """Say that an item is whole."""
        order = list(self._items)
        at = order.index(item.id)
        previous = order[at - 1] if at else None
        self._outbox.emit("conversation.item.done", previous_item_id=previous, item=item)

    def create(self, item: Item, after: str | None) -> None:
        """Add an item of the client. Raises `InvalidRequest`."""
        item.status = item.status or "completed"
        self.begin(item, after)
        self.finish(item)
        if isinstance(item, FunctionCallOutput) or (isinstance(item, Message) and item.role == "user"):
            self._unanswered.append(item.id)

    def add_turn(self, item_id: str) -> None:
        """Add what the caller said; its words come later, by `write_down`."""
        item = Message(id=item_id, status="completed", role="user", content=[Content(type="input_audio")])
        self.create(item, None)

    def write_down(self, item_id: str, transcript: str) -> None:
        """Give a turn its words. An item that was deleted meanwhile stays so."""
        item = self._items.get(item_id)
        if isinstance(item, Message):
            item.content[0].transcript = transcript

    def spoken(self, item_id: str, audio_ms: int) -> None:
        """Note how long the audio of an item is."""
        self._audio_ms[item_id] = self._audio_ms.get(item_id, 0) + audio_ms

    def retrieve(self, item_id: str) -> None:
        """Show an item, without its audio. Raises `InvalidRequest`."""
        self._known(item_id, "item_retrieve_invalid_item_id")
        self._outbox.emit("conversation.item.retrieved", item=self._items[item_id])

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises `InvalidRequest`."""
        self._known(item_id, "item_delete_invalid_item_id")
        del self._items[item_id]
        self._unanswered = [other for other in self._unanswered if other != item_id]
        self._outbox.emit("conversation.item.deleted", item_id=item_id)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Take note of how much of an item was heard. Raises `InvalidRequest`."""
        item = self._items.get(item_id)
        if not isinstance(item, Message) or item.role != "assistant" or content_index != 0:
            message = f"There is no part {content_index} of something said in an item {item_id!r}"
            raise InvalidRequest("item_truncate_invalid_item_id", message, param="item_id")
        length_ms = self._audio_ms.get(item_id, 0)
        if not 0 <= audio_end_ms <= length_ms:
            message = f"The audio of {item_id!r} is {length_ms} ms long, less than {audio_end_ms} ms"
            raise InvalidRequest("invalid_value", message, param="audio_end_ms")
        self._audio_ms[item_id] = audio_end_ms
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

    def _function(self, call_id: str) -> str:
        calls = (item for item in self._items.values() if isinstance(item, FunctionCall))
        return next((call.name for call in calls if call.call_id == call_id), "")

    def _known(self, item_id: str, code: str) -> str | None:
        if item_id == _FRONT and code == "item_create_invalid_previous_item_id":
            return None
        if item_id not in self._items:
            raise InvalidRequest(code, f"There is no item {item_id!r}", param="item_id")
        return item_id

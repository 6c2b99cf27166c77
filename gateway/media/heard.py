"""What of the agent's audio the caller has heard, response item by response item."""

import msgspec

__all__ = ["Heard", "HeardLedger", "ItemHeard", "words_heard"]


_MOST_ITEMS = 50
_FRAME_MS = 20


class Heard(msgspec.Struct, frozen=True):
    """Bounds on one monotonic playout axis: milliseconds of agent audio sent since the call began.

    The caller has heard at least `low_ms` and at most `high_ms`. `low_ms <= high_ms <= sent`. Audio that
    was cleared before it was played keeps its place on the axis and is never heard.
    """

    low_ms: float
    high_ms: float


class ItemHeard(msgspec.Struct):
    """One response item. All in milliseconds of its own audio; `0 <= low <= high <= sent <= received`.

    The silence that fills an item's last frame is none of its own.
    """

    item: str
    received_ms: float = 0.0
    sent_ms: float = 0.0
    low_ms: float = 0.0
    high_ms: float = 0.0


class _Span(msgspec.Struct):
    """A stretch of the playout axis that carries one item, from `item_ms` of that item on."""

    item: ItemHeard
    start_ms: float
    end_ms: float
    item_ms: float

    def within(self, axis_ms: float) -> float:
        """How far into the item a point of the axis is; 0 before this stretch."""
        if axis_ms <= self.start_ms:
            return 0.0
        inside_ms = min(axis_ms, self.end_ms) - self.start_ms
        return min(self.item_ms + inside_ms, self.item.received_ms)


class HeardLedger:
    """Maps the playout axis to response items, of which it remembers those that can still be heard or cut."""

    def __init__(self) -> None:
        self._items: dict[str, ItemHeard] = {}
        self._open: list[_Span] = []
        self.sent_ms = 0.0
        self.heard = Heard(0.0, 0.0)
        self._dry_ms = 0.0

    def received(self, item: str, duration_ms: float) -> None:
        self._entry(item).received_ms += duration_ms

    def sent(self, item: str, duration_ms: float) -> None:
        """The next `duration_ms` of the axis carry `item`."""
        entry = self._entry(item)
        if self._open and self._open[-1].item is entry:
            self._open[-1].end_ms += duration_ms
        else:
            self._open.append(_Span(entry, self.sent_ms, self.sent_ms + duration_ms, entry.sent_ms))
        entry.sent_ms = min(entry.sent_ms + duration_ms, entry.received_ms)
        self.sent_ms += duration_ms

    def moved(self, heard: Heard) -> None:
        """Take the leg's newest bounds."""
        self.heard = heard
        for span in self._open:
            span.item.low_ms = max(span.item.low_ms, span.within(heard.low_ms))
            span.item.high_ms = max(span.item.high_ms, span.within(heard.high_ms))
        while self._open and self._open[0].end_ms <= heard.low_ms:
            self._open.pop(0)
        while len(self._items) > _MOST_ITEMS:  # long heard: a call of hours has thousands
            del self._items[next(iter(self._items))]

    def run_dry(self) -> None:
        """All that may be heard is, as time tells; the leg may still have to say so."""
        self._dry_ms = self.heard.high_ms

    def hold(self) -> None:
        """The leg was cleared, and what was not heard will be sent once more, from the frame it was cut in on."""
        from_ms = max(self.heard.low_ms, self._dry_ms)
        while self._open and self._open[-1].end_ms > from_ms:
            span = self._open.pop()
            inside_ms = max(from_ms - span.start_ms, 0.0) // _FRAME_MS * _FRAME_MS
            span.item.sent_ms = min(span.item_ms + inside_ms, span.item.received_ms)

    def deafen(self) -> None:
        """Nobody listens any more: of what was sent, nothing more is heard than what surely was."""
        self._open.clear()

    def cut(self) -> list[ItemHeard]:
        """What is not heard by now never will be. Returns the items that lost audio."""
        cut = [item for item in self._items.values() if item.low_ms < item.received_ms]
        self._open.clear()
        self._items.clear()
        return cut

    def _entry(self, item: str) -> ItemHeard:
        entry = self._items.get(item)
        if entry is None:
            entry = self._items[item] = ItemHeard(item)
        return entry

    @property
    def all_heard(self) -> bool:
        """Nothing that was sent and not cut is still unheard."""
        return not self._open

    def item(self, item: str) -> ItemHeard:
        return self._items.get(item, ItemHeard(item))


def words_heard(text: str, heard_ms: float, total_ms: float) -> str:
    """The part of `text` spoken in the first `heard_ms` of its audio: an estimate by proportion, cut at a word."""
    if heard_ms >= total_ms:
        return text
    length = int(len(text) * max(heard_ms, 0.0) / total_ms)
    if length < len(text) and not text[length].isspace():
        length = text.rfind(" ", 0, length) + 1
    return text[:length].rstrip()

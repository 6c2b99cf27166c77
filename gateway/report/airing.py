"""When the agent's audio is on the air, item by item. A core.

Carrier messages do not say whose audio they carry. But it leaves in the order in which the voice gave it, item
by item in whole frames, and the far end plays it without a gap as long as it has some.
"""

from collections import deque

import msgspec

from gateway.media.playout import FRAME_MS

__all__ = ["Airing", "Span"]

_FRAME_US = FRAME_MS * 1000

# What a resampler holds back of audio of which more may come is less than this.
_HELD_BACK_MS = 2.0


class Span(msgspec.Struct):
    """A stretch of time in which the far end plays an item, from `item_ms` of its audio on."""

    from_us: int
    to_us: int
    item_ms: float


class _Waiting(msgspec.Struct):
    item: str
    ms: float  # that were not sent yet


class Airing:
    """What of the agent was heard when, as the gateway assumes it: `spans` by item."""

    def __init__(self) -> None:
        self.spans: dict[str, list[Span]] = {}
        self._queue: deque[_Waiting] = deque()
        self._given_ms: dict[str, float] = {}
        self._aired: deque[tuple[str, Span]] = deque(maxlen=64)  # what a clear may still take back
        self._ends_us = -_FRAME_US
        self._held = False

    def given(self, item: str, ms: float) -> None:
        """The voice gave more audio of an item."""
        self._given_ms[item] = self._given_ms.get(item, 0.0) + ms
        self._wait(item, ms)

    def given_all(self, item: str, tail_ms: float = 0.0) -> None:
        """No more will come of it but a tail: what is left leaves as a whole frame."""
        given_ms = self._given_ms.pop(item, None)
        if given_ms is not None:
            whole_ms = -(-(given_ms + tail_ms) // FRAME_MS) * FRAME_MS
            self._wait(item, whole_ms - given_ms)

    def sent(self, ms: float, t_us: int) -> None:
        """So much went to the carrier: of one item, behind all that the far end has."""
        self._held = False
        self._settle()
        # A frame that comes less than a frame late plays without a gap: the far end's buffer is there for that.
        from_us = self._ends_us if t_us - self._ends_us < _FRAME_US else t_us
        # What nobody was seen to give (tones, say) is counted with what it follows.
        item = self._queue[0].item if self._queue else self._last_item(from_us)
        self._ends_us = from_us + round(ms * 1000)
        spans = self.spans.setdefault(item, [])
        if spans and spans[-1].to_us == from_us:
            spans[-1].to_us = self._ends_us
        else:
            spans.append(Span(from_us, self._ends_us, self._heard_ms(item)))
            self._aired.append((item, spans[-1]))
        if self._queue:
            self._queue[0].ms -= ms

    def sent_silence(self, ms: float, t_us: int) -> None:
        """So much digital silence went to the carrier: the agent's, if audio of his was due, or else nobody's."""
        if not self._held and self._due_ms > ms - 1:
            self.sent(ms, t_us)

    def held(self) -> None:
        """Nothing is sent until `resumed`, whatever waits."""
        self._held = True

    def resumed(self) -> None:
        """What waits is sent again."""
        self._held = False

    def cleared(self, t_us: int) -> None:
        """The far end threw away what it had not played; it may be sent once more."""
        self._ends_us = min(self._ends_us, t_us)
        while self._aired and self._aired[-1][1].to_us > t_us:
            item, span = self._aired.pop()
            ms = (span.to_us - max(t_us, span.from_us)) / 1000
            span.to_us = max(t_us, span.from_us)
            if self._queue and self._queue[0].item == item:
                self._queue[0].ms += ms
            else:
                self._queue.appendleft(_Waiting(item, ms))

    def dropped(self) -> None:
        """Nothing of what waits will be sent."""
        self._queue.clear()
        self._given_ms.clear()
        self._held = False

    def at_us(self, item: str, item_ms: float) -> int | None:
        """When that point of an item was played, at the latest when it was cut; None if nothing of it was."""
        at_us = None
        for span in self.spans.get(item, ()):
            at_us = min(span.from_us + round((item_ms - span.item_ms) * 1000), span.to_us)
            if at_us < span.to_us:
                break
        return at_us

    def _settle(self) -> None:
        while self._queue and self._queue[0].ms < 1:
            self._queue.popleft()

    @property
    def _due_ms(self) -> float:
        """How much of the next item can be sent, of which more may come."""
        self._settle()
        if not self._queue:
            return 0.0
        first = self._queue[0]
        return first.ms - (_HELD_BACK_MS if first.item in self._given_ms else 0.0)

    def _wait(self, item: str, ms: float) -> None:
        if not self._queue or self._queue[-1].item != item:
            self._queue.append(_Waiting(item, 0.0))
        self._queue[-1].ms += ms

    def _last_item(self, from_us: int) -> str:
        return self._aired[-1][0] if self._aired and self._aired[-1][1].to_us == from_us else ""

    def _heard_ms(self, item: str) -> float:
        return sum(span.to_us - span.from_us for span in self.spans[item]) / 1000

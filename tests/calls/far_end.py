"""What the caller really hears: the far end of a call, and the audio that a voice gave for it."""

import random
from collections import Counter, deque
from typing import NamedTuple

from gateway import contracts as c
from gateway.audio.g711 import CODECS

BYTES_PER_MS = 8
FRAME_MS = 20
SILENCE = b"\xff"
_PCMU = CODECS["pcmu"]
_TELLING_BYTES = 16  # less may be of several items, and is the end of one


class Item:
    """One response item: audio of which every piece on the line can be recognized.

    G.711 goes through the call untouched, so there every byte is random and tells where it belongs. PCM is
    resampled: there the item is one constant level, and its bytes can only be counted.
    """

    def __init__(self, name: str, number: int, response: str, form: c.AudioFormat) -> None:
        self.name = name
        self.response = response
        self.exact = form.encoding == "pcmu"
        self.received_bytes = 0  # of the voice's audio
        self.sent = 0  # how far it went out, in bytes of G.711
        self.head = 0  # where the far end is in it, likewise
        self.played = 0  # how far the caller has heard it, likewise
        self.dropped = False  # the voice was told that the caller hears no more of it
        self.truncated_ms = 0
        self.heard_at_ms = 0  # the end of what was played, on the axis of all that was sent
        self.cleared = False  # some of it was taken back from the far end, and may be played once more
        self.done = False
        self.audio = bytearray()
        self.level = 0x84 + number * 7 % 96
        self._bytes_per_ms = form.bytes_per_ms
        self._random = random.Random(name)

    @property
    def received_ms(self) -> float:
        return self.received_bytes / self._bytes_per_ms

    def more(self, size_bytes: int) -> bytes:
        """The next bytes of the item, as the voice says them."""
        if self.exact:
            piece = self._random.randbytes(size_bytes).replace(SILENCE, b"\x00")
            self.audio += piece
        else:
            sample = _PCMU.decode(bytes([self.level]))
            piece = (sample * (size_bytes // 2 + 1))[:size_bytes]
            if size_bytes % 2:  # half a sample is no PCM: none of it counts
                return piece
        self.received_bytes += size_bytes
        return piece


class Frame(NamedTuple):
    """20 ms on the line. `item` of None: a clip, tones, silence."""

    item: Item | None
    at: int  # in bytes of the item
    size: int


_Found = tuple[Item, int, int]


class FarEnd:
    """Plays 1 ms a millisecond of what it was sent, and gives every mark back when it was reached.

    All positions are on the axis of what it received, in ms.
    """

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()  # the first of them is being played
        self._frame_ms = 0  # of which so much was
        self._marks: deque[tuple[int, str]] = deque()
        self._received_ms = 0
        self._rests = True
        self.played_to_ms = 0  # the end of what was played last
        self.pause_ms = 0  # how long nothing was played, now or the last time
        self.repeat_bytes = 0  # so much of an item may be heard twice, since the last `clear`

    @property
    def queued_ms(self) -> int:
        return len(self._frames) * FRAME_MS - self._frame_ms

    def media(self, frames: list[Frame]) -> None:
        self._frames += frames
        self._received_ms += FRAME_MS * len(frames)

    def mark(self, name: str) -> None:
        self._marks.append((self._received_ms, name))

    def clear(self) -> None:
        """Throw away what was not played; the marks in it are reached by that."""
        self._frames.clear()
        self._frame_ms = 0

    def play_1_ms(self) -> list[str]:
        """Play on. Returns the marks that were reached by now."""
        if self._frames:
            self._play(self._frames[0])
        else:
            self.pause_ms = 1 if not self._rests else self.pause_ms + 1
        self._rests = not self._frames
        if self._frame_ms == FRAME_MS:
            self._frames.popleft()
            self._frame_ms = 0
        reached: list[str] = []
        while self._marks and self._marks[0][0] <= self._received_ms - self.queued_ms:
            reached.append(self._marks.popleft()[1])
        return reached

    def _play(self, frame: Frame) -> None:
        if not self._frame_ms:
            self._begin(frame)
        self._frame_ms += 1
        self.played_to_ms = self._received_ms - self.queued_ms
        if frame.item is not None:
            frame.item.head = frame.at + min(frame.size, self._frame_ms * BYTES_PER_MS)
            frame.item.played = max(frame.item.played, frame.item.head)
            frame.item.heard_at_ms = self.played_to_ms

    def _begin(self, frame: Frame) -> None:
        """A frame is heard behind the one before it: nothing is left out, and nothing is heard twice unasked."""
        item = frame.item
        if item is None or not item.exact:
            return
        again = item.head - frame.at
        assert again >= 0, f"{item.name}: {item.head} to {frame.at} were left out"
        assert item.cleared or not again, f"{item.name}: {again} bytes are heard twice, and nothing was cut"
        assert again <= self.repeat_bytes or not again, f"{item.name}: {again} bytes are heard twice"
        item.cleared = False


def frames_of(payload: bytes, items: list[Item]) -> list[Frame]:
    """Which audio this is. Raises `AssertionError` for what is of no item although it is no silence."""
    assert payload
    assert len(payload) % (FRAME_MS * BYTES_PER_MS) == 0, "no whole frames"
    size = FRAME_MS * BYTES_PER_MS
    return [_frame(payload[at : at + size], items) for at in range(0, len(payload), size)]


def _frame(payload: bytes, items: list[Item]) -> Frame:
    content = payload.rstrip(SILENCE)
    if not content:
        return Frame(None, 0, 0)
    for among in ([item for item in items if not item.dropped], [item for item in items if item.dropped]):
        found = _find(content, among) or _find_level(content, among)
        if found is not None:
            item, at, size = found
            assert not item.dropped, f"{item.name} is on the line after its cut"
            item.sent = at + size
            return Frame(item, at, size)
    return Frame(None, 0, len(content))


def _find(content: bytes, items: list[Item]) -> _Found | None:
    """A piece of an item that goes on where it was, or one that is sent once more."""
    exact = [item for item in items if item.exact]
    for item in exact:
        if item.audio[item.sent : item.sent + len(content)] == content:
            return item, item.sent, len(content)
    for item in exact:
        at = item.audio.rfind(content)
        if at >= 0 and (len(content) >= _TELLING_BYTES or item.audio.endswith(content)):
            return item, at, len(content)
    return None


def _find_level(content: bytes, items: list[Item]) -> _Found | None:
    """A piece of an item that is one level. Levels come again: it is of the first that has more to send."""
    level, count = Counter(content).most_common(1)[0]
    if count < _TELLING_BYTES or 2 * count < len(content):  # the edge of one, or a tone
        return None
    same = [item for item in items if not item.exact and item.level == level]
    unsent = [item for item in same if item.sent < item.received_ms * BYTES_PER_MS - _TELLING_BYTES]
    return next(((item, item.sent, count) for item in (*unsent, *same)), None)

"""What a caller says and presses, as the telephone sends it: one frame of 20 ms after the other."""

from collections import deque

from gateway.testing.twilio_playout import SILENCE
from gateway.testing.twilio_stream import FRAME_BYTES

__all__ = ["Microphone"]

SILENT_FRAME = SILENCE * FRAME_BYTES
KEYS = frozenset("0123456789*#ABCD")

# A key held for 100 ms and 100 ms of rest: a quick human, and above the least that ITU-T Q.24 has a receiver take.
KEY_FRAMES = 10


class Microphone:
    """Speech and keys wait for their turn; between them there is silence. Payloads are mu-law at 8 000 Hz."""

    def __init__(self) -> None:
        self._frames: deque[tuple[bytes, str | None]] = deque()
        self.said = bytearray()  # every frame that was taken
        self.added_frames = 0
        self.taken_frames = 0

    def say(self, payload: bytes) -> None:
        """Add speech; its last frame is filled up with silence."""
        for at in range(0, len(payload), FRAME_BYTES):
            self._add(payload[at : at + FRAME_BYTES].ljust(FRAME_BYTES, SILENCE), None)

    def press(self, digits: str) -> None:
        """Add keys, 200 ms each. Raises `ValueError` for what is no key."""
        if not KEYS.issuperset(digits):
            raise ValueError(f"{digits!r}: the keys are 0-9, *, #, A-D")
        for digit in digits:
            self._add(SILENT_FRAME, digit)
            for _ in range(KEY_FRAMES - 1):
                self._add(SILENT_FRAME, None)

    def frame(self) -> tuple[bytes, str | None]:
        """The next 20 ms, and the key that went down at its beginning."""
        payload, digit = SILENT_FRAME, None
        if self._frames:
            payload, digit = self._frames.popleft()
            self.taken_frames += 1
        self.said += payload
        return payload, digit

    def _add(self, payload: bytes, digit: str | None) -> None:
        self._frames.append((payload, digit))
        self.added_frames += 1

"""What we send on a SIP leg: the agent's frames, and silence between them, as one RTP stream. A core."""

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.audio.g711 import CODECS
from gateway.carriers.sip.far_buffer import FarBuffer
from gateway.carriers.sip.leg_messages import MediaAgreed
from gateway.media.frame_clock import FRAME_SAMPLES, FrameClock
from gateway.media.playout import FRAME_BYTES, FRAME_MS
from gateway.media.rtp_sender import RtpSender
from gateway.wire.rtp import RtpPacket

if TYPE_CHECKING:
    from random import Random

__all__ = ["LegStream"]

_RATE_HZ: Final = 8000
# A frame later than 30 ms would find its time played already where the far end's jitter buffer is shallow.
_LATEST: Final = FRAME_SAMPLES * 3 // 2


class _Frame(msgspec.Struct, gc=False):
    payload: bytes
    end_ms: int  # on the axis of all that was ever played
    digits: str = ""  # to be pressed from here on


class LegStream:
    """A packet for every 20 ms. `codec`: what frames are played in; they are translated if another law is agreed on.

    `passed`: how many frames of time the last tick stood for: more than 1, or none, where ticks are late. What is more
    than 30 ms late is not sent, and the timestamp goes on: that time is silence at the far end, and no frame is lost.
    `delayed`: the last tick has sent less of what waits than its time was for.
    """

    def __init__(self, codec: str, rng: "Random") -> None:
        self.sender = RtpSender(rng)
        self.far = FarBuffer()
        self.passed = 0
        self.delayed = False
        self._codec = CODECS[codec]
        self._silence = self._codec.silence * FRAME_BYTES
        self._waiting: deque[_Frame] = deque()
        self._played_ms = 0
        self._digits = ""  # to be pressed with the next frame
        self._clock = FrameClock()

    @property
    def begun(self) -> bool:
        return self._clock.due is not None

    @property
    def queued_ms(self) -> int:
        return len(self._waiting) * FRAME_MS

    def play(self, payload: bytes) -> None:
        """Queue whole frames."""
        for at in range(0, len(payload), FRAME_BYTES):
            self._played_ms += FRAME_MS
            self._waiting.append(_Frame(payload[at : at + FRAME_BYTES], self._played_ms, self._digits))
            self._digits = ""

    def press(self, digits: str) -> None:
        """Send keys behind the frames that wait, in the place of silence; anything else waits until they are sent."""
        self._digits += digits

    def skip(self, payload: bytes) -> None:
        """These frames are never sent, as if they had been cleared."""
        self._played_ms += len(payload) // FRAME_BYTES * FRAME_MS

    def clear(self, now: float, *, listens: bool) -> None:
        """Send nothing of what waits, but the keys: who pressed them does not take them back. `listens`: as FarBuffer."""
        self._digits = "".join(frame.digits for frame in self._waiting) + self._digits
        self._waiting.clear()
        self.far.clear(now, listens=listens)

    def tick(self, media: MediaAgreed, now: float, *, held: bool) -> list[RtpPacket]:
        """The packets that are due. None are while `held`, as there is nobody to send to; what waits goes on waiting."""
        due = self._clock.due
        self.passed = self._clock.tick(now)
        late = 0 if due is None else round(now * _RATE_HZ) - due
        packets: list[RtpPacket] = []
        waited = len(self._waiting)
        for _ in range(self.passed):
            if held:
                self.sender.pause()
            elif late > _LATEST:
                self.sender.skip()
            else:
                packets.append(self._packet(media, now))
            late -= FRAME_SAMPLES
        self.delayed = waited > 0 and waited - len(self._waiting) < self.passed and not held
        return packets

    def _packet(self, media: MediaAgreed, now: float) -> RtpPacket:
        frame = self._next()
        packet = self.sender.frame(
            frame if media.codec == self._codec.name else self._translated(media.codec, frame),
            payload_type=media.payload_type,
            event_payload_type=media.event_payload_type,
        )
        if self._waiting and (packet.payload_type == media.payload_type or frame == self._silence):
            self.far.sent(self._waiting.popleft().end_ms, now)
        return packet

    def _next(self) -> bytes:
        """The frame whose turn it is, and the keys before it."""
        if not self._waiting:
            digits, self._digits = self._digits, ""
            self.sender.digits.press(digits)
            return self._silence
        frame = self._waiting[0]
        if frame.digits:
            self.sender.digits.press(frame.digits)
            frame.digits = ""
        return frame.payload

    def _translated(self, law: str, frame: bytes) -> bytes:
        return CODECS[law].encode(self._codec.decode(frame))

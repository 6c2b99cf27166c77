"""The two ways audio takes through a call, each a row of the picture in the README."""

from collections.abc import Iterable

from gateway.audio.g711 import Codec
from gateway.audio.resample import Downsampler, Upsampler
from gateway.contracts import Heard, LegCore
from gateway.media.heard import HeardLedger, ItemHeard
from gateway.media.playout import MOST_QUEUED_MS, Playout
from gateway.media.stereo import StereoMix

__all__ = ["Downlink", "Uplink"]

# The filter holds back under 2 ms: this much silence behind an item brings out its last samples.
_TAIL = bytes(2 * 96)

# How long a leg that confirms playout may take to do so after the audio must have been played.
_CONFIRM_S = 1.0


class Uplink:
    """Caller to voice: G.711 in, PCM16 at 24 000 Hz out; what it decodes goes into `mix` too, where there is one."""

    def __init__(self, codec: Codec, mix: StereoMix | None) -> None:
        self._codec = codec
        self._mix = mix
        self._up = Upsampler()

    def carry(self, payload: bytes, now: float) -> bytes:
        pcm = self._codec.decode(payload)
        if self._mix is not None:
            self._mix.caller(pcm, now)
        return self._up.feed(pcm)


class Downlink:
    """Voice to caller: PCM16 at 24 000 Hz by response item in, paced G.711 frames on the leg out."""

    def __init__(self, leg: LegCore, codec: Codec, mix: StereoMix | None) -> None:
        self._leg = leg
        self._codec = codec
        self._mix = mix
        self._down = Downsampler()
        self._playout = Playout(lead_ms=leg.traits.lead_ms, silence=codec.silence)
        self.ledger = HeardLedger()

    def add(self, item: str, pcm: bytes) -> None:
        """Queue more of `item` behind all that waits."""
        self.ledger.received(item, len(pcm) / 48)
        self._playout.add(item, self._codec.encode(self._down.feed(pcm)))

    def finish(self, item: str) -> None:
        """`item` is complete."""
        self._playout.add(item, self._codec.encode(self._down.feed(_TAIL)))
        self._playout.finish(item)

    def pump(self, now: float) -> bool:
        """Send what is due. True when something was."""
        pieces = self._playout.take(now)
        if not pieces:
            return False
        plays_at = self._playout.ends_at - sum(len(piece.payload) for piece in pieces) / 8000
        for item, payload in pieces:
            if self._mix is not None:
                self._mix.agent(self._codec.decode(payload), plays_at)
            plays_at += len(payload) / 8000
            self._leg.play(payload, now)
            self.ledger.sent(item, len(payload) / 8)
        return True

    def heard(self, heard: Heard) -> None:
        self.ledger.moved(heard)

    def cut(self, now: float) -> None:
        """Silence the agent here and at the far end. The leg's last `Heard` comes next, then `settle_cut`."""
        self._playout.cut(now)
        self._leg.clear(now)
        self._down.reset()
        if self._mix is not None:
            self._mix.cut(now)

    def settle_cut(self) -> Iterable[ItemHeard]:
        """The items that the cut took audio from."""
        return self.ledger.cut()

    @property
    def overfull(self) -> bool:
        return self._playout.queued_ms > MOST_QUEUED_MS

    def speaking(self, now: float) -> bool:
        """The caller hears the agent, or will without another word from the voice."""
        return self._playout.queued_ms > 0 or now < self._playout.ends_at

    def silent(self, now: float) -> bool:
        """All was played, and the leg has said so if it ever does; it is not waited for much longer than that."""
        if self.speaking(now):
            return False
        confirmed = not self._leg.traits.confirms_playout or self.ledger.all_heard
        return confirmed or now >= self._playout.ends_at + _CONFIRM_S

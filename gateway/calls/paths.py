"""The way of the agent's audio through a call, the lower row of the picture in the README."""

from collections.abc import Sequence

from gateway.audio.g711 import CODECS, Codec
from gateway.audio.resample import Resampler, resampler
from gateway.contracts import AudioFormat, Heard, LegCore
from gateway.media.heard import HeardLedger, ItemHeard
from gateway.media.playout import FRAME_MS, MOST_QUEUED_MS, Piece, Playout
from gateway.media.stereo import StereoMix

__all__ = ["Downlink"]

_LINE_HZ = 8000
_CLIP_AUDIO = AudioFormat()

# The filter holds back under 2 ms: this much silence behind an item brings out its last samples, and what was
# played of an item is by so much less than the audio that left the filter.
_FILTER_MS = 2

# How long a leg may take to tell that audio was heard after it must have been played. What SIP knows of it, it knows
# from time alone, a third of a second later.
_CONFIRM_S = 1.0


class Downlink:
    """Voice to caller: audio by response item in, paced G.711 frames on the leg out.

    `mix`: gathers the agent's half of the recording.
    """

    def __init__(self, leg: LegCore, codec: Codec, mix: StereoMix | None) -> None:
        self.held = False  # by an interruption
        self.parked = False
        self._leg = leg
        self._codec = codec
        self._mix = mix
        self._resamplers: dict[int, Resampler] = {}
        self._formats: dict[str, AudioFormat] = {}  # of the items that are not complete
        self._digits: dict[str, str] = {}  # to be pressed where these items begin
        self._playout = Playout(lead_ms=leg.traits.lead_ms, silence=codec.silence)
        self.ledger = HeardLedger()

    def add(self, item: str, audio: bytes, form: AudioFormat) -> None:
        """Queue more of `item` behind all that waits."""
        self._formats[item] = form
        self.ledger.received(item, len(audio) / form.bytes_per_ms)
        self._playout.add(item, self._encode(audio, form))

    def finish(self, item: str) -> None:
        """`item` is complete."""
        form = self._formats.pop(item, None)
        if form is not None and form.encoding == "pcm" and form.rate_hz != _LINE_HZ:
            self._playout.add(item, self._encode(bytes(_FILTER_MS * form.bytes_per_ms), form))
        self._playout.finish(item)

    def sound(self, item: str, pcm: bytes, digits: str = "") -> None:
        """Queue a whole item, PCM16 at 24 000 Hz. `digits`: keys that the leg presses where it begins."""
        if digits:
            self._digits[item] = digits
        self.add(item, pcm, _CLIP_AUDIO)
        self.finish(item)

    def pump(self, now: float) -> bool:
        """Send what is due. True when something was."""
        self._run_dry(now)
        pieces = self._playout.take(now)
        if not pieces:
            return False
        if self._mix is not None:
            self._record(self._mix, pieces)
        for item, payload in pieces:
            if item in self._digits:
                self._leg.send_digits(self._digits.pop(item))
            self._leg.play(payload, now)
            self.ledger.sent(item, len(payload) / 8)
        return True

    def _record(self, mix: StereoMix, pieces: Sequence[Piece]) -> None:
        plays_at = self._playout.ends_at - sum(len(piece.payload) for piece in pieces) / _LINE_HZ
        for _, payload in pieces:
            mix.agent(self._codec.decode(payload), plays_at)
            plays_at += len(payload) / _LINE_HZ

    def heard(self, heard: Heard) -> None:
        self.ledger.moved(heard)
        self._playout.heard(heard.low_ms)

    def delayed(self, queued_ms: float, now: float) -> None:
        """So much of what the leg was given is yet to be sent."""
        self._playout.delayed(queued_ms, now)

    # -- an interruption: `clear`, the leg's last `Heard`, `hold`; then `resume`, or `drop`
    # -- a caller who puts us on hold: `clear`, the leg's last `Heard`, `park`; then `unpark`

    def clear(self, now: float) -> None:
        """Silence the agent at the far end. The leg's last `Heard` has to come before anything else."""
        self._leg.clear(now)
        if self._mix is not None:
            self._mix.cut(now)

    def hold(self, now: float) -> None:
        """Send nothing, and keep what was not heard."""
        self.held = True
        self._stop(now)

    def resume(self) -> None:
        """Go on where the agent was held."""
        self.held = False
        self._go_on()

    def park(self, now: float) -> None:
        """Send nothing, for nobody listens, and keep what was not heard."""
        self.parked = True
        self._stop(now)
        self.ledger.deafen()

    def unpark(self) -> None:
        """Go on where the agent was parked."""
        self.parked = False
        self._go_on()

    def drop(self, now: float) -> Sequence[tuple[ItemHeard, int]]:
        """Forget all that was not heard: the items that lost audio, and how much of each was heard at least, in ms."""
        self._playout.cut(now)
        for each in self._resamplers.values():
            each.reset()
        self._formats.clear()
        self._digits.clear()
        self.held = False
        if self.parked:
            self._playout.hold(now)
        return [(item, max(int(item.low_ms) - _FILTER_MS, 0)) for item in self.ledger.cut()]

    # -- what is known

    @property
    def sends_digits(self) -> bool:
        """Keys can be pressed; elsewhere they have to sound."""
        return self._leg.traits.sends_digits

    @property
    def overfull(self) -> bool:
        return self._playout.queued_ms > MOST_QUEUED_MS

    def speaking(self, now: float) -> bool:
        """The caller hears the agent, or will without another word from the voice."""
        return self._playout.queued_ms > 0 or now < self._playout.ends_at

    def sounding(self, now: float) -> bool:
        """The caller hears the agent now."""
        return now < self._playout.ends_at

    def silent(self, now: float, *, ticked: bool) -> bool:
        """All was played, and the leg has said so; it is not waited for much longer than that.

        `ticked`: the leg knows what time it is. Where the machine has stalled, it may still have what was played long ago.
        """
        if self.sounding(now) or self._playout.queued_ms >= FRAME_MS:
            return False
        # The rest of an item that the voice does not complete is not waited for either.
        complete = not self._playout.queued_ms
        return (self.ledger.all_heard and complete) or (ticked and now >= self._playout.ends_at + _CONFIRM_S)

    def _stop(self, now: float) -> None:
        self._run_dry(now)
        self._playout.hold(now)
        self.ledger.hold()

    def _go_on(self) -> None:
        if not (self.held or self.parked):
            self._playout.resume()

    def _run_dry(self, now: float) -> None:
        """All that may be played is played by now, told or not: then it is not sent once more."""
        if now >= self._playout.ends_at:
            self._playout.run_dry(self.ledger.heard.high_ms)
            self.ledger.run_dry()

    def _encode(self, audio: bytes, form: AudioFormat) -> bytes:
        if form.encoding == "pcm":
            stream = self._resamplers.get(form.rate_hz)
            if stream is None:
                stream = self._resamplers[form.rate_hz] = resampler(form.rate_hz, _LINE_HZ)
            return self._codec.encode(stream.feed(audio))
        codec = CODECS[form.encoding]
        return audio if codec is self._codec else self._codec.encode(codec.decode(audio))

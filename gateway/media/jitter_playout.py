"""The playing half of the jitter buffer: frames off its tape, made up where it is blank, spliced to change the delay."""

from typing import Final

import msgspec

from gateway.audio.g711 import Codec
from gateway.media.concealment import Concealment
from gateway.media.jitter_depth import FRAME
from gateway.media.jitter_tape import AUDIO, SILENT, Tape
from gateway.media.splice import LONGEST_LAG, SHORTEST_LAG, Splice, shorten, stretch

__all__ = ["JitterCounts", "TapePlayer"]

_SAMPLES_PER_MS: Final = 8
_ALL_AUDIO: Final = bytes([AUDIO]) * FRAME

# The delay may be so much too long, or too short, before it is corrected; a splice is 5 to 15 ms, and must not overshoot
# into the next.
_TOO_LONG: Final = 15 * _SAMPLES_PER_MS
_TOO_SHORT: Final = 1 * _SAMPLES_PER_MS
# At most one splice in 100 ms; where nothing is quiet and nothing repeats itself, after a second anywhere.
_SPLICE_FRAMES: Final = 5
_PATIENCE_FRAMES: Final = 50
_QUIET: Final = 100  # a mean magnitude of -50 dBFS


class JitterCounts(msgspec.Struct, kw_only=True):
    """What became of the packets, and of the time. All since the call began.

    `lost`: never came, or not yet. `late`: came too late to be played, or with a timestamp from elsewhere. `gaps`:
    how often something had to be made up, `concealed_ms` of it in all. `shortened` and `stretched`: corrections of
    delay and drift, so many milliseconds left out or put in. `restarts`: of the sender's numbers or clock.
    """

    received: int = 0
    lost: int = 0
    late: int = 0
    duplicated: int = 0
    restarts: int = 0
    gaps: int = 0
    concealed_ms: float = 0.0
    shortened: int = 0
    shortened_ms: float = 0.0
    stretched: int = 0
    stretched_ms: float = 0.0


class TapePlayer:
    """Plays `tape`. `rests_from`: the position from which its sender says that he is silent.

    `played_to`: no audio before this position will be played.
    """

    def __init__(self, codec: Codec, counts: JitterCounts) -> None:
        self.tape = Tape(0)
        self.rests_from: int | None = None
        self.played_to = 0
        self._codec = codec
        self._counts = counts
        self._concealment = Concealment(codec)
        # Gaps, and samples made up in them, which may yet turn out to be silence.
        self._open_gaps = 0
        self._made_up = 0
        self._uneven_frames = 0
        self._since_splice = _SPLICE_FRAMES

    def frame(self, excess: int, *, hurry: bool = False) -> bytes:
        """The next 20 ms. `excess`: by how many samples the delay is longer than it should be.

        `hurry`: better talk that is too fast for a while than a delay like this.
        """
        self._since_splice += 1
        if not self._adjust_silence(excess):
            splice = self._splice(excess, hurry=hurry)
            if splice is not None:
                return self._spliced(splice, shorter=excess > 0)
        return self._next()

    def gap_over(self, *, silent: bool) -> None:
        """A packet came: what was made up until now stood for a loss, or for nothing, if its sender was `silent`."""
        if not self._made_up:
            return
        if not silent:
            self._counts.gaps += self._open_gaps
            self._counts.concealed_ms += self._made_up / _SAMPLES_PER_MS
        self._open_gaps = self._made_up = 0

    def write(self, position: int, payload: bytes) -> None:
        """Put audio on the tape, except what lies before the audio that was played."""
        if position < self.played_to:
            position, payload = self.played_to, payload[self.played_to - position :]
        self.tape.write(position, payload)

    def turn_back(self, position: int, most: int) -> None:
        """Play from `position` on after all, at most so many samples back, as long as nothing of it was played."""
        size = min(self.tape.start - max(position, self.played_to), most)
        if size > 0:
            self.tape.rewind(size)

    # -- frames

    def _next(self) -> bytes:
        codes, kinds = self.tape.take(FRAME)
        if kinds == _ALL_AUDIO and not self._concealment.active:
            self.played_to = self.tape.start
            self._concealment.played(codes)
            return codes
        return self._pieced(codes, kinds)

    def _pieced(self, codes: bytes, kinds: bytes) -> bytes:
        """A frame in which not all is audio."""
        frame = b""
        while len(frame) < FRAME:
            at = len(frame)
            size = len(kinds[at:]) - len(kinds[at:].lstrip(kinds[at : at + 1]))
            piece = self._piece(kinds[at], codes[at : at + size], self.tape.start - FRAME + at)
            self._concealment.played(piece)
            frame += piece
        return frame

    def _piece(self, kind: int, codes: bytes, position: int) -> bytes:
        """What is played for samples that are all of one kind."""
        if kind == AUDIO:
            self.played_to = position + len(codes)
            return self._concealment.join(codes)
        if kind == SILENT or self._rests(position):
            self._concealment.stop()
            return self._codec.silence * len(codes)
        self._open_gaps += not self._concealment.active
        self._made_up += len(codes)
        return self._concealment.fill(len(codes))

    def _rests(self, position: int) -> bool:
        return self.rests_from is not None and position >= self.rests_from

    # -- delay and drift

    def _adjust_silence(self, excess: int) -> bool:
        """While nobody speaks the delay can be set to what it should be. Whether that is now."""
        silent = self.tape.silent()
        if self.tape.start + silent >= self.tape.end and self._rests(self.tape.start + silent):
            silent += FRAME + max(excess, 0)
        if silent < FRAME:
            return False
        size = min(excess, silent - FRAME)
        if size > 0:
            self.tape.take(size)
            self._correct(size)
        elif size < 0:
            self.tape.rewind(-size, kind=SILENT)
            self._correct(size)
        return True

    def _splice(self, excess: int, *, hurry: bool) -> Splice | None:
        if -_TOO_SHORT < excess < _TOO_LONG:
            self._uneven_frames = 0
            return None
        self._uneven_frames += 1
        if self._concealment.active or (self._since_splice <= _SPLICE_FRAMES and not hurry):
            return None
        splice = self._shorten(excess) if excess > 0 else self._stretch()
        return splice if splice is not None and (hurry or self._unheard(splice)) else None

    def _shorten(self, excess: int) -> Splice | None:
        ahead = self.tape.audio(FRAME + LONGEST_LAG)
        longest = min(len(ahead) - FRAME, excess)
        return shorten(self._codec, ahead, longest) if longest >= SHORTEST_LAG else None

    def _stretch(self) -> Splice | None:
        ahead = self.tape.audio(FRAME)
        return stretch(self._codec, self._concealment.history, ahead) if len(ahead) == FRAME else None

    def _unheard(self, splice: Splice) -> bool:
        """Quiet, or a waveform that repeats itself; after a while any place will do."""
        return (
            splice.level < _QUIET
            or splice.mismatch * 4 < splice.level
            or self._uneven_frames > _PATIENCE_FRAMES
        )

    def _spliced(self, splice: Splice, *, shorter: bool) -> bytes:
        change = splice.lag if shorter else -splice.lag
        self.tape.take(FRAME + change)
        self.played_to = self.tape.start
        self._concealment.played(splice.payload)
        self._correct(change)
        self._since_splice = 0
        self._uneven_frames = 0
        return splice.payload

    def _correct(self, change: int) -> None:
        """Count a correction of the delay, of so many samples less."""
        if change > 0:
            self._counts.shortened += 1
            self._counts.shortened_ms += change / _SAMPLES_PER_MS
        else:
            self._counts.stretched += 1
            self._counts.stretched_ms += -change / _SAMPLES_PER_MS

"""The jitter buffer: packets as the network brings them in, one gapless stream of 20 ms frames out.

Every packet has a *position*, its timestamp unwrapped. The buffer plays position p at p + delay, and its one decision
is that delay: as long as nearly all packets need (jitter_depth.py). What is not there in time is made up meanwhile; if
it then comes, and the delay ought to be longer anyway, the buffer turns back to it and plays it. So the delay grows at
once, and nothing is lost by it. Otherwise a period of the waveform is left out or played twice, where that is least
heard (jitter_playout.py): this shortens a delay that has become too long, and keeps in step with a sender whose clock
runs faster or slower than ours.

What a sender leaves out is no loss: between packets with consecutive numbers, and after one of comfort noise
(RFC 3389), he is silent, and the length of a silence can be changed unheard.
"""

from typing import Final

from gateway.audio.g711 import Codec
from gateway.media.frame_clock import FrameClock
from gateway.media.jitter_depth import FRAME, Transits
from gateway.media.jitter_numbers import Numbers
from gateway.media.jitter_playout import JitterCounts, TapePlayer
from gateway.wire.rtp import RtpPacket, timestamp_step

__all__ = ["JitterBuffer", "JitterCounts"]

_RATE_HZ: Final = 8000
_SAMPLES_PER_MS: Final = 8
_LONGEST_PACKET: Final = 200 * _SAMPLES_PER_MS

# A position so far from what is played next is of this stream; another is of another clock. Half a second is more than
# any delay here, and bounds what is kept.
_REACH: Final = 500 * _SAMPLES_PER_MS
# So many packets in a row that do not fit, over so long, are a stream that began anew, and not a burst that came late.
_STRAYS: Final = 4
_STRAYS_S: Final = 0.05
_MOST_STRAYS: Final = 16


class JitterBuffer:
    """One call's audio from the network, to be ticked every 20 ms. `least_ms` and `most_ms`: of its depth.

    It takes G.711 of `codec` in packets of up to 200 ms, from whoever sends them: who may is decided before
    (latch.py, rtp_source.py).
    """

    def __init__(self, codec: Codec, *, least_ms: int = 20, most_ms: int = 200) -> None:
        self.counts = JitterCounts()
        self._most = most_ms * _SAMPLES_PER_MS
        self._transits = Transits(least=least_ms * _SAMPLES_PER_MS, most=self._most)
        self._player = TapePlayer(codec, self.counts)
        self._tape = self._player.tape
        self._clock = FrameClock()
        self._ssrc: int | None = None
        self._numbers = Numbers(0)
        self._newest = (0, 0)  # timestamp and position of the newest audio
        self._newest_end = 0
        self._strays: list[tuple[RtpPacket, float]] = []

    @property
    def depth_ms(self) -> float:
        """How long the quickest packets wait here."""
        if self._ssrc is None:
            return 0.0
        return (self._delay - self._transits.earliest) / _SAMPLES_PER_MS

    @property
    def queued_ms(self) -> float:
        """What waits to be played, gaps in it included."""
        return (self._tape.end - self._tape.start) / _SAMPLES_PER_MS

    @property
    def _delay(self) -> int:
        return self._due - self._tape.start

    @property
    def _due(self) -> int:
        """When the next frame is, in samples of our clock."""
        return self._clock.due or 0

    # -- frames

    def take(self, now: float) -> list[bytes]:
        """The frames that are due, 20 ms of G.711 each: one a tick, more or none where ticks are late.

        None before the first packet, and from then on without end.
        """
        if self._ssrc is None:
            self._clock.due = round(now * _RATE_HZ) + FRAME
            return []
        due = self._due
        frames: list[bytes] = []
        for _ in range(self._clock.tick(now)):
            delay = due - self._tape.start
            too_deep = delay - self._transits.earliest > self._most
            frames.append(self._player.frame(delay - self._transits.wanted, hurry=too_deep))
            due += FRAME
        return frames

    # -- packets

    def receive(self, packet: RtpPacket, now: float) -> None:
        """Take a packet of audio. Nothing is raised, whatever is in it."""
        if not 0 < len(packet.payload) <= _LONGEST_PACKET:
            self.rest(packet, now)
            return
        if self._ssrc is None:
            self._start(packet, now)
        elif packet.ssrc == self._ssrc and self._numbers.follows(packet.sequence):
            self.counts.received += 1
            if not self._placed(packet, now, follows=True):
                self._stray(packet, now)
            return
        elif packet.ssrc != self._ssrc or self._numbers.jumps(packet.sequence):
            self._restart(packet, now)
            self._numbers = Numbers(packet.sequence)
        newer = self._numbers.newer(packet.sequence)
        missed = self._count(packet)
        if missed is None or self._placed(packet, now, follows=missed == 0):
            return
        if newer:
            self._stray(packet, now)
        else:
            self.counts.late += 1

    def rest(self, packet: RtpPacket, now: float) -> None:
        """Take a packet without audio: comfort noise, an event, padding. What is missing after it is no loss."""
        if self._ssrc is None:
            self._start(packet, now)
        if packet.ssrc != self._ssrc or self._numbers.jumps(packet.sequence):
            return
        newer = self._numbers.newer(packet.sequence)
        position = self._position(packet)
        if self._count(packet) is not None and newer and self._reaches(position, 0):
            self._player.rests_from = position
            self._newest_end = max(self._newest_end, position)

    def _count(self, packet: RtpPacket) -> int | None:
        """How many packets are missing before this one; None: it came before."""
        missed = self._numbers.add(packet.sequence)
        if missed is None:
            self.counts.duplicated += 1
            return None
        self.counts.received += 1
        self.counts.lost += missed
        return missed

    def _position(self, packet: RtpPacket) -> int:
        timestamp, position = self._newest
        return position + timestamp_step(packet.timestamp, timestamp)

    def _reaches(self, position: int, size: int) -> bool:
        return self._tape.start - _REACH <= position <= self._tape.start + _REACH - size

    def _placed(self, packet: RtpPacket, now: float, *, follows: bool) -> bool:
        """Whether it is in time, and so on the tape. `follows`: by its number."""
        size = len(packet.payload)
        position = self._position(packet)
        if not self._reaches(position, size):
            return False
        player, tape = self._player, self._tape
        self._transits.add(round(now * _RATE_HZ) - position, now)
        if position < tape.start:
            player.turn_back(position, self._transits.wanted - self._delay)
        end = position + size
        if end <= tape.start or end <= player.played_to:
            return False
        if self._strays:
            self.counts.late += len(self._strays)
            self._strays.clear()
        silent = follows and position > self._newest_end
        if silent:
            tape.silence(self._newest_end, position)
        player.gap_over(silent=silent)
        player.write(position, packet.payload)
        if end > self._newest_end:
            self._newest = (packet.timestamp, position)
            self._newest_end = end
            player.rests_from = None
        return True

    # -- beginnings

    def _start(self, packet: RtpPacket, now: float) -> None:
        """The first packet waits as long as it should where nothing is known yet."""
        arrived = round(now * _RATE_HZ)
        self._clock.due = max(self._due, arrived)
        self._tape.start = self._due - self._transits.wanted
        self._begin(packet, arrived)
        self._numbers = Numbers(packet.sequence)
        self._tape.silence(self._tape.start, arrived)

    def _restart(self, packet: RtpPacket, at: float) -> None:
        """Another stream goes on where the last one ends, or later if the network takes as long as it did."""
        self.counts.restarts += 1
        self.counts.late += len(self._strays)
        self._strays.clear()
        self._player.gap_over(silent=True)
        most = self._tape.start + self._most
        if self._tape.end > most:
            self._tape.clear()
        as_before = round(at * _RATE_HZ) - self._transits.earliest
        self._begin(packet, max(self._tape.end, min(as_before, most)))

    def _begin(self, packet: RtpPacket, position: int) -> None:
        self._ssrc = packet.ssrc
        self._newest = (packet.timestamp, position)
        self._newest_end = position
        self._player.rests_from = None

    def _stray(self, packet: RtpPacket, now: float) -> None:
        """A new packet that is too late, or from elsewhere in time. Enough that follow each other are a new stream."""
        if self._strays and not 0 < timestamp_step(packet.timestamp, self._strays[-1][0].timestamp) < _REACH:
            self.counts.late += len(self._strays)
            self._strays.clear()
        self._strays.append((packet, now))
        if len(self._strays) > _MOST_STRAYS:
            self._strays.pop(0)
            self.counts.late += 1
        if len(self._strays) < _STRAYS or now - self._strays[0][1] < _STRAYS_S:
            return
        strays, self._strays = self._strays, []
        self._restart(*strays[0])
        self._transits.forget()
        for stray, at in strays:
            self.counts.late += not self._placed(stray, at, follows=False)

"""Whether a packet belongs to the source that we listen to, and what is missing of it. RFC 3550 A.1, A.3."""

from typing import Final

from gateway.wire.rtp import RtpPacket, sequence_step

__all__ = ["RtpSource"]

# RFC 3550 A.1. A new source has proved itself with so many packets in a row; numbers may jump ahead by so many, and
# lag by so many; what jumps further is a restart once two packets in a row say so.
_MIN_SEQUENTIAL: Final = 2
# So long the present source has to be silent before another may take its place: the jitter of a busy line.
_SILENT_S: Final = 0.1
_MOST_CANDIDATES: Final = 4
_MAX_DROPOUT: Final = 3000
_MAX_MISORDER: Final = 100


class RtpSource:
    """One source at a time, of those that send from an address.

    Another one takes its place with two packets in a row, when a tenth of a second has passed without the present one:
    a transfer or music on hold does that. Two that send at once do not take turns; whoever was there first stays.
    `highest`: the extended sequence number, which does not wrap. `restarts`: how often it began anew.
    """

    def __init__(self) -> None:
        self.ssrc: int | None = None
        self.highest = 0
        self.received = 0
        self.restarts = 0
        self._first = 0
        self._expected_before = 0
        # Who has still to prove himself, by SSRC: the sequence number that he goes on with, and his packets in a row.
        self._candidates: dict[int, tuple[int, int]] = {}
        self._accepted_at = 0.0

    @property
    def expected(self) -> int:
        """How many packets there should be by now, of all sources there were. RFC 3550 A.3."""
        return self._expected_before + self._expected_now

    @property
    def lost(self) -> int:
        """Packets that never came. A duplicate hides one, as RFC 3550 A.3 has it; so this may be below 0."""
        return self.expected - self.received

    @property
    def _expected_now(self) -> int:
        return 0 if self.ssrc is None else self.highest - self._first + 1

    def accept(self, packet: RtpPacket, now: float) -> bool:
        """Whether to use this packet; it is counted then."""
        if not self._accepts(packet, now):
            return False
        self.received += 1
        self._accepted_at = now
        return True

    def _accepts(self, packet: RtpPacket, now: float) -> bool:
        if packet.ssrc != self.ssrc:
            return self._proven(packet, present=self.ssrc is not None and now - self._accepted_at < _SILENT_S)
        step = sequence_step(packet.sequence, self.highest & 0xFFFF)
        if not -_MAX_MISORDER < step < _MAX_DROPOUT:
            return self._proven(packet, present=False)
        self._candidates.clear()
        if step > 0:
            self.highest += step
        return True

    def _proven(self, packet: RtpPacket, *, present: bool) -> bool:
        """Whether it is the new source's. Not while the `present` one is there."""
        expected, proof = self._candidates.pop(packet.ssrc, (packet.sequence, 0))
        proof = proof + 1 if packet.sequence == expected else 1
        if proof < _MIN_SEQUENTIAL or present:
            self._candidates[packet.ssrc] = (packet.sequence + 1 & 0xFFFF, proof)
            if len(self._candidates) > _MOST_CANDIDATES:
                del self._candidates[next(iter(self._candidates))]
            return False
        self.restarts += self.ssrc is not None
        self._expected_before += self._expected_now
        self.ssrc = packet.ssrc
        self.highest = self._first = packet.sequence
        self._candidates.clear()
        return True

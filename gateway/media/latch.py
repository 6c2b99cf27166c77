"""Where the caller's RTP comes from: symmetric RTP that locks. RFC 4961; RFC 7362 §3.

Behind a NAT the address in an SDP is often not where packets come from, so it has to be learned. A gateway that follows
every packet lets anybody steal the audio who finds the port (AST-2017-005). So: the SDP's address counts at once;
another has to show a stream before anybody was heard; then it is locked. From then on only the same host may come from
another port. Another host has to be agreed on: who is muted is silent for long, and nobody may speak in his place.
"""

from collections import OrderedDict
from collections.abc import Container
from typing import Final, NamedTuple

from gateway.wire.rtp import sequence_step

__all__ = ["Address", "Latch"]

_PROOF_PACKETS: Final = 4
# At 60 ms a packet, four of them and a lost one before take less.
_PROOF_S: Final = 0.5
# A NAT that forgets a binding is silent for seconds; a talkspurt's pause is not, since what suppresses silence still
# sends comfort noise now and then.
_SILENCE_S: Final = 5.0
_MOST_CANDIDATES: Final = 8
# How far a stream may have run on when its port changes.
_CONTINUES: Final = 50


class Address(NamedTuple):
    """Where a datagram comes from, or goes to. `host`: an IP address as text."""

    host: str
    port: int


class _Proof(NamedTuple):
    """What a source that is not known yet has shown: packets in a row."""

    ssrc: int
    sequence: int
    packets: int
    first_at: float


class Latch:
    """Tells the packets of the far end from those of strangers.

    `address`: the locked source, before that the SDP's.
    """

    def __init__(self) -> None:
        self._told: Address | None = None
        self._locked: Address | None = None
        self._ssrc = 0  # of the last packet from there
        self._sequence = 0
        self._heard_at = 0.0
        self._candidates: OrderedDict[Address, _Proof] = OrderedDict()

    @property
    def address(self) -> Address | None:
        return self._locked or self._told

    @property
    def locked(self) -> bool:
        return self._locked is not None

    def expect(self, told: Address | None) -> None:
        """Take the address of an SDP, and learn anew if it is another.

        A refreshed session names the same address again, a hold of old none: what is locked stays.
        """
        if told is None or told == self._told:
            return
        self._told = told
        self._locked = None
        self._candidates.clear()

    def admit(
        self,
        source: Address,
        *,
        ssrc: int,
        sequence: int,
        payload_type: int,
        payload_types: Container[int],
        now: float,
    ) -> bool:
        """Whether a packet is the far end's. `payload_types`: those agreed on; others prove nothing."""
        if source == self._locked:
            self._ssrc, self._sequence, self._heard_at = ssrc, sequence, now
            return True
        if source == self._told or self._moved(source, ssrc, sequence):
            return self._lock(source, ssrc, sequence, now)
        if payload_type not in payload_types or not self._may_prove(source, now):
            return False
        proof = self._proof(source, ssrc, sequence, now)
        if proof.packets >= _PROOF_PACKETS:
            return self._lock(source, ssrc, sequence, now)
        self._candidates[source] = proof
        self._candidates.move_to_end(source)
        if len(self._candidates) > _MOST_CANDIDATES:
            self._candidates.popitem(last=False)
        return False

    def _may_prove(self, source: Address, now: float) -> bool:
        if self._locked is None:
            return True
        return source.host == self._locked.host and now - self._heard_at > _SILENCE_S

    def _moved(self, source: Address, ssrc: int, sequence: int) -> bool:
        """A NAT gave the stream another port: the same host goes on with the same SSRC and the next numbers."""
        return (
            self._locked is not None
            and source.host == self._locked.host
            and ssrc == self._ssrc
            and 0 < sequence_step(sequence, self._sequence) <= _CONTINUES
        )

    def _proof(self, source: Address, ssrc: int, sequence: int, now: float) -> _Proof:
        """This packet as the next one of its source's proof, or as its first."""
        before = self._candidates.get(source)
        if (
            before is None
            or before.ssrc != ssrc
            or sequence_step(sequence, before.sequence) != 1
            or now - before.first_at > _PROOF_S
        ):
            return _Proof(ssrc, sequence, 1, now)
        return _Proof(ssrc, sequence, before.packets + 1, before.first_at)

    def _lock(self, source: Address, ssrc: int, sequence: int, now: float) -> bool:
        self._locked = source
        self._candidates.clear()
        self._ssrc, self._sequence, self._heard_at = ssrc, sequence, now
        return True

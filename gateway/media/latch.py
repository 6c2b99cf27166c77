"""Where the caller's RTP comes from: symmetric RTP that locks. RFC 4961; RFC 7362 §3.

Behind a NAT the address in an SDP is often not where packets come from, so it has to be learned. A gateway that follows
every packet lets anybody steal the audio who finds the port (AST-2017-005). So: the SDP's address counts at once;
another has to show a stream, and only while the true one is not there; then it is locked.
"""

from collections import OrderedDict
from collections.abc import Container
from typing import Final, NamedTuple

from gateway.wire.rtp import RtpPacket, sequence_step

__all__ = ["Address", "Latch"]

_PROOF_PACKETS: Final = 4
# At 60 ms a packet, four of them and a lost one before take less.
_PROOF_S: Final = 0.5
# A NAT that forgets a binding, or a phone that moves, is silent for seconds; a talkspurt's pause is not, since what
# suppresses silence still sends comfort noise now and then.
_SILENCE_S: Final = 5.0
_MOST_CANDIDATES: Final = 8
# How far a stream may have run on when its port changes.
_CONTINUES: Final = 50


class Address(NamedTuple):
    """Where a datagram comes from, or goes to. `host`: an IP address as text."""

    host: str
    port: int


class _Seen(NamedTuple):
    ssrc: int
    sequence: int
    packets: int
    first_at: float
    last_at: float


class Latch:
    """Tells the packets of the far end from those of strangers, and where to send to.

    `address`: where to send: the locked source, before that the SDP's. `strangers`: packets that were refused.
    """

    def __init__(self) -> None:
        self.strangers = 0
        self._told: Address | None = None
        self._locked: Address | None = None
        self._last: _Seen | None = None
        self._candidates: OrderedDict[Address, _Seen] = OrderedDict()

    @property
    def address(self) -> Address | None:
        return self._locked or self._told

    @property
    def locked(self) -> bool:
        return self._locked is not None

    def expect(self, told: Address | None) -> None:
        """Take the address of an SDP, and learn anew if it is another; None: it has none, as in a hold of old.

        A refreshed session names the same address again, and what is locked stays.
        """
        if told == self._told:
            return
        self._told = told
        self._locked = None
        self._last = None
        self._candidates.clear()

    def admit(
        self,
        source: Address,
        packet: RtpPacket,
        now: float,
        *,
        payload_types: Container[int],
        authentic: bool = False,
    ) -> bool:
        """Whether a packet is the far end's. `authentic`: SRTP says so, which settles it wherever it comes from."""
        seen = self._seen(source, packet, now)
        if source == self._locked:
            self._last = seen
            return True
        silent = self._last is not None and now - self._last.last_at > _SILENCE_S
        learning = self._locked is None or silent
        if (
            authentic
            or source == self._told
            or self._moved(source, packet)
            or (learning and packet.payload_type in payload_types and seen.packets >= _PROOF_PACKETS)
        ):
            self._lock(source, seen)
            return True
        self.strangers += 1
        if learning and packet.payload_type in payload_types:
            self._remember(source, seen)
        return False

    def _seen(self, source: Address, packet: RtpPacket, now: float) -> _Seen:
        """This packet as the next one of its source's proof, or as its first."""
        before = self._last if source == self._locked else self._candidates.get(source)
        follows = (
            before is not None
            and before.ssrc == packet.ssrc
            and sequence_step(packet.sequence, before.sequence) == 1
            and now - before.first_at <= _PROOF_S
        )
        if before is None or not follows:
            return _Seen(packet.ssrc, packet.sequence, 1, now, now)
        return _Seen(packet.ssrc, packet.sequence, before.packets + 1, before.first_at, now)

    def _moved(self, source: Address, packet: RtpPacket) -> bool:
        """A NAT gave the stream another port: the same host goes on with the same SSRC and the next numbers."""
        return (
            self._locked is not None
            and self._last is not None
            and source.host == self._locked.host
            and packet.ssrc == self._last.ssrc
            and 0 < sequence_step(packet.sequence, self._last.sequence) <= _CONTINUES
        )

    def _lock(self, source: Address, seen: _Seen) -> None:
        self._locked = source
        self._last = seen
        self._candidates.clear()

    def _remember(self, source: Address, seen: _Seen) -> None:
        self._candidates[source] = seen
        self._candidates.move_to_end(source)
        if len(self._candidates) > _MOST_CANDIDATES:
            self._candidates.popitem(last=False)

"""Whom a call listens to: what comes on its ports is the far end's, or it goes no further. A core.

With SRTP that is what authenticates, wherever it comes from. Without it, it is a matter of addresses: RTP by
media/latch.py; RTCP, which has no sequence to prove itself by, from a host that RTP comes from or reports go to. Behind
the same address there may be others: once RTP has come, its reports are told from theirs by its SSRC, or by their port.
"""

from functools import lru_cache
from struct import Struct as Layout
from typing import Final

import msgspec

from gateway.carriers.sip.leg_messages import Datagram, decode_datagram, encode_datagram
from gateway.carriers.sip.srtp import SrtpReceiver, SrtpSender
from gateway.media.latch import Address, Latch
from gateway.wire.rtcp import is_rtcp
from gateway.wire.sdp.agreement import Agreed, Srtp

__all__ = ["LARGEST_BYTES", "MediaCounts", "MediaGate"]

LARGEST_BYTES: Final = 1500
"""No packet of a call is larger: 60 ms of G.711 are 480 bytes, and what is protected has to fit into one frame."""

_HEADER: Final = Layout(">BBH4xI")
_SSRC: Final = Layout(">I")
_HEADER_BYTES: Final = 12  # RFC 3550 §5.1
_RTCP_HEADER_BYTES: Final = 8  # RFC 3550 §6.4: with its SSRC
_MOST_SOURCES: Final = 4096


class MediaCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What went no further, in packets.

    `strangers`: not from the far end, or before anything was agreed on. `malformed`: no RTP, no RTCP. `srtp_failures`:
    not authentic, a repetition, or not to be protected. `unsent`: the network took it not.
    """

    strangers: int = 0
    malformed: int = 0
    srtp_failures: int = 0
    unsent: int = 0


class MediaGate:
    """The gate of one call, both ways. Shut until something was agreed on."""

    def __init__(self) -> None:
        self._agreed: Agreed | None = None
        self._latch = Latch()
        self._sender: SrtpSender | None = None
        self._receiver: SrtpReceiver | None = None
        self._ssrc: int | None = None  # of the RTP that came last
        self._strangers = 0
        self._malformed = 0
        self._past_failures = 0

    @property
    def counts(self) -> MediaCounts:
        return MediaCounts(
            strangers=self._strangers,
            malformed=self._malformed,
            srtp_failures=self._past_failures + self._failures,
        )

    @property
    def muxed(self) -> bool:
        """RTCP shares the port of RTP. RFC 5761."""
        return self._agreed is not None and self._agreed.rtcp_mux

    def agree(self, agreed: Agreed) -> None:
        """Go on as `agreed` has it. What it says again changes nothing: a source stays locked, a key in use."""
        self._agreed = agreed
        self._latch.expect(None if agreed.address is None else Address(agreed.address, agreed.port))
        self._take_keys(agreed.srtp)

    def _take_keys(self, srtp: Srtp | None) -> None:
        if srtp is None or self._sender is None or self._receiver is None:
            self._past_failures += self._failures
            self._sender = SrtpSender(srtp.ours) if srtp else None
            self._receiver = SrtpReceiver(srtp.theirs) if srtp else None
        else:
            self._sender.take(srtp.ours)
            self._receiver.take(srtp.theirs)

    @property
    def _failures(self) -> int:
        return sum(each.failures for each in (self._sender, self._receiver) if each is not None)

    # -- in

    def admit(self, data: bytes, source: Address, now: float, *, rtcp: bool) -> bytes | None:
        """What to hand on, decrypted, as leg_messages.py frames it; None: nothing. `rtcp`: it came on that port."""
        agreed = self._agreed
        if agreed is None:
            self._strangers += 1
            return None
        rtcp = rtcp or (agreed.rtcp_mux and is_rtcp(data))
        least_bytes = _RTCP_HEADER_BYTES if rtcp else _HEADER_BYTES
        if not least_bytes <= len(data) <= LARGEST_BYTES or data[0] >> 6 != 2:
            self._malformed += 1
            return None
        if self._receiver is not None:
            opened = self._receiver.unprotect(data, rtcp=rtcp)
            return None if opened is None else _frame(source, rtcp) + opened
        if self._reports(source, data, agreed) if rtcp else self._speaks(source, data, agreed, now):
            return _frame(source, rtcp) + data
        self._strangers += 1
        return None

    def _speaks(self, source: Address, data: bytes, agreed: Agreed, now: float) -> bool:
        """Nobody new, while nothing is to come, and nobody else, while they hold the call: its silence is long."""
        direction = agreed.direction
        may_be_new = direction.receives and (direction.sends or not self._latch.locked)
        _, kind, sequence, ssrc = _HEADER.unpack_from(data)
        speaks = self._latch.admit(
            source,
            ssrc=ssrc,
            sequence=sequence,
            payload_type=kind & 0x7F,
            payload_types=agreed.receives if may_be_new else (),
            now=now,
        )
        self._ssrc = ssrc if speaks else self._ssrc
        return speaks

    def _reports(self, source: Address, data: bytes, agreed: Agreed) -> bool:
        rtp = self._latch.address
        if source.host != agreed.rtcp_address and (rtp is None or source.host != rtp.host):
            return False
        ports = {agreed.rtcp_port, *(() if rtp is None else (rtp.port, rtp.port + 1))}
        return self._ssrc in {None, _SSRC.unpack_from(data, 4)[0]} or source.port in ports

    # -- out

    def release(self, framed: bytes) -> Datagram | None:
        """The datagram to send, protected where that was agreed on; None: it must not go, and is counted."""
        datagram = decode_datagram(framed)
        if self._sender is None:
            return datagram
        protected = self._sender.protect(datagram.data, rtcp=datagram.rtcp)
        return None if protected is None else datagram._replace(data=protected)


@lru_cache(_MOST_SOURCES)
def _frame(source: Address, rtcp: bool) -> bytes:
    """What stands before each datagram of a source, which are 50 a second."""
    return encode_datagram(Datagram(source, b"", rtcp, authentic=True))

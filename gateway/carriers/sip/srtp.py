"""SRTP of one call, each way, by libsrtp. RFC 3711; its keys come by SDP, RFC 4568.

libsrtp counts the turns of the sequence number (the ROC), and refuses what it has seen. Nothing here shows a key, and
nothing raises for what a packet is: what fails is counted.
"""

from collections.abc import Mapping
from struct import Struct as Layout
from typing import Final

from pylibsrtp import Error, Policy, Session

from gateway.wire.rtp import sequence_step
from gateway.wire.sdp.crypto import Crypto

__all__ = ["SrtpReceiver", "SrtpSender"]

_PROFILES: Final[Mapping[str, int]] = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_NUMBERS: Final = Layout(">2xH4xI")  # sequence and SSRC of an RTP header
_HEADER: Final = Layout(">BBHII")
# Each has a state of half a kilobyte in libsrtp. A call has one at a time, and another after a transfer.
_MOST_SOURCES: Final = 16
# From one number to the next by less than half a turn, or libsrtp takes it for one that comes late. RFC 3711 §3.3.1.
_STRIDE: Final = 0x4000
# A call of 23 hours; a peer may well send numbers that turn a thousand times a second.
_MOST_TURNS: Final = 64


class SrtpSender:
    """What we send, protected under our key."""

    def __init__(self, crypto: Crypto) -> None:
        self.failures = 0
        self._crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_OUTBOUND)
        self._last = _Last()

    def take(self, crypto: Crypto) -> None:
        """Go on under this key; if it is the same one, as if nothing had been said.

        The turns of the sequence number go on too, RFC 3711 §3.3.1.
        """
        if not _differs(crypto, self._crypto):
            return
        self._crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_OUTBOUND)
        for packet in self._last.way_here():
            self._session.protect(packet)

    def protect(self, data: bytes, *, rtcp: bool = False) -> bytes | None:
        """The datagram to send; None: it could not be made, and is counted."""
        try:
            if rtcp:
                return self._session.protect_rtcp(data)
            protected = self._session.protect(data)
        except (Error, ValueError):  # ValueError: longer than a datagram may be
            self.failures += 1
            return None
        self._last.follow(data)
        return protected


class SrtpReceiver:
    """What comes, opened under their key. `failures`: what was forged, under another key, or had come before."""

    def __init__(self, crypto: Crypto) -> None:
        self.failures = 0
        self._crypto = crypto
        self._begun_anew = _session(crypto, Policy.SSRC_ANY_INBOUND)
        self._sessions = [self._begun_anew]  # to be tried; the last one is proven, others may come to be
        self._last = _Last()
        self._sources: dict[int, None] = {}

    def take(self, crypto: Crypto) -> None:
        """Go on under this key; if it is the same one, as if nothing had been said.

        What is under way under the key before is taken until the first packet under the new one is there. Whether the
        turns of the sequence number go on (RFC 3711 §3.3.1) or begin at 0 (RFC 4568 §7.1.4, and some that read it so
        for every new key) shows then: either is tried.
        """
        if not _differs(crypto, self._crypto):
            return
        self._crypto = crypto
        self._begun_anew = _session(crypto, Policy.SSRC_ANY_INBOUND)
        self._sessions = [self._going_on(crypto), self._begun_anew, self._sessions[-1]]

    def unprotect(self, data: bytes, *, rtcp: bool = False) -> bytes | None:
        """The RTP or RTCP packet; None: nothing vouches for it."""
        for session in self._sessions:
            try:
                opened = session.unprotect_rtcp(data) if rtcp else session.unprotect(data)
            except (Error, ValueError):  # ValueError: longer than a datagram may be
                continue
            if not rtcp:
                self._opened(opened, session)
            return opened
        self.failures += 1
        return None

    def _going_on(self, crypto: Crypto) -> Session:
        session = _session(crypto, Policy.SSRC_ANY_INBOUND)
        theirs = _session(crypto, Policy.SSRC_ANY_OUTBOUND)
        for packet in self._last.way_here():
            session.unprotect(theirs.protect(packet))
        return session

    def _opened(self, packet: bytes, session: Session) -> None:
        if session is not self._sessions[-1]:
            self._settle(session)
        ssrc = self._last.follow(packet)
        if ssrc not in self._sources:
            self._sources[ssrc] = None
            if len(self._sources) > _MOST_SOURCES:
                oldest = next(iter(self._sources))
                del self._sources[oldest]
                session.remove_stream(oldest)

    def _settle(self, session: Session) -> None:
        self._sessions = [session]
        self._sources.clear()
        if session is self._begun_anew:
            self._last = _Last()


class _Last:
    """The packet that one stream has come to."""

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._index = 0  # the sequence number, and above it the turns

    def follow(self, packet: bytes) -> int:
        """Take the next packet; its SSRC."""
        sequence: int
        ssrc: int
        sequence, ssrc = _NUMBERS.unpack_from(packet)
        if ssrc != self._ssrc:
            self._ssrc, self._index = ssrc, sequence
            return ssrc
        step = sequence_step(sequence, self._index & 0xFFFF)
        if step > 0:
            self._index += step
        return ssrc

    def way_here(self) -> list[bytes]:
        """Packets that bring a session which begins to the same turn: libsrtp cannot be told it otherwise."""
        if self._ssrc is None or self._index >> 16 > _MOST_TURNS:
            return []
        way = range(self._index % _STRIDE, self._index + 1, _STRIDE)
        return [_HEADER.pack(0x80, 0, index & 0xFFFF, 0, self._ssrc) for index in way]


def _differs(crypto: Crypto, before: Crypto) -> bool:
    return (crypto.suite, crypto.key) != (before.suite, before.key)


def _session(crypto: Crypto, ssrc_type: int) -> Session:
    return Session(Policy(key=crypto.key, ssrc_type=ssrc_type, srtp_profile=_PROFILES[crypto.suite]))

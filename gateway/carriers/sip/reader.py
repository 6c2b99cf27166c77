"""What crossed the carrier port of a SIP call, as what happened. A core.

The caller's audio and keys are those of a leg core that is fed the same: what came late, twice or never, from a stranger
or in two ways at once is for that core to say, and for nobody else.
"""

import random
from collections.abc import Iterable, Iterator

from gateway.audio.g711 import CODECS
from gateway.carriers.sip import leg_messages as wire
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.contracts import CallerAudio, DigitPressed
from gateway.report import happenings as h
from gateway.wire import rtp
from gateway.wire.errors import RemoteProtocolError

__all__ = ["SipReader"]

_BYTES_PER_MS = 8


class SipReader:
    """The `CarrierReader` of SIP trunks."""

    def __init__(self) -> None:
        self._leg = SipLegCore("", rng=random.Random(0))  # nobody looks at what it sends
        self._agreed: wire.MediaAgreed | None = None

    def received(self, message: str | bytes, t_us: int) -> Iterable[h.Happening]:
        self._leg.receive(message, t_us / 1e6)
        if isinstance(message, str):
            yield from self._told(message, t_us)
        yield from self._heard(t_us)

    def ticked(self, t_us: int) -> Iterable[h.Happening]:
        self._leg.advance(t_us / 1e6)
        return self._heard(t_us)

    def sent(self, message: str | bytes, t_us: int) -> Iterable[h.Happening]:
        """RTP never pauses: where the agent has nothing to say there is silence in it."""
        if isinstance(message, str) or self._agreed is None:
            return ()
        try:
            datagram = wire.decode_datagram(message)
            if datagram.rtcp:
                return ()
            packet = rtp.decode(datagram.data)
        except RemoteProtocolError:
            return ()
        if packet.payload_type != self._agreed.payload_type:
            return ()  # a key of ours
        ms = len(packet.payload) / _BYTES_PER_MS
        silence = CODECS[self._agreed.codec].silence
        return (h.AudioSent(t_us, ms) if packet.payload.strip(silence) else h.SilenceSent(t_us, ms),)

    def _told(self, text: str, t_us: int) -> Iterator[h.Happening]:
        try:
            message = wire.decode(text)
        except RemoteProtocolError:
            return
        match message:
            case wire.MessagePassed():
                yield h.Signal(
                    t_us,
                    message.sent,
                    message.line,
                    message.cseq,
                    message.transport,
                    message.headers,
                    message.sdp,
                )
            case wire.MediaAgreed():
                self._agreed = message
                yield h.CarrierTold(t_us, "media.agreed", _terms(message))
            case _:
                pass  # facts and keys say it

    def _heard(self, t_us: int) -> Iterator[h.Happening]:
        self._leg.outgoing()
        for event in self._leg.events():
            match event:
                case CallerAudio():
                    yield h.CallerAudio(t_us, len(event.payload) / _BYTES_PER_MS)
                case DigitPressed():
                    yield h.KeyPressed(t_us, event.digit)
                case _:
                    pass  # facts tell it


def _terms(agreed: wire.MediaAgreed) -> dict[str, object]:
    """What was agreed on; of what is rarely so, only where it is."""
    address = agreed.rtp
    terms: dict[str, object] = {
        "codec": agreed.codec,
        "direction": agreed.direction.value,
        "to": f"{address.host} port {address.port}" if address is not None else "nowhere",
        "ptime_ms": agreed.ptime_ms,
    }
    flags = {"early": agreed.early, "srtp": agreed.secure, "no_events": agreed.event_payload_type is None}
    return terms | {name: True for name, holds in flags.items() if holds}

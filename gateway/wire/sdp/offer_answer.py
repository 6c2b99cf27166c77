"""Agreeing on one stream of G.711 with a peer, by offers and answers. RFC 3264.

Whoever offers has the order of preference, and both number payload types as they wish to receive them: one sends with
the other's numbers. Each m-line of an offer has an answer in its place; what is not wanted has port 0.

SRTP (RFC 4568): `optional` takes it wherever the peer has it, and offers keys beside plain RTP, which RFC 4568 does not
know but phones and PBXs do; `required` takes nothing else.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from gateway.wire.sdp.agreement import Agreed, NotAcceptable, OurMedia, Srtp, SrtpPolicy
from gateway.wire.sdp.crypto import SUITES, Crypto
from gateway.wire.sdp.description import Origin, SessionDescription
from gateway.wire.sdp.media import Direction, Encoding, Media

__all__ = ["OfferAnswer"]

_EVENTS: Final = "telephone-event"
_NOISE: Final = "cn"
_PLAIN, _SECURE = "RTP/AVP", "RTP/SAVP"
_PTIME_MS: Final = 20
_EVENT_LIST: Final = "0-15"

# What we offer, in this order; the same that Twilio sends and takes. GCM is taken where it is offered.
_OFFERED_SUITES: Final = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
# RFC 3551 §6 for G.711; 101 is what everybody takes for events.
_OUR_NUMBERS: Final[Mapping[str, int]] = {"pcmu": 0, "pcma": 8, _EVENTS: 101}
# The address of hold before there were directions. RFC 3264 §8.4.
_NOWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound to it
_EVERYBODY: Final = ip_address("255.255.255.255")


class OfferAnswer:
    """Our side of one session. `ours`: set it anew before an offer or an answer that is to move, hold or resume.

    `agreed`: None until an answer was made or taken. `new_key`: random bytes, as many as it is asked for, good for
    keys. `session_id`: names our session; RFC 8866 §5.2 suggests a time.
    """

    def __init__(self, ours: OurMedia, *, session_id: int, new_key: Callable[[int], bytes]) -> None:
        self.ours = ours
        self.agreed: Agreed | None = None
        self._session_id = session_id
        self._new_key = new_key
        self._keys: dict[str, bytes] = {}
        self._numbers = dict(_OUR_NUMBERS)
        self._sent: SessionDescription | None = None
        self._lines: tuple[Media, ...] = ()  # of the session as it stands, and which of them is ours
        self._at = 0
        self._offered: Media | None = None
        self._waiting = False

    # -- we offer

    def offer(self, *, new_keys: bool = False) -> SessionDescription:
        """An offer of `ours`, the first of a session or another. `new_keys`: SRTP is to go on under others.

        Raises `ValueError` while an offer of ours waits for its answer.
        """
        if self._waiting:
            raise ValueError("there is no answer yet to the offer before")
        if new_keys:
            self._keys.clear()
        self._offered = self._our_line()
        self._waiting = True
        lines = list(self._lines) or [self._offered]
        lines[self._at] = self._offered
        return self._description(tuple(lines))

    def withdraw(self) -> None:
        """Our offer was refused: all stays as it is agreed. RFC 3264 §8."""
        self._offered = None
        self._waiting = False

    def take_answer(self, answer: SessionDescription) -> Agreed:
        """What the answer to our offer makes of it. Raises `NotAcceptable`, and then all stays as it was.

        It may come more than once: with early media and again with the 200, or from another fork.
        """
        offered = self._offered
        if offered is None:
            raise ValueError("an answer without an offer")
        if len(answer.media) <= self._at:
            raise NotAcceptable("the answer leaves out a medium")
        line = answer.media[self._at]
        if line.port == 0:
            raise NotAcceptable("the answer refuses audio")
        if line.profile != offered.profile:
            raise NotAcceptable(f"the answer has {line.protocol}, the offer {offered.protocol}")
        codec = _preferred(line, self.ours.codecs)
        if codec is None:
            raise NotAcceptable("the answer has no codec of the offer")
        both = (*self.ours.codecs, _EVENTS)
        receives = {self._numbers[name]: name for name in both if line.find(name) is not None}
        agreed = self._terms(answer, line, codec, receives, _answered_keys(offered, line))
        self._waiting = False
        self._stands(agreed, answer.media)
        return agreed

    def _our_line(self) -> Media:
        suites: tuple[str, ...] = () if self.ours.srtp is SrtpPolicy.OFF else _OFFERED_SUITES
        protocol = _SECURE if self.ours.srtp is SrtpPolicy.REQUIRED else _PLAIN
        if self.agreed is not None:  # a session that stands is not made another kind of
            srtp = self.agreed.srtp
            suites = tuple(dict.fromkeys((srtp.ours.suite, *_OFFERED_SUITES))) if srtp else ()
            protocol = self._lines[self._at].protocol
        names = (*self.ours.codecs, _EVENTS)
        numbers = {self._numbers[name]: Encoding(name, 8000) for name in names}
        cryptos = [Crypto(tag=tag, suite=suite, key=self._key(suite)) for tag, suite in enumerate(suites, 1)]
        return self._line(numbers, protocol, tuple(cryptos), self.ours.direction)

    # -- they offer

    def answer(self, offer: SessionDescription) -> SessionDescription:
        """The answer to an offer, after which `agreed` holds. Raises `NotAcceptable`, and then all stays as it was.

        An offer that crosses one of ours is not for here (491, RFC 3261 §14.2): `ValueError`.
        """
        if self._waiting:
            raise ValueError("an offer of ours waits for its answer")
        lacking: list[str] = []
        for at, line in enumerate(offer.media):
            try:
                agreed, answered = self._answered(offer, line)
            except NotAcceptable as error:
                lacking.append(str(error))
                continue
            self._at = at
            self._offered = None
            lines = tuple(other.refused for other in offer.media)
            lines = (*lines[:at], answered, *lines[at + 1 :])
            self._stands(agreed, lines)
            return self._description(lines)
        raise NotAcceptable("; ".join(dict.fromkeys(lacking)) or "the offer has no medium")

    def _answered(self, offer: SessionDescription, line: Media) -> tuple[Agreed, Media]:
        """What comes of one line of an offer, and our line for it."""
        if line.kind != "audio" or line.port == 0:
            raise NotAcceptable("no audio")
        if line.profile not in {_PLAIN, _SECURE}:
            raise NotAcceptable(line.profile)
        codec = _preferred(line, self.ours.codecs)
        if codec is None:
            raise NotAcceptable("no G.711")
        srtp = self._chosen_keys(line)
        named = {line.find(name): name for name in (codec, _EVENTS, _NOISE)}
        receives = {number: name for number, name in named.items() if number is not None}
        agreed = self._terms(offer, line, codec, receives, srtp)
        numbers = {number: Encoding(name, 8000) for number, name in receives.items()}
        cryptos = (srtp.ours,) if srtp else ()
        return agreed, self._line(numbers, line.protocol, cryptos, agreed.direction, rtcp_mux=line.rtcp_mux)

    def _chosen_keys(self, line: Media) -> Srtp | None:
        """The first suite of theirs that we have; RFC 4568 §5.1.2. None: plain RTP."""
        policy = self.ours.srtp
        theirs = next((crypto for crypto in line.cryptos if crypto.usable), None)
        if policy is SrtpPolicy.OFF:
            theirs = None
        if theirs is not None:
            return Srtp(
                ours=Crypto(tag=theirs.tag, suite=theirs.suite, key=self._key(theirs.suite)), theirs=theirs
            )
        if line.profile == _SECURE:
            raise NotAcceptable("SRTP is off" if policy is SrtpPolicy.OFF else "no SRTP suite that we have")
        if policy is SrtpPolicy.REQUIRED:
            raise NotAcceptable("SRTP is required")
        return None

    # -- both

    def _terms(
        self,
        theirs: SessionDescription,
        line: Media,
        codec: str,
        receives: dict[int, str],
        srtp: Srtp | None,
    ) -> Agreed:
        """What their description and ours come to."""
        address = _host(theirs.address_of(line), self.ours)
        if address is None or (address, line.port) == (self.ours.address, self.ours.port):
            raise NotAcceptable("no c= with the IP address of a host that we could send to")
        payload_type = line.find(codec)
        assert payload_type is not None
        held = address in _NOWHERE
        direction = theirs.direction_of(line)
        rtcp_port = line.rtcp.port if line.rtcp else line.port + 1
        rtcp_address = (_host(line.rtcp.address, self.ours) if line.rtcp else None) or address
        return Agreed(
            codec=codec,
            address=None if held else address,
            port=line.port,
            payload_type=payload_type,
            event_payload_type=line.find(_EVENTS),
            receives=receives,
            direction=Direction.of(
                sends=self.ours.direction.sends and direction.receives and not held,
                receives=self.ours.direction.receives and direction.sends,
            ),
            rtcp_address=None if held else rtcp_address,
            rtcp_port=line.port if line.rtcp_mux else rtcp_port,
            rtcp_mux=line.rtcp_mux,
            srtp=srtp,
            ptime_ms=line.ptime_ms or _PTIME_MS,
        )

    def _line(
        self,
        numbers: Mapping[int, Encoding],
        protocol: str,
        cryptos: tuple[Crypto, ...],
        direction: Direction,
        *,
        rtcp_mux: bool = False,
    ) -> Media:
        return Media(
            kind="audio",
            port=self.ours.port,
            protocol=protocol,
            formats=tuple(map(str, numbers)),
            direction=direction,
            encodings=dict(numbers),
            parameters={number: _EVENT_LIST for number, name in numbers.items() if name.name == _EVENTS},
            ptime_ms=_PTIME_MS,
            rtcp_mux=rtcp_mux,
            cryptos=cryptos,
        )

    def _stands(self, agreed: Agreed, lines: tuple[Media, ...]) -> None:
        self.agreed = agreed
        self._lines = tuple(line.refused for line in lines)
        # RFC 3264 §8.3.2: a number that stands for an encoding stands for no other as long as the session lasts.
        self._numbers |= {name: number for number, name in agreed.receives.items()}

    def _description(self, media: tuple[Media, ...]) -> SessionDescription:
        """What we send, as another version if it differs from the last one. RFC 3264 §8."""
        before = self._sent
        if before is not None and (before.media, before.address) == (media, self.ours.address):
            return before
        version = before.origin.version + 1 if before is not None else self._session_id
        origin = Origin(session_id=self._session_id, version=version, address=self.ours.address)
        self._sent = SessionDescription(origin=origin, address=self.ours.address, media=media)
        return self._sent

    def _key(self, suite: str) -> bytes:
        """Ours for a suite, the same until others are wanted."""
        if suite not in self._keys:
            self._keys[suite] = self._new_key(SUITES[suite])
        return self._keys[suite]


def _host(address: str | None, ours: OurMedia) -> str | None:
    """An IP address as sockets write it, where audio can go from us: of our version, and of one host.

    A name would have us ask the DNS for what a stranger wrote; an address of this machine alone would have us talk to
    what listens there.
    """
    try:
        host, here = ip_address(address or ""), ip_address(ours.address)
    except ValueError:
        return None
    if str(host) in _NOWHERE:
        return str(host)
    is_nobody = host.is_multicast or host == _EVERYBODY or host.version != here.version
    is_near = ours.near or here.is_loopback
    return None if is_nobody or (host.is_loopback and not is_near) else str(host)


def _preferred(line: Media, codecs: tuple[str, ...]) -> str | None:
    """The first codec of their line that is one of ours."""
    ours = {Encoding(name, 8000) for name in codecs}
    theirs = map(line.encoding, line.payload_types)
    return next((encoding.name for encoding in theirs if encoding is not None and encoding in ours), None)


def _answered_keys(offered: Media, line: Media) -> Srtp | None:
    """The keys that an answer settles on: one of ours by its tag, and theirs. RFC 4568 §5.1.3."""
    if not offered.cryptos or not line.cryptos:
        if line.profile == _SECURE:
            raise NotAcceptable("the answer has no key")
        return None
    theirs = line.cryptos[0]
    ours = next((one for one in offered.cryptos if (one.tag, one.suite) == (theirs.tag, theirs.suite)), None)
    if ours is None or not theirs.usable:
        raise NotAcceptable("the answer has a key that fits none of the offer's")
    return Srtp(ours=ours, theirs=theirs)

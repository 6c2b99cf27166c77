"""OPTIONS: are you there, and what can you do? Asked, and answered. RFC 3261 §11. A core."""

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from gateway.wire.sip.acceptance import Abilities
from gateway.wire.sip.backoff import retry_after_s
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import MAX_FORWARDS, Request, Response, response_to
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from random import Random

__all__ = ["OptionsPing", "PeerDown", "PeerUp", "PingSettings", "answer_options", "options_request"]

# What a proxy says of a server that it cannot reach, or a server that takes no calls. Every other answer, be it 404
# or 405, shows that somebody is there.
_DOWN: Final = frozenset({408, 502, 503, 504})
_DRAINING: Final = 503  # it says of itself that it takes no calls: no need to ask again


class PingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`interval_s`: between pings while all is well; `retry_s`: while it is not. `patience_s`: for an answer; over UDP
    a ping is sent four times in as long. `down_after`, `up_after`: how many in a row it takes.
    """

    interval_s: float = (
        25.0  # a NAT forgets a UDP flow after 30 s (RFC 4787 asks for 120): calls come back through it
    )
    retry_s: float = 5.0
    patience_s: float = 4.0
    down_after: int = 2
    up_after: int = 2


class PeerUp(NamedTuple):
    """It answers again."""


class PeerDown(NamedTuple):
    """It takes no calls. `why`: a status, or "unanswered"."""

    why: str


class OptionsPing:
    """Whether a peer can be called, found out by asking. It is taken to be up until it shows otherwise.

    `uri`: the peer. `ours`: who asks, without a tag. The first ping is due at `now`.
    """

    def __init__(
        self, uri: SipUri, ours: NameAddr, rng: "Random", now: float, settings: PingSettings | None = None
    ) -> None:
        self.is_up = True
        self._uri = uri
        self._ours = ours
        self._rng = rng
        self._settings = settings or PingSettings()
        self._asked: Request | None = None
        self._next_at = now  # when to ask; while asked, when patience ends
        self._contrary = 0  # answers in a row that say otherwise than `is_up`
        self._outgoing: list[Request] = []
        self._events: list[PeerUp | PeerDown] = []

    def advance(self, now: float) -> None:
        """Time passes."""
        if now < self._next_at:
            return
        if self._asked is not None:
            self._learned(now, up=False, why="unanswered")
        else:
            self._asked = options_request(self._uri, self._ours, self._rng)
            self._outgoing.append(self._asked)
            self._next_at = now + self._settings.patience_s

    def answered(self, request: Request, response: Response, now: float) -> None:
        """A response came to a ping. Late ones count for nothing."""
        if request is not self._asked or response.status < 200:
            return
        if response.status in _DOWN:
            at_once = response.status == _DRAINING
            self._learned(
                now, up=False, why=str(response.status), at_once=at_once, pause_s=retry_after_s(response)
            )
        else:
            self._learned(now, up=True)

    def unanswered(self, request: Request, now: float) -> None:
        """A ping timed out, could not be sent, or its peer could not be found."""
        if request is self._asked:
            self._learned(now, up=False, why="unanswered")

    @property
    def deadline(self) -> float:
        """When `advance` has something to do."""
        return self._next_at

    def outgoing(self) -> list[Request]:
        """Requests to send, each of which is to be `answered` or `unanswered`; they lack a Via."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def events(self) -> list[PeerUp | PeerDown]:
        """What changed since the last call of this method."""
        events, self._events = self._events, []
        return events

    def _learned(
        self, now: float, *, up: bool, why: str = "", at_once: bool = False, pause_s: float = 0.0
    ) -> None:
        settings = self._settings
        self._asked = None
        self._contrary = 0 if up == self.is_up else self._contrary + 1
        needed = settings.up_after if up else settings.down_after
        if self._contrary and (at_once or self._contrary >= needed):
            self.is_up = up
            self._contrary = 0
            self._events.append(PeerUp() if up else PeerDown(why))
        is_well = self.is_up and not self._contrary
        usual_s = settings.interval_s * self._rng.uniform(0.9, 1.0) if is_well else settings.retry_s
        self._next_at = now + max(usual_s, pause_s)


def options_request(uri: SipUri, ours: NameAddr, rng: "Random") -> Request:
    """An OPTIONS outside of any dialog, without a Via. RFC 3261 §11.1."""
    headers = HeaderMap(
        [
            ("Max-Forwards", MAX_FORWARDS),
            ("From", str(ours.tagged(f"{rng.getrandbits(64):016x}"))),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{rng.getrandbits(128):032x}"),
            ("CSeq", "1 OPTIONS"),
            ("Accept", "application/sdp"),
        ]
    )
    return Request("OPTIONS", uri, headers)


def answer_options(
    request: Request, abilities: Abilities, *, to_tag: str, draining_s: int | None = None
) -> Response:
    """The answer to an OPTIONS that `refusal_of` has let through. RFC 3261 §11.2.

    `draining_s`: 503 instead, since no call would be taken; when to ask again, in seconds.
    """
    if draining_s is not None:
        response = response_to(request, 503, to_tag=to_tag)
        response.headers["Retry-After"] = str(draining_s)
        return response
    response = response_to(request, 200, to_tag=to_tag)
    response.headers["Allow"] = ", ".join(abilities.methods)
    response.headers["Accept"] = ", ".join(abilities.content_types)
    response.headers["Accept-Encoding"] = "identity"
    response.headers["Accept-Language"] = "en"
    response.headers["Supported"] = ", ".join(abilities.extensions)  # empty: none is supported, §20.37
    return response

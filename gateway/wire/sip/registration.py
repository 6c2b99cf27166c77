"""Being known to a registrar, so that calls come here: REGISTER as its client. RFC 3261 §10. A core.

    registration = Registration(account, rng, digest)
    registration.begin()
    outgoing() are to be sent; then answered(request, response, now) or unanswered(request, now)
    advance(now) at `deadline`
    registration.end(), and go on until it `is_over`

Each request comes without a Via. Credentials, refreshes, too brief intervals and failures are dealt with here.
"""

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from gateway.wire.sip.backoff import Backoff, readable, retry_after_s
from gateway.wire.sip.comparison import equivalent
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import EXPIRES, MIN_EXPIRES, READABLE_CONTACT
from gateway.wire.sip.grammar import number_of
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import MAX_FORWARDS, Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.uri import SipUri, Uri
from gateway.wire.sip.values import CSeq

if TYPE_CHECKING:
    from random import Random

    from gateway.wire.sip.digest import DigestClient

__all__ = [
    "Account",
    "Registered",
    "Registration",
    "RegistrationEvent",
    "RegistrationFailed",
    "RegistrationLost",
    "Unregistered",
]

# A part of the lifetime that leaves time to try again; spread, so that a registrar that was down is not stormed.
_REFRESH: Final = (0.75, 0.85)
_SOONEST_REFRESH_S: Final = 5.0
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
# One for the challenge of a proxy and of the registrar, one for a stale nonce, one for a brief interval, and one more.
_MOST_TRIES: Final = 5
_LONGEST_EXPIRES_S: Final = 86_400
# Who says these goes on to say them until somebody changes the account; Fail2ban and the like count them.
_REFUSALS: Final = frozenset({401, 403, 404, 407})
_INSTANCE: Final = "rinstance"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """`registrar`: without a user (`sip:pbx.example`). `address`: who we are there, the address of record.
    `contact`: where we are; its parameters stay as they are. `expires_s`: what we ask for.
    """

    registrar: SipUri
    address: NameAddr
    contact: NameAddr
    expires_s: int = 3600


class Registered(NamedTuple):
    """Calls come here from now on. `expires_s`: how long the registrar keeps us without a refresh."""

    expires_s: int


class RegistrationFailed(NamedTuple):
    """A try has failed. `why`: a status or "unanswered". `retry_s`: the next one; None: we were leaving, there is none."""

    why: str
    retry_s: float | None


class RegistrationLost(NamedTuple):
    """Calls do not come here any more."""


class Unregistered(NamedTuple):
    """As we wanted."""


RegistrationEvent = Registered | RegistrationFailed | RegistrationLost | Unregistered


class _State(enum.Enum):
    IDLE = "idle"
    ASKING = "asking"
    RESTING = "resting"  # until a refresh, or the next try
    LEAVING = "leaving"
    OVER = "over"


# From where to where it may go; all else is a bug.
_MOVES: Final = {
    (_State.IDLE, "begin"): _State.ASKING,
    (_State.IDLE, "end"): _State.OVER,
    (_State.ASKING, "done"): _State.RESTING,
    (_State.ASKING, "end"): _State.LEAVING,
    (_State.RESTING, "due"): _State.ASKING,
    (_State.RESTING, "end"): _State.LEAVING,
    (_State.LEAVING, "done"): _State.OVER,
    (_State.LEAVING, "end"): _State.LEAVING,
    (_State.OVER, "end"): _State.OVER,
}


class Registration:
    """One account at one registrar. `contact`: as registered; calls of ours should have it too.

    Its URI has an `rinstance` that tells calls to this account from others (`is_for`), which registrars repeat.
    """

    def __init__(self, account: Account, rng: "Random", digest: "DigestClient | None" = None) -> None:
        self.contact = _with_instance(account.contact, rng)
        self._account = account
        self._rng = rng
        self._digest = digest
        self._state = _State.IDLE
        self._from = account.address.tagged(f"{rng.getrandbits(64):016x}")
        self._call_id = f"{rng.getrandbits(128):032x}"  # the same for all: §10.2.4
        self._number = 0
        self._wanted_s = account.expires_s
        self._asked: Request | None = None
        self._asked_s = 0  # the Expires of that
        self._tries = 0
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, rng)
        self._due_at: float | None = None
        self._known_until: float | None = None  # when the registrar forgets us
        self._outgoing: list[Request] = []
        self._events: list[RegistrationEvent] = []

    # -- what is wanted

    def begin(self) -> None:
        """Register, and stay registered."""
        self._move("begin")
        self._ask()

    def end(self) -> None:
        """Unregister. One answer, or none, is waited for."""
        was_resting = self._state is _State.RESTING
        self._move("end")
        self._due_at = None
        if was_resting:
            self._leave()

    @property
    def is_registered(self) -> bool:
        return self._known_until is not None

    @property
    def is_over(self) -> bool:
        return self._state is _State.OVER

    def is_for(self, uri: Uri) -> bool:
        """Whether the Request-URI of a call says that it came through this registration."""
        return isinstance(uri, SipUri) and uri.parameter(_INSTANCE) == _instance_of(self.contact)

    # -- what happens

    def answered(self, request: Request, response: Response, now: float) -> None:
        """A response came. Those to earlier requests count for nothing."""
        if request is not self._asked or response.status < 200:
            return
        if response.status < 300:
            self._granted(response, now)
        elif self._tries < _MOST_TRIES and self._can_ask_otherwise(request, response):
            self._ask()
        else:
            refused = response.status in _REFUSALS
            self._failed(str(response.status), now, at_least_s=retry_after_s(response), refused=refused)

    def unanswered(self, request: Request, now: float) -> None:
        """It timed out, could not be sent, or its registrar could not be found."""
        if request is self._asked:
            self._failed("unanswered", now)

    def advance(self, now: float) -> None:
        """Time passes."""
        if self._known_until is not None and self._known_until <= now:
            self._forgotten()
        if self._due_at is not None and self._due_at <= now:
            self._due_at = None
            self._move("due")
            self._tries = 0
            self._ask()

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do."""
        return min((at for at in (self._due_at, self._known_until) if at is not None), default=None)

    def outgoing(self) -> list[Request]:
        """Requests to send, each of which is to be `answered` or `unanswered`."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def events(self) -> list[RegistrationEvent]:
        """What happened since the last call of this method."""
        events, self._events = self._events, []
        return events

    # -- outcomes

    def _granted(self, response: Response, now: float) -> None:
        self._asked = None
        if self._digest is not None:
            self._digest.accepted(response)
        if self._asked_s == 0:
            self._known_until = None
            self._move("done")
            self._events.append(Unregistered())
            return
        granted_s = _expires_s(response, self.contact, self._asked_s)
        if granted_s == 0:  # they took us, and forgot us at once
            self._failed(str(response.status), now, refused=True)
            return
        self._backoff.worked()
        if not self.is_registered:
            self._events.append(Registered(granted_s))
        self._known_until = now + granted_s
        if self._state is _State.LEAVING:
            self._leave()
        else:
            self._move("done")
            self._due_at = now + max(granted_s * self._rng.uniform(*_REFRESH), _SOONEST_REFRESH_S)

    def _failed(self, why: str, now: float, *, at_least_s: float = 0.0, refused: bool = False) -> None:
        self._asked = None
        if refused and self._asked_s > 0:
            self._forgotten()
        if self._state is _State.LEAVING:
            self._events.append(RegistrationFailed(why, None))
            if self._asked_s > 0:
                self._leave()
            else:
                self._move("done")
            return
        pause_s = self._backoff.failed(at_least_s=at_least_s, for_good=refused)
        self._events.append(RegistrationFailed(why, pause_s))
        self._due_at = now + pause_s
        self._move("done")

    def _forgotten(self) -> None:
        if self.is_registered:
            self._known_until = None
            self._events.append(RegistrationLost())

    def _leave(self) -> None:
        """Nothing is under way, and we have to go."""
        if self.is_registered:
            self._tries = 0
            self._ask()
        else:
            self._move("done")

    def _can_ask_otherwise(self, request: Request, response: Response) -> bool:
        """Whether the response says what to do about it."""
        if response.status in {401, 407}:
            return self._digest is not None and self._digest.challenged(request, response)
        if response.status == 423:  # §10.2.8
            least_s = readable(response.headers, MIN_EXPIRES) or 0
            longer = self._wanted_s < least_s <= _LONGEST_EXPIRES_S and self._asked_s > 0
            self._wanted_s = least_s if longer else self._wanted_s
            return longer
        return False

    # -- asking

    def _ask(self) -> None:
        leaving = self._state is _State.LEAVING
        self._tries += 1
        self._number += 1
        self._asked_s = 0 if leaving else self._wanted_s
        headers = HeaderMap(
            [
                ("Max-Forwards", MAX_FORWARDS),
                ("From", str(self._from)),
                ("To", str(self._account.address)),
                ("Call-ID", self._call_id),
                ("CSeq", str(CSeq(self._number, "REGISTER"))),
                ("Contact", str(self.contact)),
                ("Expires", str(self._asked_s)),
            ]
        )
        request = Request("REGISTER", self._account.registrar, headers)
        if self._digest is not None:
            self._digest.authorize(request)
        self._asked = request
        self._outgoing.append(request)

    def _move(self, what: str) -> None:
        self._state = _MOVES[self._state, what]


def _expires_s(response: Response, contact: NameAddr, asked_s: int) -> int:
    """For how long we are known: what our Contact says there, else the response, else what we asked. §10.2.4.

    Other phones of the same account are listed as well, with Contacts that they have written.
    """
    contacts = response.headers[READABLE_CONTACT]
    ours = [each for each in contacts if _instance_of(each) == _instance_of(contact)]
    ours = ours or [each for each in contacts if equivalent(each.uri, contact.uri)]
    said = (ours or contacts)[0].parameters.get("expires") if ours or len(contacts) == 1 else None
    granted_s = None if said is None else _seconds(said)
    if granted_s is None:
        granted_s = readable(response.headers, EXPIRES)
    return min(asked_s if granted_s is None else granted_s, _LONGEST_EXPIRES_S)


def _seconds(text: str) -> int | None:
    try:
        return number_of(text, _LONGEST_EXPIRES_S)
    except SipSyntaxError:
        return None


def _with_instance(contact: NameAddr, rng: "Random") -> NameAddr:
    uri = contact.uri
    if not isinstance(uri, SipUri) or uri.parameter(_INSTANCE) is not None:
        return contact
    instance = (_INSTANCE, f"{rng.getrandbits(64):016x}")
    uri = msgspec.structs.replace(uri, parameters=(*uri.parameters, instance))
    return msgspec.structs.replace(contact, uri=uri)


def _instance_of(contact: NameAddr) -> str | None:
    return contact.uri.parameter(_INSTANCE) if isinstance(contact.uri, SipUri) else None

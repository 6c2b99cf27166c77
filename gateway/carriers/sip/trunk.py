"""One trunk: whom we call and who calls us by it, and what it may do. A core."""

from collections import deque
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import msgspec

from gateway.carriers.sip.numbers import ANONYMOUS, called_of, caller_of, e164
from gateway.carriers.sip.settings import TrunkSettings
from gateway.config import Secret
from gateway.wire.sip.digest import DigestClient
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import check_line
from gateway.wire.sip.headers import key_of
from gateway.wire.sip.hosts import same_host
from gateway.wire.sip.message import Request
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.registration import Account, Registration
from gateway.wire.sip.uri import SipUri, TelUri, parse_uri

if TYPE_CHECKING:
    from random import Random

__all__ = ["Trunk"]

T = TypeVar("T")

# An Identity (RFC 8224) is the longest that is seen. What is longer, nobody meant to say to an agent.
_LONGEST_HEADER: Final = 8192
# What stays as it is of a name in a URI's user part. RFC 3261 §25.1; a semicolon would begin a parameter.
_IN_USER: Final = "!*'()&=+$,/#"


class Trunk:
    """One trunk. `credentials`: for who challenges what *we* begin: calls, REGISTER. None: we have none.

    In calls that came in they have no place: whoever placed the call could ask for them. `registration`: once
    `register` was called. `active`: its calls, both ways.
    """

    def __init__(self, name: str, settings: TrunkSettings, password: Secret | None, rng: "Random") -> None:
        self.name = name
        self.settings = settings
        self.active = 0
        self.registration: Registration | None = None
        self.credentials = (
            DigestClient(settings.user, password.reveal(), rng, realm=settings.realm or None)
            if settings.user and password is not None
            else None
        )
        self._rng = rng
        self._begun: deque[float] = deque(maxlen=settings.calls_per_s)

    # -- how many calls

    def full(self, now: float) -> str | None:
        """Why no call may begin now, be it theirs or ours; None: it may."""
        if self.active >= self.settings.calls:
            return f"{self.settings.calls} calls at a time"
        if len(self._begun) == self.settings.calls_per_s and now - self._begun[0] < 1:
            return f"{self.settings.calls_per_s} calls a second"
        return None

    def began(self, now: float) -> None:
        """A call, be it theirs or ours. Its end is to be told by `ended`."""
        self.active += 1
        self._begun.append(now)

    def ended(self) -> None:
        self.active -= 1

    # -- calls that come

    def caller_of(self, request: Request) -> str:
        """Who calls: a number in E.164, `anonymous`, or another name."""
        return caller_of(request, trusted=self.settings.auth == "network")

    def called_of(self, request: Request) -> str:
        """Who is called: a number in E.164, or another name."""
        return called_of(request, registered=self.is_registered_for(request))

    def headers_of(self, request: Request) -> dict[str, str]:
        """The headers of a call that may pass, by their names in the settings; rows of one name are joined."""
        found = {}
        for name in self.settings.headers:
            text = ", ".join(request.headers.rows(name))
            if text and len(text) <= _LONGEST_HEADER:
                found[name] = "".join(each if each.isprintable() else " " for each in text)
        return found

    def is_registered_for(self, request: Request) -> bool:
        """Whether a call came because we are registered there."""
        return self.registration is not None and self.registration.is_for(request.uri)

    @property
    def domains(self) -> tuple[str, ...]:
        """The hosts that stand for it."""
        return tuple(uri.host for uri in (self.settings.address, self.settings.registrar) if uri is not None)

    def has(self, host: str) -> bool:
        """Whether a host is the trunk's: of its name, or in its networks."""
        try:
            address = ip_address(host)
        except ValueError:
            return any(same_host(host, each) for each in self.domains)
        return any(same_host(host, each) for each in self.domains) or any(
            address in network for network in self.settings.networks
        )

    # -- calls that go

    @property
    def account(self) -> str | None:
        """Our name there, as the user of a URI. Who proves by `anna@pbx.example` who he is, is `anna` there."""
        return quote(self.settings.user.partition("@")[0], safe=_IN_USER) or None

    @property
    def identity(self) -> NameAddr:
        """Who calls from here, without a tag: for From. Raises `ValueError` where there is nobody to call."""
        user = quote(self.settings.caller_id, safe=_IN_USER) or self.account or ANONYMOUS
        return NameAddr(SipUri(user=user, host=self._there().host))

    def uri_for(self, destination: str) -> SipUri:
        """Where a call to a number, a tel URI, or somebody of this trunk's domain goes.

        Raises `ValueError`, without the destination in it, where it is none, or does not go by this trunk.
        """
        address = self.settings.address
        if address is None:
            raise ValueError(f"trunks.{self.name}.address is missing: no call goes out there")
        return msgspec.structs.replace(address, user=self._user_of(destination))

    def refer_target(self, destination: str, host: str) -> SipUri:
        """Where a caller is sent who is transferred: a SIP URI as it is, a number at `address`, or else at `host`.

        `host`: from where he called. Raises `ValueError`, without the destination in it, where it is none.
        """
        if destination.lower().startswith(("sip:", "sips:")):
            return _read(destination, SipUri)
        address = self.settings.address or SipUri(host=host)
        return msgspec.structs.replace(address, user=self._user_of(destination))

    def rows_for(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Headers for a call of ours. Raises `ValueError` for one that may not pass, or would end its line."""
        allowed = {key_of(name) for name in self.settings.headers}
        for name, text in headers.items():
            if key_of(name) not in allowed:
                raise ValueError(f"{name!a:.60} is not in trunks.{self.name}.headers")
            check_line(text)
        return tuple(headers.items())

    def register(self, contact: NameAddr) -> Registration:
        """Be known at the registrar from now on; what comes back has to be driven. `contact`: where we are."""
        registrar = self._there()
        account = Account(
            registrar=registrar,
            address=NameAddr(SipUri(user=self.account, host=registrar.host)),
            contact=contact,
        )
        self.registration = Registration(account, self._rng, self.credentials)
        return self.registration

    def _there(self) -> SipUri:
        """Who knows us there."""
        there = self.settings.registrar or self.settings.address
        if there is None:
            raise ValueError(f"trunks.{self.name}.address is missing")
        return there

    def _user_of(self, destination: str) -> str:
        if ":" not in destination:
            return _user(destination)
        if destination.lower().startswith("tel:"):
            return _read(destination, TelUri).number
        uri = _read(destination, SipUri)
        if not any(same_host(uri.host, each) for each in (self.name, *self.domains)):
            raise ValueError(f"a SIP URI of another domain does not go by trunks.{self.name}")
        if not uri.user:
            raise ValueError("expected a SIP URI with a user")
        return uri.user


def _read(text: str, kind: type[T]) -> T:
    try:
        uri = parse_uri(text)
    except SipSyntaxError as error:
        raise ValueError(str(error)) from None
    if not isinstance(uri, kind):
        raise ValueError("expected a number, or a SIP URI")  # noqa: TRY004 - of a text, whose type is right
    return uri


def _user(number: str) -> str:
    """Who is called, as the user of a URI. Only what is surely one is made a number: what is dialled there, they know."""
    if not number.strip():
        raise ValueError("expected a number, or a SIP URI with a user")
    known = e164(number) if number.startswith("+") else None
    return known or quote(number, safe=_IN_USER)

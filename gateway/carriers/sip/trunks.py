"""All trunks: which of them a call is of that came, and whether it may be taken. A core."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

from gateway.carriers.sip.admission import (
    Admission,
    Admitted,
    CallerCredentials,
    Challenge,
    Drop,
    Refusal,
)
from gateway.carriers.sip.settings import TrunkSettings
from gateway.carriers.sip.trunk import Trunk
from gateway.config import Secret
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import FROM, TO
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.hosts import same_host
from gateway.wire.sip.message import Request
from gateway.wire.sip.outside import Standing
from gateway.wire.sip.strangers import Strangers, TokenBuckets
from gateway.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from random import Random

__all__ = ["Trunk", "Trunks"]

# For who has reached a trunk's limit. RFC 3261 §21.5.4: he sends us nothing at all for so long.
_RETRY_AFTER_S: Final = 1
# Who goes on all the same gets no answer any more, as if we were not there: each would be sent eleven times to who does
# not acknowledge it. Until then he may place so many times the calls that may begin in a second.
_INSISTENCE: Final = 5


class Trunks:
    """By name. `strangers`: knows their networks; transports and the user agent ask it.

    `passwords`: by trunk. `rng`: one that nobody can predict, since instances and nonces are made of it.
    `nonce_key`: random bytes that nobody else knows, at least 16.
    """

    def __init__(
        self,
        settings: Mapping[str, TrunkSettings],
        passwords: Mapping[str, Secret],
        rng: "Random",
        *,
        nonce_key: bytes,
    ) -> None:
        self.strangers = Strangers({name: each.networks for name, each in settings.items()})
        self._trunks = {name: Trunk(name, each, passwords.get(name), rng) for name, each in settings.items()}
        self._asked = {
            name: TokenBuckets(_INSISTENCE * each.calls_per_s, _INSISTENCE * each.calls_per_s, most_keys=1)
            for name, each in settings.items()
        }
        self._passwords = passwords
        self._credentials = CallerCredentials(self.strangers, rng, nonce_key=nonce_key)

    def admit(self, request: Request, flow: Flow, now: float) -> Admission:
        """Whether a call that came may be taken, and as whose. `Trunk.began` counts it, which this does not."""
        host = flow.remote.host
        callers = self._callers(request, host)
        if not callers:
            return self._drop("stranger", request, flow, now)
        trunk = callers[0]
        proving = [each for each in callers if each.settings.auth == "digest"]
        if trunk in proving or (proving and self._credentials.are_in(request, now)):
            accounts = [(each, self._passwords[each.name]) for each in proving]
            proven = self._credentials.prove(request, host, accounts, now)
            if proven is None:
                return self._drop("guesses", request, flow, now)
            if not isinstance(proven, Trunk):
                return proven
            trunk = proven
        elif not self._asked[trunk.name].take("", now):
            return Drop("flood", None)
        if why := trunk.full(now):
            return Refusal(trunk, 503, (("Retry-After", str(_RETRY_AFTER_S)),), f"At Most {why}")
        return Admitted(trunk)

    def standing(self, host: str, now: float) -> Standing:
        """What who speaks from there is to us: `trusted` in the networks of a trunk that asks for no password."""
        if any(each.settings.auth == "network" for each in self._near(host)):
            return "trusted"
        is_met = self.strangers.expects(host, now) or self._credentials.were_right(host, now)
        return "met" if is_met else "unknown"

    def likely(self, request: Request | None, host: str) -> str | None:
        """The name of the trunk that a call seems to be of, without a proof. `request`: None: it could not be read."""
        near = self._callers(request, host) if request is not None else self._near(host)
        return near[0].name if near else None

    def challenge(self, request: Request, host: str, now: float) -> Rows | None:
        """What a 401 to what is no call says; none: its credentials are right. None: too many tries, or nobody's host."""
        accounts = [(each, self._passwords[each.name]) for each in self._near(host)]
        proven = self._credentials.prove(request, host, accounts, now) if accounts else None
        if isinstance(proven, Challenge):
            return proven.rows
        return None if proven is None else ()

    def __getitem__(self, name: str) -> Trunk:
        return self._trunks[name]

    def __contains__(self, name: object) -> bool:
        return name in self._trunks

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._trunks.values())

    def __len__(self) -> int:
        return len(self._trunks)

    def _callers(self, request: Request, host: str) -> list[Trunk]:
        """The trunks that it may be of, the likeliest first.

        One that we are registered by, then those whose networks it comes from: whose domain is called or calls, then
        those of the narrowest network.
        """
        registered = [each for each in self if each.is_registered_for(request)]
        near = self._near(host)
        named = [each for name in _domains_in(request) for each in near if _is_at(each, name)]
        return list(dict.fromkeys((*registered, *named, *near)))

    def _near(self, host: str) -> list[Trunk]:
        """Those whose networks it is in."""
        return [self._trunks[name] for name in self.strangers.trunks_of(host)]

    def _drop(self, why: Literal["stranger", "guesses"], request: Request, flow: Flow, now: float) -> Drop:
        line = f"{request.method} {request.uri} SIP/2.0".encode()
        return Drop(why, self.strangers.turned_away(line, flow, now))


def _is_at(trunk: Trunk, host: str) -> bool:
    return any(same_host(host, each) for each in trunk.domains)


def _domains_in(request: Request) -> list[str]:
    uris = (request.uri, request.headers[TO].uri, request.headers[FROM].uri)
    return [uri.host for uri in uris if isinstance(uri, SipUri)]

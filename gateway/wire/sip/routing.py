"""The transport layer's rules, without its sockets: how a message is marked and where it goes. RFC 3261 §18, RFC 3581.

A request that comes: `stamp` it, then answer it by `answer_flow`. A request of ours: `next_hop` says whom to look up,
`sized` which of the places found there come first, `Addresses` what we call ourselves towards one of them, and
`with_via` makes it ready to be sent. A response that comes: `Addresses.is_ours`, or nobody hears of it.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.wire.sip.fields import ROUTE, VIAS
from gateway.wire.sip.flow import DEFAULT_PORTS, Address, Flow, Transport
from gateway.wire.sip.headers import HeaderMap, key_of
from gateway.wire.sip.hosts import same_host
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parameters import Parameters
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.via import MAGIC_COOKIE, Via

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "LARGE_BYTES",
    "Addresses",
    "answer_flow",
    "new_branch",
    "next_hop",
    "secured",
    "sized",
    "stamp",
    "with_via",
]

# RFC 3261 §18.1.1, for who does not know the path's MTU: 200 bytes less than Ethernet's.
LARGE_BYTES: Final = 1300

# -- requests that come ---------------------------------------------------------------------------------


def stamp(request: Request, flow: Flow) -> None:
    """Write into a request's topmost Via where it came from. RFC 3261 §18.2.1, RFC 3581 §4.

    A `received` that its sender wrote there himself goes: it would have answers sent to whom he likes.
    """
    vias = request.headers[VIAS]
    honest = msgspec.structs.replace(vias.top, parameters=vias.top.parameters.without("received"))
    request.headers[VIAS] = vias._replace(top=honest.stamped(*flow.remote))


def answer_flow(request: Request, flow: Flow) -> Flow:
    """Where the answers to a stamped request go that came by `flow`. RFC 3261 §18.2.2, RFC 3581 §4.

    The connection that it came by, and none when that is gone: who lost it has given up what he asked by it, and
    behind a NAT could not be dialled. Over UDP the address it came from, at the port it came from if it asked for
    that (`rport`), else at the one that it names. `maddr` is not followed: it was for multicast, and would have us
    send to third parties.
    """
    if flow.reliable:
        return flow
    via = request.headers[VIAS].top
    port = via.rport or via.port or DEFAULT_PORTS["UDP"]
    return flow._replace(remote=Address(flow.remote.host, port))


# -- requests of ours -----------------------------------------------------------------------------------


def next_hop(request: Request) -> SipUri | None:
    """Whom to look up for a request: its first Route, or else its Request-URI. RFC 3261 §8.1.2, §12.2.1.1.

    A first Route without `lr` has its address in the Request-URI already. None: it cannot be sent, since that is
    no SIP URI (`tel:`). What is called by `sips` goes over TLS whatever the route says.
    """
    routes = request.headers[ROUTE]
    uri = request.uri
    if routes and isinstance(routes[0].uri, SipUri) and routes[0].uri.lr:
        uri = routes[0].uri
    return secured(uri, request) if isinstance(uri, SipUri) else None


def secured(hop: SipUri, request: Request) -> SipUri:
    """The next hop of a request, by TLS alone if that is for a `sips` URI. RFC 3261 §26.2.2."""
    secure = isinstance(request.uri, SipUri) and request.uri.secure
    return msgspec.structs.replace(hop, secure=True) if secure else hop


def sized(targets: Iterable[Target], size_bytes: int) -> tuple[Target, ...]:
    """The same places for a request of this size: before each by UDP, the same by TCP if it is large.

    Such a request would be sent in fragments, which firewalls drop. Who has no TCP gets it by UDP even so, as
    RFC 3261 §18.1.1 says. `size_bytes`: encoded, with a Via.
    """
    ways: list[Target] = []
    for target in targets:
        if target.transport == "UDP" and size_bytes > LARGE_BYTES:
            ways.append(target._replace(transport="TCP"))
        ways.append(target)
    return tuple(dict.fromkeys(ways))


def new_branch(rng: "Random") -> str:
    """Names a transaction; nobody can guess it, so a response that has it is from where the request went."""
    return f"{MAGIC_COOKIE}{rng.getrandbits(96):024x}"


def with_via(request: Request, via: Via) -> Request:
    """A copy of a request of ours with `via` as its only one, first of all headers."""
    names = dict.fromkeys(key_of(name) for name, _ in request.headers if key_of(name) != "via")
    headers = HeaderMap([("Via", str(via))])
    headers.copy_from(request.headers, *names)
    return msgspec.structs.replace(request, headers=headers)


class Addresses:
    """What we call ourselves, so that others find us.

    `ports`: where each transport listens. `external_host`: how the world reaches us if not by our own addresses
    (NAT), `external_ports` where these differ. `local_networks`: who is on our side of the NAT.
    """

    def __init__(
        self,
        ports: Mapping[Transport, int],
        *,
        external_host: str | None = None,
        external_ports: Mapping[Transport, int] | None = None,
        local_networks: Iterable[IPv4Network | IPv6Network] = (),
    ) -> None:
        self._ports = ports
        self._external_host = external_host
        self._external_ports = external_ports or {}
        self._local_networks = tuple(local_networks)

    def advertised(self, flow: Flow) -> Address:
        """Where who is at the far end of `flow` reaches us."""
        here = self._here(flow)
        outside = self._external_host
        if outside is None or self._is_near(flow.remote.host):
            return here
        same_version = (":" in outside) == (":" in flow.remote.host)  # nobody reaches IPv6 by IPv4
        return self._outside(outside, flow) if same_version else here

    def via(self, flow: Flow, branch: str) -> Via:
        """For a request that goes out by `flow`. It asks for `rport`: answers come back through a NAT."""
        host, port = self.advertised(flow)
        parameters = Parameters([("branch", branch), ("rport", None)])
        return Via(transport=flow.transport, host=host, port=port, parameters=parameters)

    def contact(self, flow: Flow, user: str | None, *, secure: bool = False) -> NameAddr:
        """Where later requests shall come. `secure`: a `sips` one, as who was called by `sips` has. RFC 3261 §8.1.1.8."""
        host, port = self.advertised(flow)
        # RFC 3261 §26.2.2 deprecates `transport=tls`, and everybody writes it: without it TLS is only for `sips`.
        named: dict[Transport, tuple[tuple[str, str | None], ...]] = {
            "UDP": (),
            "TCP": (("transport", "tcp"),),
            "TLS": () if secure else (("transport", "tls"),),
        }
        uri = SipUri(user=user, host=host, port=port, secure=secure, parameters=named[flow.transport])
        return NameAddr(uri)

    def is_ours(self, response: Response, flow: Flow) -> bool:
        """Whether a response answers us; any other is dropped without a word. RFC 3261 §8.1.3.3, §18.1.2."""
        via, others = response.headers[VIAS]
        if others or via.transport != flow.transport:
            return False
        names = {self._here(flow), self.advertised(flow)}
        if self._external_host is not None:
            names.add(self._outside(self._external_host, flow))
        said_port = via.port or DEFAULT_PORTS[flow.transport]
        return any(same_host(host, via.host) and port == said_port for host, port in names)

    def _here(self, flow: Flow) -> Address:
        if flow.transport == "UDP":
            return flow.local
        return Address(
            flow.local.host, self._ports.get(flow.transport, flow.local.port)
        )  # that of a dialled one is gone with it

    def _outside(self, host: str, flow: Flow) -> Address:
        return Address(host, self._external_ports.get(flow.transport, self._here(flow).port))

    def _is_near(self, host: str) -> bool:
        address = ip_address(host)
        return any(address in network for network in self._local_networks)

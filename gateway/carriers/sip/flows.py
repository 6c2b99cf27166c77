"""All sockets of SIP behind one face: a `Flow` names where something came from, and is where to send. RFC 3261 §18."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import msgspec
import trio

from gateway.carriers.sip.connections import Connections, FlowLimits
from gateway.carriers.sip.shares import Shares
from gateway.carriers.sip.transport import TransportUser, Unreachable
from gateway.carriers.sip.udp import UdpSocket
from gateway.net.tasks import open_tasks
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.resolver import Target

__all__ = ["FlowLimits", "Flows", "WayIn", "open_flows"]


class WayIn(msgspec.Struct, frozen=True, kw_only=True):
    """Where others reach us. `host`: an address of ours, or one that stands for all. `tls`: for TLS."""

    transport: Transport
    host: str
    port: int
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def open_flows(
    user: TransportUser,
    ways_in: Sequence[WayIn],
    *,
    client_tls: ssl.SSLContext | None = None,
    wildcards: bool = False,
    limits: FlowLimits | None = None,
) -> AsyncIterator["Flows"]:
    """Sockets that are open as long as the block. Raises `OSError` where one cannot be opened.

    `client_tls`: for connections that we dial; None: nobody is dialled by TLS. `wildcards`: whether certificates for
    `*.example.com` will do.
    """
    async with open_tasks() as nursery:
        shares = Shares()
        connections = Connections(
            user,
            nursery,
            client_tls=client_tls,
            wildcards=wildcards,
            limits=limits or FlowLimits(),
            shares=shares,
        )
        flows = Flows(user, nursery, connections, shares)
        try:
            for way in ways_in:
                await flows.open(way)
            yield flows
        finally:
            nursery.cancel_scope.cancel()


class Flows:
    """`bound`: where each way in is, in order; a port that was asked for as 0 has its number there."""

    def __init__(
        self, user: TransportUser, nursery: trio.Nursery, connections: Connections, shares: Shares
    ) -> None:
        self.bound: list[tuple[Transport, Address]] = []
        self._user = user
        self._nursery = nursery
        self._connections = connections
        self._shares = shares
        self._udp: list[UdpSocket] = []

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send a message at once, or behind others of its connection. False: this flow can carry nothing any more.

        True promises nothing; `TransportUser.broken` may follow.
        """
        if flow.transport == "UDP":
            udp = next((each for each in self._udp if each.local == flow.local), None)
            return udp is not None and udp.send(data, flow.remote)
        return flow in self._connections and self._connections[flow].send(data)

    def reached_now(self, target: Target, local: Address | None = None) -> Flow | None:
        """A flow to `target` that is there at once; None: it takes `reach`, or there is none.

        `local`: the address of ours that it is best from; None: the one that the route there leaves by.
        """
        if target.transport != "UDP":
            return self._connections.reached_now(target)
        family = socket.AF_INET6 if ":" in target.address.host else socket.AF_INET
        able = [each for each in self._udp if each.family == family]
        if len(able) > 1:
            return _best(able, target.address, local).flow_to(target.address)
        return able[0].flow_to(target.address) if able else None

    async def reach(self, target: Target, local: Address | None = None) -> Flow:
        """A flow to `target`; over TCP and TLS a connection that is open already, or a new one, from `local` if it can be.

        Raises `Unreachable` within 4 s.
        """
        flow = self.reached_now(target, local)
        if flow is not None:
            return flow
        if target.transport == "UDP":
            raise Unreachable("there is no UDP socket of its address family")
        ours = [address for _, address in self.bound]
        return await self._connections.reach(target, sources=ours if local is None else [local, *ours])

    def close(self, flow: Flow, why: str) -> None:
        """End a connection, if it is one and is open. Its user is told that it is broken."""
        if flow in self._connections:
            self._connections[flow].end(why)

    def identities(self, flow: Flow) -> tuple[str, ...]:
        """Whom the far end's certificate is for, where that was checked."""
        return self._connections[flow].identities if flow in self._connections else ()

    async def open(self, way: WayIn) -> None:
        """One way in more. Raises `OSError` if it cannot be opened, `ValueError` for TLS without a context."""
        if way.transport == "UDP":
            udp = UdpSocket(way.host, way.port, self._shares)
            self._udp.append(udp)
            self.bound.append(("UDP", udp.local))
            self._nursery.start_soon(udp.run, self._user)
            return
        if way.transport == "TLS" and way.tls is None:
            raise ValueError("TLS needs a certificate")
        listeners = await trio.open_tcp_listeners(way.port, host=way.host)
        self.bound.append((way.transport, Address(*listeners[0].socket.getsockname()[:2])))
        self._connections.serve(listeners, way.transport, way.tls if way.transport == "TLS" else None)


def _best(able: Sequence[UdpSocket], remote: Address, local: Address | None) -> UdpSocket:
    """The one at `local`, or else at its host, or else where the route to `remote` leaves; or else the first."""
    if local is None or all(udp.local.host != local.host for udp in able):
        local = Address(_route_host(remote), 0)
    is_far = not ip_address(remote.host).is_loopback

    def suits(udp: UdpSocket) -> tuple[bool, bool, bool]:
        stays_here = (
            is_far and ip_address(udp.local.host).is_loopback
        )  # what it sends does not leave the machine
        return not stays_here, udp.local == local, udp.local.host == local.host

    return max(able, key=suits)


def _route_host(remote: Address) -> str:
    """Our address on the route to there; empty where there is none."""
    with socket.socket(socket.AF_INET6 if ":" in remote.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(remote)
        except OSError:
            return ""
        return str(probe.getsockname()[0])

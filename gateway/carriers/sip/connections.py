"""All TCP and TLS connections of SIP, those that came and those that we dialled, and which of them to use again."""

import itertools
import ssl
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec
import trio

from gateway.carriers.sip.connection import Connection
from gateway.carriers.sip.shares import Shares
from gateway.carriers.sip.streams import dial, flow_of, read_first_line, secure
from gateway.carriers.sip.transport import TransportUser, Unreachable
from gateway.net.streams import close_now
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.identity import identities_of
from gateway.wire.sip.resolver import Target

__all__ = ["Connections", "FlowLimits"]

# Strangers whose first line is waited for; the others are closed at once.
_MOST_STRANGERS: Final = 64


class FlowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections there may be, and how many of them from one address: some peers make one for each call."""

    connections: int = 1000
    connections_per_source: int = 200


class _Key(NamedTuple):
    """What a dialled connection is good for. Of two names at one address, each has its own certificate."""

    transport: Transport
    remote: Address
    name: str

    @classmethod
    def of(cls, target: Target) -> "_Key":
        return cls(target.transport, target.address, target.name if target.transport == "TLS" else "")


class _Dialling:
    def __init__(self) -> None:
        self.done = trio.Event()
        self.flow: Flow | None = None
        self.why = "the gateway ends"


class Connections:
    """`nursery`: in which they live. `shares`: of the time that reading may take."""

    def __init__(
        self,
        user: TransportUser,
        nursery: trio.Nursery,
        *,
        client_tls: ssl.SSLContext | None,
        wildcards: bool,
        limits: FlowLimits,
        shares: Shares,
    ) -> None:
        self._user = user
        self._nursery = nursery
        self._client_tls = client_tls
        self._wildcards = wildcards
        self._limits = limits
        self._shares = shares
        self._connections: dict[Flow, Connection] = {}
        self._dialled: dict[_Key, Flow] = {}
        self._dialling: dict[_Key, _Dialling] = {}
        self._from: Counter[str] = Counter()  # of connections that came, those included that shake hands
        self._strangers = 0
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, flow: object) -> bool:
        return flow in self._connections

    def __getitem__(self, flow: Flow) -> Connection:
        return self._connections[flow]

    # -- that come

    def serve(
        self, listeners: Sequence[trio.SocketListener], transport: Transport, tls: ssl.SSLContext | None
    ) -> None:
        """Take connections in until the nursery is cancelled. The listeners are closed then."""

        async def accepted(tcp: trio.SocketStream) -> None:
            await self._accepted(tcp, transport, tls)

        self._nursery.start_soon(trio.serve_listeners, accepted, list(listeners))

    async def _accepted(
        self, tcp: trio.SocketStream, transport: Transport, tls: ssl.SSLContext | None
    ) -> None:
        """Live with a connection that came; it is closed on return."""
        try:
            flow = flow_of(transport, tcp, next(self._numbers))
        except OSError:
            return  # gone already
        source = flow.remote.host
        if not self._user.admits(flow):
            await self._turn_away(tcp, flow)
        elif (
            len(self) < self._limits.connections and self._from[source] < self._limits.connections_per_source
        ):
            self._from[source] += 1
            try:
                await self._welcome(tcp, flow, tls)
            finally:
                self._from -= Counter((source,))  # which forgets it at 0

    async def _welcome(self, tcp: trio.SocketStream, flow: Flow, tls: ssl.SSLContext | None) -> None:
        if tls is None:
            await self._live(Connection(tcp, flow, self._user, self._shares, dialled=False))
            return
        stream = await secure(tcp, tls)
        if stream is not None:
            identities = identities_of(stream.getpeercert() or {})
            await self._live(
                Connection(stream, flow, self._user, self._shares, dialled=False, identities=identities)
            )

    async def _turn_away(self, tcp: trio.SocketStream, flow: Flow) -> None:
        """Look at the first line, where that costs little: behind TLS it would cost a handshake."""
        line = b""
        if flow.transport == "TCP" and self._strangers < _MOST_STRANGERS:
            self._strangers += 1
            try:
                line = await read_first_line(tcp)
            finally:
                self._strangers -= 1
        self._user.turned_away(line, flow)

    async def _live(self, connection: Connection) -> None:
        self._connections[connection.flow] = connection
        try:
            await connection.run()
        finally:
            del self._connections[connection.flow]

    # -- that we dial

    async def reach(self, target: Target, *, sources: Sequence[Address]) -> Flow:
        """A connection to `target`, open already or new. Raises `Unreachable` within 4 s.

        `sources`: our addresses; a new one is dialled from the first that fits, since carriers know us by it.
        """
        flow = self.reached_now(target)
        if flow is not None:
            return flow
        key = _Key.of(target)
        if key not in self._dialling:
            if len(self) >= self._limits.connections:
                raise Unreachable("there are too many connections")
            self._dialling[key] = _Dialling()
            self._nursery.start_soon(self._dial, target, _source(sources, target), key, self._dialling[key])
        dialling = self._dialling[key]
        await dialling.done.wait()
        if dialling.flow is None:
            raise Unreachable(dialling.why)
        return dialling.flow

    def reached_now(self, target: Target) -> Flow | None:
        """A connection to `target` that is open already.

        One that came from there is used again if it is of TCP; over TLS, only one whose name we checked.
        """
        key = _Key.of(target)
        dialled = self._dialled.get(key)
        if dialled is not None and self._is_open(dialled):
            return dialled
        if key.transport != "TCP":
            return None
        from_there = (
            flow for flow in self._connections if (flow.transport, flow.remote) == ("TCP", key.remote)
        )
        return next((flow for flow in from_there if self._is_open(flow)), None)

    def _is_open(self, flow: Flow) -> bool:
        return flow in self and self[flow].is_open

    async def _dial(self, target: Target, source: str | None, key: _Key, dialling: _Dialling) -> None:
        """Dial, and live with the connection: it does not belong to who asked first, since others wait for it too."""
        try:
            connection = await self._dialled_connection(target, source)
            dialling.flow = connection.flow
        except Unreachable as unreachable:
            dialling.why = str(unreachable)
            return
        finally:
            del self._dialling[key]
            dialling.done.set()
        self._dialled[key] = connection.flow
        try:
            await self._live(connection)
        finally:
            if (
                self._dialled.get(key) == connection.flow
            ):  # another may have been dialled since this one broke
                del self._dialled[key]

    async def _dialled_connection(self, target: Target, source: str | None) -> Connection:
        stream = await dial(target, source, self._client_tls, wildcards=self._wildcards)
        try:
            flow = flow_of(target.transport, stream, next(self._numbers))
        except OSError:
            close_now(stream)
            raise Unreachable("it closed the connection at once") from None
        identities = (target.name,) if target.transport == "TLS" else ()
        return Connection(stream, flow, self._user, self._shares, dialled=True, identities=identities)


def _source(ours: Sequence[Address], target: Target) -> str | None:
    """None: the system's choice."""
    remote = ip_address(target.address.host)
    for host, _ in ours:
        address = ip_address(host)
        if (address.version, address.is_loopback) == (
            remote.version,
            remote.is_loopback,
        ) and not address.is_unspecified:
            return host
    return None

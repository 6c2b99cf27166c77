"""SIP as one part of the gateway: its sockets, its user agent, its trunks. trio."""

import contextlib
import random
import secrets as tokens
import ssl
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import structlog
import trio

from gateway.carriers.sip.agent_loop import AgentLoop
from gateway.carriers.sip.call_parts import CallParts
from gateway.carriers.sip.callee import trunk_named_by
from gateway.carriers.sip.dns import system_dns
from gateway.carriers.sip.flows import Flows, WayIn, open_flows
from gateway.carriers.sip.keeping import TrunkKeeping
from gateway.carriers.sip.media_ports import MediaPorts
from gateway.carriers.sip.setting_texts import transport_of
from gateway.carriers.sip.settings import LOCAL_NETWORKS, SipSettings, TrunkSettings
from gateway.carriers.sip.switchboard import Host, Switchboard
from gateway.carriers.sip.tls import UnusableFile, client_context, server_context
from gateway.carriers.sip.trunks import Trunk, Trunks
from gateway.config import ConfigError, Secret
from gateway.incoming import Admission, NewCall, NotPlaced
from gateway.telemetry.metrics import Metrics
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.options import OptionsPing, PeerDown, PeerUp, PingSettings
from gateway.wire.sip.registration import Registered, RegistrationFailed, RegistrationLost, Unregistered
from gateway.wire.sip.resolver import Family
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Event, Paths, Replied, UserAgent

__all__ = ["SipDoor"]

# What a draining gateway says about when to ask again: a restart.
_DRAINING_S: Final = 30
# Where nobody is: to find out what we call ourselves towards those whose address is not known yet.
_FAR_AWAY: Final = {False: Address("192.0.2.1", 9), True: Address("2001:db8::1", 9)}
# What the log says of a trunk.
_WORDS: Final[Mapping[type, str]] = {
    PeerUp: "up",
    PeerDown: "down",
    Registered: "registered",
    RegistrationFailed: "registration_failed",
    RegistrationLost: "registration_lost",
    Unregistered: "unregistered",
}


class SipDoor:
    """`run` it. `admit` says whether a call is taken; `host` has one that came, in a task that `spawn` starts.

    `destinations`: of the dialplan, by name: a number or a SIP URI. `bound`: the ways in, once it runs.
    """

    def __init__(
        self,
        settings: SipSettings,
        trunks: Mapping[str, TrunkSettings],
        passwords: Mapping[str, Secret],
        *,
        admit: Callable[[NewCall], Admission],
        host: Host,
        spawn: Callable[..., None],
        destinations: Mapping[str, str],
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.bound: list[tuple[Transport, Address]] = []
        self._settings = settings
        self._admit = admit
        self._host = host
        self._spawn = spawn
        self._destinations = destinations
        self._metrics = metrics
        self._log = log
        self._rng = random.SystemRandom()  # nobody shall guess a tag or a branch
        self._trunk_names = tuple(trunks)
        self._trunks = Trunks(trunks, passwords, self._rng, nonce_key=tokens.token_bytes(32))
        self._loop = AgentLoop(
            self._trunks.strangers,
            happens=self._happens,
            advance=self._advance,
            deadline=self._deadline,
            dropped=lambda why: metrics.sip_dropped.labels(reason=why).inc(),
            log=log,
        )
        self._keepings: list[TrunkKeeping] = []
        self._agent: UserAgent | None = None
        self._switchboard: Switchboard | None = None
        self._is_draining = False
        self._happened = trio.Event()

    # -- its life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; started when calls can come. Raises `ConfigError` for what cannot be opened."""
        async with contextlib.AsyncExitStack() as stack:
            flows = await self._open(stack)
            self.bound = flows.bound
            addresses = Addresses(
                {transport: address.port for transport, address in flows.bound},
                external_host=self._settings.external_host or None,
                local_networks=LOCAL_NETWORKS,
            )
            media = self._media()
            paths = _paths(flows.bound)
            self._agent = UserAgent(
                addresses, self._trunks.strangers, self._rng, paths=paths, gate=self._trunks
            )
            self._switchboard = Switchboard(
                self._agent,
                self._trunks,
                CallParts(addresses, lambda host: _at(host, media), self._destinations, self._rng),
                admit=self._admit,
                host=self._host,
                spawn=self._spawn,
                reach=self._loop.reach,
                carry=self._loop.carry,
                metrics=self._metrics,
                log=self._log,
            )
            for trunk in self._trunks:
                self._keep(trunk, addresses, flows.bound)
            async with trio.open_nursery() as nursery:
                for ports in media.values():
                    nursery.start_soon(ports.run)
                dns = system_dns(self._rng, **paths._asdict())
                await nursery.start(self._loop.run, self._agent, flows, dns)
                self._settle()  # who registers begins to do so
                self._loop.carry()
                task_status.started()

    def drain(self) -> None:
        """Take no call any more, say so to who asks, and unregister."""
        if self._agent is not None:
            self._agent.draining_s = _DRAINING_S
        self._is_draining = True
        for keeping in self._keepings:
            keeping.end()
        self._settle()
        self._loop.carry()

    async def parted(self) -> None:
        """Wait until everybody knows that we are gone: of calls that have ended, and, once drained, where we registered.

        Bound it: who is gone himself never says so.
        """
        while not self._has_parted():
            self._happened = trio.Event()
            await self._happened.wait()

    def _has_parted(self) -> bool:
        keepings = not self._is_draining or all(keeping.is_over for keeping in self._keepings)
        return keepings and (self._switchboard is None or self._switchboard.parted)

    async def _open(self, stack: contextlib.AsyncExitStack) -> Flows:
        server_tls, client_tls = self._contexts()
        ways = [
            WayIn(transport=each.transport, host=each.host, port=each.port, tls=server_tls)
            for each in self._settings.listen
        ]
        try:
            return await stack.enter_async_context(open_flows(self._loop, ways, client_tls=client_tls))
        except OSError as error:
            listen = ", ".join(str(each) for each in self._settings.listen)
            raise ConfigError(
                f"sip.listen = {listen}: cannot be opened ({error.strerror or error}); name addresses of this machine, "
                "and ports that nobody else has"
            ) from None

    def _media(self) -> dict[str, MediaPorts]:
        """Ports for audio wherever there is a way in, by the address that it is bound to."""
        try:
            hosts = dict.fromkeys(each.host for each in self._settings.listen)
            return {host: MediaPorts(host, self._settings.rtp_ports.ports) for host in hosts}
        except OSError as error:
            raise ConfigError(f"sip.rtp_ports: cannot be opened ({error.strerror or error})") from None

    def _contexts(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext]:
        settings = self._settings
        authority = Path(settings.ca) if settings.ca else None
        try:
            if not settings.certificate:
                return None, client_context(authority=authority)
            certificate, key = Path(settings.certificate), Path(settings.key)
            client = client_context(authority=authority, certificate=certificate, key=key)
            return server_context(certificate, key), client
        except UnusableFile as error:
            value = getattr(settings, error.what)
            raise ConfigError(f'sip.{error.what} = "{value}": {error}') from None

    # -- calls

    @property
    def coming(self) -> int:
        """How many calls have been let in, or are to be placed, that nobody hosts yet."""
        return self._switchboard.coming if self._switchboard is not None else 0

    async def place(self, callee: str, headers: Mapping[str, str], host: Host) -> None:
        """Call `sip:NUMBER@TRUNK`; `host` has the call from now on, in a task of its own. Raises `NotPlaced`.

        `headers`: to be sent along, of those that the trunk's settings let through.
        """
        if self._switchboard is None:
            raise NotPlaced("SIP is not open")
        try:
            trunk = self._trunks[trunk_named_by(callee, self._trunk_names)]
        except ValueError as error:
            raise NotPlaced(str(error)) from None
        await self._switchboard.place(callee, trunk, headers, host)

    # -- what happens

    def _happens(self, event: Event) -> None:
        now = trio.current_time()
        if self._switchboard is None:
            raise AssertionError("something happens before it runs")
        if isinstance(event, Replied):
            for keeping in self._keepings:
                keeping.replied(event.request, event.response, now)
            self._settle()
        else:
            self._switchboard.happened(event, now)
        self._happened.set()

    # -- trunks

    def _keep(self, trunk: Trunk, addresses: Addresses, bound: list[tuple[Transport, Address]]) -> None:
        """Ask whether it is there, and register, as its settings say."""
        settings, now = trunk.settings, trio.current_time()
        there = settings.address
        ping = None
        if there is not None and settings.ping_s:
            pings = PingSettings(interval_s=settings.ping_s)
            ping = OptionsPing(there, trunk.identity, self._rng, now, pings)
        registration = None
        if settings.register:
            flow = self._flow_to(trunk, bound)
            registration = trunk.register(addresses.contact(flow, trunk.account))
        if ping is not None or registration is not None:
            self._keepings.append(TrunkKeeping(trunk.name, ping=ping, registration=registration))
            self._metrics.trunk_up.labels(trunk=trunk.name).set(1)

    def _flow_to(self, trunk: Trunk, bound: list[tuple[Transport, Address]]) -> Flow:
        """As a message to the trunk will go, as far as is known before anybody has looked up where that is."""
        there = trunk.settings.registrar or trunk.settings.address
        transport = (there and transport_of(there)) or bound[0][0]
        local = next((address for each, address in bound if each == transport), bound[0][1])
        return Flow(transport, local, _known(there) or _FAR_AWAY[":" in local.host])

    def _advance(self, now: float) -> None:
        for keeping in self._keepings:
            keeping.advance(now)
        self._settle()

    def _deadline(self) -> float | None:
        deadlines = [keeping.deadline for keeping in self._keepings]
        return min((at for at in deadlines if at is not None), default=None)

    def _settle(self) -> None:
        for keeping in self._keepings:
            for event in keeping.events():
                self._log.info(f"trunk.{_WORDS[type(event)]}", trunk=keeping.trunk, **event._asdict())
            self._metrics.trunk_up.labels(trunk=keeping.trunk).set(keeping.is_up)
            if self._agent is not None:
                for request in keeping.outgoing():
                    self._agent.ask(request, trio.current_time())


def _known(there: SipUri | None) -> Address | None:
    """Where that is, if its host is an address: on our side of a NAT we are called otherwise."""
    if there is None:
        return None
    try:
        return Address(str(ip_address(there.host)), there.port or 0)
    except ValueError:
        return None


def _at(host: str, media: Mapping[str, MediaPorts]) -> MediaPorts:
    """The ports that who is at the far end of a flow from `host`, an address of ours, can reach."""
    everywhere = "::" if ":" in host else "0.0.0.0"  # noqa: S104 - compared, not bound
    found = next((each for each in (host, everywhere) if each in media), next(iter(media)))
    return media[found]


def _paths(bound: Sequence[tuple[Transport, Address]]) -> Paths:
    """What we can send with: UDP by our own sockets alone, TCP and TLS always, by the families that we have."""
    has_udp = any(transport == "UDP" for transport, _ in bound)
    transports: tuple[Transport, ...] = ("UDP", "TCP", "TLS") if has_udp else ("TCP", "TLS")
    has_six = {":" in address.host for _, address in bound}
    families: dict[Family, bool] = {"A": False, "AAAA": True}
    return Paths(transports, tuple(each for each, six in families.items() if six in has_six))

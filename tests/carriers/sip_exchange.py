"""A switchboard as the gateway has it, with a user agent, but on a network of tests and on trio's virtual clock."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, cast

import msgspec
import structlog
import trio

from gateway.carriers.sip.agent_loop import AgentLoop
from gateway.carriers.sip.call_parts import CallParts
from gateway.carriers.sip.leg import SipLeg
from gateway.carriers.sip.leg_messages import CallOver, FromSip, MediaFailed, decode
from gateway.carriers.sip.settings import TrunkSettings
from gateway.carriers.sip.switchboard import Switchboard
from gateway.carriers.sip.transport import Message, Unreachable
from gateway.carriers.sip.trunks import Trunk, Trunks
from gateway.config import Secret
from gateway.contracts import CallLeg, EndReason
from gateway.incoming import Admission, Admit, NewCall
from gateway.telemetry.metrics import Metrics
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Event, Replied, UserAgent
from tests.carriers.fake_media_ports import FakeMediaPorts
from tests.carriers.sip_sides import Side
from tests.wire.sip.sip_agents import PORT, Network

__all__ = ["Exchange", "Hosted", "exchange", "return_at_once"]

US, THEM = "us", "them"
_STEP_S = 0.005


class Hosted:
    """A call that is hosted, without a core. `told`: what came, until it was over. `patience`: of who hosts it."""

    def __init__(self, leg: SipLeg, new: NewCall) -> None:
        self.leg = leg
        self.new = new
        self.told: list[FromSip] = []
        self.last_words: list[FromSip] = []
        self.patience = trio.CancelScope()

    def heard(self, kind: Any) -> list[Any]:
        return [message for message in self.told if isinstance(message, kind)]

    async def listen(self) -> None:
        """Until it is over, or there is no patience any more."""
        with self.patience:
            while not self.heard(CallOver | MediaFailed):
                data = await self.leg.receive()
                if isinstance(data, str):
                    self.told.append(decode(data))

    async def leave(self, reason: EndReason) -> None:
        await self.leg.finish(reason)
        self.last_words += [decode(data) for data in self.leg.last_words() if isinstance(data, str)]
        self.leg.release()


async def return_at_once(_hosted: Hosted) -> None:
    """A host that does nothing with its call."""
    await trio.lowlevel.checkpoint()


async def answer(hosted: Hosted) -> None:
    """Take the call, and leave it when it is over."""
    await hosted.leg.answer()
    await hosted.listen()
    await hosted.leave(EndReason.PLAN_ENDED)


class Exchange:
    """`them`: the far end, whose trunk is `trunk`. `hosts`: what is done with each call. `admission`: of each that comes.

    `errors`: of who hosted. `down`: the trunk cannot be reached; `reach_s`: how long it takes to find out.
    """

    def __init__(self, trunk: dict[str, Any], most_ports: int) -> None:
        self.network = Network()
        self.network.agents[US] = self
        self.them = Side(THEM, self.network, 2)
        self.hosts: Callable[[Hosted], Awaitable[None]] = answer
        self.admission: Callable[[NewCall], Admission] = lambda _new: Admit()
        self.calls: list[Hosted] = []
        self.errors: list[Exception] = []
        self.down = False
        self.reach_s = 0.0
        self.media = FakeMediaPorts(most_ports)
        self.metrics = Metrics()
        self._host = self.network.host_of(US)
        rng = random.Random(1)
        self.trunks = Trunks(
            {THEM: self._settings(trunk)}, {THEM: Secret("open sesame")}, rng, nonce_key=bytes(16)
        )
        addresses = Addresses({"UDP": PORT})
        self.agent = UserAgent(addresses, self.trunks.strangers, rng, gate=self.trunks)
        log = structlog.get_logger()
        self.loop = AgentLoop(
            self.trunks.strangers,
            happens=self._happens,
            advance=lambda _now: None,
            deadline=lambda: None,
            dropped=lambda _why: None,
            log=log,
        )
        self.switchboard = Switchboard(
            self.agent,
            self.trunks,
            CallParts(addresses, lambda _host: cast("Any", self.media), {"desk": "+15550001999"}, rng),
            admit=self.admit,
            host=self.host,
            spawn=self.spawn,
            reach=self.loop.reach,
            carry=self.loop.carry,
            metrics=self.metrics,
            log=log,
        )
        self.nursery: trio.Nursery | None = None

    @property
    def trunk(self) -> Trunk:
        return self.trunks[THEM]

    @property
    def call(self) -> Hosted:
        """The first that was hosted."""
        return self.calls[0]

    @property
    def ladder(self) -> list[str]:
        return self.network.ladder()

    def sent(self, what: str) -> list[Any]:
        """Messages of that method, or status and method, whoever sent them."""
        return [each.message for each in self.network.passed if each.what == what]

    def left(self) -> dict[str, int]:
        """What calls still have; nothing, when all are over."""
        counts = {
            "ports": len(self.media),
            "calls of the trunk": self.trunk.active,
            "coming": self.switchboard.coming,
            "parting": int(not self.switchboard.parted),
        }
        return {name: count for name, count in counts.items() if count}

    async def rest(self, pause_s: float = 0.3) -> None:
        await trio.sleep(pause_s)

    # -- who lets calls in, and hosts them

    def admit(self, new: NewCall) -> Admission:
        return self.admission(new)

    async def host(self, leg: CallLeg, new: NewCall) -> None:
        assert isinstance(leg, SipLeg)
        hosted = Hosted(leg, new)
        self.calls.append(hosted)
        await self.hosts(hosted)

    def spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        if self.nursery is None:
            raise RuntimeError("nobody hosts any more")
        self.nursery.start_soon(self._contained, task, *args)

    async def _contained(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await task(*args)
        except Exception as error:  # noqa: BLE001 - it is what a test looks at
            self.errors.append(error)

    # -- Party

    @property
    def deadline(self) -> float | None:
        return None  # the loop has its own alarm

    def receive(self, data: bytes, sender: str) -> None:
        flow = self._flow_to(Address(self.network.host_of(sender), PORT))
        assert self.loop.admits(flow)
        message: Message
        try:
            message = parse_datagram(data)
        except SipSyntaxError as error:
            message = error
        self.loop.received(message, flow)

    def advance(self) -> None:
        pass

    # -- what the loop has in the place of sockets and the DNS

    def send(self, flow: Flow, data: bytes) -> bool:
        self.network.send(US, self.network.name_at(flow.remote.host), data)
        return True

    def reached_now(self, target: Target, _local: Address | None = None) -> Flow | None:
        return None if self.down or self.reach_s else self._flow_to(target.address)

    async def reach(self, target: Target, _local: Address | None = None) -> Flow:
        await trio.sleep(self.reach_s)
        if self.down:
            raise Unreachable("nobody is there")
        return self._flow_to(target.address)

    async def targets(self, uri: SipUri) -> tuple[Target, ...]:
        await trio.lowlevel.checkpoint()
        return self.them.agent.find(uri)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.loop.run, self.agent, self, self)
            task_status.started()
            while True:
                self.network.run(trio.current_time())
                await trio.sleep(_STEP_S)

    def _happens(self, event: Event) -> None:
        assert not isinstance(event, Replied)
        self.switchboard.happened(event, trio.current_time())

    def _flow_to(self, remote: Address) -> Flow:
        return Flow("UDP", Address(self._host, PORT), remote)

    def _settings(self, changes: dict[str, Any]) -> TrunkSettings:
        settings = TrunkSettings(
            address=SipUri(host=f"{THEM}.example"),
            networks=(ip_network(self.network.host_of(THEM)),),
            user="gateway",
            caller_id="+15550009999",
            headers=("X-Account",),
        )
        return msgspec.structs.replace(settings, **changes)


@asynccontextmanager
async def exchange(most_ports: int = 1000, **trunk: Any) -> AsyncIterator[Exchange]:
    """`trunk`: settings of the far end's."""
    exchange = Exchange(trunk, most_ports)
    async with trio.open_nursery() as plumbing:
        await plumbing.start(exchange.run)
        async with trio.open_nursery() as exchange.nursery:
            hosting = exchange.nursery
            yield exchange
            hosting.cancel_scope.cancel()
        plumbing.cancel_scope.cancel()

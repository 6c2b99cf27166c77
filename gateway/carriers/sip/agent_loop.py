"""Runs the user agent: its messages on sockets, its questions to the DNS, its alarms on the clock. trio."""

import math
from collections.abc import Callable
from typing import Final, NoReturn, assert_never

import structlog
import trio

from gateway.carriers.sip.dns import Dns
from gateway.carriers.sip.flows import Flows
from gateway.carriers.sip.transport import Message, Unreachable
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.message import Request
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.strangers import Strangers, TokenBuckets
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Event, Find, Outgoing, Reach, Send, UserAgent

__all__ = ["AgentLoop"]

# Who calls by a trunk wants to know within that whether it is there. One place takes 4 s at the most.
_REACH_S: Final = 12.0
# Until an alarm is looked at again that a bug has left as it was.
_AFTER_BUG_S: Final = 1.0
# Lines of the log that a peer can cause at will: so many a second of each, and so many at once.
_TOLD: Final = (0.1, 5)


class AgentLoop:
    """What `Flows` tells it goes to the `agent`; what that wants done is done; what happened goes to `happens`.

    `strangers`: who is heard at all. `advance(now)` and `deadline()`: of what else has alarms.
    What the user agent raises, or they, is logged: a bug in one message is no reason to stop reading.
    """

    def __init__(
        self,
        strangers: Strangers,
        *,
        happens: Callable[[Event], None],
        advance: Callable[[float], None],
        deadline: Callable[[], float | None],
        dropped: Callable[[str], None],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._strangers = strangers
        self._happens = happens
        self._advance = advance
        self._deadline = deadline
        self._dropped = dropped
        self._log = log
        self._agent: UserAgent | None = None
        self._flows: Flows | None = None
        self._dns: Dns | None = None
        self._tasks: trio.Nursery | None = None
        self._alarm = trio.CancelScope()
        self._is_carrying = False
        self._told = TokenBuckets(*_TOLD)
        # What was asked for first is told first, since a BYE that overtakes its ACK ends nothing. By who waits for
        # the same: the errands' numbers.
        self._finding: dict[SipUri, list[int]] = {}
        self._reaching: dict[Target, list[int]] = {}

    async def run(
        self,
        agent: UserAgent,
        flows: Flows,
        dns: Dns,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Until cancelled. What comes before is dropped, and after it nothing is carried out any more."""
        self._agent, self._flows, self._dns = agent, flows, dns
        not_before = -math.inf
        try:
            async with trio.open_nursery() as self._tasks:
                task_status.started()
                while True:
                    self.carry()
                    deadline = max(self._next_deadline(), not_before)
                    with trio.CancelScope(deadline=deadline) as self._alarm:
                        await trio.sleep_forever()
                    now = trio.current_time()
                    worked = [self._contained(each, now) for each in (agent.advance, self._advance)]
                    not_before = -math.inf if all(worked) else now + _AFTER_BUG_S
        finally:
            self._agent = None

    async def reach(self, uri: SipUri) -> Flow:
        """By which flow a request to `uri` goes, if the first place that can be reached takes it. Raises `Unreachable`."""
        if self._dns is None or self._flows is None:
            raise AssertionError("the loop does not run")
        why = "its name is not known"
        with trio.move_on_after(_REACH_S):
            for target in await self._dns.targets(uri):
                try:
                    return await self._flows.reach(target)
                except Unreachable as error:
                    why = str(error)
            raise Unreachable(why)
        raise Unreachable(f"nothing answers within {_REACH_S:g} s")

    def carry(self) -> None:
        """Have everything done that the user agent wants done by now."""
        agent = self._agent
        if agent is None or self._is_carrying:  # who is told may do something: the loop comes to it
            return
        self._is_carrying = True
        try:
            while (outgoing := agent.outgoing()) or (events := agent.events()):
                if outgoing:
                    for each in outgoing:
                        self._contained(self._do, agent, each)
                else:
                    for event in events:
                        self._contained(self._happens, event)
        finally:
            self._is_carrying = False
        self._alarm.deadline = min(self._alarm.deadline, self._next_deadline())

    # -- TransportUser

    def admits(self, flow: Flow) -> bool:
        return self._agent is not None and self._strangers.admits(flow.remote.host, trio.current_time())

    def turned_away(self, first_line: bytes, flow: Flow) -> None:
        self._dropped("stranger")
        sighting = self._strangers.turned_away(first_line, flow, trio.current_time())
        if sighting is not None:
            self._log.warning("stranger.dropped", **sighting._asdict())

    def flooded(self, flow: Flow) -> None:
        self._dropped("flood")
        if self._told.take(f"flood {flow.remote.host}", trio.current_time()):
            self._log.warning("source.flooded", source=flow.remote.host, transport=flow.transport)

    def received(self, message: Message, flow: Flow) -> None:
        if self._agent is not None:
            self._contained(self._receive, self._agent, message, flow)
            self.carry()

    def _receive(self, agent: UserAgent, message: Message, flow: Flow) -> None:
        if not agent.receive(message, flow, trio.current_time()):
            self.turned_away(_start_of(message), flow)

    def broken(self, flow: Flow, why: str) -> None:
        if self._agent is not None:
            if self._told.take(f"broken {flow.remote.host}", trio.current_time()):
                self._log.info("flow.broken", transport=flow.transport, peer=flow.remote.host, detail=why)
            self._contained(self._agent.broken, flow, trio.current_time())
            self.carry()

    # -- what the user agent wants

    def _do(self, agent: UserAgent, what: Outgoing) -> None:
        if self._flows is None or self._tasks is None:
            raise AssertionError("the loop does not run")
        match what:
            case Send(data, flow):
                if not self._flows.send(flow, data):
                    agent.broken(flow, trio.current_time())
            case Find(errand, uri):
                if uri in self._finding:
                    self._finding[uri].append(errand)
                else:
                    self._finding[uri] = [errand]
                    self._tasks.start_soon(self._find, agent, uri)
            case Reach(errand, target, local):
                if target in self._reaching:
                    self._reaching[target].append(errand)
                elif (there := self._flows.reached_now(target, local)) is not None:
                    agent.reached(errand, there, trio.current_time())
                else:
                    self._reaching[target] = [errand]
                    self._tasks.start_soon(self._reach, agent, target, local)
            case _:
                assert_never(what)

    async def _find(self, agent: UserAgent, uri: SipUri) -> None:
        if self._dns is None:
            raise AssertionError("the loop does not run")
        targets = await self._dns.targets(uri)
        for errand in self._finding.pop(uri):
            self._contained(agent.found, errand, targets, trio.current_time())
        self.carry()

    async def _reach(self, agent: UserAgent, target: Target, local: Address | None) -> None:
        if self._flows is None:
            raise AssertionError("the loop does not run")
        flow = None
        try:
            flow = await self._flows.reach(target, local)
        except Unreachable as error:
            self._log.info("peer.unreachable", peer=target.address.host, detail=str(error))
        for errand in self._reaching.pop(target):
            self._contained(agent.reached, errand, flow, trio.current_time())
        self.carry()

    def _next_deadline(self) -> float:
        deadlines = (self._agent.deadline if self._agent is not None else None, self._deadline())
        return min((at for at in deadlines if at is not None), default=math.inf)

    def _contained(self, told: Callable[..., None], *args: object) -> bool:
        """Whether no bug was found."""
        try:
            told(*args)
        except Exception:  # noqa: BLE001 - containment: the next message is another one's
            self._log.exception("sip.broken")
            return False
        return True


def _start_of(message: Message) -> bytes:
    """What the log says of a message that was dropped."""
    if isinstance(message, Request):
        return f"{message.method} {message.uri} SIP/2.0".encode()
    return f"Malformed: {message}".encode()

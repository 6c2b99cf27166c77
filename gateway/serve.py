"""The gateway put together: its carriers' doors, who is let in, and the three rings that calls live in. Read this second.

    plumbing      clock, voice, disk, metrics         ends last
      calls       one task tree a call                gets a deadline when draining
        doors     accept loops                        ends first

Twilio asks `/twilio/after` when the stream of a call has ended. So the public door stays open while calls
drain, refuses new ones, and closes when the last call is gone.
"""

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import httpx
import structlog
import trio

from gateway.building import CallBuilder
from gateway.calls.call import Call, Services
from gateway.calls.measures import Measures
from gateway.calls.record import CallRecord
from gateway.calls.repair import repair_recordings
from gateway.calls.shipped_clips import load_clip
from gateway.calls.supervisor import Supervisor
from gateway.carriers.sip.door import SipDoor
from gateway.carriers.twilio.door import TwilioDoor
from gateway.config import ConfigError
from gateway.contracts import CallLeg, EndReason, Fact, RunBlocking, VoiceBackend
from gateway.dialplan.plan import Dialplan, Plan
from gateway.dialplan.routing import route
from gateway.incoming import Admission, Admit, NewCall, NotPlaced, Refuse
from gateway.net.doors import Door, open_door
from gateway.net.pacing import PacingClock
from gateway.settings import Secrets, Settings
from gateway.telemetry.lag import watch_loop
from gateway.telemetry.metrics import Metrics
from gateway.traces.pseudonyms import Pseudonyms
from gateway.voice.tool_runs import run_tool

__all__ = ["Gateway", "Parts", "Synthesize", "Watch"]

Synthesize = Callable[[str, str | None], Awaitable[bytes]]
Watch = Callable[[str, Fact], None]

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a gateway is made of that differs between production, a demonstration and a test.

    `backends`: the voices in the order in which a call tries them. `synthesize(text, voice)`: PCM16 at
    24 000 Hz, raises `RequestFailed`. `watch`: sees every fact of every call. `client`: for Twilio's REST API;
    None: calls are ended by TwiML alone. `run_tool_blocking`: for the plain functions of a plan, which may
    hang; None: as `run_blocking`. `voice_loaded`: what doors wait for before they open.
    """

    dialplan: Dialplan
    backends: tuple[VoiceBackend, ...]
    synthesize: Synthesize
    run_blocking: RunBlocking
    metrics: Metrics
    log: structlog.typing.FilteringBoundLogger
    client: httpx.AsyncClient | None = None
    run_tool_blocking: RunBlocking | None = None
    voice_loaded: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    watch: Watch = lambda _call, _fact: None


class Gateway:
    """One gateway. `run` it; lead connections to `door`; `drain` it or cancel it.

    `sip`: SIP's sockets and calls; None: no setting opens one.
    """

    def __init__(self, settings: Settings, secrets: Secrets, public_url: str, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._dialplan = parts.dialplan
        self._metrics = parts.metrics
        self._log = parts.log
        self._drain_time = trio.CancelScope()
        self._measures = Measures(parts.metrics)
        self.clock = PacingClock()
        self._doors: trio.Nursery | None = None
        self._calls: trio.Nursery | None = None
        self._builder: CallBuilder | None = None
        self.supervisor = Supervisor(
            most_active=settings.calls.max_active,
            run_blocking=parts.run_blocking,
            ended=lambda call: self._measures.ended(call.record),
            log=parts.log,
        )
        self._services = Services(
            backends={backend.traits.name: backend for backend in parts.backends},
            synthesize=parts.synthesize,
            load_clip=self._load_clip,
            run_tool=self._run_tool,
            run_blocking=parts.run_blocking,
            add_tick=self.clock.add,
            watch=self._watch,
            clear_took=parts.metrics.clear_latency_s.observe,
        )
        self._twilio = self._twilio_door(secrets, public_url)
        self.sip = self._sip_door(secrets)
        # Without an auth token there are no routes of Twilio's, and the door answers 404.
        self.door = (
            Door(self._twilio.posts, self._twilio.upgrades) if self._twilio is not None else Door({}, {})
        )

    # -- the rings

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until drained or cancelled. Started when calls can be taken.

        Raises `ConfigError` for a folder that calls cannot be written to, or an address of SIP that cannot be opened.
        """
        self._builder = await self._open_calls()
        async with trio.open_nursery() as plumbing:
            plumbing.start_soon(self.clock.run)
            for backend in self._parts.backends:
                plumbing.start_soon(backend.run)
            plumbing.start_soon(self.supervisor.flush)
            plumbing.start_soon(watch_loop, self._metrics, self._log)
            await self._parts.voice_loaded()
            async with trio.open_nursery() as self._calls, trio.open_nursery() as self._doors:
                if self.sip is not None:  # last: who calls at once finds a place among the calls
                    await plumbing.start(self.sip.run)
                task_status.started()
                await trio.sleep_forever()  # until drained
            plumbing.cancel_scope.cancel()

    def accept(self, listeners: Sequence[trio.abc.Listener[Any]]) -> None:
        """Let connections in at the public door: the loops are doors, the connections live among the calls."""
        if self._doors is None or self._calls is None:
            raise RuntimeError("the gateway does not run")
        accept = functools.partial(open_door, self.door, listeners, handler_nursery=self._calls)
        self._doors.start_soon(accept)

    def connect(self, stream: trio.abc.Stream) -> None:
        """Serve one connection that somebody else accepted."""
        if self._calls is None:
            raise RuntimeError("the gateway does not run")
        self._calls.start_soon(self.door.serve_stream, stream)

    @property
    def ready(self) -> bool:
        return not self.supervisor.draining

    async def drain(self) -> None:
        """Take no new call, let those that are finish for as long as the settings give them, then end."""
        self.supervisor.draining = True
        if self.sip is not None:
            self.sip.drain()
        self._metrics.draining.set(1)
        active = len(self.supervisor.active)
        self._log.info("gateway.draining", calls=active, at_most_s=self._settings.calls.drain_s)
        with self._drain_time:
            self._drain_time.deadline = trio.current_time() + self._settings.calls.drain_s
            await self.supervisor.idle()
            while self._coming() or self.supervisor.active:  # who was let in has half a minute to stream
                await trio.sleep(_LOOK_S)
                await self.supervisor.idle()
        await self._end_calls()

    def force(self) -> None:
        """End all calls now, and wait for none that comes."""
        self._drain_time.cancel()
        on = [call for call in self.supervisor.active.values() if call.reason is None]
        self._metrics.drain_forced.inc(len(on))
        self.supervisor.end_all(EndReason.DRAINED)

    async def _end_calls(self) -> None:
        if self.supervisor.active:
            self.force()
            with trio.move_on_after(_END_S):
                await self.supervisor.idle()
        if self.sip is not None:
            with trio.move_on_after(_PARTING_S):
                await self.sip.parted()
        if self._doors is not None and self._calls is not None:
            self._doors.cancel_scope.cancel()
            self._calls.cancel_scope.deadline = trio.current_time() + _END_S

    # -- who answers

    def admit(self, new: NewCall) -> Admission:
        """At the door, before a call exists."""
        if self.supervisor.draining:
            return self._refuse("busy", "draining")
        if self.supervisor.full(self._coming()):
            return self._refuse("busy", "too_many_calls")
        plan = self._plan_for(new)
        if plan is None:
            return self._refuse("rejected", "no_route")
        if plan.rejection is not None:
            return self._refuse(plan.rejection, "plan")
        return Admit()

    def _coming(self) -> int:
        """How many calls were let in, or are to be placed, that nobody hosts yet."""
        by_twilio = self._twilio.coming() if self._twilio is not None else 0
        return by_twilio + (self.sip.coming if self.sip is not None else 0)

    def _refuse(
        self,
        reason: Literal["busy", "rejected"],
        why: Literal["draining", "too_many_calls", "no_route", "plan"],
    ) -> Refuse:
        self._metrics.calls_rejected.labels(reason=why).inc()
        self._log.info("call.rejected", why=why)
        return Refuse(reason, why)

    def _plan_for(self, new: NewCall) -> Plan | None:
        return route(self._dialplan, new.called, new.caller)

    # -- one call

    async def host(self, leg: CallLeg, new: NewCall, plan: Plan | None = None) -> EndReason | None:
        """Have a call as long as it lasts: how it ended; None: it could not even begin. `plan`: not the dialplan's."""
        plan = plan or self._plan_for(new)
        if plan is None:
            raise AssertionError("a call was admitted that has no plan")
        built = self._build(leg, new, plan)
        if built is None:
            return None
        call, folder = built
        await self.supervisor.host(call, folder)
        return call.reason

    async def call(
        self, callee: str, plan: Plan, *, headers: Mapping[str, str] = _NO_HEADERS, ring_s: float = 60.0
    ) -> CallRecord:
        """Call somebody, and have `plan` run when he answers: the call's record, once it is over.

        `callee`: `sip:+15551230001@trunk`, where the host is the name of a trunk. `headers`: for it, of those that the
        trunk's settings let through. `ring_s`: how long it may ring. Whoever is cancelled here hangs up. Raises
        `NotPlaced` if nobody could be rung; who is busy, refuses or does not answer makes a call that has ended so.
        """
        if self.sip is None:
            raise NotPlaced("sip.listen is empty: there is no SIP")
        if self.supervisor.draining:
            raise NotPlaced("the gateway drains")
        if self.supervisor.full(self._coming()):
            raise NotPlaced(f"the gateway has at most {self._settings.calls.max_active} calls")
        if plan.rejection is not None:
            raise NotPlaced(f"the plan {plan.name} takes no call: {plan.rejection}")
        placed = _Placed()

        async def host(leg: CallLeg, new: NewCall) -> None:
            await self._host_placed(placed, leg, new, plan, ring_s)

        await self.sip.place(callee, headers, host)
        try:
            await placed.over.wait()
        finally:
            placed.unwanted = True
            if placed.call is not None and not placed.over.is_set():
                placed.call.hang_up(EndReason.OPERATOR)
        if placed.call is None:
            raise NotPlaced("the call could not be built; the log says why")
        return placed.call.record

    async def _host_placed(
        self, placed: "_Placed", leg: CallLeg, new: NewCall, plan: Plan, ring_s: float
    ) -> None:
        try:
            built = self._build(leg, new, plan) if not placed.unwanted else None
            if built is None:
                return
            placed.call, folder = built
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_ring_out, placed.call, ring_s)
                await self.supervisor.host(placed.call, folder)
                nursery.cancel_scope.cancel()
        finally:
            placed.over.set()

    def _build(self, leg: CallLeg, new: NewCall, plan: Plan) -> tuple[Call, Path | None] | None:
        """A call to be hosted, and its folder. None: it could not be built."""
        if self._builder is None:
            raise AssertionError("the gateway does not run")
        try:
            call, folder = self._builder.build(leg, new, plan)
        except Exception:  # noqa: BLE001 - containment: the carrier tells this caller that we are sorry
            self._log.exception("call.not_built", carrier_call=new.carrier_call)
            return None
        self._measures.began(call.record)
        return call, folder

    async def _host(self, leg: CallLeg, new: NewCall) -> None:
        await self.host(leg, new)

    def _spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a task among the calls, which none of their doors may end."""
        if self._calls is None:
            raise RuntimeError("the gateway does not run")
        self._calls.start_soon(task, *args)

    async def _open_calls(self) -> CallBuilder:
        folder = Path(self._settings.calls.folder) if self._settings.calls.folder else None
        pseudonyms = None
        if folder is not None:
            pseudonyms = await self._parts.run_blocking(self._open_folder, folder)
            await self._parts.run_blocking(repair_recordings, folder, self._log)
        return CallBuilder(self._settings, self._services, self._log, folder=folder, pseudonyms=pseudonyms)

    def _open_folder(self, folder: Path) -> Pseudonyms:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Pseudonyms.load(folder, keep_numbers=self._settings.traces.keep_numbers)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"calls.folder = {str(folder)!r}: {error}; it must be a folder of ours"
            ) from None

    def _watch(self, call_id: str, fact: Fact) -> None:
        call = self.supervisor.active.get(call_id)
        if call is not None:
            self._measures.happened(call.record.carrier, fact)
        self._parts.watch(call_id, fact)

    async def _load_clip(self, name: str) -> bytes:
        return await load_clip(name, self._parts.run_blocking)

    async def _run_tool(self, name: str, arguments: str) -> str:
        run_blocking = self._parts.run_tool_blocking or self._parts.run_blocking
        return await run_tool(self._dialplan.tools, name, arguments, run_blocking, self._log)

    # -- the carriers

    def _twilio_door(self, secrets: Secrets, public_url: str) -> TwilioDoor | None:
        if not secrets.twilio_auth_tokens():
            return None
        account_sid = secrets.twilio_account_sid
        return TwilioDoor(
            secrets.twilio_auth_tokens(),
            public_url,
            admit=self.admit,
            host=self._host,
            destinations=self._dialplan.destinations,
            account_sid=account_sid.reveal() if account_sid is not None else None,
            client=self._parts.client,
            metrics=self._metrics,
            log=self._log,
        )

    def _sip_door(self, secrets: Secrets) -> SipDoor | None:
        if not self._settings.sip.listen:
            return None
        return SipDoor(
            self._settings.sip,
            self._settings.trunks,
            secrets.trunk_passwords,
            admit=self.admit,
            host=self._host,
            spawn=self._spawn,
            destinations=self._dialplan.destinations,
            metrics=self._metrics,
            log=self._log,
        )


@dataclasses.dataclass(slots=True)
class _Placed:
    """A call of ours, and who waits for it. `call`: once it has begun."""

    over: trio.Event = dataclasses.field(default_factory=trio.Event)
    call: Call | None = None
    unwanted: bool = False


async def _ring_out(call: Call, ring_s: float) -> None:
    """Hang up if nobody answers in time."""
    await trio.sleep(ring_s)
    if "call.started" not in call.record.counts:
        call.hang_up(EndReason.NO_ANSWER)


_END_S = 7.0  # a teardown has two seconds to be polite, two for the trace and two for the record
_PARTING_S = 4.0  # a BYE over UDP is sent at 0, 0.5, 1.5 and 3.5 s until somebody says that he knows
_LOOK_S = 0.2

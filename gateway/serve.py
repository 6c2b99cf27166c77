"""The gateway put together: what a call is built of, and the three rings it lives in. Read this second.

    plumbing      clock, voice, disk, metrics         ends last
      calls       one task tree a call                gets a deadline when draining
        doors     accept loops                        ends first

Twilio asks `/twilio/after` when the stream of a call has ended. So the public door stays open while calls
drain, refuses new ones, and closes when the last call is gone.
"""

import dataclasses
import datetime as dt
import functools
import random
import secrets as tokens
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
import msgspec
import structlog
import trio

from gateway.calls.barge_in import BargeInSettings
from gateway.calls.call import Call, Services
from gateway.calls.core import CallCore
from gateway.calls.measures import Measures
from gateway.calls.record import CallRecord, utc_now
from gateway.calls.recording import Recording
from gateway.calls.repair import repair_recordings
from gateway.calls.settings import CallSettings
from gateway.calls.shipped_clips import load_clip
from gateway.calls.supervisor import Supervisor
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.twilio.calls import Admission, Admit, IncomingCall, Refuse, TwilioCalls
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.carriers.twilio.media import PATH as MEDIA_PATH
from gateway.carriers.twilio.media import MediaRoute
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.twiml import connect_stream
from gateway.carriers.twilio.webhooks import AfterRoute, SignedForms, StatusRoute, VoiceRoute
from gateway.config import ConfigError
from gateway.contracts import CallLeg, EndReason, Fact, LegCore, RunBlocking, VoiceBackend
from gateway.dialplan.plan import Dialplan, Plan
from gateway.dialplan.routing import route
from gateway.dialplan.steps import StepMachine
from gateway.media.stereo import StereoMix
from gateway.net.doors import Door, PostRoute, UpgradeRoute, open_door
from gateway.net.pacing import PacingClock
from gateway.settings import Secrets, Settings
from gateway.telemetry.lag import watch_loop
from gateway.telemetry.metrics import Metrics
from gateway.traces.format import Header
from gateway.traces.pseudonyms import Pseudonyms
from gateway.traces.recorder import Recorder
from gateway.voice.tool_runs import run_tool

__all__ = ["Gateway", "Parts", "build_core"]

# The leg cores by the name that traces know them by. A new carrier is one line here.
LEG_CORES: Mapping[str, Callable[[str, random.Random], LegCore]] = {
    "sip": lambda call, rng: SipLegCore(call, rng=rng),
    "twilio": lambda call, _rng: TwilioLegCore(call),
}

Synthesize = Callable[[str, str | None], Awaitable[bytes]]
Watch = Callable[[str, Fact], None]


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace's header keeps of the settings, to build the same core again."""

    carrier_call: str
    call: CallSettings


def build_core(header: Header, mix: StereoMix | None = None) -> CallCore:
    """The core of the call that `header` describes, new. The same for a live call and for its replay.

    `mix`: gathers the recording of a live call.
    """
    plan = msgspec.convert(header.plan, Plan)
    settings = msgspec.convert(header.settings, TraceSettings)
    return CallCore(
        LEG_CORES[header.carrier](settings.carrier_call, random.Random(f"leg {header.seed}")),
        lambda call: StepMachine(plan.steps, call, plan.fallback),
        plan.agents,
        frozenset(plan.destinations),
        settings.call,
        rng=random.Random(header.seed),
        mix=mix,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a gateway is made of that differs between production, a demonstration and a test.

    `backends`: the voices in the order in which a call tries them. `synthesize(text, voice)`: PCM16 at
    24 000 Hz, raises `RequestFailed`. `watch`: sees every fact of every call. `client`: for Twilio's REST API;
    None: calls are ended by TwiML alone. `run_tool_blocking`: for the plain functions of a plan, which may
    hang; None: as `run_blocking`.
    """

    dialplan: Dialplan
    backends: tuple[VoiceBackend, ...]
    synthesize: Synthesize
    run_blocking: RunBlocking
    metrics: Metrics
    log: structlog.typing.FilteringBoundLogger
    client: httpx.AsyncClient | None = None
    run_tool_blocking: RunBlocking | None = None
    watch: Watch = lambda _call, _fact: None


class Gateway:
    """One gateway. `run` it; lead connections to `door`; `drain` it or cancel it."""

    def __init__(self, settings: Settings, secrets: Secrets, public_url: str, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._dialplan = parts.dialplan
        self._metrics = parts.metrics
        self._log = parts.log
        self._folder = Path(settings.calls.folder) if settings.calls.folder else None
        self._pseudonyms: Pseudonyms | None = None
        self._twilio: TwilioCalls | None = None
        self._drain_time = trio.CancelScope()
        self._measures = Measures(parts.metrics)
        self.clock = PacingClock()
        self._doors: trio.Nursery | None = None
        self._calls: trio.Nursery | None = None
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
        self.door = Door(*self._twilio_routes(secrets, public_url))

    # -- the rings

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until drained or cancelled. Started when calls can be taken.

        Raises `ConfigError` for a folder that calls cannot be written to.
        """
        if self._folder is not None:
            self._pseudonyms = await self._parts.run_blocking(self._open_folder, self._folder)
            await self._parts.run_blocking(repair_recordings, self._folder, self._log)
        async with trio.open_nursery() as plumbing:
            plumbing.start_soon(self.clock.run)
            for backend in self._parts.backends:
                plumbing.start_soon(backend.run)
            plumbing.start_soon(self.supervisor.flush)
            plumbing.start_soon(watch_loop, self._metrics, self._log)
            async with trio.open_nursery() as self._calls, trio.open_nursery() as self._doors:
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
        if self._doors is not None and self._calls is not None:
            self._doors.cancel_scope.cancel()
            self._calls.cancel_scope.deadline = trio.current_time() + _END_S

    # -- who answers

    def _admit(self, incoming: IncomingCall) -> Admission:
        """At the door, before a call exists."""
        if self.supervisor.draining:
            return self._refuse("draining", "busy")
        if self.supervisor.full(self._coming()):
            return self._refuse("too_many_calls", "busy")
        plan = self._plan_for(incoming)
        if plan is None:
            return self._refuse("no_route", "rejected")
        if plan.rejection is not None:
            return self._refuse("plan", plan.rejection)
        return Admit()

    def _coming(self) -> int:
        """How many callers have been let in, and not begun to stream."""
        return self._twilio.waiting(trio.current_time()) if self._twilio is not None else 0

    def _refuse(self, why: str, reason: str) -> Refuse:
        self._metrics.calls_rejected.labels(reason=why).inc()
        self._log.info("call.rejected", why=why)
        return Refuse("busy" if reason == "busy" else "rejected")

    def _plan_for(self, incoming: IncomingCall) -> Plan | None:
        return route(self._dialplan, incoming.called, incoming.caller)

    # -- one call

    async def _host(self, leg: CallLeg, incoming: IncomingCall) -> None:
        try:
            call, folder = self._build(leg, incoming)
        except Exception:  # noqa: BLE001 - containment: Twilio tells this caller that we are sorry
            self._log.exception("call.not_built", carrier_call=incoming.call_sid)
            return
        self._measures.began(call.record)
        await self.supervisor.host(call, folder)

    def _build(self, leg: CallLeg, incoming: IncomingCall) -> tuple[Call, Path | None]:
        plan = self._plan_for(incoming)
        if plan is None:
            raise AssertionError("a call was admitted that has no plan")
        call_id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{tokens.token_hex(4)}"
        header = self._header(call_id, incoming, plan)
        folder = self._folder / call_id if self._folder is not None else None
        mix = StereoMix() if folder is not None else None
        call = Call(
            call_id=call_id,
            core=build_core(header, mix),
            leg=leg,
            agents=plan.agents,
            services=self._services,
            record=CallRecord(
                call=call_id,
                carrier=header.carrier,
                carrier_call=incoming.call_sid,
                caller=header.caller,
                called=header.called,
                plan=plan.name,
                backend=header.backend,
                started_at=utc_now(),
            ),
            trace=Recorder(folder, header) if folder is not None else None,
            recording=Recording(folder, mix) if folder is not None and mix is not None else None,
            log=self._log.bind(call=call_id),
        )
        return call, folder

    def _header(self, call_id: str, incoming: IncomingCall, plan: Plan) -> Header:
        voice, barge_in = self._settings.voice, self._settings.barge_in
        settings = TraceSettings(
            carrier_call=incoming.call_sid,
            call=CallSettings(
                voices=tuple(backend.traits for backend in self._parts.backends),
                longest_s=self._settings.calls.longest_s,
                idle_s=voice.idle_s,
                dead_air_s=voice.dead_air_s,
                renew_s=voice.renew_s,
                barge_in=BargeInSettings(min_speech_ms=barge_in.min_speech_ms, min_words=barge_in.min_words),
            ),
        )
        name = self._pseudonyms.name if self._pseudonyms is not None else str
        return Header(
            call_id=call_id,
            carrier="twilio",
            backend=self._parts.backends[0].traits.name,
            caller=name(incoming.caller),
            called=name(incoming.called),
            plan=msgspec.to_builtins(plan),
            agents={},
            settings=msgspec.to_builtins(settings),
            seed=random.getrandbits(32),
            wall_time=utc_now(),
            gateway_version=_version(),
        )

    def _watch(self, call_id: str, fact: Fact) -> None:
        self._measures.happened("twilio", fact)
        self._parts.watch(call_id, fact)

    async def _load_clip(self, name: str) -> bytes:
        return await load_clip(name, self._parts.run_blocking)

    async def _run_tool(self, name: str, arguments: str) -> str:
        run_blocking = self._parts.run_tool_blocking or self._parts.run_blocking
        return await run_tool(self._dialplan.tools, name, arguments, run_blocking, self._log)

    # -- Twilio

    def _twilio_routes(
        self, secrets: Secrets, public_url: str
    ) -> tuple[dict[str, PostRoute], dict[str, UpgradeRoute]]:
        """Without an auth token there are none, and the door answers 404."""
        if not secrets.twilio_auth_tokens():
            return {}, {}
        auth_tokens = secrets.twilio_auth_tokens()
        url = PublicUrl(public_url)
        check = SignatureCheck(auth_tokens, url)
        calls = TwilioCalls(self._admit, lambda token: _connect(url, token), lambda: tokens.token_urlsafe(16))
        self._twilio = calls
        rest = None
        if secrets.twilio_account_sid is not None and self._parts.client is not None:
            account_sid = secrets.twilio_account_sid.reveal()
            rest = TwilioRest(account_sid, auth_tokens[0], self._parts.client, random.Random())
        forms = SignedForms(check, self._refused_request)
        media = MediaRoute(
            check,
            calls,
            self._host,
            destinations=self._dialplan.destinations,
            rest=rest,
            on_refused=self._refused_request,
            on_zombie=lambda sid, detail: self._log.error("call.not_ended", carrier_call=sid, detail=detail),
        )
        posts: dict[str, PostRoute] = {
            "/twilio/voice": VoiceRoute(forms, calls),
            "/twilio/after": AfterRoute(forms, calls),
            "/twilio/status": StatusRoute(forms, calls, self._stream_reported),
        }
        return posts, {MEDIA_PATH: media}

    def _refused_request(self, kind: str) -> None:
        self._metrics.signature_failures.labels(carrier="twilio", kind=kind).inc()
        self._log.warning("request.refused", kind=kind)

    def _stream_reported(self, call_sid: str, event: str, error: str) -> None:
        if error:
            self._log.warning("stream.failed", carrier_call=call_sid, twilio_event=event, detail=error)

    def _open_folder(self, folder: Path) -> Pseudonyms:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Pseudonyms.load(folder, keep_numbers=self._settings.traces.keep_numbers)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"calls.folder = {str(folder)!r}: {error}; it must be a folder of ours"
            ) from None


_END_S = 7.0  # a teardown has two seconds to be polite, two for the trace and two for the record
_LOOK_S = 0.2


def _connect(url: PublicUrl, token: str) -> str:
    return connect_stream(
        action_url=url.http("/twilio/after"),
        stream_url=url.websocket(f"{MEDIA_PATH}{token}"),
        status_url=url.http("/twilio/status"),
    )


def _version() -> str:
    try:
        return version("voice-gateway")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"

"""What a call is built of: its core, by the header that its trace begins with, and all that is around the core."""

import datetime as dt
import functools
import random
import secrets as tokens
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import structlog

from gateway.calls.barge_in import BargeInSettings
from gateway.calls.call import Call, Services
from gateway.calls.core import CallCore
from gateway.calls.record import CallRecord, utc_now
from gateway.calls.recording import Recording
from gateway.calls.settings import CallSettings
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.contracts import CallLeg, LegCore
from gateway.dialplan.plan import Plan
from gateway.dialplan.steps import StepMachine
from gateway.incoming import NewCall
from gateway.media.stereo import StereoMix
from gateway.settings import Settings
from gateway.telemetry.masking import clean_text
from gateway.traces.format import Header
from gateway.traces.pseudonyms import Pseudonyms
from gateway.traces.recorder import Recorder

__all__ = ["LEG_CORES", "CallBuilder", "build_core"]

# The leg cores by the name that traces know them by. A new carrier is one line here.
# Each is given the carrier's name of the call, randomness, and when the call began, in seconds since 1970.
LEG_CORES: Mapping[str, Callable[[str, random.Random, float], LegCore]] = {
    "sip": lambda call, rng, wall_s: SipLegCore(call, rng=rng, wall_s=wall_s),
    "twilio": lambda call, _rng, _wall_s: TwilioLegCore(call),
}

_SEED_BITS = 53  # as many as every reader of JSON keeps


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
    wall_s = dt.datetime.fromisoformat(header.wall_time).timestamp()
    return CallCore(
        LEG_CORES[header.carrier](settings.carrier_call, random.Random(f"leg {header.seed}"), wall_s),
        lambda call: StepMachine(plan.steps, call, plan.fallback),
        plan.agents,
        frozenset(plan.destinations),
        settings.call,
        rng=random.Random(header.seed),
        mix=mix,
    )


class CallBuilder:
    """Builds calls that are written below `folder`; None: nowhere. `pseudonyms` stand for the numbers there."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        log: structlog.typing.FilteringBoundLogger,
        *,
        folder: Path | None,
        pseudonyms: Pseudonyms | None,
    ) -> None:
        self._settings = settings
        self._services = services
        self._log = log
        self._folder = folder
        self._pseudonyms = pseudonyms

    def build(self, leg: CallLeg, new: NewCall, plan: Plan) -> tuple[Call, Path | None]:
        """A call that has not begun, and the folder that its files will be in."""
        call_id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{tokens.token_hex(4)}"
        header = self._header(call_id, new, plan)
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
                carrier_call=new.carrier_call,
                direction=new.direction,
                caller=header.caller,
                called=header.called,
                headers=self._headers(new),
                plan=plan.name,
                backend=header.backend,
                started_at=utc_now(),
            ),
            trace=Recorder(folder, header) if folder is not None else None,
            recording=Recording(folder, mix) if folder is not None and mix is not None else None,
            log=self._log.bind(call=call_id),
        )
        return call, folder

    def _headers(self, new: NewCall) -> dict[str, str]:
        """Those that the carrier's settings let through, for the record; without phone numbers, unless they are kept."""
        if self._settings.traces.keep_numbers:
            return dict(new.headers)
        return {name: clean_text(text) for name, text in new.headers.items()}

    def _header(self, call_id: str, new: NewCall, plan: Plan) -> Header:
        voice, barge_in = self._settings.voice, self._settings.barge_in
        settings = TraceSettings(
            carrier_call=new.carrier_call,
            call=CallSettings(
                voices=tuple(backend.traits for backend in self._services.backends.values()),
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
            carrier=new.carrier,
            backend=next(iter(self._services.backends)),
            caller=name(new.caller),
            called=name(new.called),
            plan=msgspec.to_builtins(plan),
            agents={},
            settings=msgspec.to_builtins(settings),
            seed=tokens.randbits(_SEED_BITS),
            wall_time=utc_now(),
            gateway_version=gateway_version(),
        )


@functools.cache
def gateway_version() -> str:
    try:
        return version("voice-gateway")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"

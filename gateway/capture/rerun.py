"""`gateway rerun`: the caller of a recorded SIP call calls again, in real time, and another plan or voice answers."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from gateway.building import build_core
from gateway.capture.caller import RecordedCall, RecordedCaller, read_caller
from gateway.carriers.sip.settings import SipSettings
from gateway.config import ConfigError, Secret
from gateway.config.shape import no_such
from gateway.contracts import ENDINGS, EndReason, RequestFailed, VoiceBackend
from gateway.dialplan.plan import Dialplan, Plan, load
from gateway.dialplan.routing import route
from gateway.incoming import NewCall
from gateway.net.tasks import run_in_thread, unwrapped
from gateway.serve import Gateway, Parts
from gateway.settings import DialplanPath, Secrets, Settings, read_settings
from gateway.story import Story
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.traces import replay, report_lines
from gateway.traces.reader import TraceUnreadable
from gateway.voices import choose_voice

__all__ = ["RerunWish", "place_call", "plan_for", "run_rerun"]


class RerunWish(NamedTuple):
    """What was typed. None: as the settings have it, or as the dialplan routes the call."""

    folder: Path
    config: Path | None = None
    dialplan: Path | None = None
    plan: str | None = None
    into: Path | None = None


async def run_rerun(wish: RerunWish, environ: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Run it and tell what happens; 0 if the call did not fail by our fault, and its replay is exact.

    Raises `ConfigError` and `PlanError`, for a folder that cannot be played too.
    """
    settings, key = _settings(wish, environ)
    try:
        recorded = await run_in_thread(read_caller, wish.folder)
    except TraceUnreadable as error:
        raise ConfigError(str(error)) from None
    dialplan = load(Path(settings.dialplan.path))
    plan = plan_for(dialplan, recorded, wish.plan)
    voice = choose_voice(settings.voice, dialplan, run_in_thread, key)
    log = configure(sys.stderr, level="error" if settings.log.level == "info" else settings.log.level)
    story = Story(say)
    say(f"caller        {wish.folder}, {recorded.lasts_s:.1f} s")
    say(f"plan          {plan.name} of {settings.dialplan.path}")
    say(f"voice         {voice.says}")
    say("")
    parts = Parts(
        dialplan=dialplan,
        backends=voice.backends,
        synthesize=voice.synthesize,
        run_blocking=run_in_thread,
        metrics=Metrics(),
        log=log,
        watch=story.watch,
    )
    reason = await place_call(settings, parts, recorded, plan, beside=voice.synthesizer)
    say("")
    if reason is None or not story.call:
        say("FAILED        the call could not begin")
        return 1
    folder = Path(settings.calls.folder) / story.call
    verdict = await run_in_thread(replay, folder, build_core)
    say(f"written to    {folder}")
    for line in report_lines(verdict):
        say(f"replayed      {line}")
    say(f"report        ./ops/gateway report {folder}")
    return 0 if verdict.identical and ENDINGS[reason].fault != "ours" else 1


async def place_call(
    settings: Settings,
    parts: Parts,
    recorded: RecordedCall,
    plan: Plan,
    *,
    beside: VoiceBackend | None = None,
) -> EndReason | None:
    """Have `plan` answer the caller, in a gateway that nobody else can call; how the call ended.

    `beside`: what has to run as well. None: the call could not begin.
    """
    header = recorded.header
    new = NewCall(
        carrier=header.carrier,
        carrier_call=str(header.settings["carrier_call"]),
        caller=header.caller,
        called=header.called,
    )
    gateway = Gateway(settings, Secrets(), "", parts)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            if beside is not None:
                nursery.start_soon(beside.run)
            await nursery.start(gateway.run)
            # In a gateway that serves, the models were loaded long ago.
            with contextlib.suppress(RequestFailed):
                await parts.synthesize("Hello.", None)
            reason = await gateway.host(RecordedCaller(recorded.said), new, plan)
            nursery.cancel_scope.cancel()
    return reason


def plan_for(dialplan: Dialplan, recorded: RecordedCall, name: str | None) -> Plan:
    """The plan of that name, else the one that the dialplan has for such a call, else its only one.

    A recorded call has pseudonyms for its numbers, unless they were kept; routes by number do not know those.
    Raises `ConfigError`.
    """
    if name is not None and name not in dialplan.plans:
        raise ConfigError(f"--plan {name}: {no_such('plan', name, dialplan.plans)}")
    plan = dialplan.plans[name] if name is not None else None
    plan = plan or route(dialplan, recorded.header.called, recorded.header.caller)
    if plan is None and len(dialplan.plans) == 1:
        (plan,) = dialplan.plans.values()
    if plan is None:
        known = ", ".join(sorted(dialplan.plans))
        raise ConfigError(
            f"no route of the dialplan takes this call; name one of its plans by --plan: {known}"
        )
    if plan.rejection is not None:
        raise ConfigError(f"the plan {plan.name} takes no call: {plan.rejection}; name another one by --plan")
    return plan


def _settings(wish: RerunWish, environ: Mapping[str, str]) -> tuple[Settings, Secret | None]:
    """As `serve` has them, without any door; and the key of a voice."""
    settings, secrets = read_settings(wish.config, environ)
    folder = str(wish.into) if wish.into is not None else settings.calls.folder
    if not folder:
        raise ConfigError("calls.folder is empty, and the new call is written there; name a folder by --into")
    path = str(wish.dialplan) if wish.dialplan is not None else settings.dialplan.path
    changed = msgspec.structs.replace(
        settings,
        calls=msgspec.structs.replace(settings.calls, folder=folder),
        dialplan=DialplanPath(path=path),
        sip=SipSettings(),
        trunks={},
    )
    return changed, secrets.openai_api_key

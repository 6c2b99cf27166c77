"""`gateway call`: places a call by a trunk, has a plan of the dialplan run in it, and shows what happens.

A process of its own, beside a gateway that serves: it listens on free ports, answers nobody and registers nowhere.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import trio

from gateway.calls.record import CallRecord
from gateway.carriers.sip.callee import trunk_named_by
from gateway.carriers.sip.trunk import Trunk
from gateway.config import ConfigError
from gateway.config.shape import no_such
from gateway.contracts import EndReason, RequestFailed
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.plan import Dialplan, Plan, load
from gateway.incoming import NotPlaced
from gateway.net.tasks import run_in_thread, unwrapped
from gateway.serve import Gateway, Parts
from gateway.settings import DialplanPath, Secrets, Settings, read_settings
from gateway.story import Story
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.voices import Voice, choose_voice

__all__ = ["CallWish", "check_wish", "headers_of", "plan_named", "run_call", "why_it_failed"]


class CallWish(NamedTuple):
    """What was typed. None: as the settings or the dialplan have it."""

    callee: str
    config: Path | None = None
    dialplan: Path | None = None
    plan: str | None = None
    headers: Sequence[str] = ()
    ring_s: float = 60.0


async def run_call(wish: CallWish, environ: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Place the call and tell what happens: 0 if it was answered and ended as the plan wanted.

    SIGINT and SIGTERM hang up. Raises `ConfigError` and `PlanError` for what nobody needs to be called for.
    """
    settings, secrets, trunk = _settings(wish, environ)
    headers = headers_of(wish.headers)
    check_wish(wish.callee, headers, Trunk(trunk, settings.trunks[trunk], None, Random()))
    dialplan = load(Path(settings.dialplan.path))
    plan = plan_named(dialplan, wish.plan)
    log = configure(sys.stderr, level="error" if settings.log.level == "info" else settings.log.level)
    voice = choose_voice(settings.voice, dialplan, run_in_thread, secrets.openai_api_key)
    story = Story(say, far_end="callee")
    parts = Parts(
        # Whoever calls this process finds no route.
        dialplan=msgspec.structs.replace(dialplan, routes=(), default=None),
        backends=voice.backends,
        synthesize=voice.synthesize,
        run_blocking=run_in_thread,
        metrics=Metrics(),
        log=log,
        watch=story.watch,
    )
    say(f"plan          {plan.name} of {settings.dialplan.path}")
    say(f"voice         {voice.says}")
    say(f"trunk         {trunk}")
    say("")
    record, failure = await _placed(Gateway(settings, secrets, "", parts), voice, plan, headers, wish)
    if record is not None:
        failure = why_it_failed(record, plan, wish.ring_s)
    say("")
    if story.call and settings.calls.folder:
        folder = Path(settings.calls.folder) / story.call
        say(f"written to    {folder}")
        say(f"report        ./ops/gateway report {folder}")
    if failure:
        say(f"FAILED        {failure}")
    return 1 if failure else 0


async def _placed(
    gateway: Gateway, voice: Voice, plan: Plan, headers: Mapping[str, str], wish: CallWish
) -> tuple[CallRecord | None, str]:
    """The record; None where there is none, and why."""
    record, failure = None, "cancelled"
    with unwrapped():
        async with trio.open_nursery() as nursery:
            if voice.synthesizer is not None:
                nursery.start_soon(voice.synthesizer.run)
            await nursery.start(gateway.run)
            with trio.CancelScope() as calling:
                await nursery.start(_hang_up_on_signals, calling)
                with contextlib.suppress(RequestFailed):  # nobody shall be rung up before the voice is there
                    await voice.synthesize("Hello.", None)
                try:
                    record = await gateway.call(wish.callee, plan, headers=headers, ring_s=wish.ring_s)
                except NotPlaced as error:
                    failure = str(error)
            await gateway.drain()  # until they know that it is over
            nursery.cancel_scope.cancel()
    return record, failure


async def _hang_up_on_signals(
    calling: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            calling.cancel()


def why_it_failed(record: CallRecord, plan: Plan, ring_s: float) -> str:
    """One line on a call that was not answered, or did not end as the plan wanted; empty: all went well.

    A conversation is over when either side hangs up; what a plan has to say is over when it is said.
    """
    said = _cause(record)
    match record.reason:
        case EndReason.PLAN_ENDED | EndReason.AGENT_HUNG_UP | EndReason.TRANSFERRED:
            return ""
        case EndReason.CALLER_HUNG_UP if any(isinstance(step, Converse) for step in plan.steps):
            return ""
        case EndReason.CALLER_HUNG_UP:
            return f"they hung up before the plan was through{said}"
        case EndReason.BUSY:
            return f"busy{said}"
        case EndReason.REFUSED:
            return f"refused{said}"
        case EndReason.NO_ANSWER:
            return f"no answer{said}" if said else f"no answer within {ring_s:g} s"
        case None:
            return "the call did not end"
        case reason:
            detail = f", {record.detail}" if record.detail else ""
            # They have answered, but not our SDP: "no answer" would be misread.
            is_invalid = reason is EndReason.CARRIER_INVALID
            return f"{reason.value}{(said or detail) if is_invalid else (detail or said)}"


def _cause(record: CallRecord) -> str:
    """What the carrier said at the end."""
    status, cause, text = (record.released.get(name) for name in ("status", "cause", "text"))
    said = [
        f"SIP {status}" if status else "",
        f"Q.850 cause {cause}" if cause else "",
        f"“{text}”" if text else "",
    ]
    return "".join(f", {each}" for each in said if each)


def plan_named(dialplan: Dialplan, name: str | None) -> Plan:
    """The plan of that name, else the default of the dialplan, else its only one. Raises `ConfigError`."""
    plans = dialplan.plans
    if name is not None and name not in plans:
        raise ConfigError(f"--plan {name}: {no_such('plan', name, plans)}")
    name = name or dialplan.default or (next(iter(plans)) if len(plans) == 1 else None)
    if name is None:
        raise ConfigError(
            f"the dialplan has no default; name one of its plans by --plan: {', '.join(sorted(plans))}"
        )
    plan = plans[name]
    if plan.rejection is not None:
        raise ConfigError(f"the plan {name} takes no call: {plan.rejection}; name another one by --plan")
    return plan


def headers_of(texts: Sequence[str]) -> dict[str, str]:
    """`X-Foo: bar`, each. Raises `ConfigError`."""
    headers: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        name = name.strip()
        if not name or not colon or name.lower() in map(str.lower, headers):
            raise ConfigError(f"--header {text!r}: expected 'NAME: TEXT', and each name once")
        headers[name] = value.strip()
    return headers


def check_wish(callee: str, headers: Mapping[str, str], trunk: Trunk) -> None:
    """Raises `ConfigError` for whom the trunk cannot call, and for headers that it does not let through."""
    try:
        trunk.uri_for(callee)
    except ValueError as error:
        raise ConfigError(f"{callee}: {error}") from None
    try:
        trunk.rows_for(headers)
    except ValueError as error:
        raise ConfigError(f"--header: {error}") from None


def _settings(wish: CallWish, environ: Mapping[str, str]) -> tuple[Settings, Secrets, str]:
    """As `serve` has them, with the one trunk, free ports and no other door; and the trunk's name."""
    settings, secrets = read_settings(wish.config, environ)
    if not settings.trunks:
        raise ConfigError(
            "there is no trunk to call by; add a table [trunks.NAME], with an address, and sip.listen"
        )
    try:
        name = trunk_named_by(wish.callee, settings.trunks)
    except ValueError as error:
        raise ConfigError(f"{wish.callee}: {error}") from None
    trunk = msgspec.structs.replace(settings.trunks[name], register=False, ping_s=0.0)
    path = str(wish.dialplan) if wish.dialplan is not None else settings.dialplan.path
    changed = msgspec.structs.replace(
        settings,
        sip=msgspec.structs.replace(
            settings.sip, listen=tuple(each._replace(port=0) for each in settings.sip.listen)
        ),
        trunks={name: trunk},
        dialplan=DialplanPath(path=path),
    )
    return changed, msgspec.structs.replace(secrets, twilio_auth_token=None), name

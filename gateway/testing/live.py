"""A whole gateway with a fake Twilio in front of it: no socket, no thread, real time or virtual."""

import dataclasses
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import trio
import trio.testing

from gateway.config import Secret
from gateway.contracts import Fact, RequestFailed, VoiceBackend
from gateway.dialplan.plan import Dialplan, load
from gateway.serve import Gateway, Parts, Synthesize
from gateway.settings import Secrets, Settings
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.twilio_rest import FakeTwilioRest

__all__ = ["AUTH_TOKEN", "LiveGateway", "inline", "live_gateway"]

T = TypeVar("T")

ACCOUNT_SID = "AC" + "1" * 32
AUTH_TOKEN = "the-token-of-the-fake-account"  # noqa: S105 - of a fake account
PUBLIC_URL = "https://gateway.example"

_OF_A_CALL = ("gateway.calls.call.", "gateway.calls.keeper.", "gateway.net.websocket.")


async def inline(blocking: Callable[..., T], /, *args: object, limiter: object = None) -> T:  # noqa: ARG001
    """`RunBlocking` without a thread: for the virtual clock, which would run ahead of one."""
    await trio.lowlevel.checkpoint()
    return blocking(*args)


@dataclasses.dataclass(frozen=True, slots=True)
class LiveGateway:
    """`facts`: what happened in all calls so far, with the call's id. `log`: JSON lines. `rest`: if there is one."""

    gateway: Gateway
    twilio: FakeTwilio
    metrics: Metrics
    facts: list[tuple[str, Fact]]
    log: io.StringIO
    rest: FakeTwilioRest | None

    def facts_named(self, name: str) -> list[Fact]:
        return [fact for _, fact in self.facts if fact.name == name]


@asynccontextmanager
async def live_gateway(
    dialplan: Dialplan | Path,
    backend: VoiceBackend,
    *,
    folder: Path | None = None,
    settings: Settings | None = None,
    synthesize: Synthesize | None = None,
    has_rest: bool = False,
) -> AsyncIterator[LiveGateway]:
    """A running gateway and an account that calls it. `folder`: where calls are written; None: nowhere.

    `has_rest`: the gateway may end calls by Twilio's REST API, too.
    """
    settings = settings or Settings()
    calls = msgspec.structs.replace(settings.calls, folder=str(folder) if folder is not None else "")
    settings = msgspec.structs.replace(settings, calls=calls)
    facts: list[tuple[str, Fact]] = []
    log = io.StringIO()
    metrics = Metrics()

    async def dial() -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        gateway.connect(theirs)
        return ours

    account = TwilioAccount(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, public_url=PUBLIC_URL, dial=dial)
    twilio = FakeTwilio(account)
    rest = FakeTwilioRest(twilio) if has_rest else None
    parts = Parts(
        dialplan=load(dialplan) if isinstance(dialplan, Path) else dialplan,
        backends=(backend,),
        synthesize=synthesize or _mute,
        run_blocking=inline,
        metrics=metrics,
        log=configure(log, pretty=False),
        client=httpx.AsyncClient(transport=httpx.MockTransport(rest)) if rest is not None else None,
        watch=lambda call, fact: facts.append((call, fact)),
    )
    secrets = Secrets(twilio_account_sid=Secret(ACCOUNT_SID), twilio_auth_token=Secret(AUTH_TOKEN))
    gateway = Gateway(settings, secrets, PUBLIC_URL, parts)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        async with twilio:
            yield LiveGateway(gateway, twilio, metrics, facts, log, rest)
        await _nothing_is_left(gateway, metrics)
        nursery.cancel_scope.cancel()


async def _nothing_is_left(gateway: Gateway, metrics: Metrics) -> None:
    """Every call has ended: no task, no place on the clock, no gauge may be left of it."""
    await gateway.supervisor.idle()
    await trio.testing.wait_all_tasks_blocked()
    left = [f"task {name}" for name in _tasks() if name.startswith(_OF_A_CALL)]
    left += [f"call {call}" for call in gateway.supervisor.active]
    gauges = [line for line in metrics.expose().decode().splitlines() if line.startswith("gw_calls_active{")]
    left += [f"gauge {line}" for line in gauges if not line.endswith(" 0.0")]
    if len(gateway.clock):
        left.append(f"{len(gateway.clock)} calls on the pacing clock")
    if left:
        raise AssertionError("left after the last call: " + ", ".join(left))


def _tasks() -> list[str]:
    """The names of all tasks below this run's main task."""
    names: list[str] = []
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is not None:
            names.append(task.name)
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return names


async def _mute(text: str, _voice: str | None) -> bytes:
    raise RequestFailed(f"there is no synthesizer here to say {text!r}")

"""What the benches of promises share: calls through a whole gateway, percentiles, and the verdict."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import NamedTuple

import trio

from gateway.contracts import Agent, VoiceConnection, VoiceTraits
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.plan import Dialplan, Plan, Route
from gateway.net.tasks import open_tasks
from gateway.settings import Settings
from gateway.testing.fake_twilio import FakeTwilio
from gateway.testing.faulty_record import VoiceRecord
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.live import LiveGateway, live_gateway
from gateway.testing.network import Network
from gateway.testing.twilio_caller import Caller

__all__ = ["Bound", "Line", "OneCall", "hold_calls", "percentile", "verdict"]

_CALLED = "+1555020{:04}"


class Bound(NamedTuple):
    """A promise: `value` is to be at most `most`. Without a bound it is a figure for people."""

    what: str
    value: float
    most: float | None = None
    unit: str = "ms"

    @property
    def kept(self) -> bool:
        return self.most is None or self.value <= self.most


class Line(NamedTuple):
    """One caller's: how he is greeted, by whom, and over what network. Several may have the same voice."""

    greeting: str
    voice: FaultyVoice
    network: Network | None = None


class OneCall(NamedTuple):
    """A call that stands. `zero_s`: second 0 of the caller's axis on trio's clock."""

    caller: Caller
    line: Line
    agent: str
    zero_s: float

    @property
    def sessions(self) -> list[VoiceRecord]:
        """Those that this call took, in order."""
        return [record for record in self.line.voice.records if record.agent == self.agent]


class _Voices:
    """A `VoiceBackend` that gives every agent his voice."""

    def __init__(self, voices: Mapping[str, FaultyVoice]) -> None:
        self._voices = voices

    @property
    def traits(self) -> VoiceTraits:
        return next(iter(self._voices.values())).traits

    def connect(self, agent: Agent) -> AbstractAsyncContextManager[VoiceConnection]:
        return self._voices[agent.name].connect(agent)

    async def run(self) -> None:
        async with open_tasks() as nursery:
            for voice in set(self._voices.values()):
                nursery.start_soon(voice.run)


async def hold_calls(
    lines: Sequence[Line], talk: Callable[[OneCall], Awaitable[None]], settings: Settings | None = None
) -> LiveGateway:
    """Call one gateway on all lines at once; when `talk` returns, the caller hangs up."""
    plans, routes = {}, []
    for number, line in enumerate(lines):
        agent = Agent(name=f"agent{number}", greeting=line.greeting)
        steps = (Answer(), Converse(agent=agent.name))
        plans[agent.name] = Plan(name=agent.name, steps=steps, agents={agent.name: agent})
        routes.append(Route(called=_CALLED.format(number), caller=None, plan=agent.name))
    voices = _Voices({name: line.voice for name, line in zip(plans, lines, strict=True)})
    dialplan = Dialplan(plans=plans, routes=tuple(routes))
    async with live_gateway(dialplan, voices, settings=settings) as live, open_tasks() as nursery:
        for number, line in enumerate(lines):
            nursery.start_soon(_hold, live, number, line, talk)
    return live


async def _hold(
    live: LiveGateway, number: int, line: Line, talk: Callable[[OneCall], Awaitable[None]]
) -> None:
    async with AsyncExitStack() as stack:
        account = live.twilio.account
        if line.network is not None:
            await stack.enter_async_context(line.network)
            account = dataclasses.replace(account, dial=line.network.through(account.dial))
        twilio = await stack.enter_async_context(FakeTwilio(account))
        async with twilio.call(from_="+15550100001", to=_CALLED.format(number)) as caller:
            await caller.silence(0.02)  # the axis begins with the first tick
            await talk(OneCall(caller, line, f"agent{number}", trio.current_time() - caller.now))


def percentile(values: Iterable[float], share: float) -> float:
    """The value that so many are not above; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def verdict(bounds: Sequence[Bound]) -> int:
    """Print every figure beside its bound. 1 when one is broken."""
    for bound in bounds:
        asked = "" if bound.most is None else f"   at most {bound.most:g}{'' if bound.kept else '   BROKEN'}"
        print(f"{bound.what:60} {bound.value:9.1f} {bound.unit:4}{asked}")
    return 0 if all(bound.kept for bound in bounds) else 1

"""What the benches of promises share: calls through a whole gateway, percentiles, and the verdict."""

import dataclasses
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from gateway.contracts import Agent
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.plan import Dialplan, Plan, Route
from gateway.settings import Settings
from gateway.testing.fake_twilio import FakeTwilio
from gateway.testing.faulty_record import VoiceRecord
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.live import LiveGateway, live_gateway
from gateway.testing.network import Network
from gateway.testing.twilio_caller import Caller

__all__ = ["Bound", "OneCall", "open_call", "open_gateway", "percentile", "verdict"]

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


class OneCall:
    """A call that stands. `zero_s`: second 0 of the caller's axis on trio's clock."""

    def __init__(self, caller: Caller, network: Network, voice: FaultyVoice, agent: str) -> None:
        self.caller = caller
        self.network = network
        self.zero_s = trio.current_time() - caller.now
        self._voice = voice
        self._agent = agent

    @property
    def records(self) -> list[VoiceRecord]:
        """The sessions that this call took."""
        return [record for record in self._voice.records if record.agent == self._agent]


@asynccontextmanager
async def open_gateway(
    voice: FaultyVoice, greetings: Sequence[str], settings: Settings | None = None
) -> AsyncIterator[LiveGateway]:
    """A gateway for as many calls as there are greetings: each has an agent of its own."""
    plans = {}
    for number, greeting in enumerate(greetings):
        agent = Agent(name=_agent(number), greeting=greeting)
        steps = (Answer(), Converse(agent=agent.name))
        plans[agent.name] = Plan(name=agent.name, steps=steps, agents={agent.name: agent})
    routes = [Route(called=_CALLED.format(n), caller=None, plan=_agent(n)) for n in range(len(greetings))]
    async with live_gateway(Dialplan(plans=plans, routes=tuple(routes)), voice, settings=settings) as live:
        yield live


@asynccontextmanager
async def open_call(
    live: LiveGateway, voice: FaultyVoice, number: int, network: Network
) -> AsyncIterator[OneCall]:
    """The call to the `number`-th agent, over a network of its own. The end of the block hangs up."""
    account = live.twilio.account
    account = dataclasses.replace(account, dial=network.through(account.dial))
    async with network, FakeTwilio(account) as twilio:
        async with twilio.call(from_="+15550100001", to=_CALLED.format(number)) as caller:
            await caller.silence(0.02)  # the axis begins with the first tick
            yield OneCall(caller, network, voice, _agent(number))


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


def _agent(number: int) -> str:
    return f"agent{number}"

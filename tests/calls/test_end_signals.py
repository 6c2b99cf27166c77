"""A call is ended from several sides at once: one ending, one record, and nothing left.

On the virtual clock, through a whole gateway with the fake Twilio and its REST API.
"""

import itertools
import json
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.record import CallRecord
from gateway.contracts import EndReason
from gateway.testing.live import LiveGateway, live_gateway
from gateway.testing.twilio_call import TwilioCall
from tests.calls.puppet import Puppet

PLAN = """
[default]
plan = "talk"
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "a" }]
[agents.a]
instructions = "Talk."
"""
TOO_SHORT_MS = 40  # to have anything to record
END_CALL = {"id": "f", "type": "function_call", "name": "end_call", "call_id": "c", "arguments": "{}"}


class Scene:
    """One call of a gateway that has had others, and what can end it."""

    def __init__(self, live: LiveGateway, call: TwilioCall, puppet: Puppet) -> None:
        self.live = live
        self.call = call
        self.puppet = puppet
        self._others = len(puppet.sessions)  # of earlier calls

    async def stream_stops(self) -> None:
        """Twilio says `stop` although the call goes on; it asks what to do then."""
        if self.call.connection is not None:
            self.call.connection.stop()

    async def socket_breaks(self) -> None:
        self.call.action_follows_loss = False
        if self.call.connection is not None:
            self.call.connection.line.cut()

    async def rest_completes(self) -> None:
        """Somebody ends the call at Twilio."""
        self.call.complete()

    async def status_comes(self) -> None:
        """Twilio's callback that the call is over, which may come before anything of the sort."""
        account = self.call.account
        form = self.call.webhooks.form("completed")
        await account.post(account.url("/twilio/status"), form, "token")

    async def caller_hangs_up(self) -> None:
        self.call.hang_up()

    async def operator_hangs_up(self) -> None:
        self.live.gateway.supervisor.end_all(EndReason.OPERATOR)

    async def drain_is_over(self) -> None:
        self.live.gateway.force()

    async def agent_ends_the_call(self) -> None:
        for session in self.puppet.sessions[self._others :]:
            session.says(type="response.created", response={"id": "r9"})
            session.says(
                type="response.done", response={"id": "r9", "status": "completed", "output": [END_CALL]}
            )

    async def voice_is_gone(self) -> None:
        """And there will be none; the caller hears an apology of some seconds."""
        self.puppet.refuses = True
        for session in self.puppet.sessions[self._others :]:
            session.lost.set()


Signal = Callable[[Scene], Awaitable[None]]
R = EndReason
# Why each ends the call, and how many seconds that takes, at least and at most.
ENDS: dict[Signal, tuple[EndReason, float, float]] = {
    Scene.stream_stops: (R.CALLER_HUNG_UP, 0.0, 0.0),
    Scene.socket_breaks: (R.CARRIER_LOST, 0.0, 0.0),
    Scene.rest_completes: (R.CALLER_HUNG_UP, 0.0, 0.0),
    Scene.caller_hangs_up: (R.CALLER_HUNG_UP, 0.0, 0.0),
    Scene.operator_hangs_up: (R.OPERATOR, 0.0, 0.0),
    Scene.drain_is_over: (R.DRAINED, 0.0, 0.0),
    Scene.agent_ends_the_call: (R.AGENT_HUNG_UP, 0.0, 0.04),  # by the second tick
    Scene.voice_is_gone: (R.VOICE_UNAVAILABLE, 1.0, 10.0),  # when the apology was heard
}
SIGNALS: tuple[Signal, ...] = (*ENDS, Scene.status_comes)  # a status is a hint, and ends nothing


def possible(order: Sequence[Signal], pauses_s: Sequence[float]) -> set[EndReason]:
    """The reasons of the signals that can have been the first to end the call."""
    times_s = itertools.accumulate(pauses_s, initial=0.0)
    sent = [(signal, at_s) for signal, at_s in zip(order, times_s, strict=True) if signal in ENDS]
    silenced_s = min((at_s for signal, at_s in sent if signal is Scene.voice_is_gone), default=math.inf)
    ends: list[tuple[EndReason, float, float]] = []
    for signal, at_s in sent:
        reason, least_s, most_s = ENDS[signal]
        if signal is Scene.agent_ends_the_call and at_s >= silenced_s:
            most_s = math.inf  # it has no voice any more to say so
        ends.append((reason, at_s + least_s, at_s + most_s))
    over_s = min((latest_s for _, _, latest_s in ends), default=math.inf)
    found = {reason for reason, earliest_s, _ in ends if earliest_s <= over_s}
    return found or {R.CALLER_HUNG_UP}  # in the end he does


class Order(NamedTuple):
    """Signals, `pauses_s` apart, the first of them so long after the stream began."""

    begins_s: float
    signals: tuple[Signal, ...]
    pauses_s: tuple[float, ...]

    def __str__(self) -> str:
        names = ", ".join(signal.__name__ for signal in self.signals)
        return f"{names} after {self.begins_s} s, {self.pauses_s} s apart"


async def end(live: LiveGateway, puppet: Puppet, order: Order) -> str:
    """A call that gets these signals; its name at Twilio."""
    puppet.refuses = False
    twilio = live.twilio
    async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
        scene = Scene(live, twilio.calls[caller.call_sid], puppet)
        await trio.sleep(order.begins_s)
        async with trio.open_nursery() as nursery:
            for signal, pause_s in zip(order.signals, (0.0, *order.pauses_s), strict=True):
                await trio.sleep(pause_s)
                nursery.start_soon(signal, scene)
        if any(signal in ENDS for signal in order.signals):
            await live.gateway.supervisor.idle()
    await live.gateway.supervisor.idle()
    return caller.call_sid


def record_of(folder: Path, call_sid: str) -> CallRecord:
    """The only one of a call."""
    found = [path for path in folder.glob("*/call.json") if call_sid in path.read_text()]
    assert len(found) == 1
    return msgspec.json.decode(found[0].read_bytes(), type=CallRecord)


async def all_end_well(folder: Path, orders: Iterable[Order]) -> None:
    """Each order has one ending, for a reason that it can have, and costs one request to Twilio at most."""
    (folder / "plan.toml").write_text(PLAN)
    puppet = Puppet()
    async with live_gateway(folder / "plan.toml", puppet, folder=folder / "calls", has_rest=True) as live:
        assert live.rest is not None
        for order in orders:
            sid = await end(live, puppet, order)

            record = record_of(folder / "calls", sid)
            assert record.reason in possible(order.signals, order.pauses_s), str(order)
            assert record.trace == "complete", str(order)
            assert record.recording == "complete" or record.duration_ms < TOO_SHORT_MS, str(order)
            assert record.counts.get("call.ending", 0) <= 1, str(order)
            assert sum(request.call_sid == sid for request in live.rest.requests) <= 1, str(order)
            assert (puppet.open, len(live.gateway.clock)) == (0, 0), str(order)
    log = [json.loads(line)["event"] for line in live.log.getvalue().splitlines()]
    assert log.count("call.ended") == len(list((folder / "calls").glob("*/call.json")))
    assert not {"call.broken", "call.teardown_broken", "call.not_ended"} & set(log)


@pytest.mark.parametrize("first", SIGNALS, ids=lambda signal: signal.__name__)
async def test_a_call_that_is_ended_from_up_to_three_sides_ends_once(
    autojump_clock: MockClock, tmp_path: Path, first: Signal
):
    others = [signal for signal in SIGNALS if signal is not first]
    orders = [(first, *more) for count in range(3) for more in itertools.permutations(others, count)]

    await all_end_well(tmp_path, [Order(0.1, order, (0.05,) * (len(order) - 1)) for order in orders])


@pytest.mark.parametrize("seed", range(3))
async def test_a_call_that_is_ended_from_all_sides_at_any_distance_ends_once(
    autojump_clock: MockClock, tmp_path: Path, seed: int
):
    rng = random.Random(seed)
    orders: list[Order] = []
    for _ in range(40):
        signals = rng.choices(SIGNALS, k=rng.randint(2, 6))
        pauses_s = [rng.choice([0.0, 0.0, 0.001, 0.02, 0.3, 1.5]) for _ in signals[1:]]
        has_voice = Scene.agent_ends_the_call in signals  # and needs it
        orders.append(Order(0.1 if has_voice else rng.choice([0.0, 0.1]), tuple(signals), tuple(pauses_s)))

    await all_end_well(tmp_path, orders)

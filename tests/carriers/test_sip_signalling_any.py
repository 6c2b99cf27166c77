"""Calls of which anything is wanted at any moment, over a network that loses, doubles and reorders."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.sip.leg_messages import CallOver, TransferTold, decode, encode
from gateway.contracts import EndReason, LegEnded, LegStarted
from gateway.wire.sdp.media import Direction
from tests.carriers.sip_sides import Side, uri_of
from tests.wire.sip.sip_agents import Network

NAMES = ("anna", "bob", "carol")
ACTS = ("answer", "ring", "refuse", "hang up", "change", "transfer", "inform")
MOMENTS_S = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 20.0, 40.0, 70.0)
REASONS = (EndReason.PLAN_ENDED, EndReason.DRAINED, EndReason.NEVER_STARTED, EndReason.BUG)
# After this all hang up; then whatever was under way has to come to its end.
LAST_MOMENT_S = 100.0

Plan = list[tuple[float, int, int, str]]
"""When somebody does what with which of his calls."""


class Storm:
    """Three people; the first calls the second, and who is asked to call somebody else does so or not."""

    def __init__(self, seed: int, loss: float, doubles: float) -> None:
        self.rng = Random(seed)
        self.network = Network(seed, delay_s=(0.005, 0.3), loss=loss, doubles=doubles)
        self.sides = [
            Side(name, self.network, host, takes_transfers=True) for host, name in enumerate(NAMES, 1)
        ]

    def act(self, who: int, which: int, what: str) -> None:
        side = self.sides[who]
        if which >= len(side.calls):
            return
        call, now = side.calls[which], self.network.now
        match what:
            case "refuse":
                side.do(call, "refuse", self.rng.choice((486, 503, 603)), now)
            case "hang up":
                side.do(call, "hang_up", self.rng.choice(REASONS), now)
            case "transfer":
                side.do(call, "transfer", uri_of(self.rng.choice(NAMES)), now)
            case "change":
                side.changes(
                    call, direction=self.rng.choice(list(Direction)), port=self.rng.choice((10_000, 4000))
                )
            case "ring":
                side.rings(call)
            case "inform":
                side.agent.does(call.session, call.session.inform, b"Signal=5", "application/dtmf-relay")
            case _:
                side.do(call, what, now)
        self.carry_out()

    def carry_out(self) -> None:
        """What they want of each other."""
        for side in self.sides:
            for call in side.calls:
                if call.wanted is not None and self.rng.random() < 0.8:
                    side.moves(call.wanted, call)
                elif call.wanted is not None:
                    side.do(call, "stay", 403, self.network.now)

    def run(self, plan: Plan) -> None:
        self.sides[0].calls_up("bob")
        for at, who, which, what in sorted(plan):
            self.network.run(max(at, self.network.now))
            self.carry_out()
            self.act(who, which, what)
        self.network.run(LAST_MOMENT_S)
        for who, side in enumerate(self.sides):
            for which in range(len(side.calls)):
                self.act(who, which, "hang up")
        self.network.settle(2000.0)


acts = st.tuples(st.sampled_from(MOMENTS_S), st.integers(0, 2), st.integers(0, 1), st.sampled_from(ACTS))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(acts, max_size=12),
    st.integers(0, 2**16),
    st.sampled_from((0.0, 0.2)),
    st.sampled_from((0.0, 0.2)),
)
def test_every_call_comes_to_one_end_and_a_leg_follows_it(plan: Plan, seed: int, loss: float, doubles: float):
    storm = Storm(seed, loss, doubles)

    storm.run(plan)

    assert [len(side.agent) for side in storm.sides] == [0, 0, 0]
    for side in storm.sides:
        for call in side.calls:
            assert call.parted
            told = [message for message, _ in side.told_by[call]]
            overs = [at for at, message in enumerate(told) if isinstance(message, CallOver)]
            assert len(overs) <= 1
            assert all(isinstance(message, TransferTold) for at in overs for message in told[at + 1 :])
            assert [decode(encode(message)) for message in told] == told
            events = heard_by_a_leg([encode(message) for message in told])
            assert sum(isinstance(event, LegStarted) for event in events) <= 1
            assert sum(isinstance(event, LegEnded) for event in events) == len(overs)


def heard_by_a_leg(told: list[str]) -> list[object]:
    leg = SipLegCore("c1", rng=Random(1), start_s=1e6)
    for text in told:
        leg.receive(text, 1.0)
    return list(leg.events())

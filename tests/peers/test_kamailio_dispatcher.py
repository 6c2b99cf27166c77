"""Kamailio before two gateways: calls are spread, and a gateway that drains is left out without a call lost."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from gateway.contracts import EndReason
from tests.peers import kamailio, sipp
from tests.peers import sipp_scenarios as says
from tests.peers.certificates import Certificates
from tests.peers.processes import Program
from tests.peers.served import Gateway, serving
from tests.peers.sipp import SippDone

pytestmark = [
    pytest.mark.skipif(bool(kamailio.missing()), reason=kamailio.missing()),
    pytest.mark.skipif(bool(sipp.missing()), reason=sipp.missing()),
]

TRUNKS = """
[trunks.proxy]
networks = ["127.0.0.1/32"]
codecs = ["pcma", "pcmu"]
calls_per_s = 50
"""
PLAN = """
[default]
plan = "echo"
[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]
[agents.echo]
instructions = "Say what you hear."
"""
NUMBER = "+15550500001"
CALLS = 18
CALL_S = 2.5
PER_S = 4


@dataclass
class Dispatched:
    """`flags`: what the proxy thought of both gateways at first, and of the first one once it drained."""

    folder: Path
    sipp: SippDone
    gateways: list[Gateway]
    flags: list[str]
    drained_status: int
    proxy: Program
    looked_at: dict[str, object]

    def taken(self, which: int) -> int:
        return len(self.gateways[which].calls_to(NUMBER))


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Dispatched:
    return trio.run(dispatch, tmp_path_factory.mktemp("kamailio"), certificates)


async def dispatch(folder: Path, certificates: Certificates) -> Dispatched:
    call = says.scenario(
        "many",
        says.invite() + says.expect(200) + says.ack() + says.pause(round(1000 * CALL_S)) + says.bye(),
    )
    done: list[SippDone] = []

    async def place(port: int) -> None:
        options = ("-m", str(CALLS), "-r", str(PER_S))
        done.append(await sipp.call("many", call, folder=folder, to=port, service=NUMBER, options=options))

    def another(name: str):
        return serving(folder / name, trunks=TRUNKS, plan=PLAN, certificates=certificates, name=name)

    with trio.fail_after(60):
        async with another("first") as first, another("second") as second:
            async with kamailio.proxy(folder=folder, gateways=[first.sip, second.sip]) as proxy:
                for gateway in (first, second):
                    await proxy.sees(gateway.sip, "AP")
                flags = [await proxy.flags_of(gateway.sip) for gateway in (first, second)]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(place, proxy.sip)
                    await trio.sleep(CALLS / PER_S / 2)
                    first.drain()
                    await proxy.sees(first.sip, "IP")
                    flags.append(await proxy.flags_of(first.sip))
                    status = await first.program.ends(CALL_S + 5)
    return Dispatched(folder, done[0], [first, second], flags, status, proxy.program, {})


def test_kamailio_finds_both_gateways_well_by_options(evening: Dispatched):
    assert evening.flags[:2] == ["AP", "AP"]


def test_a_gateway_that_drains_says_so_to_options(evening: Dispatched):
    assert evening.flags[2] == "IP"


def test_no_call_is_lost_while_a_gateway_drains(evening: Dispatched):
    assert evening.sipp.worked, evening.sipp
    assert evening.sipp.completed == CALLS


def test_calls_are_spread_over_both_and_then_go_to_the_one_that_is_left(evening: Dispatched):
    first, second = evening.taken(0), evening.taken(1)

    assert first + second == CALLS
    assert 3 <= first < second


def test_a_gateway_that_drains_lets_its_calls_finish(evening: Dispatched):
    records = [call.record for gateway in evening.gateways for call in gateway.calls_to(NUMBER)]

    assert {record.reason for record in records} == {EndReason.CALLER_HUNG_UP}
    assert min(record.duration_ms for record in records) > 1000 * CALL_S - 200


def test_a_gateway_ends_when_its_last_call_is_over(evening: Dispatched):
    assert evening.drained_status == 0
    assert all("Traceback" not in gateway.log for gateway in evening.gateways)

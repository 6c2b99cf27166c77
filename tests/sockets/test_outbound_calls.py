"""Calls of ours, on sockets: by a gateway of this process, and by `gateway call`."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from gateway.calls.record import CallRecord
from gateway.carriers.sip.setting_texts import Listen, PortRange
from gateway.carriers.sip.settings import SipSettings, TrunkSettings
from gateway.config import Secret
from gateway.contracts import EndReason
from gateway.dialplan.plan import Dialplan, Plan, load
from gateway.incoming import NotPlaced
from gateway.net.tasks import run_in_thread
from gateway.serve import Gateway, Parts
from gateway.settings import Calls, Secrets, Settings
from gateway.telemetry.metrics import Metrics
from gateway.voice.settings import VoiceSettings
from gateway.voices import choose_voice
from gateway.wire.sip.fields import REASON
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.values import Reason
from tests.sockets.gateway_process import environment
from tests.sockets.sip_far_end import LOCAL, FarEnd, far_end

CALLEE = "sip:+15551230001@far"
LONGEST_S = 8
PLANS = """
[default]
plan = "talk"
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]
[plans.bye]
steps = [{ do = "answer" }, { do = "hang_up" }]
[plans.no]
steps = [{ do = "reject", reason = "busy" }]
[agents.echo]
"""


@pytest.fixture
def dialplan(tmp_path: Path) -> Dialplan:
    (tmp_path / "plan.toml").write_text(PLANS)
    return load(tmp_path / "plan.toml")


@asynccontextmanager
async def gateway_by(far: FarEnd, dialplan: Dialplan, folder: Path, **trunk: Any) -> AsyncIterator[Gateway]:
    """A gateway whose trunk `far` leads there."""
    address = SipUri(host=LOCAL, port=far.address.port, parameters=trunk.pop("parameters", ()))
    settings = Settings(
        calls=Calls(folder=str(folder / "calls"), max_active=2),
        sip=SipSettings(listen=(Listen("UDP", LOCAL, 0),), rtp_ports=PortRange(0, 0)),
        trunks={
            "far": TrunkSettings(
                address=address, caller_id="+15550009999", headers=("X-Account",), ping_s=0.0, **trunk
            )
        },
    )
    voice = choose_voice(VoiceSettings(backend="echo"), dialplan, run_in_thread)
    parts = Parts(
        dialplan=dialplan,
        backends=voice.backends,
        synthesize=voice.synthesize,
        run_blocking=run_in_thread,
        metrics=Metrics(),
        log=structlog.get_logger(),
    )
    secrets = Secrets(trunk_passwords={"far": Secret("open sesame")} if "user" in trunk else {})
    with trio.fail_after(LONGEST_S):
        async with trio.open_nursery() as nursery:
            gateway = Gateway(settings, secrets, "", parts)
            await nursery.start(gateway.run)
            yield gateway
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(
    gateway: Gateway, plan: Plan, records: list[CallRecord], **wish: Any
) -> AsyncIterator[trio.CancelScope]:
    """The gateway calls; the block is the far end's. Then its record is among `records`."""

    async def call() -> None:
        with scope:
            records.append(await gateway.call(CALLEE, plan, **wish))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        yield scope


# -- from Python


async def test_a_call_that_is_answered_runs_its_plan_and_is_hung_up(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["bye"], records):
            await far.called.wait()
            far.rings()
            far.answers()
            await far.hears("BYE")

    (record,) = records
    assert record.reason is EndReason.PLAN_ENDED
    assert record.direction == "outbound"
    assert [line.what for line in record.lines][:2] == ["call.progressed", "call.started"]
    assert far.heard == ["INVITE", "ACK", "BYE"]
    assert far.byes[0].headers[REASON] == (Reason("Q.850", 16, "Normal call clearing"),)
    assert json.loads((tmp_path / "calls" / record.call / "call.json").read_text())["direction"] == "outbound"


async def test_who_answers_is_talked_to_until_he_hangs_up_and_says_why(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["talk"], records):
            await far.called.wait()
            far.answers()
            await far.hears_media(10)
            far.hangs_up(Reason("Q.850", 16, "Normal call clearing"))

    (record,) = records
    assert record.reason is EndReason.CALLER_HUNG_UP
    assert record.released == {"why": "hung up", "cause": 16, "text": "Normal call clearing"}
    assert {len(payload) for payload in far.rtp} >= {160}


@pytest.mark.parametrize(
    ("status", "reason", "ended"),
    [
        (486, Reason("Q.850", 17, "User busy"), EndReason.BUSY),
        (404, Reason("Q.850", 1, "Unallocated number"), EndReason.REFUSED),
        (480, Reason("Q.850", 19, "No answer"), EndReason.NO_ANSWER),
    ],
)
async def test_who_does_not_take_a_call_says_why_and_the_record_has_it(
    dialplan: Dialplan, tmp_path: Path, status: int, reason: Reason, ended: EndReason
):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["talk"], records):
            await far.called.wait()
            far.refuses(status, reason)

    released = {"why": "refused", "status": status, "cause": reason.cause, "text": reason.text}
    assert records[0].reason is ended
    assert records[0].released == released


async def test_who_does_not_answer_in_time_is_cancelled(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["talk"], records, ring_s=0.3):
            await far.called.wait()
            far.rings()

    assert records[0].reason is EndReason.NO_ANSWER
    assert far.session.state == "over"
    assert far.rtp == []


async def test_early_media_is_told_and_heard_by_nobody_before_the_answer(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["bye"], records):
            await far.called.wait()
            far.rings(183, early_media=True)
            await far.hears_media(5)  # silence of ours, which opens the way back through a NAT
            far.answers()
            await far.hears("BYE")

    told = [(line.what, line.fields.get("status")) for line in records[0].lines]
    assert told[:3] == [("call.progressed", 183), ("media.previewed", None), ("call.started", None)]
    assert records[0].reason is EndReason.PLAN_ENDED


async def test_who_is_cancelled_while_he_calls_hangs_up(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["talk"], records) as scope:
            await far.called.wait()
            far.rings()
            await trio.sleep(0.1)
            scope.cancel()
        await gateway.supervisor.idle()

    (path,) = (tmp_path / "calls").glob("*/call.json")
    assert json.loads(path.read_text())["reason"] == "operator"
    assert far.session.state == "over"
    assert records == []


async def test_a_call_goes_over_tcp_where_the_trunk_is_there(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    tcp = (("transport", "tcp"),)
    async with far_end("TCP") as far, gateway_by(far, dialplan, tmp_path, parameters=tcp) as gateway:
        async with calling(gateway, dialplan.plans["bye"], records):
            await far.called.wait()
            far.answers()
            await far.hears("BYE")

    assert records[0].reason is EndReason.PLAN_ENDED


async def test_a_trunk_that_asks_who_we_are_is_told(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    challenge = 'Digest realm="far", nonce="n1", algorithm=SHA-256, qop="auth"'
    async with far_end(challenge=challenge) as far:
        async with gateway_by(far, dialplan, tmp_path, user="gateway") as gateway:
            async with calling(gateway, dialplan.plans["bye"], records, headers={"X-Account": "42"}):
                await far.called.wait()
                far.answers()
                await far.hears("BYE")

    assert records[0].reason is EndReason.PLAN_ENDED
    assert len(far.invites) == 2
    assert 'username="gateway"' in far.invites[1].headers["Proxy-Authorization"]
    assert far.invites[1].headers["X-Account"] == "42"


async def test_a_trunk_that_nobody_is_at_is_said_to_be_so(dialplan: Dialplan, tmp_path: Path):
    tcp = (("transport", "tcp"),)
    async with far_end("UDP") as far, gateway_by(far, dialplan, tmp_path, parameters=tcp) as gateway:
        with pytest.raises(NotPlaced, match=r"^trunks\.far cannot be reached: "):
            await gateway.call(CALLEE, dialplan.plans["bye"])

        assert gateway.sip is not None
        assert gateway.sip.coming == 0


async def test_a_call_that_cannot_even_begin_is_said_to_be_so(dialplan: Dialplan, tmp_path: Path):
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        with pytest.raises(NotPlaced, match="no such trunk"):
            await gateway.call("sip:+15551230001@fat", dialplan.plans["bye"])
        with pytest.raises(NotPlaced, match="expected sip:NUMBER@TRUNK"):
            await gateway.call("+15551230001", dialplan.plans["bye"])
        with pytest.raises(NotPlaced, match="the plan no takes no call: busy"):
            await gateway.call(CALLEE, dialplan.plans["no"])
        gateway.supervisor.draining = True
        with pytest.raises(NotPlaced, match="the gateway drains"):
            await gateway.call(CALLEE, dialplan.plans["bye"])

    assert far.heard == []


async def test_a_gateway_that_is_full_places_no_call(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(gateway.call, CALLEE, dialplan.plans["talk"])
            await far.hears("INVITE")
            with pytest.raises(NotPlaced, match="the gateway has at most 2 calls"):
                await gateway.call(CALLEE, dialplan.plans["talk"])
            nursery.cancel_scope.cancel()
        await gateway.supervisor.idle()

    assert records == []


async def test_a_gateway_that_drains_waits_until_who_is_rung_knows(dialplan: Dialplan, tmp_path: Path):
    records: list[CallRecord] = []
    async with far_end() as far, gateway_by(far, dialplan, tmp_path) as gateway:
        async with calling(gateway, dialplan.plans["talk"], records):
            await far.called.wait()
            far.rings()
            await trio.sleep(0.1)
            gateway.force()  # nobody waits for calls that go on
            await gateway.drain()

        assert far.session.state == "over"
        assert records[0].reason is EndReason.DRAINED


# -- by the command


SETTINGS = """
[voice]
backend = "echo"
[dialplan]
path = "plan.toml"
[sip]
listen = ["udp:127.0.0.1:{listen}"]
rtp_ports = "0"
[trunks.far]
address = "sip:127.0.0.1:{port}"
networks = ["127.0.0.1"]
caller_id = "+15550009999"
headers = ["X-Account"]
register = true
user = "gateway"
"""
PASSWORD = {"TRUNK_FAR_PASSWORD": "open sesame"}


@dataclass
class Command:
    """A `gateway call` that runs. `done`: its exit code and what it printed, once the block is left."""

    process: trio.Process
    code: int = -1
    output: str = ""
    errors: str = ""


@asynccontextmanager
async def command(
    folder: Path, far: FarEnd, *arguments: str, callee: str = CALLEE, listen: int = 5060
) -> AsyncIterator[Command]:
    """`gateway call` in `folder`; the block is the far end's, and then it ends by itself."""
    (folder / "gateway.toml").write_text(SETTINGS.format(listen=listen, port=far.address.port))
    (folder / "plan.toml").write_text(PLANS)
    variables = environment(PASSWORD)
    del variables["GATEWAY_DIALPLAN__PATH"]
    out, errors = folder / "out", folder / "errors"
    with trio.fail_after(LONGEST_S), out.open("wb") as stdout, errors.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "gateway", "call", callee, *arguments],
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=variables,
        )
        running = Command(process)
        try:
            yield running
            running.code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            running.output, running.errors = out.read_text(), errors.read_text()


async def test_the_command_says_what_happens_and_ends_well_when_the_plan_has(tmp_path: Path):
    async with far_end() as far, command(tmp_path, far, "--plan", "bye", "--header", "X-Account: 42") as done:
        await far.called.wait()
        far.rings()
        far.answers()

    assert (done.code, done.errors) == (0, "")
    assert [line.split(maxsplit=2)[2] for line in done.output.splitlines() if " s  call" in line] == [
        "call    rings",
        "call    answered, pcmu",
        "call    ended: plan_ended",
    ]
    assert "FAILED" not in done.output
    assert far.invites[0].headers["X-Account"] == "42"
    assert far.heard == ["INVITE", "ACK", "BYE"]


async def test_the_command_says_in_one_line_who_was_busy_and_why(tmp_path: Path):
    async with far_end() as far, command(tmp_path, far) as done:
        await far.called.wait()
        far.refuses(486, Reason("Q.850", 17, "User busy"))

    assert done.code == 1
    assert done.output.splitlines()[-1] == "FAILED        busy, SIP 486, Q.850 cause 17, “User busy”"
    (path,) = (tmp_path / "calls").glob("*/call.json")
    assert json.loads(path.read_text())["released"]["cause"] == 17


async def test_the_command_gives_up_when_nobody_answers(tmp_path: Path):
    async with far_end() as far, command(tmp_path, far, "--ring-s", "1") as done:
        await far.called.wait()
        far.rings()

    assert done.code == 1
    assert done.output.splitlines()[-1] == "FAILED        no answer within 1 s"
    assert far.session.state == "over"


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_a_call_that_rings(tmp_path: Path, which: signal.Signals):
    async with far_end() as far, command(tmp_path, far) as done:
        await far.called.wait()
        far.rings()
        await trio.sleep(0.2)
        done.process.send_signal(which)

    assert done.code == 1
    assert done.output.splitlines()[-1] == "FAILED        cancelled"
    assert far.session.state == "over"


async def test_a_signal_hangs_up_a_call_that_is_on(tmp_path: Path):
    async with far_end() as far, command(tmp_path, far) as done:
        await far.called.wait()
        far.answers()
        await far.hears_media(5)
        done.process.send_signal(signal.SIGINT)

    assert done.code == 1
    assert far.heard[-1] == "BYE"
    (path,) = (tmp_path / "calls").glob("*/call.json")
    assert json.loads(path.read_text())["reason"] == "operator"


async def test_a_conversation_that_they_end_has_ended_well(tmp_path: Path):
    async with far_end() as far, command(tmp_path, far, "--plan", "talk") as done:
        await far.called.wait()
        far.answers()
        await far.hears_media(5)
        far.hangs_up()

    assert done.code == 0
    assert "callee" not in done.output


async def test_the_command_calls_beside_a_gateway_that_serves_and_takes_its_own_ports(tmp_path: Path):
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as served:
        await served.bind((LOCAL, 0))  # as if it were the gateway's
        taken = served.getsockname()[1]
        async with far_end() as far, command(tmp_path, far, "--plan", "bye", listen=taken) as done:
            await far.called.wait()
            far.answers()

    assert done.code == 0
    assert far.heard == ["INVITE", "ACK", "BYE"]  # and it registers nowhere


@pytest.mark.parametrize(
    ("callee", "arguments", "told"),
    [
        ("sip:+15551230001@fat", [], 'sip:+15551230001@fat: no such trunk; did you mean "far"? known: far'),
        (
            CALLEE,
            ["--header", "X-Account"],
            "--header 'X-Account': expected 'NAME: TEXT', and each name once",
        ),
        (CALLEE, ["--header", "X-Other: 1"], "--header: 'X-Other' is not in trunks.far.headers"),
    ],
)
async def test_what_cannot_be_meant_is_said_in_one_line_and_nobody_is_rung(
    tmp_path: Path, callee: str, arguments: list[str], told: str
):
    async with far_end() as far, command(tmp_path, far, *arguments, callee=callee) as done:
        pass

    assert (done.code, done.errors) == (2, f"gateway: {told}\n")
    assert far.heard == []

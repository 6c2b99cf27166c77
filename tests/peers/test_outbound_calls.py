"""`gateway call` reaches sipp: who answers, who does not, and how the record says so. One process a call."""

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from gateway.calls.record import CallRecord
from gateway.contracts import EndReason
from tests.peers import sipp, tap
from tests.peers import sipp_scenarios as says
from tests.peers.captures import rtp, write_capture
from tests.peers.certificates import Certificates
from tests.peers.listening import marked_tone, play_out, sounding, streams, tone_dbfs, tone_hz
from tests.peers.ports import free_ports
from tests.peers.served import CallFolder, calling, run_gateway
from tests.peers.sipp import SippDone

pytestmark = [
    pytest.mark.skipif(bool(sipp.missing()), reason=sipp.missing()),
    pytest.mark.skipif(not tap.is_allowed(), reason="sipp plays captures only with CAP_NET_RAW"),
]

PASSWORD = "open sesame"
TRUNK = """
[trunks.carrier]
address = "sip:127.0.0.1:$port"
user = "gateway"
caller_id = "+15550600000"
codecs = ["pcma", "pcmu"]
headers = ["X-Ticket"]
"""
PLAN = """
[default]
plan = "echo"
[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]
[agents.echo]
instructions = "Say what you hear."
"""
NUMBER = "+15550600001"
TONE_DBFS = -15.0
BUSY = 'Reason: Q.850;cause=17;text="User busy"'


@dataclass(frozen=True)
class Planned:
    steps: str
    options: tuple[str, ...] = ()
    sipp_options: tuple[str, ...] = ()
    address: str = ""
    interrupted: bool = False


@dataclass(frozen=True)
class Placed:
    """`status`: that the command ended with. `heard`: by whom it called."""

    sipp: SippDone
    status: int
    said: str
    folder: CallFolder
    heard: bytes

    @property
    def record(self) -> CallRecord:
        return self.folder.record

    def __str__(self) -> str:
        return f"{self.said}\n{self.folder}\n{self.sipp}"


@dataclass
class Placing:
    folder: Path
    calls: dict[str, Placed]
    looked_at: dict[str, Placed]

    def __getitem__(self, name: str) -> Placed:
        self.looked_at[name] = self.calls[name]
        return self.calls[name]


def planned(folder: Path) -> dict[str, Planned]:
    tone = write_capture(folder / "tone.pcap", rtp(marked_tone(440, 2000, level_dbfs=TONE_DBFS)))
    talk = says.play(tone) + says.pause(2400) + says.hang_up_called()
    early = says.respond(183, "Session Progress", body=says.ANSWER) + says.play(tone) + says.pause(800)
    return {
        "answered": Planned(
            says.receive("INVITE", where="X-Ticket", matches="42") + says.take() + talk,
            options=("--header", "X-Ticket: 42"),
        ),
        "password": Planned(says.challenge("gateway", PASSWORD) + says.take() + says.hang_up_called()),
        "wrong password": Planned(says.challenge("gateway", "another one")),
        "tcp": Planned(says.answer() + talk, sipp_options=("-t", "t1"), address=";transport=tcp"),
        "busy": Planned(says.refuse(486, "Busy Here", BUSY)),
        "unknown": Planned(says.refuse(404, "Not Found")),
        "rings": Planned(says.be_cancelled(), options=("--ring-s", "1")),
        "given up": Planned(says.be_cancelled(), interrupted=True),
        "early": Planned(says.receive("INVITE") + early + says.take() + talk),
    }


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Placing:
    return trio.run(place_calls, tmp_path_factory.mktemp("outbound"), certificates)


async def place_calls(folder: Path, certificates: Certificates) -> Placing:
    calls: dict[str, Placed] = {}

    async def place(name: str, plan: Planned, tapped: tap.Tap) -> None:
        home, port = folder / name.replace(" ", "_"), free_ports()
        scenario = says.scenario(name, plan.steps)
        async with (
            sipp.called_by(
                home.name, scenario, folder=folder, port=port, options=plan.sipp_options
            ) as callee,
            calling(
                home,
                f"sip:{NUMBER}@carrier",
                *plan.options,
                trunks=TRUNK.replace("$port", f"{port}{plan.address}"),
                plan=PLAN,
                certificates=certificates,
                secrets={"TRUNK_CARRIER_PASSWORD": PASSWORD},
            ) as command,
        ):
            if plan.interrupted:
                await callee.rings()
                command.program.signal(signal.SIGINT)
            status = await command.program.ends(20)
            done = await callee.done()
        heard = streams(tapped.to(done.media_port))
        sound = sounding(play_out(heard[0]).pcm) if heard else b""
        calls[name] = Placed(done, status, command.program.text, command.call, sound)

    with trio.fail_after(60):
        async with tap.tapping() as tapped, trio.open_nursery() as nursery:
            for name, plan in planned(folder).items():
                nursery.start_soon(place, name, plan, tapped)
                await trio.sleep(0.3)  # each is a Python that starts
    return Placing(folder, calls, {})


@pytest.mark.parametrize("name", ["answered", "tcp", "early"])
def test_who_answers_talks_with_the_plan(evening: Placing, name: str):
    call = evening[name]

    tone = call.heard[2 * 8 * 400 : 2 * 8 * 1900]

    assert call.sipp.worked
    assert tone_hz(tone) == pytest.approx(440, abs=2)
    assert tone_dbfs(tone, 440) == pytest.approx(TONE_DBFS, abs=1)


@pytest.mark.parametrize("name", ["answered", "tcp", "early", "password"])
def test_a_call_that_the_other_side_ends_has_gone_well(evening: Placing, name: str):
    call = evening[name]

    assert call.record.reason is EndReason.CALLER_HUNG_UP
    assert call.status == 0


def test_a_password_is_told_to_the_trunk_that_asks_for_it(evening: Placing):
    assert evening["password"].sipp.worked


def test_a_trunk_that_does_not_like_the_password_has_refused(evening: Placing):
    call = evening["wrong password"]

    assert call.record.reason is EndReason.REFUSED
    assert call.record.released["status"] == 403
    assert call.status == 1


def test_a_busy_line_is_busy_with_its_cause(evening: Placing):
    call = evening["busy"]

    assert call.sipp.worked
    assert call.record.reason is EndReason.BUSY
    assert (call.record.released["status"], call.record.released["cause"]) == (486, 17)
    assert call.status == 1


def test_a_number_that_nobody_has_is_refused(evening: Placing):
    call = evening["unknown"]

    assert call.sipp.worked
    assert call.record.reason is EndReason.REFUSED
    assert call.record.released["status"] == 404


def test_a_call_that_nobody_answers_is_cancelled_in_time(evening: Placing):
    call = evening["rings"]

    assert call.sipp.worked
    assert call.record.reason is EndReason.NO_ANSWER
    assert call.status == 1


def test_a_call_that_is_given_up_is_cancelled(evening: Placing):
    call = evening["given up"]

    assert call.sipp.worked
    assert call.record.reason is EndReason.OPERATOR


def test_an_outbound_call_is_recorded_on_both_sides(evening: Placing):
    call = evening["answered"].folder

    for side in (call.caller, call.agent):
        assert tone_hz(sounding(side)[2 * 8 * 400 : 2 * 8 * 1800]) == pytest.approx(440, abs=2)


def test_no_password_is_in_what_it_says_or_traces(evening: Placing):
    call = evening["password"]

    assert PASSWORD not in call.said + "".join(call.folder.traced)


def test_every_outbound_call_is_replayed_byte_for_byte(evening: Placing):
    folders = [str(call.folder.path) for call in evening.calls.values()]

    replayed = run_gateway("replay", *folders, folder=evening.folder)

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr

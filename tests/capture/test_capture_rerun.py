"""An imported caller calls a dialplan again: a whole gateway, in virtual time."""

import io
from pathlib import Path

import msgspec
import pytest
import trio

from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.building import build_core
from gateway.capture.caller import RecordedCall, read_caller
from gateway.capture.calls import Side
from gateway.capture.importing import import_calls
from gateway.capture.rerun import place_call, plan_for
from gateway.capture.survey import survey
from gateway.config import ConfigError
from gateway.contracts import Agent, EndReason, Fact, RequestFailed
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.plan import Dialplan, Plan, Route
from gateway.serve import Parts
from gateway.settings import Calls, Settings
from gateway.story import Story
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.testing.live import inline
from gateway.traces import replay, report_lines
from gateway.traces.pseudonyms import Pseudonyms
from gateway.voice.backends.echo import EchoBackend
from tests.capture.made_captures import MadeCall, MadeCapture

TALK = Plan(name="talk", steps=(Answer(), Converse(agent="echo")), agents={"echo": Agent(name="echo")})
BUSY = Plan(name="busy", steps=(Reject(reason="busy"),))


def dialplan(*plans: Plan, routes: tuple[Route, ...] = ()) -> Dialplan:
    return Dialplan(plans={plan.name: plan for plan in plans}, routes=routes)


async def imported(folder: Path) -> RecordedCall:
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin(answered_s=20.0)
    call.talk(20.5, CODECS["pcmu"].encode(sine(400, 2000)))
    call.end(24.0)
    path = capture.write(folder / "call.pcap")
    names = Pseudonyms.load(folder / "imported")
    (found,) = await import_calls(path, survey(path, Side.CALLED).calls, folder / "imported", names, inline)
    assert found.folder is not None
    return read_caller(found.folder.folder)


async def mute(text: str, _voice: str | None) -> bytes:
    raise RequestFailed(f"nobody says {text!r}")


async def test_the_caller_is_played_to_a_dialplan_in_his_own_time(tmp_path: Path, autojump_clock):
    recorded = await imported(tmp_path)
    facts: list[tuple[str, Fact]] = []
    parts = Parts(
        dialplan=dialplan(TALK),
        backends=(EchoBackend(),),
        synthesize=mute,
        run_blocking=inline,
        metrics=Metrics(),
        log=configure(io.StringIO(), pretty=False),
        watch=lambda call, fact: facts.append((call, fact)),
    )
    settings = Settings(calls=Calls(folder=str(tmp_path / "calls")))
    began = trio.current_time()

    reason = await place_call(settings, parts, recorded, TALK)

    took_s = trio.current_time() - began
    assert reason is EndReason.CALLER_HUNG_UP
    assert took_s == pytest.approx(4.0, abs=0.5)  # the 20 s in which it rang are not waited for again
    folder = tmp_path / "calls" / facts[0][0]
    verdict = replay(folder, build_core)
    assert verdict.identical, "\n".join(report_lines(verdict))
    record = msgspec.json.decode((folder / "call.json").read_bytes())
    assert (record["carrier"], record["plan"], record["trace"]) == ("sip", "talk", "complete")
    assert record["counts"]["session.ready"] == 1


async def test_the_new_call_can_be_rerun_as_well(tmp_path: Path, autojump_clock):
    recorded = await imported(tmp_path)
    calls: list[str] = []
    parts = Parts(
        dialplan=dialplan(TALK),
        backends=(EchoBackend(),),
        synthesize=mute,
        run_blocking=inline,
        metrics=Metrics(),
        log=configure(io.StringIO(), pretty=False),
        watch=lambda call, _fact: calls.append(call),
    )
    settings = Settings(calls=Calls(folder=str(tmp_path / "calls")))

    await place_call(settings, parts, recorded, TALK)

    again = read_caller(tmp_path / "calls" / calls[0])
    assert [data for _, data in again.said] == [data for _, data in recorded.said]


# -- which plan answers


def of(header_called: str, recorded: RecordedCall) -> RecordedCall:
    header = msgspec.structs.replace(recorded.header, called=header_called)
    return msgspec.structs.replace(recorded, header=header)


async def test_the_only_plan_answers_when_no_route_knows_the_pseudonym(tmp_path: Path):
    recorded = await imported(tmp_path)

    assert plan_for(dialplan(TALK), recorded, None) is TALK


async def test_a_route_answers_for_a_number_that_was_kept(tmp_path: Path):
    recorded = of("+15550100002", await imported(tmp_path))
    other = msgspec.structs.replace(TALK, name="other")
    routes = (Route(called="+1555*", caller=None, plan="other"),)

    assert plan_for(dialplan(TALK, other, routes=routes), recorded, None) is other


async def test_the_plan_that_was_named_answers(tmp_path: Path):
    other = msgspec.structs.replace(TALK, name="other")

    assert plan_for(dialplan(TALK, other), await imported(tmp_path), "other") is other


@pytest.mark.parametrize(
    ("plans", "name", "text"),
    [
        (
            (TALK, BUSY),
            None,
            "no route of the dialplan takes this call; name one of its plans by --plan: busy, talk",
        ),
        ((TALK,), "tale", '--plan tale: no such plan; did you mean "talk"? known: talk'),
        ((TALK, BUSY), "busy", "the plan busy takes no call: busy; name another one by --plan"),
    ],
)
async def test_without_a_plan_that_answers_it_is_said_what_would_be_right(tmp_path: Path, plans, name, text):
    with pytest.raises(ConfigError) as error:
        plan_for(dialplan(*plans), await imported(tmp_path), name)

    assert str(error.value) == text


async def test_the_story_has_a_line_for_what_people_want_to_see(autojump_clock):
    lines: list[str] = []
    story = Story(lines.append)

    story.watch("c1", Fact("call.started", {"codec": "pcmu", "carrier_call": "x"}))
    await trio.sleep(1.5)
    story.watch("c1", Fact("caller.said", {"text": ""}))
    story.watch("c1", Fact("session.ready", {"session": "s"}))
    story.watch("c1", Fact("call.ending", {"reason": "caller_hung_up", "detail": ""}))

    assert story.call == "c1"
    assert lines == [
        "   0.00 s  call    answered, pcmu",
        "   1.50 s  caller  (nothing that could be understood)",
        "   1.50 s  call    ended: caller_hung_up",
    ]

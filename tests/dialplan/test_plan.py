from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.contracts import Agent
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from gateway.dialplan.plan import Dialplan, Plan, PlanError, Route, check, load, needs_synthesizer

Write = Callable[..., Path]
PlanErrors = Callable[[str], list[str]]
LoadText = Callable[[str], Dialplan]

SHIPPED = Path(__file__).parents[2] / "dialplans"

PLAN = """
[[routes]]
number = "+15550001001"
plan = "reception"

[default]
plan = "closed"

[plans.reception]
steps = [
  { do = "answer" },
  { do = "converse", agent = "clerk" },
  { do = "transfer", to = "front_desk" },
]

[plans.closed]
steps = [{ do = "reject", reason = "busy" }]

[agents.clerk]
instructions = "Be brief."
greeting = "Hello."
voice = "marin"
model = "gpt-realtime"
language = "de"
script = "reception"

[agents.nobody]

[destinations]
front_desk = "+15550001999"
"""


def test_a_plan_has_its_steps_agents_and_the_names_of_destinations(load_text: LoadText) -> None:
    plan = load_text(PLAN).plans["reception"]

    assert plan == Plan(
        name="reception",
        steps=(Answer(), Converse(agent="clerk"), Transfer(to="front_desk")),
        agents={
            "clerk": Agent(
                name="clerk",
                instructions="Be brief.",
                greeting="Hello.",
                voice="marin",
                model="gpt-realtime",
                language="de",
                script="reception",
            )
        },
        destinations=("front_desk",),
    )


def test_a_plan_has_the_steps_that_take_over_when_no_voice_can_be_had(load_text: LoadText) -> None:
    fallback = 'fallback = [{ do = "say", text = "Sorry." }, { do = "transfer", to = "front_desk" }]\n'

    plans = load_text(PLAN.replace("[plans.closed]", f"{fallback}[plans.closed]")).plans

    assert plans["reception"].fallback == (Say(text="Sorry."), Transfer(to="front_desk"))
    assert plans["closed"].fallback == ()
    assert msgspec.json.decode(msgspec.json.encode(plans), type=dict[str, Plan]) == plans


def test_a_conversation_can_be_interrupted_unless_the_plan_says_otherwise(load_text: LoadText) -> None:
    steps = '{ do = "converse", agent = "a" }, { do = "converse", agent = "a", interruptible = false }'

    plan = load_text(f"[plans.p]\nsteps = [{steps}]\n[agents.a]\n").plans["p"]

    assert plan.steps == (Converse(agent="a", interruptible=True), Converse(agent="a", interruptible=False))


def test_routes_default_and_destinations_are_the_dialplans(load_text: LoadText, tmp_path: Path) -> None:
    dialplan = load_text(PLAN)

    assert dialplan.routes == (Route(called="+15550001001", caller=None, plan="reception"),)
    assert dialplan.default == "closed"
    assert dialplan.destinations == {"front_desk": "+15550001999"}
    assert dialplan.files["reception"] == tmp_path / "plan.toml"


def test_a_plan_survives_json_and_holds_no_number(load_text: LoadText) -> None:
    plan = load_text(PLAN).plans["reception"]

    text = msgspec.json.encode(plan)

    assert msgspec.json.decode(text, type=Plan) == plan
    assert b"+1555" not in text


def test_a_plan_that_begins_with_reject_says_so(load_text: LoadText) -> None:
    plans = load_text(PLAN).plans

    assert plans["closed"].rejection == "busy"
    assert plans["reception"].rejection is None


def test_an_agent_is_as_plain_as_possible_by_default(load_text: LoadText) -> None:
    text = '[plans.p]\nsteps = [{do = "converse", agent = "clerk"}]\n[agents.clerk]\n'

    agent = load_text(text).plans["p"].agents["clerk"]

    assert agent == Agent(name="clerk")


def test_the_files_of_a_folder_are_one_dialplan(write: Write, tmp_path: Path) -> None:
    write('[plans.a]\nsteps = [{do = "converse", agent = "clerk"}]\n', "a.toml")
    write('[agents.clerk]\n[plans.b]\nsteps = [{do = "hang_up"}]\n', "b.toml")
    write("this is no dialplan", "notes.txt")

    dialplan = load(tmp_path)

    assert dialplan.plans.keys() == {"a", "b"}
    assert dialplan.files == {"a": tmp_path / "a.toml", "b": tmp_path / "b.toml"}


def test_plans_that_speak_need_a_synthesizer(load_text: LoadText, tmp_path: Path) -> None:
    dialplan = load_text(
        '[plans.quiet]\nsteps = [{do = "answer"}]\n[plans.loud]\nsteps = [{do = "say", text = "Hello."}]\n'
    )

    assert needs_synthesizer(dialplan) == [("loud", tmp_path / "plan.toml")]


def test_a_fallback_that_speaks_needs_a_synthesizer(load_text: LoadText, tmp_path: Path) -> None:
    dialplan = load_text('[plans.p]\nsteps = [{do = "answer"}]\nfallback = [{do = "say", text = "Sorry."}]\n')

    assert needs_synthesizer(dialplan) == [("p", tmp_path / "plan.toml")]


def test_the_reception_falls_back_without_a_synthesizer() -> None:
    dialplan = load(SHIPPED / "reception.toml")

    assert dialplan.plans["reception"].fallback == (Transfer(to="front_desk"),)
    assert needs_synthesizer(dialplan) == []


def test_load_raises_the_first_error_of_check(write: Write) -> None:
    path = write('[plans.p]\nsteps = [{do = "converse"}, {do = "dance"}]\n')

    with pytest.raises(PlanError) as caught:
        load(path)

    assert str(caught.value) == str(check(path)[0])


def test_a_correct_dialplan_has_no_errors(plan_errors: PlanErrors) -> None:
    assert plan_errors(PLAN) == []


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_dialplan_is_correct_by_itself(path: Path) -> None:
    assert check(path) == []


def test_the_shipped_dialplans_are_correct_together() -> None:
    assert check(SHIPPED) == []

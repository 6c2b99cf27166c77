"""Every error names file and line, key and value, and what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.shape import Misfit, fit
from gateway.dialplan.document import Document
from gateway.dialplan.plan import check

Write = Callable[..., Path]
PlanErrors = Callable[[str], list[str]]

STEPS = "[plans.p]\nsteps = [\n{steps}]\n[agents.clerk]\n[destinations]\nfront_desk = '+15550001999'\n"


def with_steps(*steps: str) -> str:
    return STEPS.replace("{steps}", "".join(f"  {{ {step} }},\n" for step in steps))


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        (
            ['do = "converse", agent = "clark"'],
            'plan.toml:3: plans.p.steps[0].agent = "clark": no such agent; did you mean "clerk"? known: clerk',
        ),
        (
            ['do = "answer"', 'do = "converse"'],
            "plan.toml:4: plans.p.steps[1]: agent is missing: expected a text",
        ),
        (
            ['do = "answer"', 'do = "transfer", to = "frontdesk"'],
            'plan.toml:4: plans.p.steps[1].to = "frontdesk": no such destination; did you mean "front_desk"? known: front_desk',
        ),
        (
            ['do = "transfer", to = "+15550001234"'],
            'plan.toml:3: plans.p.steps[0].to = "+15550001234": no such destination; known: front_desk',
        ),
        (
            ['do = "answr"'],
            'plan.toml:3: plans.p.steps[0].do = "answr": no such do; did you mean "answer"? known: answer, converse, hang_up, reject, say, transfer',
        ),
        (
            ['text = "Hello"'],
            "plan.toml:3: plans.p.steps[0]: do is missing: one of answer, converse, hang_up, reject, say, transfer",
        ),
        (
            ['do = "say", txt = "Hello"', 'do = "say", text = "x"'],
            'plan.toml:3: plans.p.steps[0].txt: no such key; did you mean "text"? known: text, voice',
        ),
        (
            ['do = "answer"', 'do = "say", text = " "'],
            'plan.toml:4: plans.p.steps[1].text = " ": expected words to speak',
        ),
        (
            ['do = "say", text = 5'],
            "plan.toml:3: plans.p.steps[0].text = 5: expected a text",
        ),
        (
            ['do = "reject", reason = "full"'],
            'plan.toml:3: plans.p.steps[0].reason = "full": expected one of busy, rejected',
        ),
        (
            ['do = "answer"', 'do = "reject"'],
            'plan.toml:4: plans.p.steps[1].do = "reject": only the first step can reject; use hang_up to end a call that was taken',
        ),
        (
            ['do = "hang_up"', 'do = "answer"'],
            'plan.toml:4: plans.p.steps[1].do = "answer": never runs: the hang_up before it ends the call',
        ),
        (
            ['do = "transfer", to = "front_desk"', 'do = "hang_up"'],
            'plan.toml:4: plans.p.steps[1].do = "hang_up": never runs: the transfer before it ends the call',
        ),
        (
            ['do = "reject"', 'do = "answer"'],
            'plan.toml:4: plans.p.steps[1].do = "answer": never runs: the reject before it ends the call',
        ),
        (
            [],
            'plan.toml:2: plans.p.steps = []: expected at least one step, as {do = "answer"}',
        ),
    ],
)
def test_a_wrong_step(plan_errors: PlanErrors, steps: list[str], error: str) -> None:
    errors = [
        line for line in plan_errors(with_steps(*steps)) if "is missing" not in line or "is missing" in error
    ]

    assert errors == [error]


FALLBACK = "cannot be in a fallback, which runs when no voice can be had: one of hang_up, say, transfer"


@pytest.mark.parametrize(
    ("steps", "errors"),
    [
        (
            ['do = "say", text = "Sorry."', 'do = "transfer", to = "frontdesk"'],
            [
                'plan.toml:5: plans.p.fallback[1].to = "frontdesk": no such destination; did you mean "front_desk"? known: front_desk'
            ],
        ),
        (
            ['do = "say", text = " "'],
            ['plan.toml:4: plans.p.fallback[0].text = " ": expected words to speak'],
        ),
        (
            ['do = "converse", agent = "nobody"'],
            [f'plan.toml:4: plans.p.fallback[0].do = "converse": {FALLBACK}'],
        ),
        (
            ['do = "answer"', 'do = "reject"'],
            [
                f'plan.toml:4: plans.p.fallback[0].do = "answer": {FALLBACK}',
                f'plan.toml:5: plans.p.fallback[1].do = "reject": {FALLBACK}',
            ],
        ),
        (
            ['do = "hang_up"', 'do = "say", text = "Sorry."'],
            ['plan.toml:5: plans.p.fallback[1].do = "say": never runs: the hang_up before it ends the call'],
        ),
        (
            ['do = "danse"'],
            [
                'plan.toml:4: plans.p.fallback[0].do = "danse": no such do; did you mean "answer"? known: answer, converse, hang_up, reject, say, transfer'
            ],
        ),
    ],
)
def test_a_wrong_step_of_a_fallback(plan_errors: PlanErrors, steps: list[str], errors: list[str]) -> None:
    rest = (
        "".join(f"  {{ {step} }},\n" for step in steps) + "]\n[destinations]\nfront_desk = '+15550001999'\n"
    )

    found = plan_errors(f'[plans.p]\nsteps = [{{ do = "answer" }}]\nfallback = [\n{rest}')

    assert found == errors


def test_a_plan_that_rejects_never_falls_back(plan_errors: PlanErrors) -> None:
    (error,) = plan_errors('[plans.p]\nsteps = [{ do = "reject" }]\nfallback = [{ do = "hang_up" }]\n')

    assert error == "plan.toml:3: plans.p.fallback: never runs: the plan does not take the call"


@pytest.mark.parametrize(
    ("route", "error"),
    [
        (
            'number = "+15550001001"\nplan = "q"',
            'plan.toml:5: routes[0].plan = "q": no such plan; known: p',
        ),
        (
            'number = "+1 (555) 000-1001"\nplan = "p"',
            'plan.toml:4: routes[0].number = "+1 (555) 000-1001": expected an E.164 number, + and 2 to 15 digits, as +15550001001; did you mean "+15550001001"?',
        ),
        (
            'number = "reception"\nplan = "p"',
            'plan.toml:4: routes[0].number = "reception": expected an E.164 number, + and 2 to 15 digits, as +15550001001',
        ),
        (
            'number = "+1555*"\nplan = "p"',
            'plan.toml:4: routes[0].number = "+1555*": a number has no * or ?; write it as pattern = "…"',
        ),
        (
            'number = 15550001001\nplan = "p"',
            "plan.toml:4: routes[0].number = 15550001001: expected a text",
        ),
        (
            'pattern = "1555*"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "1555*": can never match: numbers begin with +; did you mean "+1555*"?',
        ),
        (
            'pattern = "*"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "*": can never match: numbers begin with +; did you mean "+*"?',
        ),
        (
            'pattern = "+0*"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "+0*": can never match: after the + stand digits (the first not 0), ? for one digit, * for any number of them',
        ),
        (
            'pattern = "+1[23]*"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "+1[23]*": can never match: after the + stand digits (the first not 0), ? for one digit, * for any number of them',
        ),
        (
            'pattern = "+1555000???????????"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "+1555000???????????": can never match: numbers have at most 15 digits',
        ),
        (
            'pattern = "+?"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "+?": can never match: numbers have at least 2 digits',
        ),
        (
            'pattern = "+15550001001"\nplan = "p"',
            'plan.toml:4: routes[0].pattern = "+15550001001": has no * or ?; write it as number = "+15550001001"',
        ),
        (
            'caller = "1900*"\nplan = "p"',
            'plan.toml:4: routes[0].caller = "1900*": can never match: numbers begin with +; did you mean "+1900*"?',
        ),
        (
            'caller = "anonymous"\nplan = "p"',
            'plan.toml:4: routes[0].caller = "anonymous": expected an E.164 number, + and 2 to 15 digits, as +15550001001',
        ),
        (
            'number = "+15550001001"\npattern = "+1555*"\nplan = "p"',
            "plan.toml:3: routes[0]: has number and pattern: keep one",
        ),
        (
            'plan = "p"',
            'plan.toml:3: routes[0]: expected number = "+…", pattern = "+…*" or caller = "+…"; all other calls are [default]',
        ),
        (
            'number = "+15550001001"',
            "plan.toml:3: routes[0]: plan is missing: expected a text",
        ),
    ],
)
def test_a_wrong_route(plan_errors: PlanErrors, route: str, error: str) -> None:
    text = f'[plans.p]\nsteps = [{{do = "answer"}}]\n[[routes]]\n{route}\n'

    assert plan_errors(text) == [error]


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ('number = "+15550001001"', 'number = "+15550001001"', "number"),
        ('pattern = "+1?*"', 'pattern = "+1*?"', "pattern"),
        ('caller = "+15550001001"', 'caller = "+15550001001"', "caller"),
    ],
)
def test_a_route_that_takes_the_calls_of_another_is_unreachable(
    plan_errors: PlanErrors, first: str, second: str, key: str
) -> None:
    text = f'[plans.p]\nsteps = [{{do = "answer"}}]\n[[routes]]\n{first}\nplan = "p"\n[[routes]]\n{second}\nplan = "p"\n'

    (error,) = plan_errors(text)

    assert error.startswith(f"plan.toml:7: routes[1].{key} = ")
    assert error.endswith("plan.toml:4 takes the same calls")


def test_routes_of_other_callers_are_reachable(plan_errors: PlanErrors) -> None:
    plan = '[plans.p]\nsteps = [{do = "answer"}]\n'
    routes = [
        f'[[routes]]\nnumber = "+15550001001"\n{caller}\nplan = "p"\n' for caller in ("", 'caller = "+1*"')
    ]

    assert plan_errors("".join([plan, *routes])) == []


def test_an_unknown_default_plan(plan_errors: PlanErrors) -> None:
    (error,) = plan_errors('[default]\nplan = "q"\n')

    assert error == 'plan.toml:2: default.plan = "q": no such plan; none is defined'


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        ("sip:desk @example.com", ""),
        ("desk@example.com", ""),
        ("15550001999", '; did you mean "+15550001999"?'),
        ("0049 30 1234567", '; did you mean "+49301234567"?'),
        ("+05550001999", ""),
    ],
)
def test_a_destination_that_is_no_number(plan_errors: PlanErrors, number: str, hint: str) -> None:
    (error,) = plan_errors(f'[destinations]\nbar = "+15550001998"\nfront_desk = "{number}"\n')

    right = "expected an E.164 number, + and 2 to 15 digits, as +15550001001"
    sip = "or a SIP URI, as sip:desk@example.com"
    assert error == f'plan.toml:3: destinations.front_desk = "{number}": {right}{hint}; {sip}'


@pytest.mark.parametrize(
    "uri", ["sip:desk@example.com", "sips:desk@10.0.0.1:5061;transport=tls", "sip:example.com"]
)
def test_a_destination_may_be_a_sip_uri(plan_errors: PlanErrors, uri: str) -> None:
    assert plan_errors(f'[destinations]\nfront_desk = "{uri}"\n') == []


def test_a_language_that_is_none(plan_errors: PlanErrors) -> None:
    (error,) = plan_errors('[agents.clerk]\nlanguage = "english"\n')

    assert error == 'plan.toml:2: agents.clerk.language = "english": expected an ISO 639-1 code, as "en"'


def test_an_unknown_table(plan_errors: PlanErrors) -> None:
    (error,) = plan_errors("[plan.reception]\n")

    right = 'no such section; did you mean "plans"? known: agents, default, destinations, plans, routes'
    assert error == f"plan.toml:1: plan: {right}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[plans.p]\nsteps = [{do = "answer"}]\n', "plans.p"),
        ("[agents.clerk]\n", "agents.clerk"),
        ('[destinations]\nbar = "+15550001999"\n', "destinations.bar"),
    ],
)
def test_a_name_that_is_defined_twice_names_both_files(
    write: Write, tmp_path: Path, text: str, key: str
) -> None:
    write(text, "a.toml")
    write(f"# another\n{text}", "b.toml")

    (error,) = check(tmp_path)

    line = 2 if "bar" in key else 1
    assert str(error) == (
        f"{tmp_path}/b.toml:{line + 1}: {key}: defined twice; it is in {tmp_path}/a.toml:{line}, too"
    )


def test_two_defaults_name_both_files(write: Write, tmp_path: Path) -> None:
    write('[plans.p]\nsteps = [{do = "answer"}]\n[default]\nplan = "p"\n', "a.toml")
    write('[default]\nplan = "p"\n', "b.toml")

    (error,) = check(tmp_path)

    assert str(error) == f"{tmp_path}/b.toml:1: default: defined twice; it is in {tmp_path}/a.toml:3, too"


def test_a_name_that_is_defined_twice_in_one_file_is_no_toml(plan_errors: PlanErrors) -> None:
    (error,) = plan_errors("[agents.clerk]\n[agents.clerk]\n")

    assert error.startswith("plan.toml:2: not TOML: ")


def test_errors_of_all_files_are_collected(write: Write, tmp_path: Path) -> None:
    write('[plans.p]\nsteps = [{do = "dance"}]\n', "a.toml")
    write('[plans.q]\nsteps = [{do = "converse"}, {do = "say"}]\n', "b.toml")
    write("[", "c.toml")

    errors = [str(error).removeprefix(f"{tmp_path}/").split(":")[0] for error in check(tmp_path)]

    assert errors == ["a.toml", "b.toml", "b.toml", "c.toml"]


def test_a_folder_without_a_dialplan(tmp_path: Path) -> None:
    (error,) = check(tmp_path)

    assert str(error) == f"{tmp_path}: no dialplan: expected a TOML file, or a folder with *.toml"


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    (error,) = check(tmp_path / "none.toml")

    assert str(error) == f"{tmp_path}/none.toml: cannot be read: No such file or directory"


words = st.sampled_from(
    ["do", "say", "p", "plan", "steps", "number", "routes", "plans", "default", "agents", "+1"]
)
values = st.recursive(
    words | st.integers() | st.booleans() | st.floats() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)


@given(st.dictionaries(words, values))
def test_any_table_is_a_document_or_has_flaws(table: dict[str, Any]) -> None:
    try:
        outcome = list(fit(table, Document).plans)
    except Misfit as misfit:
        outcome = [str(flaw) for flaw in misfit.flaws]

    assert outcome or not table.get("plans")


def test_the_line_is_found_in_tables_that_are_written_out(plan_errors: PlanErrors) -> None:
    text = '[[plans.p.steps]]\ndo = "answer"\n\n[[plans.p.steps]]\ndo = "converse"\nagent = "clerk"\n'

    (error,) = plan_errors(text)

    assert error.startswith('plan.toml:6: plans.p.steps[1].agent = "clerk": no such agent')

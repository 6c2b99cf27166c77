from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.dialplan.plan import Dialplan, Plan, load
from gateway.dialplan.tools import load_tool
from gateway.tools import ToolUnusable

Write = Callable[..., Path]
PlanErrors = Callable[[str], list[str]]
LoadText = Callable[[str], Dialplan]

MODULE = """
def book(day: str, people: int) -> str:
    return f"{people} {day}"

async def find(seats: int) -> dict[str, int]:
    return {"seats": seats}

def end_call() -> None: ...
def untyped(day): ...
NUMBER = 5
"""

AGENT = '[plans.p]\nsteps = [{{do = "converse", agent = "clerk"}}]\n[agents.clerk]\ntools = [\n  {}\n]\n'


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of its own name for each test, since Python keeps what it imported."""
    name = f"tools_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_an_agent_of_a_plan_has_its_tools(module: str, load_text: LoadText) -> None:
    dialplan = load_text(AGENT.format(f'"{module}:book", "{module}:find"'))

    assert [tool.name for tool in dialplan.plans["p"].agents["clerk"].tools] == ["book", "find"]
    assert dialplan.tools.keys() == {"book", "find"}


def test_a_tool_that_is_named_twice_is_there_once(module: str, load_text: LoadText) -> None:
    dialplan = load_text(AGENT.format(f'"{module}:book", "{module}:book"'))

    assert [tool.name for tool in dialplan.plans["p"].agents["clerk"].tools] == ["book"]


def test_a_plan_is_the_same_when_it_was_written_as_json_and_read_back(
    module: str, load_text: LoadText
) -> None:
    plan = load_text(AGENT.format(f'"{module}:book"')).plans["p"]

    assert msgspec.convert(msgspec.to_builtins(plan), Plan) == plan


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("book", 'expected "module:function"'),
        ("MODULE:", 'expected "module:function"'),
        (":book", 'expected "module:function"'),
        ("MODULE:bok", 'no such function in MODULE; did you mean "book"? known: '),
        ("MODULE:NUMBER", "no such function in MODULE; known: "),
        ("MODULE:end_call", "every agent has end_call already: rename the function"),
        ("MODULE:untyped", "untyped() has no type for day: write day: str, or what it is"),
        (
            "no_such_module:book",
            "module no_such_module cannot be imported: No module named 'no_such_module'; ",
        ),
    ],
)
def test_an_unusable_tool_says_why(module: str, reference: str, text: str) -> None:
    with pytest.raises(ToolUnusable) as caught:
        load_tool(reference.replace("MODULE", module))

    assert str(caught.value).startswith(text.replace("MODULE", module))


def test_a_module_with_wrong_syntax_is_named(tmp_path: Path) -> None:
    (tmp_path / "no_python.py").write_text("def (", "utf-8")

    with pytest.raises(ToolUnusable, match=r"^module no_python cannot be imported: invalid syntax"):
        load_tool("no_python:book")


def test_a_plan_with_an_unusable_tool_names_line_agent_and_tool(module: str, plan_errors: PlanErrors) -> None:
    (error,) = plan_errors(AGENT.format(f'"{module}:book",\n  "{module}:bok"'))

    assert error.startswith(
        f'plan.toml:6: agents.clerk.tools[1] = "{module}:bok": no such function in {module}; '
    )


def test_two_tools_of_one_name_are_an_error(module: str, tmp_path: Path, plan_errors: PlanErrors) -> None:
    (tmp_path / "other_tools.py").write_text(MODULE, "utf-8")

    (error,) = plan_errors(AGENT.format(f'"{module}:book",\n  "other_tools:book"'))

    right = f'a tool named book is there already, "{module}:book": rename one'
    assert error == f'plan.toml:6: agents.clerk.tools[1] = "other_tools:book": {right}'


def test_agents_may_share_a_tool(module: str, write: Write) -> None:
    text = AGENT.format(f'"{module}:book"') + f'[agents.other]\ntools = ["{module}:book"]\n'

    assert load(write(text)).tools.keys() == {"book"}

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.calls.conversation import built_in_tools
from gateway.contracts import Tool
from gateway.dialplan.plan import Dialplan, load
from gateway.dialplan.tools import BUILT_IN, ArgumentsWrong, ToolUnusable, load_tool

Write = Callable[..., Path]
PlanErrors = Callable[[str], list[str]]
LoadText = Callable[[str], Dialplan]

MODULE = '''
from typing import Annotated, Literal
import msgspec

class Table(msgspec.Struct):
    seats: int

def book(day: Literal["today", "tomorrow"], people: Annotated[int, msgspec.Meta(ge=1, description="How many")], name: str = "") -> str:
    """Book a table."""
    return f"{people} {day} for {name or 'nobody'}"

async def find(table: Table) -> dict[str, int]:
    return {"seats": table.seats}

def broken(day: str) -> str:
    raise RuntimeError(day)

def end_call() -> None: ...
def untyped(day): ...
def many(*days: str): ...
def strange(day: "Weekday"): ...
def unwritable(day: type(lambda: 0)): ...
NUMBER = 5
'''

AGENT = '[plans.p]\nsteps = [{{do = "converse", agent = "clerk"}}]\n[agents.clerk]\ntools = [\n  {}\n]\n'


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of its own name for each test, since Python keeps what it imported."""
    name = f"tools_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


async def inline(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
    return blocking(*args)


def test_a_tool_is_described_by_its_signature(module: str) -> None:
    tool = load_tool(f"{module}:book")

    assert tool.schema == Tool(
        name="book",
        description="Book a table.",
        parameters={
            "type": "object",
            "properties": {
                "day": {"enum": ["today", "tomorrow"]},
                "people": {"type": "integer", "minimum": 1, "description": "How many"},
                "name": {"type": "string", "default": ""},
            },
            "required": ["day", "people"],
            "additionalProperties": False,
        },
    )


def test_a_parameter_may_be_a_struct(module: str) -> None:
    parameters = load_tool(f"{module}:find").schema.parameters

    assert parameters["properties"] == {"table": {"$ref": "#/$defs/Table"}}
    assert parameters["$defs"]["Table"]["required"] == ["seats"]


def test_an_agent_of_a_plan_has_its_tools(module: str, load_text: LoadText) -> None:
    dialplan = load_text(AGENT.format(f'"{module}:book", "{module}:find"'))

    assert [tool.name for tool in dialplan.plans["p"].agents["clerk"].tools] == ["book", "find"]
    assert dialplan.tools.keys() == {"book", "find"}


async def test_a_function_runs_where_it_may_block(module: str) -> None:
    ran = []

    async def in_thread(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
        ran.append(True)
        return blocking(*args)

    answer = await load_tool(f"{module}:book").run('{"day": "today", "people": 3}', in_thread)

    assert answer == "3 today for nobody"
    assert ran == [True]


async def test_a_coroutine_function_answers_in_json(module: str) -> None:
    assert await load_tool(f"{module}:find").run('{"table": {"seats": 4}}', inline) == '{"seats":4}'


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "wrong arguments for book: Object missing required field `day`"),
        ("{", "wrong arguments for book: Input data was truncated"),
        ('{"day": "today", "people": 0}', "wrong arguments for book: Expected `int` >= 1 - at `$.people`"),
        (
            '{"day": "today", "people": 1, "x": 1}',
            "wrong arguments for book: Object contains unknown field `x`",
        ),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(module: str, arguments: str, text: str) -> None:
    tool = load_tool(f"{module}:book")

    with pytest.raises(ArgumentsWrong) as caught:
        await tool.run(arguments, inline)

    assert str(caught.value) == text


async def test_what_the_function_raises_passes_through(module: str) -> None:
    tool = load_tool(f"{module}:broken")

    with pytest.raises(RuntimeError, match="monday"):
        await tool.run('{"day": "monday"}', inline)


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
        ("MODULE:many", "many() takes *days: str: every parameter must have a name and a type"),
        ("MODULE:strange", "strange() has a type that cannot be found: name 'Weekday' is not defined"),
        ("MODULE:unwritable", "unwritable() has a parameter that cannot stand in JSON: "),
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


def test_the_tools_of_every_agent_are_those_of_the_call() -> None:
    assert {tool.name for tool in built_in_tools(["front_desk"])} == BUILT_IN


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

"""Python functions as tools: how they are described, run, compared and refused."""

import datetime as dt
import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest

from gateway.calls.call_tools import built_in_tools
from gateway.contracts import Agent
from gateway.tools import BUILT_IN, ArgumentsWrong, PythonTool, Tool, ToolUnusable


class Table(msgspec.Struct):
    seats: int


class NotJson:
    pass


def book_table(
    day: Literal["today", "tomorrow"],
    people: Annotated[int, msgspec.Meta(ge=1, description="How many come.")],
    name: str = "",
) -> str:
    """Book a table.

    Only for parties that come today or tomorrow.
    """
    return f"{people} {day} for {name or 'nobody'}"


async def find(table: Table) -> dict[str, int]:
    return {"seats": table.seats}


class Desk:
    def __init__(self, opens: int) -> None:
        self._opens = opens

    def opening_hours(self, day: dt.date) -> str:
        """When we open."""
        return f"{day:%A} at {self._opens}"


async def inline(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
    return blocking(*args)


# -- what the voice is told


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    assert PythonTool.of(book_table) == Tool(
        name="book_table",
        description="Book a table.\n\nOnly for parties that come today or tomorrow.",
        parameters={
            "type": "object",
            "properties": {
                "day": {"enum": ["today", "tomorrow"]},
                "people": {"type": "integer", "minimum": 1, "description": "How many come."},
                "name": {"type": "string", "default": ""},
            },
            "required": ["day", "people"],
            "additionalProperties": False,
        },
    )


def test_a_parameter_may_be_a_struct() -> None:
    parameters = PythonTool.of(find).parameters

    assert parameters["properties"] == {"table": {"$ref": "#/$defs/Table"}}
    assert parameters["$defs"]["Table"]["required"] == ["seats"]


def test_a_function_may_be_called_as_the_type_of_its_parameter() -> None:
    def table(table: Table) -> None: ...

    table.__name__ = "Table"

    parameters = PythonTool.of(table).parameters

    assert parameters["properties"] == {"table": {"$ref": "#/$defs/Table"}}
    assert parameters["$defs"].keys() == {"Table"}


def test_annotations_may_be_texts() -> None:
    def hours(day: "dt.date") -> None: ...

    assert PythonTool.of(hours).parameters["properties"] == {"day": {"type": "string", "format": "date"}}


def test_the_tools_of_every_agent_are_those_of_the_call() -> None:
    assert {tool.name for tool in built_in_tools(["front_desk"])} == BUILT_IN


# -- agents


def test_an_agent_takes_functions_for_tools() -> None:
    agent = Agent(
        name="desk", instructions="Be brief.", tools=[book_table, find, Desk(9).opening_hours, Tool(name="x")]
    )

    assert [tool.name for tool in agent.tools] == ["book_table", "find", "opening_hours", "x"]
    assert [type(tool) for tool in agent.tools] == [PythonTool, PythonTool, PythonTool, Tool]


def test_an_agent_with_functions_is_json_and_the_same_agent_when_read_back() -> None:
    agent = Agent(name="desk", tools=[book_table])

    text = msgspec.json.encode(agent)

    assert set(msgspec.json.decode(text)["tools"][0]) == {"name", "description", "parameters"}
    assert msgspec.json.decode(text, type=Agent) == agent


def test_agents_are_equal_when_their_voices_are_told_the_same() -> None:
    one, other = Desk(9), Desk(10)

    assert Agent(name="desk", tools=[one.opening_hours]) == Agent(name="desk", tools=[other.opening_hours])
    assert Agent(name="desk", tools=[one.opening_hours]) != Agent(name="desk", tools=[find])


def test_an_agent_that_is_changed_keeps_its_functions() -> None:
    agent = Agent(name="desk", tools=[book_table])

    renamed = msgspec.structs.replace(agent, name="front")

    (tool,) = renamed.tools
    assert isinstance(tool, PythonTool)
    assert tool.function is book_table


def test_two_tools_of_one_name_are_one_too_many() -> None:
    with pytest.raises(ToolUnusable, match=r"^two tools are named book_table: rename one$"):
        Agent(name="desk", tools=[book_table, Tool(name="book_table")])


# -- what it does


async def test_a_function_runs_where_it_may_block() -> None:
    ran = []

    async def in_thread(blocking: Callable[..., Any], /, *args: Any, limiter: Any = None) -> Any:
        ran.append(True)
        return blocking(*args)

    answer = await PythonTool.of(book_table).run('{"day": "today", "people": 3}', in_thread)

    assert answer == "3 today for nobody"
    assert ran == [True]


async def test_a_coroutine_function_answers_in_json() -> None:
    assert await PythonTool.of(find).run('{"table": {"seats": 4}}', inline) == '{"seats":4}'


async def test_a_method_has_its_object() -> None:
    tool = PythonTool.of(Desk(9).opening_hours)

    assert await tool.run('{"day": "2026-11-23"}', inline) == "Monday at 9"


async def test_a_decorated_coroutine_function_is_awaited() -> None:
    @functools.wraps(find)
    def traced(*args: Any, **named: Any) -> Any:
        return find(*args, **named)

    assert await PythonTool.of(traced).run('{"table": {"seats": 4}}', inline) == '{"seats":4}'


async def test_no_arguments_are_no_text_or_an_empty_object() -> None:
    def weather() -> str:
        return "rain"

    tool = PythonTool.of(weather)

    assert [await tool.run(text, inline) for text in ("", "{}")] == ["rain", "rain"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "wrong arguments for book_table: Object missing required field `day`"),
        ("{", "wrong arguments for book_table: Input data was truncated"),
        (
            '{"day": "today", "people": 0}',
            "wrong arguments for book_table: Expected `int` >= 1 - at `$.people`",
        ),
        (
            '{"day": "today", "people": 1, "x": 1}',
            "wrong arguments for book_table: Object contains unknown field `x`",
        ),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(arguments: str, text: str) -> None:
    tool = PythonTool.of(book_table)

    with pytest.raises(ArgumentsWrong) as caught:
        await tool.run(arguments, inline)

    assert str(caught.value) == text


async def test_what_the_function_raises_passes_through() -> None:
    def broken(day: str) -> str:
        raise RuntimeError(day)

    tool = PythonTool.of(broken)

    with pytest.raises(RuntimeError, match="monday"):
        await tool.run('{"day": "monday"}', inline)


# -- what cannot be a tool


def untyped(day): ...
def many(*days: str): ...
def any_named(**days: str): ...
def nameless(day: str, /): ...
def lost(day): ...
def unwritable(people: int, day: NotJson): ...
def unwritable_default(day: Any = NotJson()): ...  # noqa: B008
def too_many_kinds(people: int, days: list[str] | set[str]): ...
def end_call(): ...
def long(): ...


lost.__annotations__ = {"day": "Weekday"}
long.__name__ = "l" * 65


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (untyped, "untyped() has no type for day: write day: str, or what it is"),
        (Desk.opening_hours, "opening_hours() has no type for self: write self: str, or what it is"),
        (many, "many() takes *days: str: every parameter must have a name and a type"),
        (any_named, "any_named() takes **days: str: every parameter must have a name and a type"),
        (nameless, "nameless() takes day: str: every parameter must have a name and a type"),
        (lost, "lost() has a type that cannot be found: name 'Weekday' is not defined"),
        (unwritable, "unwritable() has a parameter day that cannot stand in JSON: type <class "),
        (unwritable_default, "unwritable_default() has a parameter day that cannot stand in JSON: "),
        (too_many_kinds, "too_many_kinds() has a parameter days that cannot stand in JSON: Type unions "),
        (long, f"{'l' * 65}() cannot be called so: a tool's name has up to 64 of "),
        (lambda: None, "<lambda>() cannot be called so: "),
        (end_call, "every agent has end_call already: rename the function"),
        (functools.partial(book_table, "today"), "functools.partial(<function book_table"),
        ("shop:book_table", "'shop:book_table' is no function: write one with def"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Any, text: str) -> None:
    with pytest.raises(ToolUnusable) as caught:
        Agent(name="desk", tools=[function])

    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)

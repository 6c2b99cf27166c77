"""What can be wrong with a dialplan whose tables have the right shape: names, numbers, order."""

from collections.abc import Collection, Iterator, Sequence
from typing import get_args

from gateway.config.shape import Flaw, Keys, no_such, shown
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.document import Document, File, PlanError
from gateway.dialplan.numbers import normal, why_no_destination, why_no_number, why_no_pattern
from gateway.dialplan.scope import Scope
from gateway.dialplan.tools import load_tool
from gateway.tools import PythonTool, ToolUnusable

_IN_FALLBACK = sorted(str(step.__struct_config__.tag) for step in get_args(Action) if step.in_fallback)
_NOT_IN_FALLBACK = (
    f"cannot be in a fallback, which runs when no voice can be had: one of {', '.join(_IN_FALLBACK)}"
)


def errors_of(files: Sequence[File]) -> Iterator[PlanError]:
    """Everything that is wrong with the files, taken together as one dialplan, except its tools."""
    documents = [file.document for file in files]
    plans = {name for document in documents for name in document.plans}
    agents = {name for document in documents for name in document.agents}
    destinations = {name for document in documents for name in document.destinations}
    for file in files:
        document = file.document
        flaws = [
            *_of_routes(document, plans),
            *_of_plans(document, agents, destinations),
            *_of_destinations(document),
        ]
        yield from map(file.error, flaws)
    yield from _defined_twice(files)
    yield from _unreachable(files)


def import_tools(files: Sequence[File]) -> tuple[dict[str, PythonTool], list[PlanError]]:
    """The tools of all agents by what the plans call them (`"module:function"`), and what is wrong with the others."""
    tools: dict[str, PythonTool] = {}
    errors: list[PlanError] = []
    by_name: dict[str, str] = {}
    for file, keys, reference in _tool_references(files):
        try:
            tools[reference] = tool = tools.get(reference) or load_tool(reference)
        except ToolUnusable as error:
            errors.append(file.error(Flaw(keys, str(error), reference)))
            continue
        other = by_name.setdefault(tool.name, reference)
        if other != reference:  # a voice asks for a tool by its name alone
            right = f"a tool named {tool.name} is there already, {shown(other)}: rename one"
            errors.append(file.error(Flaw(keys, right, reference)))
    return tools, errors


def _of_routes(document: Document, plans: Collection[str]) -> Iterator[Flaw]:
    for index, table in enumerate(document.routes):
        at: Keys = ("routes", index)
        if table.number is not None and table.pattern is not None:
            yield Flaw(at, "has number and pattern: keep one")
        elif table.called is None and table.caller is None:
            yield Flaw(
                at, 'expected number = "+…", pattern = "+…*" or caller = "+…"; all other calls are [default]'
            )
        if table.number is not None and (right := why_no_number(table.number)):
            yield Flaw((*at, "number"), right, table.number)
        if table.pattern is not None and (right := why_no_pattern(table.pattern)):
            yield Flaw((*at, "pattern"), right, table.pattern)
        if table.caller is not None and (right := _why_no_caller(table.caller)):
            yield Flaw((*at, "caller"), right, table.caller)
        if table.plan not in plans:
            yield Flaw((*at, "plan"), no_such("plan", table.plan, plans), table.plan)
    default = document.default
    if default is not None and default.plan not in plans:
        yield Flaw(("default", "plan"), no_such("plan", default.plan, plans), default.plan)


def _why_no_caller(text: str) -> str | None:
    return why_no_pattern(text) if set(text) & set("*?") else why_no_number(text)


def _of_plans(document: Document, agents: Collection[str], destinations: Collection[str]) -> Iterator[Flaw]:
    for name, table in document.plans.items():
        at: Keys = ("plans", name)
        if not table.steps:
            yield Flaw((*at, "steps"), 'expected at least one step, as {do = "answer"}', [])
        elif table.fallback and isinstance(table.steps[0], Reject):
            yield Flaw((*at, "fallback"), "never runs: the plan does not take the call")
        yield from _of_steps((*at, "steps"), table.steps, agents, destinations)
        yield from _of_steps((*at, "fallback"), table.fallback, agents, destinations)


def _of_steps(
    keys: Keys, steps: Sequence[Action], agents: Collection[str], destinations: Collection[str]
) -> Iterator[Flaw]:
    last = None  # the step that ends the call
    for index, step in enumerate(steps):
        at: Keys = (*keys, index)
        do = str(step.__struct_config__.tag)
        if keys[-1] == "fallback" and not step.in_fallback:
            yield Flaw((*at, "do"), _NOT_IN_FALLBACK, do)
        elif flaw := step.check(Scope(at=at, index=index, agents=agents, destinations=destinations)):
            yield flaw
        if last is not None:
            yield Flaw((*at, "do"), f"never runs: the {last} before it ends the call", do)
        last = last or (do if step.ends_call else None)


def _of_destinations(document: Document) -> Iterator[Flaw]:
    for name, number in document.destinations.items():
        if right := why_no_destination(number):
            yield Flaw(("destinations", name), right, number)


def _defined_twice(files: Sequence[File]) -> Iterator[PlanError]:
    first: dict[Keys, File] = {}
    for file in files:
        for keys in _definitions(file.document):
            if keys in first:
                yield file.error(Flaw(keys, f"defined twice; it is in {first[keys].place(keys)}, too"))
            first.setdefault(keys, file)


def _definitions(document: Document) -> Iterator[Keys]:
    yield from (("plans", name) for name in document.plans)
    yield from (("agents", name) for name in document.agents)
    yield from (("destinations", name) for name in document.destinations)
    if document.default is not None:
        yield ("default",)


def _unreachable(files: Sequence[File]) -> Iterator[PlanError]:
    """Routes that match what another matches; where they only overlap, the more specific one goes first."""
    first: dict[tuple[str, str], str] = {}
    for file in files:
        for index, table in enumerate(file.document.routes):
            key = "number" if table.number else "pattern" if table.pattern else "caller"
            keys: Keys = ("routes", index, key)
            calls = normal(table.called or ""), normal(table.caller or "")
            if calls in first:
                right = f"unreachable: the route in {first[calls]} takes the same calls"
                yield file.error(Flaw(keys, right, getattr(table, key)))
            first.setdefault(calls, file.place(keys))


def _tool_references(files: Sequence[File]) -> Iterator[tuple[File, Keys, str]]:
    for file in files:
        for name, table in file.document.agents.items():
            for index, reference in enumerate(table.tools):
                yield file, ("agents", name, "tools", index), reference

"""The dialplan: which calls get which plan, what the plans do, and who talks.

`load` gives it ready to run: every name is resolved, every tool imported. What is wrong with one is found here,
before the first call.
"""

from pathlib import Path
from typing import Literal

import msgspec

from gateway.contracts import Agent
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.actions.say import Say
from gateway.dialplan.checks import errors_of, import_tools
from gateway.dialplan.document import AgentTable, File, read
from gateway.dialplan.document import PlanError as PlanError
from gateway.tools import PythonTool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in a call, complete in itself: it can be written as JSON, read back and run.

    `fallback`: what happens instead of the other steps when no voice can be had any more; without it the call
    apologizes and ends. `agents`: those its steps name. `destinations`: the names that a transfer may use,
    without their numbers.
    """

    name: str
    steps: tuple[Action, ...]
    fallback: tuple[Action, ...] = ()
    agents: dict[str, Agent] = {}
    destinations: tuple[str, ...] = ()

    @property
    def rejection(self) -> Literal["busy", "rejected"] | None:
        """How the call is refused at the door; None when it is to be taken."""
        first = self.steps[0]
        return first.reason if isinstance(first, Reject) else None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls get a plan. `called`, `caller`: a number or a pattern; None takes any."""

    called: str | None
    caller: str | None
    plan: str


class Dialplan(msgspec.Struct, frozen=True, kw_only=True):
    """All plans and the routes to them.

    `default`: the plan for calls that no route takes; without it they are rejected. `destinations`: by name,
    a number in E.164 or a SIP URI. `tools`: by the name that the voice calls them. `files`: where each plan is written.
    """

    plans: dict[str, Plan]
    routes: tuple[Route, ...] = ()
    default: str | None = None
    destinations: dict[str, str] = {}
    tools: dict[str, PythonTool] = {}
    files: dict[str, Path] = {}


def load(path: Path) -> Dialplan:
    """The dialplan of a file, or of all `*.toml` of a folder together. Raises the first `PlanError` of `check`."""
    dialplan, errors = _read(path)
    if dialplan is None:
        raise errors[0]
    return dialplan


def check(path: Path) -> list[PlanError]:
    """What is wrong with the dialplan at `path`; the text of each error is one line. Imports its tools."""
    return _read(path)[1]


def needs_synthesizer(dialplan: Dialplan) -> list[tuple[str, Path]]:
    """The plans that speak words of their own, and their files: without text-to-speech they cannot run."""
    return [
        (plan.name, dialplan.files[plan.name])
        for plan in dialplan.plans.values()
        if any(isinstance(step, Say) for step in (*plan.steps, *plan.fallback))
    ]


def _read(path: Path) -> tuple[Dialplan | None, list[PlanError]]:
    files, errors = read(path)
    if errors:  # then nobody knows which names are defined
        return None, errors
    tools, errors = import_tools(files)
    errors = [*errors_of(files), *errors]
    return (None, errors) if errors else (_resolve(files, tools), [])


def _resolve(files: list[File], tools: dict[str, PythonTool]) -> Dialplan:
    documents = [file.document for file in files]
    destinations = {name: number for document in documents for name, number in document.destinations.items()}
    agents = {
        name: _agent(name, table, tools) for document in documents for name, table in document.agents.items()
    }
    plans = {
        name: Plan(
            name=name,
            steps=table.steps,
            fallback=table.fallback,
            agents={step.agent: agents[step.agent] for step in table.steps if isinstance(step, Converse)},
            destinations=tuple(destinations),
        )
        for document in documents
        for name, table in document.plans.items()
    }
    routes = tuple(
        Route(called=table.called, caller=table.caller, plan=table.plan)
        for document in documents
        for table in document.routes
    )
    return Dialplan(
        plans=plans,
        routes=routes,
        default=next((document.default.plan for document in documents if document.default), None),
        destinations=destinations,
        tools={tool.name: tool for tool in tools.values()},
        files={name: file.path for file in files for name in file.document.plans},
    )


def _agent(name: str, table: AgentTable, tools: dict[str, PythonTool]) -> Agent:
    fields = msgspec.structs.asdict(table)
    return Agent(
        **fields | {"name": name, "tools": tuple(tools[tool] for tool in dict.fromkeys(table.tools))}
    )

"""A dialplan as it is written: the tables of its TOML files."""

from pathlib import Path
from typing import Annotated

import msgspec

from gateway.config import toml
from gateway.config.shape import Flaw, Keys, Misfit, fit
from gateway.dialplan.actions import Action


class PlanError(Exception):
    """A dialplan cannot be used. The text is one line: file and line, key, value, and what would be right."""


Language = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}\Z", description='an ISO 639-1 code, as "en"')]


class RouteTable(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls get a plan. `number`: exactly this one was called; `pattern`: one of these. `caller`: either."""

    number: str | None = None
    pattern: str | None = None
    caller: str | None = None
    plan: str

    @property
    def called(self) -> str | None:
        return self.number or self.pattern


class DefaultTable(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for calls that no route takes."""

    plan: str


class PlanTable(msgspec.Struct, frozen=True, kw_only=True):
    """`fallback`: the steps that take over when no voice can be had."""

    steps: tuple[Action, ...]
    fallback: tuple[Action, ...] = ()


class AgentTable(msgspec.Struct, frozen=True, kw_only=True):
    """A `gateway.contracts.Agent`, whose `tools` are named as `"module:function"`."""

    instructions: str = ""
    greeting: str | None = None
    voice: str | None = None
    model: str | None = None
    language: Language = "en"
    script: str | None = None
    tools: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True):
    routes: tuple[RouteTable, ...] = ()
    default: DefaultTable | None = None
    plans: dict[str, PlanTable] = {}
    agents: dict[str, AgentTable] = {}
    destinations: dict[str, str] = {}


class File(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    text: str
    document: Document

    def error(self, flaw: Flaw) -> PlanError:
        return PlanError(f"{self.place(flaw.keys)}: {flaw}")

    def place(self, keys: Keys) -> str:
        """`file:line` of what the keys lead to."""
        return toml.place(self.path, self.text, keys)


def read(path: Path) -> tuple[list[File], list[PlanError]]:
    """A file, or all `*.toml` of a folder in the order of their names, and what could not be read of them."""
    paths = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    files, errors = [], []
    for each in paths:
        try:
            text = toml.read(each)
            files.append(File(path=each, text=text, document=fit(toml.parse(text, each), Document)))
        except toml.Unreadable as error:
            errors.append(PlanError(str(error)))
        except Misfit as misfit:
            errors += [PlanError(f"{toml.place(each, text, flaw.keys)}: {flaw}") for flaw in misfit.flaws]
    if not paths:
        errors.append(PlanError(f"{path}: no dialplan: expected a TOML file, or a folder with *.toml"))
    return files, errors

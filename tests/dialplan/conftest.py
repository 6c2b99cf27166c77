from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.dialplan.plan import Dialplan, check, load

Write = Callable[..., Path]
PlanErrors = Callable[[str], list[str]]
LoadText = Callable[[str], Dialplan]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of a dialplan to `tmp_path`."""

    def write(text: str, name: str = "plan.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def plan_errors(write: Write) -> PlanErrors:
    """The errors of a dialplan's text, as they are printed, without the folder."""

    def plan_errors(text: str) -> list[str]:
        path = write(text)
        return [str(error).removeprefix(f"{path.parent}/") for error in check(path)]

    return plan_errors


@pytest.fixture
def load_text(write: Write) -> LoadText:
    return lambda text: load(write(text))

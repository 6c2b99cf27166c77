import os
import subprocess
import sys
from pathlib import Path

import pytest

OPS = Path(__file__).parents[2] / "ops"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("script", ["gateway", "test", "lint"])
def test_a_python_that_does_not_fit_is_named(script: str, tmp_path: Path) -> None:
    done = run(OPS / script, PYTHON="/bin/false", GATEWAY_VENV=str(tmp_path / "venv"))

    assert done.returncode == 1
    assert "PYTHON=/bin/false is not a Python >= 3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_folder_that_is_no_environment_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    done = run(OPS / "gateway", PYTHON=sys.executable, GATEWAY_VENV=str(tmp_path))

    assert done.returncode == 1
    assert "was not made here" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "script", ["ops/gateway", "ops/test", "ops/lint", "ops/requirements/compile", ".ci/run"]
)
def test_a_script_can_be_executed(script: str) -> None:
    assert os.access(OPS.parent / script, os.X_OK)

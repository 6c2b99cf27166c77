"""The plugin as pytest runs it: in a process and a project of its own."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testing.plugin_project import PLUGIN, SECONDS, environment

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "traces" / "goodbye"
CALL = """
    async with live_call("{plan}", backend="scripted") as caller:
        await caller.hears("how can I help you")
"""
RECEPTION = CALL.format(plan=ROOT / "dialplans" / "reception.toml")

Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Pytest:
    """Run pytest on one test; warnings are errors."""

    def run_pytest(
        test: str, *options: str, mode: str = "trio_mode = true"
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{mode}\n")
        (tmp_path / "test_it.py").write_text(test)
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "pytest", *PLUGIN, *options, "test_it.py"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run_pytest


# -- what it costs


def test_a_test_that_uses_nothing_of_it_imports_nothing_for_it(run: Pytest):
    heavy = "{'numpy', 'msgspec', 'structlog', 'httpx', 'gateway.serve', 'gateway.contracts'}"

    done = run(f"import sys\ndef test_it():\n    assert not {heavy} & set(sys.modules)\n")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout.lower() + done.stderr.lower()


def test_its_fixtures_are_listed_with_what_they_give(run: Pytest):
    listed = run("", "--fixtures").stdout

    assert "Call a gateway of your own dialplan" in listed
    assert "Replay a recorded call" in listed


# -- live_call


def test_a_test_calls_a_gateway_in_virtual_time(run: Pytest):
    done = run(f"async def test_it(autojump_clock, live_call):{RECEPTION}")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_test_may_be_marked_instead_of_the_mode(run: Pytest):
    test = f"import pytest\n@pytest.mark.trio\nasync def test_it(autojump_clock, live_call):{RECEPTION}"

    done = run(test, mode="")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("parameters", ["live_call", "autojump_clock, live_call"])
def test_without_pytest_trio_the_message_says_what_to_install(run: Pytest, parameters: str):
    done = run(f"async def test_it({parameters}):{RECEPTION}", "-p", "no:trio", mode="")

    assert done.returncode == 1
    assert "pip install pytest-trio" in done.stdout


def test_outside_of_trio_mode_the_message_says_how_to_get_into_it(run: Pytest):
    done = run(f"async def test_it(autojump_clock, live_call):{RECEPTION}", mode="")

    assert done.returncode == 1
    assert "trio_mode = true" in done.stdout


def test_without_the_embedded_voice_the_message_says_what_to_install(run: Pytest):
    hidden = "import sys\nsys.modules['hibari'] = None\n"
    call = RECEPTION.replace('"scripted"', '"embedded"')

    done = run(f"{hidden}async def test_it(autojump_clock, live_call):{call}")

    assert done.returncode == 1
    assert "pip install 'voice-gateway[embedded]'" in done.stdout


def test_a_plan_that_is_wrong_fails_with_its_file_and_key(run: Pytest, tmp_path: Path):
    (tmp_path / "plan.toml").write_text('[plans.p]\nsteps = [{ do = "anwser" }]\n')

    done = run(f"async def test_it(autojump_clock, live_call):{CALL.format(plan='plan.toml')}")

    assert done.returncode == 1
    assert "plan.toml" in done.stdout
    assert "anwser" in done.stdout


# -- replay

REPLAY = "def test_it(replay):\n    replay('calls')\n"


@pytest.mark.parametrize("place", ["calls", "calls/one"])
def test_a_recorded_call_or_a_folder_of_them_is_replayed(run: Pytest, tmp_path: Path, place: str):
    shutil.copytree(RECORDED, tmp_path / place)

    done = run(REPLAY)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_call_that_differs_fails_with_the_first_difference_alone(run: Pytest, tmp_path: Path):
    shutil.copytree(RECORDED, tmp_path / "calls" / "same")
    shutil.copytree(RECORDED, tmp_path / "calls" / "other")
    outputs = tmp_path / "calls" / "other" / "outputs.jsonl"
    outputs.write_text(outputs.read_text().replace("call.started", "call.begun", 1))

    done = run(REPLAY)

    assert done.returncode == 1
    assert "other: differs" in done.stdout
    assert "call.begun" in done.stdout
    assert "same: identical" not in done.stdout
    assert "Traceback" not in done.stdout


def test_a_folder_without_calls_is_no_success(run: Pytest, tmp_path: Path):
    (tmp_path / "calls").mkdir()

    done = run(REPLAY)

    assert done.returncode == 1
    assert "holds no recorded call" in done.stdout

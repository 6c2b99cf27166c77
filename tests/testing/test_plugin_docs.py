"""The page on testing is true: its examples are files of a project, and its tests pass."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.voices import missing_voice
from tests.testing.plugin_project import PLUGIN, SECONDS, environment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "ops" / "docs" / "testing.md"


@pytest.mark.skipif(missing_voice() is not None, reason="the embedded voice is not installed")
def test_the_examples_of_the_page_pass(tmp_path: Path):
    for name, block in re.findall(r"```\w+\n# (\S+\.\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(block)
    shutil.copytree(ROOT / "dialplans", tmp_path / "dialplans")
    shutil.copytree(ROOT / "tests" / "traces" / "goodbye", tmp_path / "tests" / "calls" / "goodbye")

    for arguments in (["tests/make_recordings.py"], ["-m", "pytest", *PLUGIN, "-q"]):
        command = [sys.executable, *arguments]
        run = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr

    assert "3 passed" in run.stdout

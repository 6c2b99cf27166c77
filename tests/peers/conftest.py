"""What the tests with real peers share: certificates, and the peers' own words when a test fails."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.peers.certificates import Certificates, issue

_TAIL_CHARS = 6000


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows the end of what each program printed, and whatever its calls have to tell."""
    report = yield
    told = getattr(item, "funcargs", {}).get("evening")
    if report.failed and told is not None:
        report.sections += [
            (path.name, path.read_text(errors="replace")[-_TAIL_CHARS:]) for path in logs(told.folder)
        ]
        report.sections += [(name, str(call)) for name, call in told.looked_at.items()]
    if told is not None and report.when == "teardown":
        told.looked_at.clear()
    return report


def logs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.out") if not path.with_suffix(".xml").exists())

"""What the tests with real peers share: certificates, and the peers' own words when a test fails.

`GATEWAY_PEERS_REQUIRED`: peers that have to be there, as "sipp baresip". A test that would be skipped for want of one
fails then.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.peers.certificates import Certificates, issue

_TAIL_CHARS = 6000
_FILES = {
    "asterisk": ("test_asterisk_trunk.py",),
    "baresip": ("test_baresip_calls.py", "test_pressed_keys.py"),
    "kamailio": ("test_kamailio_dispatcher.py",),
    "pjsip": ("test_pjsip_calls.py",),
    "sipp": ("test_sipp_calls.py", "test_outbound_calls.py"),
}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows the end of what each program printed, and whatever its calls have to tell."""
    report = yield
    if report.skipped and item.path.name in _required():
        *_, why = report.longrepr if isinstance(report.longrepr, tuple) else (report.longrepr,)
        report.outcome, report.longrepr = "failed", f"it has to run here: {why}"
    told = getattr(item, "funcargs", {}).get("evening")
    if report.failed and told is not None:
        report.sections += [
            (path.name, path.read_text(errors="replace")[-_TAIL_CHARS:]) for path in logs(told.folder)
        ]
        report.sections += [(name, str(call)) for name, call in told.looked_at.items()]
    if told is not None and report.when == "teardown":
        told.looked_at.clear()
    return report


def _required() -> set[str]:
    """The files whose peers have to be there."""
    peers = os.environ.get("GATEWAY_PEERS_REQUIRED", "").split()
    if unknown := set(peers) - _FILES.keys():
        raise pytest.UsageError(f"GATEWAY_PEERS_REQUIRED: no peers: {', '.join(sorted(unknown))}")
    return {file for peer in peers for file in _FILES[peer]}


def logs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.out") if not path.with_suffix(".xml").exists())

"""pytest fixtures for people who test their own dialplans and recorded calls.

pytest imports this file at every start wherever the gateway is installed: the gateway itself is imported only in
the fixtures.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.testing.live_caller import LiveCaller

__all__ = ["live_call", "pytest_configure", "replay"]

_INSTALL_TRIO = "live_call needs pytest-trio: pip install pytest-trio"


@pytest.fixture
def live_call(request: pytest.FixtureRequest) -> "Callable[..., AbstractAsyncContextManager[LiveCaller]]":
    """Call a gateway of your own dialplan, without network or account, in virtual time.

    async def test_the_reception_helps(autojump_clock, live_call):
        async with live_call("dialplans/reception.toml") as caller:
            await caller.hears("how can I help you")

    Relative paths begin at the test's file or at pytest's root. For all arguments see
    `gateway.testing.live_caller.live_call`.
    """
    if not _has_trio(request.config):
        pytest.fail(_INSTALL_TRIO, pytrace=False)
    if request.node.get_closest_marker("trio") is None:
        pytest.fail(
            "live_call works in trio tests: set trio_mode = true in pytest's settings, "
            "or mark the test with @pytest.mark.trio",
            pytrace=False,
        )
    from gateway.testing.live_caller import live_call as call

    return functools.partial(call, near=_near(request))


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Callable[[str | Path], None]:
    """Replay a recorded call, or every call in a folder; the test fails where one output is not as recorded."""

    def replay_all(path: str | Path) -> None:
        from gateway.building import build_core
        from gateway.testing.paths import find_path
        from gateway.traces import replay as replay_call
        from gateway.traces import report_lines

        folder = find_path(path, _near(request))
        calls = [folder] if (folder / "trace.jsonl").exists() else _calls(folder)
        if not calls:
            pytest.fail(f"{folder} holds no recorded call: none has a trace.jsonl", pytrace=False)
        verdicts = [replay_call(call, build_core) for call in calls]
        flaws = [line for verdict in verdicts if not verdict.identical for line in report_lines(verdict)]
        if flaws:
            pytest.fail("\n".join(flaws), pytrace=False)

    return replay_all


class _WithoutTrio:
    """Says what is missing where pytest would only say that there is no fixture `autojump_clock`."""

    @pytest.fixture
    def autojump_clock(self) -> None:
        pytest.fail(_INSTALL_TRIO, pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Be of help where pytest-trio is not installed."""
    if not _has_trio(config):
        config.pluginmanager.register(_WithoutTrio(), "gateway-without-trio")


def _has_trio(config: pytest.Config) -> bool:
    return config.pluginmanager.hasplugin("trio") or config.pluginmanager.hasplugin("pytest_trio.plugin")


def _near(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    return request.path.parent, request.config.rootpath


def _calls(folder: Path) -> list[Path]:
    return sorted(trace.parent for trace in folder.glob("*/trace.jsonl"))

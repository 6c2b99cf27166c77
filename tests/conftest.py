"""What holds for every test."""

import gc
import os
from collections.abc import Iterator

import pytest


def open_files() -> dict[str, str]:
    """What this process has open: descriptor -> what it is."""
    found = {}
    for descriptor in os.listdir("/dev/fd"):
        try:
            found[descriptor] = os.readlink(f"/dev/fd/{descriptor}")
        except OSError:  # the listing itself
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """No test leaves a socket or a file open. What a call leaves in tasks and gauges, `live_gateway` asserts."""
    before = open_files()
    yield
    after = open_files()
    left = {fd: what for fd, what in after.items() if before.get(fd) != what and _is_ours(what)}
    if left:  # a collection may be all that is missing; costly, so only now
        gc.collect()
        left = {fd: what for fd, what in left.items() if open_files().get(fd) == what}
    assert not left


def _is_ours(what: str) -> bool:
    return what.startswith("socket:") or (what.startswith("/") and not what.startswith(("/dev/", "/proc/", "/sys/")))

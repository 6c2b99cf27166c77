"""What holds for every test."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest


def open_files() -> dict[str, str]:
    """What this process has open: descriptor -> what it is."""
    found = {}
    for descriptor in Path("/dev/fd").iterdir():
        try:
            found[descriptor.name] = str(descriptor.readlink())
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
    return what.startswith("socket:") or (
        what.startswith("/") and not what.startswith(("/dev/", "/proc/", "/sys/"))
    )

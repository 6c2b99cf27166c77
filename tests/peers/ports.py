"""Ports on 127.0.0.1 that nobody has."""

import random
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

__all__ = ["bound_of", "free_ports", "is_bound"]

# Below those that the kernel gives to sockets that ask for none: only somebody who picks as we do can come between.
_RANGE = range(12_000, 32_000)
_given: set[int] = set()
_rng = random.SystemRandom()


def free_ports(count: int = 1, *, step: int = 1) -> int:
    """The first of so many ports in a row, free for UDP and TCP. `step`: it is a multiple of that.

    None is given twice.
    """
    for _ in range(1000):
        first = _rng.randrange(_RANGE.start, _RANGE.stop - count) // step * step
        ports = set(range(first, first + count))
        if not ports & _given and first in _RANGE and _are_free(ports):
            _given.update(ports)
            return first
    raise OSError(f"no {count} free ports in a row")


def _are_free(ports: set[int]) -> bool:
    with ExitStack() as bound:
        for port in ports:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                endpoint = bound.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    endpoint.bind(("127.0.0.1", port))
                except OSError:
                    return False
    return True


def is_bound(port: int) -> bool:
    """Whether somebody has this port."""
    return bool(bound_of([port]))


def bound_of(ports: Iterable[int]) -> list[int]:
    """Those of these ports that somebody has, as the kernel lists them: trying to bind them would be in the way."""
    bound = {
        int(line.split()[1].rpartition(":")[2], 16)
        for table in ("udp", "tcp")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    }
    return [port for port in ports if port in bound]

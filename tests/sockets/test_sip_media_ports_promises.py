"""Ports on sockets keep the promises that those of other tests are held to."""

from contextlib import ExitStack
from socket import AF_INET, SOCK_DGRAM, socket

import pytest
import trio

from gateway.carriers.sip.media_ports import MediaPorts
from tests.carriers.fake_media_ports import PROMISES

LOCAL = "127.0.0.1"


def two_free_pairs() -> range:
    """Four ports, the first of them even, that nobody has at this moment."""
    for first in range(40_000, 60_000, 4):
        with ExitStack() as stack:
            try:
                for port in range(first, first + 4):
                    stack.enter_context(socket(AF_INET, SOCK_DGRAM)).bind((LOCAL, port))
            except OSError:
                continue
            return range(first, first + 4)
    raise AssertionError("no port is free")


@pytest.mark.parametrize("promise", PROMISES)
async def test_ports_on_sockets_keep_every_promise(promise):
    ports = MediaPorts(LOCAL, two_free_pairs())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        await trio.testing.wait_all_tasks_blocked()

        promise(ports)

        nursery.cancel_scope.cancel()

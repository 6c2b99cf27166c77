import random

import trio
import trio.testing
from trio.testing import MockClock

from gateway.testing.network import Network


async def through(network: Network) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Twilio's end of a connection, and the gateway's."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def dial() -> trio.abc.Stream:
        return ours

    return await network.through(dial)(), theirs


async def test_each_way_takes_its_time(autojump_clock: MockClock):
    async with Network(random.Random(1), to_gateway_s=0.25, to_twilio_s=0.5) as network:
        twilio, gateway = await through(network)
        began_s = trio.current_time()

        await twilio.send_all(b"up")
        up = await gateway.receive_some()
        up_s = trio.current_time() - began_s
        await gateway.send_all(b"down")
        down = await twilio.receive_some()

        assert (up, down) == (b"up", b"down")
        assert (up_s, trio.current_time() - began_s) == (0.25, 0.75)


async def test_nothing_is_overtaken(autojump_clock: MockClock):
    async with Network(random.Random(1), to_gateway_s=0.01, jitter_s=1.0) as network:
        twilio, gateway = await through(network)
        for number in range(50):
            await twilio.send_all(bytes([number]))

        received = b""
        while len(received) < 50:
            received += await gateway.receive_some()

        assert received == bytes(range(50))
        assert 0.5 < trio.current_time() <= 1.01


async def test_what_the_gateway_sends_is_noted_when_it_leaves(autojump_clock: MockClock):
    async with Network(random.Random(1), to_twilio_s=0.5) as network:
        twilio, gateway = await through(network)

        await gateway.send_all(b'\x81\x15{"event":"media"}\x81\x11{"event":"clear"}')
        await twilio.receive_some()

        assert [(passed.event, passed.arrived_s - passed.left_s) for passed in network.passed] == [
            ("media", 0.5),
            ("clear", 0.5),
        ]


async def test_the_end_of_a_connection_arrives_behind_what_was_sent(autojump_clock: MockClock):
    async with Network(random.Random(1), to_twilio_s=0.5) as network:
        twilio, gateway = await through(network)

        await gateway.send_all(b"goodbye")
        await gateway.aclose()

        assert await twilio.receive_some() == b"goodbye"
        assert await twilio.receive_some() == b""


async def test_a_connection_that_twilio_ends_is_over_for_the_gateway(autojump_clock: MockClock):
    async with Network(random.Random(1)) as network:
        twilio, gateway = await through(network)

        await twilio.aclose()

        assert await gateway.receive_some() == b""

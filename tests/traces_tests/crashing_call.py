"""A process that records a toy call as fast as it can until it is killed; says after each flush how far it is."""

import itertools
import sys
from pathlib import Path

import trio

from gateway.traces import Recorder
from tests.traces_tests.toy_call import HEADER, ToyCore, inline, inputs

FLUSH_EVERY = 100  # what a call is fed in half a second


async def main() -> None:
    recorder, core = Recorder(Path(sys.argv[1]), HEADER), ToyCore(HEADER)
    for seq, (t_us, port, data) in enumerate(itertools.cycle(inputs())):
        recorder.input(seq, t_us, port, data)
        core.feed(port, data, t_us / 1e6)
        core.fed.clear()
        for output in core.drain():
            recorder.output(seq, output)
        if seq % FLUSH_EVERY == FLUSH_EVERY - 1:
            await recorder.flush(inline)
            print(seq + 1, flush=True)  # noqa: T201  # the parent reads it


trio.run(main)

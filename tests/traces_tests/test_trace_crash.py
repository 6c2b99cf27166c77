import random
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.traces import Outcome, replay
from tests.traces_tests.toy_call import ToyCore


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_process_leaves_a_whole_trace_up_to_its_last_flush(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.traces_tests.crashing_call", str(tmp_path / "call")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        for _ in range(dice.randrange(1, 40)):
            said = child.stdout.readline()
        for _ in range(dice.randrange(20_000)):
            pass  # it goes on meanwhile, and dies between two writes or within one
        child.kill()
        *_, flushed = (said + child.stdout.read()).split()

    verdict = replay(tmp_path / "call", ToyCore)

    assert verdict.outcome is Outcome.UNFINISHED
    assert verdict.entries >= int(flushed)
